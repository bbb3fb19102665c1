//! Attribute macros of runnel.

use proc_macro::TokenStream;

mod record;

/// Makes a struct a primitive record: each of its fields is a field of the Redis entry, without a codec.
///
/// The struct needs `#[record(primitive)]`, and fields of these types only: integers of any size, `f32`, `f64`, `bool`,
/// `String`, `Vec<u8>` and `bytes::Bytes`, by these names. Values are written as runnel for Python writes them.
///
/// As JSON, for the command line and for pages, bytes are a string if they are UTF-8, else an array of numbers; integers
/// beyond 64 bits, NaN and the infinities are strings. Both forms are read.
///
/// Do not derive `Serialize` and `Deserialize` beside it: every type with both is a record already, stored as one value
/// with the stream's codec, and the compiler refuses two implementations (error E0119). Either of them alone is fine.
#[proc_macro_derive(Record, attributes(record))]
pub fn record(item: TokenStream) -> TokenStream {
    record::expand(item.into()).into()
}
