//! Compressions, and bytes made to hurt them.

use super::*;

#[test]
fn what_was_compressed_comes_back() {
    for compression in compressions() {
        for plain in [Vec::new(), b"x".to_vec(), (0..=255).cycle().take(300_000).collect()] {
            let bytes = packed(compression, &plain);
            assert!(compression.decompress(&bytes, &Limits::default()).unwrap() == plain, "{}", compression.name());
        }
    }
}

#[test]
fn a_value_over_the_limit_is_refused() {
    let limits = Limits { bytes: 1000, ..Limits::default() };
    for compression in compressions() {
        let fits = packed(compression, &[7; 1000]);
        let over = packed(compression, &[7; 1001]);

        assert_eq!(compression.decompress(&fits, &limits).unwrap().len(), 1000);
        let refusal = compression.decompress(&over, &limits).unwrap_err();
        assert!(matches!(refusal, DecodeError::TooLarge { limit: 1000 }), "{refusal:?}");
    }
}

#[test]
fn nothing_at_all_was_compressed_by_nobody() {
    for compression in compressions() {
        assert!(compression.decompress(b"", &Limits::default()).is_err(), "{}", compression.name());
    }
}

#[test]
fn a_value_cut_off_anywhere_is_refused() {
    for compression in compressions() {
        let bytes = packed(compression, b"some text, some text, and more of it");
        for end in 0..bytes.len() {
            let cut = compression.decompress(&bytes[..end], &Limits::default());
            assert!(cut.is_err(), "{} at {end} of {}", compression.name(), bytes.len());
        }
    }
}

#[test]
fn bytes_after_a_value_are_refused() {
    for compression in compressions() {
        let bytes = [packed(compression, b"text"), b"more".to_vec()].concat();
        assert!(compression.decompress(&bytes, &Limits::default()).is_err(), "{}", compression.name());
    }
}

#[cfg(feature = "gzip")]
#[test]
fn a_record_that_looks_like_a_bomb_is_refused_by_its_sender() {
    let mut out = b"before".to_vec();

    let refusal = Json.gzip().encode(&"a".repeat(4 << 20), &mut out).unwrap_err();

    assert!(matches!(refusal, EncodeError::Bomb { .. }), "{refusal:?}");
    assert_eq!(out, b"before");
}

#[cfg(feature = "gzip")]
#[test]
fn what_grows_more_than_a_thousandfold_is_a_bomb() {
    let bomb = packed(&Gzip, &[b' '; 4 << 20]);

    let refusal = Gzip.decompress(&bomb, &Limits::default()).unwrap_err();

    assert!(matches!(refusal, DecodeError::Bomb { ratio: 1000 }), "{refusal:?}");
}

#[cfg(feature = "gzip")]
#[test]
fn gzip_members_one_after_another_are_one_value() {
    let members = [packed(&Gzip, b"[1,"), packed(&Gzip, b""), packed(&Gzip, b"2]")].concat();

    let value: Vec<u8> = Json.gzip().decode(&members, &Limits::default()).unwrap();

    assert_eq!(value, [1, 2]);
}

#[cfg(feature = "gzip")]
#[test]
fn a_wrong_checksum_is_refused() {
    let mut bytes = packed(&Gzip, b"text");
    let crc = bytes.len() - 8;
    bytes[crc] ^= 1;

    let refusal = Gzip.decompress(&bytes, &Limits::default()).unwrap_err();

    assert!(told(&refusal).contains("matching checksum"), "{}", told(&refusal));
}

#[cfg(feature = "lz4")]
#[test]
fn an_lz4_frame_that_lies_about_its_size_is_refused() {
    for size in [0u64, 3, 5, u64::MAX] {
        let honest = packed(&Lz4, b"text");
        let mut lie = honest.clone();
        lie[6..14].copy_from_slice(&size.to_le_bytes());
        // The header's checksum is the second byte of its hash.
        lie[14] = (twox_hash(&lie[4..14]) >> 8) as u8;

        assert_eq!(Lz4.decompress(&honest, &Limits::default()).unwrap(), b"text");
        let refusal = Lz4.decompress(&lie, &Limits::default()).unwrap_err();
        assert!(told(&refusal).contains("ontent"), "{}", told(&refusal));
    }
}

/// xxh32 of less than 16 bytes, which is all a frame's header has.
#[cfg(feature = "lz4")]
fn twox_hash(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut hash = 374_761_393u32.wrapping_add(bytes.len() as u32);
    for &word in words {
        hash = hash.wrapping_add(u32::from_le_bytes(word).wrapping_mul(3_266_489_917));
        hash = hash.rotate_left(17).wrapping_mul(668_265_263);
    }
    for &byte in rest {
        hash = hash.wrapping_add(u32::from(byte).wrapping_mul(374_761_393));
        hash = hash.rotate_left(11).wrapping_mul(2_654_435_761);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(2_246_822_519);
    hash = (hash ^ (hash >> 13)).wrapping_mul(3_266_489_917);
    hash ^ (hash >> 16)
}

proptest! {
    #[test]
    fn no_bytes_make_a_decompression_panic(bytes: Vec<u8>) {
        for compression in compressions() {
            // With the right beginning, so that more than the first check is met.
            let magic = &packed(compression, b"text")[..6];
            let _ = compression.decompress(&bytes, &Limits::default());
            let _ = compression.decompress(&[magic, &bytes].concat(), &Limits::default());
        }
    }
}
