//! How much a decoder may make of an event.

use std::io::Read;

use super::DecodeError;

/// How much a decoder may make of an event. Defaults: 64 MiB, and 1000 bytes out of each byte in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes a value may have after decompression. Default: 64 MiB.
    pub bytes: usize,
    /// The most bytes decompression may make out of one. Default: 1000.
    ///
    /// Values of up to a mebibyte are not asked: they harm nobody, and a short text of one letter compresses as well as
    /// any bomb.
    pub ratio: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 20, ratio: 1000 }
    }
}

/// A value of this size is never called a bomb.
const HARMLESS: usize = 1 << 20;

impl Limits {
    /// The most bytes that may come out of `compressed` bytes.
    pub fn room_for(&self, compressed: usize) -> usize {
        compressed.saturating_mul(self.ratio).max(HARMLESS).min(self.bytes)
    }

    /// Reads `decompressing` to its end, and no further than these limits allow for `compressed` bytes.
    ///
    /// For decompressions that are readers: what is over the limit is never made. The codec's name is for the error.
    pub fn read(&self, codec: &str, compressed: usize, decompressing: impl Read) -> Result<Vec<u8>, DecodeError> {
        let room = self.room_for(compressed);
        let mut plain = Vec::with_capacity(compressed.saturating_mul(4).min(room));
        let one_too_many = (room as u64).saturating_add(1);
        decompressing
            .take(one_too_many)
            .read_to_end(&mut plain)
            .map_err(|source| DecodeError::Codec { codec: codec.to_owned(), source: source.into() })?;
        match plain.len() {
            size if size <= room => Ok(plain),
            _ => Err(self.over(room)),
        }
    }

    /// The error for more than `room` bytes.
    fn over(&self, room: usize) -> DecodeError {
        if room == self.bytes {
            DecodeError::TooLarge { limit: self.bytes }
        } else {
            DecodeError::Bomb { ratio: self.ratio }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_may_compress_as_well_as_they_like() {
        assert_eq!(Limits::default().room_for(1), HARMLESS);
        assert_eq!(Limits::default().room_for(10_000), 10_000_000);
        assert_eq!(Limits::default().room_for(usize::MAX), 64 << 20);
        assert_eq!(Limits { bytes: 10, ratio: 1000 }.room_for(1), 10);
    }

    #[test]
    fn reading_stops_at_the_limit() {
        let limits = Limits { bytes: 100, ratio: 1000 };

        assert_eq!(limits.read("x", 1, std::io::repeat(7).take(100)).unwrap().len(), 100);
        assert!(matches!(limits.read("x", 1, std::io::repeat(7)), Err(DecodeError::TooLarge { limit: 100 })));
        assert!(matches!(
            Limits::default().read("x", 2000, std::io::repeat(7)),
            Err(DecodeError::Bomb { ratio: 1000 })
        ));
    }
}
