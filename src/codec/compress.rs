//! Compression: a codec around a codec.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Codec, DecodeError, EncodeError, Limits};

/// Makes bytes fewer, and the same again. Open to users.
///
/// ```
/// use runnel::codec::{Codec, Compression, DecodeError, EncodeError, Json, Limits};
///
/// /// Writes runs of a byte as their length and the byte.
/// struct RunLength;
///
/// impl Compression for RunLength {
///     fn name(&self) -> &'static str {
///         "runs"
///     }
///
///     fn compress(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
///         for run in plain.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(255)) {
///             out.extend([run.len() as u8, run[0]]);
///         }
///         Ok(())
///     }
///
///     fn decompress(&self, bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, DecodeError> {
///         let (runs, []) = bytes.as_chunks() else {
///             return Err(DecodeError::refused("runs", "half a run is left over"));
///         };
///         let room = limits.room_for(bytes.len());
///         if runs.iter().map(|&[length, _]| usize::from(length)).sum::<usize>() > room {
///             return Err(DecodeError::TooLarge { limit: room });
///         }
///         Ok(runs.iter().flat_map(|&[length, byte]| std::iter::repeat_n(byte, length.into())).collect())
///     }
/// }
///
/// let codec = Json.compressed(RunLength);
/// let mut bytes = Vec::new();
/// codec.encode(&"aaaa", &mut bytes)?;
///
/// assert_eq!(codec.name(), "json+runs");
/// assert_eq!(bytes, b"\x01\"\x04a\x01\"");
/// assert_eq!(codec.decode::<String>(&bytes, &Limits::default())?, "aaaa");
/// # Ok::<(), runnel::Error>(())
/// ```
pub trait Compression: Send + Sync + 'static {
    /// Its name, which follows the codec's: `gzip` in `json+gzip`.
    fn name(&self) -> &'static str;

    /// Appends the compressed bytes to `out`.
    fn compress(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// What was compressed. Nothing may follow it, and nothing may be made that [`Limits::room_for`] does not allow:
    /// the bytes are a stranger's.
    fn decompress(&self, bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, DecodeError>;
}

/// A codec whose bytes are compressed: what [`Codec::gzip`] and its like make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compressed<C, Z> {
    codec: C,
    compression: Z,
}

impl<C, Z> Compressed<C, Z> {
    pub(super) fn new(codec: C, compression: Z) -> Self {
        Self { codec, compression }
    }
}

impl<C: Codec, Z: Compression> Codec for Compressed<C, Z> {
    fn name(&self) -> String {
        format!("{}+{}", self.codec.name(), self.compression.name())
    }

    fn encode<T: Serialize>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut plain = Vec::with_capacity(256);
        self.codec.encode(value, &mut plain)?;
        pack(&self.compression, &plain, out)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8], limits: &Limits) -> Result<T, DecodeError> {
        let plain = self.compression.decompress(bytes, limits)?;
        self.codec.decode(&plain, limits)
    }
}

/// Compresses, and refuses what every reader would take for a bomb: the sender can still do something about it.
pub(super) fn pack(compression: &dyn Compression, plain: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let packed = compression.compress(plain, out).and_then(|()| {
        let limits = Limits { bytes: usize::MAX, ..Limits::default() };
        if plain.len() <= limits.room_for(out.len() - start) {
            Ok(())
        } else {
            Err(EncodeError::Bomb { codec: compression.name().to_owned(), ratio: limits.ratio })
        }
    });
    if packed.is_err() {
        out.truncate(start);
    }
    packed
}
