//! MessagePack, and bytes that claim to be.

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Older {
    id: u8,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Newer {
    note: Option<String>,
    id: u8,
}

#[test]
fn structs_are_maps_with_names() {
    assert_eq!(encoded(&MsgPack, &Older { id: 1 }), b"\x81\xa2id\x01");
}

#[test]
fn fields_may_be_added() {
    let bytes = encoded(&MsgPack, &Newer { note: Some("x".into()), id: 1 });

    assert_eq!(MsgPack.decode::<Older>(&bytes, &Limits::default()).unwrap(), Older { id: 1 });
    assert_eq!(
        MsgPack.decode::<Newer>(&encoded(&MsgPack, &Older { id: 1 }), &Limits::default()).unwrap(),
        Newer { note: None, id: 1 }
    );
}

#[test]
fn nan_is_a_number_here() {
    assert!(MsgPack.decode::<f64>(&encoded(&MsgPack, &f64::NAN), &Limits::default()).unwrap().is_nan());
}

#[test]
fn every_kind_of_value_is_measured_rightly() {
    let texts = [0, 31, 32, 255, 256, 65_535, 65_536].map(|n| "x".repeat(n));
    let numbers = [0i64, -1, -32, -33, 127, 128, -129, 40_000, -40_000, 1 << 31, 1 << 40, i64::MIN, i64::MAX];
    let bytes = [0usize, 255, 256, 65_536].map(serde_bytes_like);
    let long: Vec<u64> = (0..70_000).collect();
    let wide: BTreeMap<u32, bool> = (0..70_000).map(|n| (n, n % 2 == 0)).collect();

    let value = (texts, numbers, bytes, long, wide, (f32::MAX, f64::MAX, u64::MAX, i128::MAX), None::<u8>);

    let back = encoded(&MsgPack, &value);
    assert_eq!(encoded(&MsgPack, &MsgPack.decode_same(&back, &value)), back);
}

impl MsgPack {
    /// Decodes as the type of `_like`, which is too long to write.
    fn decode_same<T: DeserializeOwned>(self, bytes: &[u8], _like: &T) -> T {
        self.decode(bytes, &Limits::default()).unwrap()
    }
}

fn serde_bytes_like(size: usize) -> bytes_field::Blob {
    bytes_field::Blob(vec![7; size])
}

mod bytes_field {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    /// Bytes that are written as such, not as a sequence of numbers.
    pub(super) struct Blob(pub(super) Vec<u8>);

    impl Serialize for Blob {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_bytes(&self.0)
        }
    }

    impl<'de> Deserialize<'de> for Blob {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Bytes;
            impl de::Visitor<'_> for Bytes {
                type Value = Blob;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("bytes")
                }
                fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Blob, E> {
                    Ok(Blob(bytes.to_vec()))
                }
            }
            from.deserialize_bytes(Bytes)
        }
    }
}

#[test]
fn extensions_are_measured_rightly() {
    let extensions: [&[u8]; 8] = [
        b"\xd4\x01x",
        b"\xd5\x01xx",
        b"\xd6\x01xxxx",
        b"\xd7\x01xxxxxxxx",
        b"\xd8\x01xxxxxxxxxxxxxxxx",
        b"\xc7\x03\x01xxx",
        b"\xc8\x00\x03\x01xxx",
        b"\xc9\x00\x00\x00\x03\x01xxx",
    ];
    for extension in extensions {
        // Two of them: the second is only found if the first was measured rightly.
        let bytes = [&[0x92], extension, extension].concat();
        let read = MsgPack.decode::<Vec<serde::de::IgnoredAny>>(&bytes, &Limits::default());
        assert_eq!(read.map(|all| all.len()).map_err(|e| told(&e)), Ok(2), "{bytes:x?}");
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_stack_overflow() {
    let mut arrays = vec![0x91; 100_000];
    arrays.push(1);
    let mut enums = b"\x81\xa6Within".repeat(100_000);
    enums.extend(b"\xa5Point");

    let refusal = MsgPack.decode::<serde_json::Value>(&arrays, &Limits::default()).unwrap_err();
    assert!(told(&refusal).contains("nested more than 127 levels"), "{refusal:?}");
    assert!(MsgPack.decode::<Shape>(&enums, &Limits::default()).is_err());
}

#[test]
fn as_deep_as_json_is_deep_enough() {
    let nested = |depth: usize| [vec![0x91; depth], vec![1]].concat();

    assert!(MsgPack.decode::<serde_json::Value>(&nested(127), &Limits::default()).is_ok());
    assert!(MsgPack.decode::<serde_json::Value>(&nested(128), &Limits::default()).is_err());
    let json = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(Json.decode::<serde_json::Value>(json(127).as_bytes(), &Limits::default()).is_ok());
    assert!(Json.decode::<serde_json::Value>(json(128).as_bytes(), &Limits::default()).is_err());
}

#[test]
fn lengths_that_lie_are_refused() {
    let lies: [&[u8]; 4] = [
        b"\xdd\xff\xff\xff\xff\x01",
        b"\xdf\xff\xff\xff\xff\x01\x01",
        b"\xdb\xff\xff\xff\xffx",
        b"\xc6\xff\xff\xff\xffx",
    ];
    for lie in lies {
        let refusal = MsgPack.decode::<serde_json::Value>(lie, &Limits::default()).unwrap_err();
        assert!(matches!(refusal, DecodeError::Codec { .. } | DecodeError::Foreign { .. }), "{refusal:?}");
    }
}
