//! What bytes look like that a decoder refused.
//!
//! Only for the error: the usual reason is a stream whose codec was changed, and then its name is the whole answer.

use super::DecodeError;

/// The error of the decoder of that name: what the bytes look like if that is something else, else what it said.
pub(super) fn refusal(codec: &str, bytes: &[u8], source: impl Into<crate::Error>) -> DecodeError {
    let codec = codec.to_owned();
    match looks_like(bytes) {
        Some((kind, looks_like)) if kind != codec => DecodeError::Foreign { codec, looks_like },
        _ => DecodeError::Codec { codec, source: source.into() },
    }
}

/// How a format's bytes begin, the name of its decoder if there is one here, and what to call it.
const BEGINNINGS: [(&[u8], &str, &str); 8] = [
    (b"\x1f\x8b", "gzip", "gzip"),
    (b"\x04\x22\x4d\x18", "lz4", "an LZ4 frame"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd"),
    (b"\x02\x21\x4c\x18", "", "a legacy LZ4 frame"),
    (b"\xfd7zXZ\x00", "", "xz"),
    (b"BZh", "", "bzip2"),
    (b"\xff\x06\x00\x00sNaPpY", "", "a snappy frame"),
    (b"PK\x03\x04", "", "a zip archive"),
];

fn looks_like(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if let Some(&(_, kind, phrase)) = BEGINNINGS.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return Some((kind, phrase));
    }
    if let [b'{' | b'[' | b'"', ..] = *bytes.trim_ascii_start() {
        return Some(("json", "JSON"));
    }
    match *bytes {
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Some(("", "zlib")),
        [0x80, 2..=5, .., b'.'] => Some(("", "a Python pickle")),
        [0x81..=0x8f | 0xde | 0xdf, ..] => Some(("msgpack", "a MessagePack map")),
        _ => None,
    }
}
