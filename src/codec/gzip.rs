//! gzip, as every language has it.

use std::io::Write;

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::looks::refusal;
use super::{Compression, DecodeError, EncodeError, Limits};

/// gzip, level 6, without a time in its header: equal records have equal bytes.
///
/// Reading accepts several members one after another, as the format does: their contents are one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gzip;

impl Compression for Gzip {
    fn name(&self) -> &'static str {
        "gzip"
    }

    fn compress(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut to = GzEncoder::new(out, flate2::Compression::default());
        to.write_all(plain).and_then(|()| to.try_finish()).map_err(|error| EncodeError::refused(self.name(), error))
    }

    fn decompress(&self, bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, DecodeError> {
        if bytes.is_empty() {
            // The decoder takes nothing for no members; but we never wrote nothing.
            return Err(DecodeError::refused(self.name(), "there are no bytes"));
        }
        limits.read(self.name(), bytes.len(), MultiGzDecoder::new(bytes)).map_err(|error| match error {
            DecodeError::Codec { source, .. } => refusal(self.name(), bytes, source),
            limit => limit,
        })
    }
}
