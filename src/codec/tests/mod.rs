//! What every codec must do; what is special to one lies beside.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

mod compression;
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
mod names;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f64),
    Box { width: u32, height: u32 },
    Within(Box<Shape>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    id: i64,
    large: u64,
    price: f64,
    name: String,
    note: Option<String>,
    tags: BTreeMap<String, Vec<i32>>,
    shapes: Vec<Shape>,
}

fn samples() -> impl Strategy<Value = Sample> {
    let finite = any::<f64>().prop_filter("JSON has no others", |f| f.is_finite());
    let shape = prop_oneof![
        Just(Shape::Point),
        finite.clone().prop_map(Shape::Circle),
        (any::<u32>(), any::<u32>()).prop_map(|(width, height)| Shape::Box { width, height }),
        Just(Shape::Within(Box::new(Shape::Point))),
    ];
    let tags = prop::collection::btree_map(".{0,8}", prop::collection::vec(any::<i32>(), 0..4), 0..4);
    let shapes = prop::collection::vec(shape, 0..4);
    (any::<i64>(), any::<u64>(), finite, ".*", any::<Option<String>>(), tags, shapes)
        .prop_map(|(id, large, price, name, note, tags, shapes)| Sample { id, large, price, name, note, tags, shapes })
}

fn every_codec() -> impl Iterator<Item = AnyCodec> {
    AnyCodec::NAMES.into_iter().filter_map(|name| AnyCodec::from_name(name).ok())
}

fn compressions() -> Vec<&'static dyn Compression> {
    vec![
        #[cfg(feature = "gzip")]
        &Gzip,
        #[cfg(feature = "lz4")]
        &Lz4,
        #[cfg(feature = "zstd")]
        &Zstd,
    ]
}

fn encoded<T: Serialize>(codec: &impl Codec, value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    codec.encode(value, &mut out).unwrap();
    out
}

fn packed(compression: &dyn Compression, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compression.compress(plain, &mut out).unwrap();
    out
}

/// An error and its causes, as a person sees them.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |e| e.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

proptest! {
    #[test]
    fn what_any_codec_writes_it_reads_back(sample in samples()) {
        for codec in every_codec() {
            let bytes = encoded(&codec, &sample);
            prop_assert_eq!(&codec.decode::<Sample>(&bytes, &Limits::default()).unwrap(), &sample, "{}", codec.name());
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes: Vec<u8>) {
        for codec in every_codec() {
            let _ = codec.decode::<Sample>(&bytes, &Limits::default());
            let _ = codec.decode::<serde_json::Value>(&bytes, &Limits::default());
        }
    }

    #[test]
    fn no_damage_makes_a_decoder_panic(sample in samples(), at: prop::sample::Index, byte: u8) {
        for codec in every_codec() {
            let mut bytes = encoded(&codec, &sample);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = codec.decode::<Sample>(&bytes, &Limits::default());
        }
    }

    #[test]
    fn half_a_value_is_none(sample in samples(), at: prop::sample::Index) {
        for codec in every_codec() {
            let bytes = encoded(&codec, &sample);
            let cut = &bytes[..at.index(bytes.len())];
            prop_assert!(codec.decode::<Sample>(cut, &Limits::default()).is_err(), "{} of {cut:?}", codec.name());
        }
    }
}

#[test]
fn values_are_appended_to_what_is_there() {
    for codec in every_codec() {
        let mut out = b"before".to_vec();
        codec.encode(&1, &mut out).unwrap();

        assert_eq!(codec.decode::<u8>(out.strip_prefix(b"before").unwrap(), &Limits::default()).unwrap(), 1);
    }
}

#[test]
fn nothing_may_follow_a_value() {
    for codec in every_codec() {
        let mut bytes = encoded(&codec, &"text");
        bytes.push(b'1');

        assert!(codec.decode::<String>(&bytes, &Limits::default()).is_err(), "{}", codec.name());
    }
}

#[test]
fn a_refused_value_leaves_nothing_behind() {
    let unwritable = (1, BTreeMap::from([(vec![1], 1)]));
    let mut out = b"before".to_vec();

    assert!(Json.encode(&unwritable, &mut out).is_err());
    assert_eq!(out, b"before");
}

#[test]
fn bytes_of_another_format_are_recognised() {
    let mut all: Vec<(&str, Vec<u8>)> = vec![("json", encoded(&Json, &samples_of_one()))];
    #[cfg(feature = "msgpack")]
    all.push(("msgpack", encoded(&MsgPack, &samples_of_one())));
    all.extend(compressions().into_iter().map(|z| (z.name(), packed(z, b"{\"a\":1}"))));
    for codec in every_codec() {
        let name = codec.name();
        let outermost = name.rsplit('+').next().unwrap();
        for (other, bytes) in all.iter().filter(|(other, _)| *other != outermost) {
            let refusal = codec.decode::<Sample>(bytes, &Limits::default()).unwrap_err();
            assert!(
                matches!(&refusal, DecodeError::Foreign { codec, .. } if codec == outermost),
                "{other}: {refusal:?}"
            );
        }
    }
}

fn samples_of_one() -> BTreeMap<&'static str, i32> {
    BTreeMap::from([("a", 1)])
}

#[cfg(feature = "gzip")]
#[test]
fn gzip_given_to_json_is_called_gzip() {
    let bytes = encoded(&Json.gzip(), &1);

    let refusal = Json.decode::<i32>(&bytes, &Limits::default()).unwrap_err();

    assert_eq!(refusal.to_string(), "the value cannot be read as json: it looks like gzip");
}
