//! The LZ4 frame format, as `lz4` on the command line and `lz4.frame` in Python have it.

use std::io::{self, Read, Write};

use lz4_flex::frame::{FrameDecoder, FrameEncoder, FrameInfo};

use super::looks::refusal;
use super::{Compression, DecodeError, EncodeError, Limits};

/// LZ4 frames, with the content's size in the header.
///
/// A value is one frame. Frames of the legacy format, frames that need a dictionary and skippable frames are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lz4;

const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();

impl Compression for Lz4 {
    fn name(&self) -> &'static str {
        "lz4"
    }

    fn compress(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let info = FrameInfo::new().content_size(Some(plain.len() as u64));
        let mut to = FrameEncoder::with_frame_info(info, out);
        to.write_all(plain)
            .and_then(|()| to.try_finish().map_err(io::Error::from))
            .map_err(|error| EncodeError::refused(self.name(), error))
    }

    fn decompress(&self, bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, DecodeError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(refusal(self.name(), bytes, "it does not begin like an LZ4 frame"));
        }
        let mut input = Input { rest: bytes, ran_dry: false };
        let plain = limits.read(self.name(), bytes.len(), FrameDecoder::new(&mut input))?;
        match input {
            Input { ran_dry: true, .. } => Err(DecodeError::refused(self.name(), "the frame is cut off")),
            Input { rest: [], .. } => Ok(plain),
            Input { rest, .. } => {
                Err(DecodeError::refused(self.name(), format!("{} bytes follow the frame", rest.len())))
            }
        }
    }
}

/// Notes whether more was asked for than there is. The decoder takes a frame without its end mark for one that ended;
/// only a frame that is cut off makes it ask again.
struct Input<'a> {
    rest: &'a [u8],
    ran_dry: bool,
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.ran_dry |= self.rest.is_empty() && !buffer.is_empty();
        self.rest.read(buffer)
    }
}
