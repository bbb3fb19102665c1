//! Primitive records: each field of a struct is a field of the entry.

use bytes::Bytes;
use proptest::prelude::*;
use runnel::Record;
use runnel::codec::{DecodeError, Json, Limits};
use runnel::event::Fields;

#[derive(Clone, Debug, PartialEq, Record)]
#[record(primitive)]
struct Everything {
    tiny: i8,
    long: i128,
    wide: u128,
    size: usize,
    short: f32,
    ratio: f64,
    active: bool,
    name: String,
    token: Vec<u8>,
    blob: Bytes,
    r#type: u8,
}

#[derive(Debug, PartialEq, Record)]
#[record(primitive)]
struct Flag {
    on: bool,
}

#[derive(Debug, PartialEq, Record)]
#[record(primitive)]
struct Level {
    level: u8,
}

#[derive(Debug, Record)]
#[record(primitive)]
struct Ratio {
    ratio: f64,
}

#[derive(Debug, PartialEq, Record)]
#[record(primitive)]
struct Token {
    token: Vec<u8>,
}

fn everything() -> impl Strategy<Value = Everything> {
    let numbers = (any::<i8>(), any::<i128>(), any::<u128>(), any::<usize>(), any::<u8>());
    let floats = (any::<f32>(), any::<f64>());
    (numbers, floats, any::<bool>(), any::<String>(), any::<Vec<u8>>(), any::<Vec<u8>>()).prop_map(
        |((tiny, long, wide, size, r#type), (short, ratio), active, name, token, blob)| Everything {
            tiny,
            long,
            wide,
            size,
            short,
            ratio,
            active,
            name,
            token,
            blob: blob.into(),
            r#type,
        },
    )
}

fn read<R: Record>(pairs: &[(&str, &[u8])]) -> Result<R, DecodeError> {
    R::from_fields(&Fields::from_pairs(pairs.iter().copied()), &Json, &Limits::default())
}

fn refusal<R: Record + std::fmt::Debug>(pairs: &[(&str, &[u8])]) -> String {
    read::<R>(pairs).unwrap_err().to_string()
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(record in everything()) {
        let fields = record.to_fields(&Json).unwrap();
        prop_assert_eq!(Everything::from_fields(&fields, &Json, &Limits::default()).unwrap(), record);
    }

    #[test]
    fn what_was_shown_as_json_can_be_sent_again(record in everything()) {
        let shown = record.to_json().unwrap().to_string();
        prop_assert_eq!(Everything::from_json(shown.as_bytes()).unwrap(), record);
    }

    #[test]
    fn no_value_makes_reading_panic(value: Vec<u8>) {
        let _ = read::<Flag>(&[("on", &value)]);
        let _ = read::<Level>(&[("level", &value)]);
        let _ = read::<Ratio>(&[("ratio", &value)]);
        let _ = Ratio::from_json(&value);
    }
}

#[test]
fn each_field_is_a_field_of_the_entry_by_its_plain_name() {
    let record = Everything {
        tiny: -1,
        long: 1 << 70,
        wide: u128::MAX,
        size: 0,
        short: 0.1,
        ratio: 1e16,
        active: true,
        name: "Zoë".into(),
        token: vec![0, 255],
        blob: Bytes::new(),
        r#type: 7,
    };
    let expected: [(&str, &[u8]); 11] = [
        ("tiny", b"-1"),
        ("long", b"1180591620717411303424"),
        ("wide", b"340282366920938463463374607431768211455"),
        ("size", b"0"),
        ("short", b"0.1"),
        ("ratio", b"1e+16"),
        ("active", b"True"),
        ("name", "Zoë".as_bytes()),
        ("token", b"\x00\xff"),
        ("blob", b""),
        ("type", b"7"),
    ];

    assert_eq!(record.to_fields(&Json).unwrap(), Fields::from_pairs(expected));
}

#[test]
fn truth_is_read_in_every_form_python_reads() {
    for yes in ["True", "true", "TRUE", "1", "on", "On", "yes", "t", "y"] {
        assert_eq!(read::<Flag>(&[("on", yes.as_bytes())]).unwrap(), Flag { on: true }, "{yes}");
    }
    for no in ["False", "false", "0", "off", "No", "f", "n"] {
        assert_eq!(read::<Flag>(&[("on", no.as_bytes())]).unwrap(), Flag { on: false }, "{no}");
    }
    for neither in ["", " ", "2", "truely", "10", "nope"] {
        assert_eq!(
            refusal::<Flag>(&[("on", neither.as_bytes())]),
            "field `on` is not a truth value, as `True` or `False`"
        );
    }
}

#[test]
fn wrong_values_are_refused_by_field_and_type() {
    for wrong in ["256", "-1", "1.0", "1e1", "", " 1", "0x1", "1_0", "one"] {
        assert_eq!(refusal::<Level>(&[("level", wrong.as_bytes())]), "field `level` is not an integer that fits `u8`");
    }
    assert_eq!(refusal::<Ratio>(&[("ratio", b"a lot")]), "field `ratio` is not a number");
}

#[test]
fn text_must_be_utf_8() {
    #[derive(Debug, Record)]
    #[record(primitive)]
    struct Named {
        #[expect(dead_code, reason = "it is never read")]
        name: String,
    }

    assert_eq!(refusal::<Named>(&[("name", b"\xff")]), "field `name` is not text in UTF-8");
}

#[test]
fn a_missing_field_is_named() {
    assert_eq!(refusal::<Level>(&[("other", b"1")]), "the entry has no field `level`");
}

#[test]
fn fields_the_record_does_not_have_are_ignored_and_of_doubles_the_first_counts() {
    let fields: [(&str, &[u8]); 3] = [("traceparent", b"00-.."), ("level", b"1"), ("level", b"2")];

    assert_eq!(read::<Level>(&fields).unwrap(), Level { level: 1 });
}

#[test]
fn an_entry_over_the_limit_is_refused() {
    let limits = Limits { bytes: 6, ..Limits::default() };
    let read = |value: &str| Level::from_fields(&Fields::from_pairs([("level", value)]), &Json, &limits);

    assert!(read("1").is_ok());
    assert!(matches!(read("01"), Err(DecodeError::TooLarge { limit: 6 })));
}

#[test]
fn what_json_cannot_say_is_a_string_in_it() {
    let shown = |ratio: f64| Ratio { ratio }.to_json().unwrap().to_string();

    assert_eq!(shown(0.5), r#"{"ratio":0.5}"#);
    assert_eq!(shown(f64::NAN), r#"{"ratio":"nan"}"#);
    assert_eq!(shown(f64::NEG_INFINITY), r#"{"ratio":"-inf"}"#);
    assert!(Ratio::from_json(br#"{"ratio":"nan"}"#).unwrap().ratio.is_nan());
}

#[test]
fn bytes_are_a_string_in_json_if_they_are_text() {
    let shown = |token: &[u8]| Token { token: token.into() }.to_json().unwrap().to_string();

    assert_eq!(shown(b"text"), r#"{"token":"text"}"#);
    assert_eq!(shown(b"\x00\xff"), r#"{"token":[0,255]}"#);
    assert_eq!(Token::from_json(br#"{"token":[116]}"#).unwrap(), Token { token: b"t".into() });
}

#[test]
fn json_that_is_no_such_record_says_why() {
    let refused = |text: &str| Level::from_json(text.as_bytes()).unwrap_err().to_string();

    assert_eq!(refused("{}"), "missing field `level`");
    assert_eq!(refused(r#"{"level":256}"#), "field `level` is not an integer that fits `u8`");
    assert_eq!(refused(r#"{"level":null}"#), "field `level` is not an integer that fits `u8`");
    assert_eq!(refused(r#"{"level":1,"level":2}"#), "duplicate field `level` at line 1 column 21");
    assert!(refused("[1]").contains("expected an object with a member for each field of the record"));
    assert!(refused("{\"level\":1} x").contains("trailing characters"));
}
