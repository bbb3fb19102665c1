//! Codecs by name: what settings and the facts of a stream hold.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::compress::pack;
use super::{Codec, Compression, DecodeError, EncodeError, Json, Limits};
use crate::error::Failure;
use crate::nearest::nearest;

/// A codec found by its name at run time.
///
/// ```
/// use runnel::codec::{AnyCodec, Codec};
///
/// let codec: AnyCodec = "json+gzip".parse()?;
/// assert_eq!(codec.name(), "json+gzip");
/// # Ok::<(), runnel::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnyCodec {
    format: Format,
    compression: Option<Packing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    #[cfg(feature = "msgpack")]
    MsgPack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    #[cfg(feature = "gzip")]
    Gzip,
    #[cfg(feature = "lz4")]
    Lz4,
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Packing {
    fn compression(self) -> &'static dyn Compression {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip => &super::Gzip,
            #[cfg(feature = "lz4")]
            Self::Lz4 => &super::Lz4,
            #[cfg(feature = "zstd")]
            Self::Zstd => &super::Zstd,
        }
    }
}

impl AnyCodec {
    /// Every name there is, also of codecs whose cargo feature is off.
    pub const NAMES: [&'static str; 8] =
        ["json", "json+gzip", "json+lz4", "json+zstd", "msgpack", "msgpack+gzip", "msgpack+lz4", "msgpack+zstd"];

    /// The codec of that name.
    pub fn from_name(name: &str) -> Result<Self, InvalidCodec> {
        let Some(&known) = Self::NAMES.iter().find(|known| **known == name) else {
            return Err(InvalidCodec::Unknown { name: name.to_owned(), nearest: nearest(name, Self::NAMES) });
        };
        let off = |feature| InvalidCodec::FeatureOff { name: known, feature };
        let (format, compression) = known.split_once('+').map_or((known, None), |(f, c)| (f, Some(c)));
        let format = match format {
            #[cfg(feature = "msgpack")]
            "msgpack" => Format::MsgPack,
            #[cfg(not(feature = "msgpack"))]
            "msgpack" => return Err(off("msgpack")),
            _ => Format::Json,
        };
        let compression = match compression {
            None => None,
            #[cfg(feature = "gzip")]
            Some("gzip") => Some(Packing::Gzip),
            #[cfg(feature = "lz4")]
            Some("lz4") => Some(Packing::Lz4),
            #[cfg(feature = "zstd")]
            Some("zstd") => Some(Packing::Zstd),
            Some(feature) => return Err(off(feature)),
        };
        Ok(Self { format, compression })
    }
}

impl FromStr for AnyCodec {
    type Err = InvalidCodec;
    fn from_str(name: &str) -> Result<Self, InvalidCodec> {
        Self::from_name(name)
    }
}

impl Default for AnyCodec {
    fn default() -> Self {
        Self { format: Format::Json, compression: None }
    }
}

impl Codec for Format {
    fn name(&self) -> String {
        match self {
            Self::Json => Json.name(),
            #[cfg(feature = "msgpack")]
            Self::MsgPack => super::MsgPack.name(),
        }
    }

    fn encode<T: Serialize>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Json => Json.encode(value, out),
            #[cfg(feature = "msgpack")]
            Self::MsgPack => super::MsgPack.encode(value, out),
        }
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8], limits: &Limits) -> Result<T, DecodeError> {
        match self {
            Self::Json => Json.decode(bytes, limits),
            #[cfg(feature = "msgpack")]
            Self::MsgPack => super::MsgPack.decode(bytes, limits),
        }
    }
}

impl Codec for AnyCodec {
    fn name(&self) -> String {
        match self.compression {
            None => self.format.name(),
            Some(packing) => format!("{}+{}", self.format.name(), packing.compression().name()),
        }
    }

    fn encode<T: Serialize>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Some(packing) = self.compression else { return self.format.encode(value, out) };
        let mut plain = Vec::with_capacity(256);
        self.format.encode(value, &mut plain)?;
        pack(packing.compression(), &plain, out)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8], limits: &Limits) -> Result<T, DecodeError> {
        let Some(packing) = self.compression else { return self.format.decode(bytes, limits) };
        self.format.decode(&packing.compression().decompress(bytes, limits)?, limits)
    }
}

/// A name that leads to no codec here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidCodec {
    /// There is no codec of that name.
    Unknown {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// There is, but this program was built without it.
    FeatureOff {
        /// The codec.
        name: &'static str,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
}

impl fmt::Display for InvalidCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest } => {
                write!(f, "there is no codec `{name}`")?;
                if let Some(nearest) = nearest {
                    write!(f, "; did you mean `{nearest}`?")?;
                }
                f.write_str(" There are `json` and `msgpack`, alone or with one of `+gzip`, `+lz4` and `+zstd`")
            }
            Self::FeatureOff { name, feature } => write!(
                f,
                "codec `{name}` is not in this program: build it with the feature `{feature}` of `runnel-streams`"
            ),
        }
    }
}

impl std::error::Error for InvalidCodec {}

impl From<InvalidCodec> for Failure {
    fn from(invalid: InvalidCodec) -> Self {
        Self::Invalid(invalid.to_string())
    }
}
