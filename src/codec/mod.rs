//! From records to bytes and back.
//!
//! A codec turns a value into bytes; a compression wraps a codec. Both are open to users. Decoders check their
//! [`Limits`] before they allocate, so that a bomb costs its sender an error and us nothing.

use serde::Serialize;
use serde::de::DeserializeOwned;

mod any;
mod compress;
mod finite;
#[cfg(feature = "gzip")]
mod gzip;
mod json;
mod limits;
mod looks;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "msgpack")]
mod msgpack;
#[cfg(feature = "zstd")]
mod zstd;

pub use any::{AnyCodec, InvalidCodec};
pub use compress::{Compressed, Compression};
#[cfg(feature = "gzip")]
pub use gzip::Gzip;
pub use json::Json;
pub use limits::Limits;
#[cfg(feature = "lz4")]
pub use lz4::Lz4;
#[cfg(feature = "msgpack")]
pub use msgpack::MsgPack;
#[cfg(feature = "zstd")]
pub use zstd::Zstd;

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
    /// It would compress so well that every reader took it for a bomb.
    #[error("with {codec} the record becomes more than {ratio} times smaller: readers would refuse it as a bomb")]
    Bomb {
        /// The compression's name.
        codec: String,
        /// How much smaller it may become.
        ratio: usize,
    },
}

impl EncodeError {
    /// The codec or compression of that name refused the value, and why. For implementors.
    pub fn refused(codec: impl Into<String>, why: impl Into<crate::Error>) -> Self {
        Self::Codec { codec: codec.into(), source: why.into() }
    }
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
    /// The value would be so much larger than its compressed bytes that it must be a bomb.
    #[error("the value would be more than {ratio} times larger than its compressed bytes, as in a decompression bomb")]
    Bomb {
        /// How much larger it may be.
        ratio: usize,
    },
    /// The bytes are of another format than the codec's.
    #[error("the value cannot be read as {codec}: it looks like {looks_like}")]
    Foreign {
        /// The codec's name.
        codec: String,
        /// What the bytes look like: "gzip", "a MessagePack map".
        looks_like: &'static str,
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
    /// An error that was told before: those of an event loop are sticky.
    #[error(transparent)]
    Shared(std::sync::Arc<DecodeError>),
}

impl DecodeError {
    /// The codec or compression of that name refused the bytes, and why. For implementors.
    pub fn refused(codec: impl Into<String>, why: impl Into<crate::Error>) -> Self {
        Self::Codec { codec: codec.into(), source: why.into() }
    }
}

/// Turns values into bytes and back. Open to users.
pub trait Codec: Send + Sync + 'static {
    /// Its name, as it is kept with the stream's facts: `json`, `json+lz4`.
    fn name(&self) -> String;

    /// Appends the value to `out`. On an error `out` is as it was.
    fn encode<T: Serialize>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// The value in these bytes. Nothing may follow it.
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8], limits: &Limits) -> Result<T, DecodeError>;

    /// This codec with what it writes compressed.
    fn compressed<Z: Compression>(self, compression: Z) -> Compressed<Self, Z>
    where
        Self: Sized,
    {
        Compressed::new(self, compression)
    }

    /// This codec with gzip around it.
    #[cfg(feature = "gzip")]
    fn gzip(self) -> Compressed<Self, Gzip>
    where
        Self: Sized,
    {
        self.compressed(Gzip)
    }

    /// This codec with LZ4 frames around it.
    #[cfg(feature = "lz4")]
    fn lz4(self) -> Compressed<Self, Lz4>
    where
        Self: Sized,
    {
        self.compressed(Lz4)
    }

    /// This codec with Zstandard around it.
    #[cfg(feature = "zstd")]
    fn zstd(self) -> Compressed<Self, Zstd>
    where
        Self: Sized,
    {
        self.compressed(Zstd)
    }
}

#[cfg(test)]
mod tests;
