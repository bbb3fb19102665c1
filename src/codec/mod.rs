//! From records to bytes and back.
//!
//! A codec turns a value into bytes; a compression wraps a codec. Both are open to users. Decoders check their
//! [`Limits`] before they allocate, so that a bomb costs its sender an error and us nothing.

use serde::Serialize;
use serde::de::DeserializeOwned;

mod json;

pub use json::Json;

/// How much a decoder may make of an event. Defaults: 64 MiB, and 1000 bytes out of each byte in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes a value may have after decompression. Default: 64 MiB.
    pub bytes: usize,
    /// The most bytes decompression may make out of one. Default: 1000.
    pub ratio: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 20, ratio: 1000 }
    }
}

/// A record that cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The codec refused the value.
    #[error("the record cannot be written as {codec}")]
    Codec {
        /// The codec's name.
        codec: String,
        /// Why.
        #[source]
        source: crate::Error,
    },
}

/// Fields that are no record of the expected type.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A field that must be there is not.
    #[error("the entry has no field `{name}`")]
    MissingField {
        /// The field's name.
        name: String,
    },
    /// A field of a primitive record has a value of another type.
    #[error("field `{name}` is not {expected}")]
    WrongType {
        /// The field's name.
        name: String,
        /// What was expected, with its article: "an integer".
        expected: &'static str,
    },
    /// The value would be larger than the limit allows.
    #[error("the value would be larger than {limit} bytes (setting `decode_limit`)")]
    TooLarge {
        /// The limit that was met, in bytes.
        limit: usize,
    },
    /// The codec refused the bytes.
    #[error("the value cannot be read as {codec}")]
    Codec {
        /// The codec's name.
        codec: String,
        /// Why.
        #[source]
        source: crate::Error,
    },
}

/// Turns values into bytes and back.
pub trait Codec: Send + Sync + 'static {
    /// Its name, as it is kept with the stream's facts: `json`, `json+lz4`.
    fn name(&self) -> String;

    /// Appends the value to `out`.
    fn encode<T: Serialize>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// The value in these bytes. Nothing may follow it.
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8], limits: &Limits) -> Result<T, DecodeError>;
}
