//! A bomb costs its sender an error, and us no memory. Alone in its binary: the memory measured is the process's.
#![cfg(all(feature = "gzip", feature = "lz4"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop where it stands")]

use std::fs;
use std::io::{self, Read, Write};

use runnel::codec::{AnyCodec, Codec, DecodeError, Limits};
use serde_json::Value;

const MIB: usize = 1 << 20;

/// The most memory this process ever had since [`forget_the_peak`], in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

fn forget_the_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// 64 MiB of blanks: JSON that has not begun yet.
fn blanks() -> impl Read {
    io::repeat(b' ').take(64 * MIB as u64)
}

fn gzip_bomb() -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    io::copy(&mut blanks(), &mut to).unwrap();
    to.finish().unwrap()
}

fn gzip_bomb_of_many_members() -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    to.write_all(&vec![b' '; MIB]).unwrap();
    to.finish().unwrap().repeat(64)
}

fn lz4_bomb() -> Vec<u8> {
    let mut to = lz4_flex::frame::FrameEncoder::new(Vec::new());
    io::copy(&mut blanks(), &mut to).unwrap();
    to.finish().unwrap()
}

#[cfg(feature = "zstd")]
fn zstd_bomb() -> Vec<u8> {
    zstd::encode_all(blanks(), 3).unwrap()
}

fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("json+gzip", gzip_bomb()),
        ("json+gzip", gzip_bomb_of_many_members()),
        ("json+lz4", lz4_bomb()),
        #[cfg(feature = "zstd")]
        ("json+zstd", zstd_bomb()),
    ]
}

#[test]
fn bombs_are_refused_within_their_limits() {
    let limits = Limits { bytes: 2 * MIB, ..Limits::default() };
    for (codec, bomb) in bombs() {
        let codec: AnyCodec = codec.parse().unwrap();
        forget_the_peak();
        let before = peak();

        let refusal = codec.decode::<Value>(&bomb, &limits).unwrap_err();

        assert!(
            matches!(refusal, DecodeError::TooLarge { .. } | DecodeError::Bomb { .. }),
            "{}: {refusal:?}",
            codec.name()
        );
        let grown = peak() - before;
        assert!(grown < 16 * MIB, "{}: {} MiB of memory for {} bytes", codec.name(), grown / MIB, bomb.len());
    }
}
