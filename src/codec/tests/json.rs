//! JSON and what it cannot say.

use super::*;

#[derive(Serialize)]
struct Line {
    price: Option<f64>,
}

#[derive(Serialize)]
struct Basket {
    lines: Vec<Line>,
}

#[test]
fn nan_is_refused_with_its_place() {
    let basket = Basket { lines: vec![Line { price: None }, Line { price: Some(f64::NAN) }] };
    let mut out = Vec::new();

    let refusal = Json.encode(&basket, &mut out).unwrap_err();

    assert_eq!(told(&refusal), "the record cannot be written as json: `lines[1].price` is NaN, which JSON cannot say");
    assert!(out.is_empty());
}

#[test]
fn nothing_else_that_is_null_is_refused() {
    let absent: (Option<f64>, (), Option<Line>) = (None, (), Some(Line { price: None }));

    assert_eq!(encoded(&Json, &absent), br#"[null,null,{"price":null}]"#);
}

#[test]
fn infinities_are_refused_wherever_they_are() {
    type Encode = Box<dyn Fn(&mut Vec<u8>) -> Result<(), EncodeError>>;
    let places: [Encode; 5] = [
        Box::new(|out| Json.encode(&f32::INFINITY, out)),
        Box::new(|out| Json.encode(&(1, [f64::NEG_INFINITY]), out)),
        Box::new(|out| Json.encode(&BTreeMap::from([("a", f64::NAN)]), out)),
        Box::new(|out| Json.encode(&Shape::Circle(f64::NAN), out)),
        Box::new(|out| Json.encode(&Some(Shape::Within(Box::new(Shape::Circle(f64::NAN)))), out)),
    ];
    for encode in places {
        assert!(encode(&mut Vec::new()).is_err());
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for text in ["NaN", "Infinity", "1e999", "", " ", "nul", "1 2", "[1,]", "\u{feff}1", "01"] {
        assert!(Json.decode::<f64>(text.as_bytes(), &Limits::default()).is_err(), "{text}");
    }
    assert!(Json.decode::<u64>(b"18446744073709551616", &Limits::default()).is_err());
}

#[test]
fn deep_nesting_is_an_error_and_no_stack_overflow() {
    let deep = "[".repeat(100_000);

    assert!(Json.decode::<serde_json::Value>(deep.as_bytes(), &Limits::default()).is_err());
}

#[test]
fn a_value_over_the_limit_is_refused() {
    let limits = Limits { bytes: 3, ..Limits::default() };

    assert_eq!(Json.decode::<u32>(b"123", &limits).unwrap(), 123);
    assert!(matches!(Json.decode::<u32>(b"1234", &limits), Err(DecodeError::TooLarge { limit: 3 })));
}
