//! Codecs by name.

use super::*;

#[test]
fn every_name_leads_to_the_codec_of_that_name() {
    assert!(every_codec().count() > 0);
    for name in AnyCodec::NAMES {
        match AnyCodec::from_name(name) {
            Ok(codec) => assert_eq!(codec.name(), name),
            Err(refusal) => assert!(matches!(refusal, InvalidCodec::FeatureOff { .. }), "{refusal}"),
        }
    }
}

#[cfg(feature = "lz4")]
#[test]
fn a_codec_by_name_and_the_same_by_type_understand_each_other() {
    let by_name = AnyCodec::from_name("json+lz4").unwrap();

    assert_eq!(by_name.name(), Json.lz4().name());
    assert_eq!(encoded(&by_name, &"text"), encoded(&Json.lz4(), &"text"));
}

#[test]
fn a_misspelt_codec_is_answered_with_the_nearest() {
    let refusal = AnyCodec::from_name("jsn+gzip").unwrap_err();

    assert_eq!(
        refusal.to_string(),
        "there is no codec `jsn+gzip`; did you mean `json+gzip`? There are `json` and `msgpack`, alone or with one \
         of `+gzip`, `+lz4` and `+zstd`"
    );
}

#[test]
fn names_that_are_nearly_names_are_refused() {
    for name in ["", "+", "json+", "+gzip", "json+gzip+lz4", "JSON", "json gzip", "json+json"] {
        assert!(matches!(AnyCodec::from_name(name), Err(InvalidCodec::Unknown { .. })), "{name}");
    }
}

#[cfg(not(feature = "zstd"))]
#[test]
fn a_codec_whose_feature_is_off_says_which() {
    let refusal = AnyCodec::from_name("json+zstd").unwrap_err();

    assert_eq!(
        refusal.to_string(),
        "codec `json+zstd` is not in this program: build it with the feature `zstd` of `runnel-streams`"
    );
}
