//! A document as bytes: JSON, and gzip of it where it is large.
//!
//! What was compressed is known by its first bytes, so that every reader can read it, whether it compresses or not.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// JSON of more bytes than this is worth compressing.
const LARGE: usize = 1_000_000;

/// What gzip begins with, and JSON never does.
#[cfg_attr(not(feature = "gzip"), allow(dead_code, reason = "the same answer is given in other words"))]
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Writes documents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Documents {
    /// Whether large ones are compressed. Reading does not depend on it.
    pub(crate) compress: bool,
}

impl Documents {
    /// The bytes of a document.
    pub(crate) fn write<T: Serialize>(self, document: &T) -> Result<Vec<u8>, StoreError> {
        let failed =
            |source| StoreError::Backend { doing: "write a document as JSON".into(), transient: false, source };
        let plain = serde_json::to_vec(document).map_err(|source| failed(source.into()))?;
        if !self.compress || plain.len() <= LARGE {
            return Ok(plain);
        }
        compressed(plain).map_err(failed)
    }
}

/// How the bytes of a document are to be read, in a word.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn encoding(bytes: &[u8]) -> &'static str {
    if bytes.starts_with(&GZIP) { "gzip" } else { "json" }
}

/// Reads a document; `location` is for the error.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8], location: impl FnOnce() -> String) -> Result<T, StoreError> {
    let plain = if bytes.starts_with(&GZIP) { decompressed(bytes) } else { Ok(bytes.into()) };
    let read = plain.and_then(|plain| Ok(serde_json::from_slice(&plain)?));
    read.map_err(|source| StoreError::Corrupt { location: location(), source })
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[cfg(feature = "gzip")]
fn compressed(plain: Vec<u8>) -> Result<Vec<u8>, Failure> {
    use crate::codec::{Compression, Gzip};
    let mut bytes = Vec::with_capacity(plain.len() / 8);
    Gzip.compress(&plain, &mut bytes)?;
    Ok(bytes)
}

#[cfg(not(feature = "gzip"))]
fn compressed(plain: Vec<u8>) -> Result<Vec<u8>, Failure> {
    Ok(plain)
}

#[cfg(feature = "gzip")]
fn decompressed(bytes: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, Failure> {
    use crate::codec::{Compression, Gzip, Limits};
    // Documents are our own, and a long trace of one repeated message compresses better than any event may.
    let limits = Limits { bytes: 1 << 30, ratio: usize::MAX };
    Ok(Gzip.decompress(bytes, &limits)?.into())
}

#[cfg(not(feature = "gzip"))]
fn decompressed(_: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, Failure> {
    Err("it is compressed, and this program was built without the feature `gzip`".into())
}

#[cfg(all(test, feature = "gzip"))]
mod tests {
    use super::*;

    #[test]
    fn a_large_document_is_compressed_if_wanted_and_read_either_way() {
        let large = vec!["the same message again"; 100_000];
        let packed = Documents { compress: true }.write(&large).unwrap();
        let plain = Documents { compress: false }.write(&large).unwrap();

        assert!(packed.len() * 100 < plain.len());
        for bytes in [packed, plain] {
            assert_eq!(read::<Vec<String>>(&bytes, String::new).unwrap(), large);
        }
    }

    #[test]
    fn half_a_document_is_corrupt_and_names_its_place() {
        let packed = Documents { compress: true }.write(&vec!["x"; 1_000_000]).unwrap();
        for half in [&packed[..packed.len() / 2], b"[1, 2", b""] {
            let error = read::<serde_json::Value>(half, || "a/b.json".into()).unwrap_err();
            assert!(matches!(&error, StoreError::Corrupt { location, .. } if location == "a/b.json"), "{error}");
        }
    }
}
