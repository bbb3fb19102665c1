//! Files of logs as gzip, where this program was built with it.

use std::fs::File;
use std::io::{self, Read, Write};

/// Whether this program can compress.
pub(super) const KNOWN: bool = cfg!(feature = "gzip");

/// Writes all that can be read, compressed. Memory does not grow with it.
#[cfg(feature = "gzip")]
pub(super) fn compress(mut from: impl Read, to: &mut File) -> io::Result<()> {
    let mut to = flate2::write::GzEncoder::new(io::BufWriter::new(to), flate2::Compression::default());
    io::copy(&mut from, &mut to)?;
    to.finish()?.flush()
}

/// Reads what was compressed.
#[cfg(feature = "gzip")]
pub(super) fn plain(file: File) -> Option<Box<dyn Read + Send>> {
    Some(Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::new(file))))
}

#[cfg(not(feature = "gzip"))]
pub(super) fn compress(_: impl Read, to: &mut File) -> io::Result<()> {
    to.flush()?;
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(feature = "gzip"))]
pub(super) fn plain(_: File) -> Option<Box<dyn Read + Send>> {
    None
}
