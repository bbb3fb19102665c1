//! Zstandard.

use std::io;

use ::zstd::stream::{read::Decoder, write::Encoder};

use super::looks::refusal;
use super::{Compression, DecodeError, EncodeError, Limits};

/// Zstandard, level 3, with the content's size and a checksum.
///
/// A value is one frame. Frames that need a dictionary are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zstd;

impl Zstd {
    fn write(self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut to = Encoder::new(out, 3)?;
        to.include_checksum(true)?;
        to.set_pledged_src_size(Some(plain.len() as u64))?;
        io::Write::write_all(&mut to, plain)?;
        to.finish().map(drop)
    }
}

impl Compression for Zstd {
    fn name(&self) -> &'static str {
        "zstd"
    }

    fn compress(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.write(plain, out).map_err(|error| EncodeError::refused(self.name(), error))
    }

    fn decompress(&self, bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, DecodeError> {
        let refused = |error: crate::Error| refusal(self.name(), bytes, error);
        let mut from = Decoder::with_buffer(bytes).map_err(|error| refused(error.into()))?.single_frame();
        from.window_log_max(window_log(limits)).map_err(|error| refused(error.into()))?;
        let plain = limits.read(self.name(), bytes.len(), &mut from).map_err(|error| match error {
            DecodeError::Codec { source, .. } => refused(source),
            limit => limit,
        })?;
        match from.finish() {
            [] => Ok(plain),
            rest => Err(DecodeError::refused(self.name(), format!("{} bytes follow the frame", rest.len()))),
        }
    }
}

/// The largest window a frame may ask us to allocate: no more than the value may have, but the 8 MiB that the format
/// wants every decoder to allow.
fn window_log(limits: &Limits) -> u32 {
    limits.bytes.checked_ilog2().unwrap_or(0).clamp(23, 27)
}
