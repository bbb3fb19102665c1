//! Attribute macros of runnel: thin entry points, one module for each macro.
//!
//! What they write names everything through `::runnel::..`, and what is not for people through
//! `::runnel::__private`. Whatever the user wrote is emitted again, also beside errors, so that one mistake does not
//! make ten messages.

use proc_macro::TokenStream;

mod function;
mod nearest;
mod options;
mod problems;
mod processor;
mod record;
mod registration;
mod stream;
mod values;

/// Declares a stream as a `static`.
///
/// The initialiser becomes a lazy declaration, built at first use, so that nothing in it must be `const` and closures
/// take their types from the static's type. `App::new` knows the stream.
///
/// ```ignore
/// #[runnel::stream]
/// static ORDERS: Stream<Order> = Stream::new("orders", |o| o.order_id.into()).partitions(32);
/// ```
#[proc_macro_attribute]
pub fn stream(attr: TokenStream, item: TokenStream) -> TokenStream {
    stream::expand(attr.into(), item.into()).into()
}

/// Makes an `async fn` a processor of a stream.
///
/// The function stays what it is and can be called. Beside it there is a type of the same name for
/// `App::with::<printer>()`; `App::new` finds it by itself.
///
/// ```ignore
/// #[runnel::processor(ORDERS, retry(attempts = 5, from = "200ms", to = "30s"), timeout = "10s")]
/// async fn billing(order: Order, db: State<PgPool>, ctx: Context) -> Result<()> { .. }
///
/// #[runnel::processor(ORDERS, batch = 500, within = "2s")]
/// async fn warehouse(orders: Vec<Order>) -> Result<()> { .. }
///
/// #[runnel::processor(ORDERS, exception_policy = "quarantine")]
/// async fn totals(events: &mut Events<Order>) -> Result<()> { .. }
/// ```
///
/// | option | what it says |
/// |---|---|
/// | `name = "printer"` | its name, and that of its consumer groups |
/// | `batch = 500`, `within = "2s"` | handlers of a `Vec`: how many at most, and how long after the first of them |
/// | `retry(attempts = 5, from = "200ms", to = "30s")` | how often a failing event is tried, and the waits between |
/// | `timeout = "10s"` | handlers: how long one try may take |
/// | `exception_policy = "halt"` | what happens then: `halt`, `quarantine` or `ignore` |
/// | `on_error = "dead_letter"` | the event is stored as a dead letter, and the partition goes on |
/// | `middleware = [Timing, Audit::new()]` | what each event or batch passes on its way to the function, in this order |
/// | `max_crashes = 3` | how often an event may kill its worker |
/// | `start = "0"` | where it begins without a position: `0`, `$`, an id or a time |
/// | `prefetch_count = 64` | events read ahead for each partition |
/// | `commit_linger = "5ms"` | how long a settled event may wait for its commit |
/// | `lock_expiry = "10s"`, `grace_period = "8s"` | how long a dead owner holds a partition; how long a drain may take |
/// | `join_delay`, `assignment_sleep`, `assignment_attempts` | how eagerly partitions are taken |
#[proc_macro_attribute]
pub fn processor(attr: TokenStream, item: TokenStream) -> TokenStream {
    processor::expand(attr.into(), item.into()).into()
}

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
