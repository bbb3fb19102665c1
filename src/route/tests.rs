use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/partition.json")).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The key a case describes, made as a user would: with `From` of the first type that holds it. `None` if Rust has no
/// such key.
fn key_of(case: &Value) -> Option<Key> {
    let text = case["value"].as_str().unwrap_or_default();
    Some(match case["type"].as_str()? {
        "str" => text.into(),
        "bool" => text.parse::<bool>().unwrap().into(),
        "bytes" => unhex(text).into(),
        "float" => f64::from_bits(u64::from_str_radix(case["bits"].as_str()?, 16).unwrap()).into(),
        "int" => match case["fits"].as_str()? {
            "i64" => text.parse::<i64>().unwrap().into(),
            "u64" => text.parse::<u64>().unwrap().into(),
            "i128" => text.parse::<i128>().unwrap().into(),
            "u128" => text.parse::<u128>().unwrap().into(),
            _ => return None,
        },
        _ => return None,
    })
}

fn check(case: &Value, counts: &[u32], partitioner: &Partitioner, key: &Key) {
    let expected = &case[&*partitioner.name()]["partitions"];
    for (at, &count) in counts.iter().enumerate() {
        let place = partitioner.place(key, count).unwrap();
        assert_eq!(Some(u64::from(place.0)), expected[at].as_u64(), "{partitioner:?} of {count}: {case}");
    }
}

fn check_all(cases: &Value) -> usize {
    let counts: Vec<u32> = serde_json::from_value(vectors()["partition_counts"].clone()).unwrap();
    let keys = cases.as_array().unwrap().iter().filter_map(|case| Some((case, key_of(case)?)));
    keys.inspect(|(case, key)| {
        for partitioner in [Partitioner::Xxh64, Partitioner::Python, Partitioner::PythonMd5] {
            check(case, &counts, &partitioner, key);
        }
    })
    .count()
}

#[test]
fn every_key_lies_where_python_puts_it() {
    assert_eq!(check_all(&vectors()["cases"]), 403);
}

#[test]
fn integers_of_128_bits_and_newer_characters_lie_where_python_3_8_puts_them() {
    let of_no_rust_type = 4;

    assert_eq!(check_all(&vectors()["extra"]), 9 - of_no_rust_type);
}

#[test]
fn the_texts_that_are_hashed_are_those_of_the_vectors() {
    for case in vectors()["cases"].as_array().unwrap() {
        let key = key_of(case).unwrap();
        assert_eq!(String::from_utf8(python_repr(&key)).unwrap(), case["python_repr"].as_str().unwrap(), "{case}");
        assert_eq!(canonical_hash(&key), xxh64(&unhex(case["canonical_hex"].as_str().unwrap()), 0), "{case}");
    }
}

#[test]
fn a_number_is_the_same_key_in_every_type_that_holds_it() {
    let keys: [Key; 11] = [
        7u8.into(),
        7u16.into(),
        7u32.into(),
        7u64.into(),
        7u128.into(),
        7usize.into(),
        7i8.into(),
        7i16.into(),
        7i32.into(),
        7i128.into(),
        7isize.into(),
    ];
    assert!(keys.iter().all(|key| *key == Key::Int(7)));
}

#[test]
fn an_own_function_that_answers_no_partition_is_refused() {
    let wild = Partitioner::Own { name: "by-region", function: |_, count| count };

    let refusal = wild.place(&1.into(), 16).unwrap_err();

    assert_eq!(refusal, Misplaced::OutOfRange { name: "by-region", answer: 16, count: 16 });
}

#[test]
fn no_partitions_are_refused_by_every_partitioner() {
    let own = Partitioner::Own { name: "first", function: |_, _| 0 };
    for partitioner in [Partitioner::Xxh64, Partitioner::Python, Partitioner::PythonMd5, own] {
        assert_eq!(partitioner.place(&1.into(), 0), Err(Misplaced::NoPartitions));
    }
}

#[test]
fn names_lead_back_to_their_partitioner() {
    for name in NAMES {
        assert_eq!(Partitioner::from_name(name).unwrap().name(), name);
    }
}

#[test]
fn an_own_function_cannot_pass_for_a_built_in_one() {
    let own = Partitioner::Own { name: "xxh64", function: |_, _| 0 };

    assert_eq!(own.name(), "own:xxh64");
}

#[test]
fn a_misspelt_partitioner_is_answered_with_the_nearest() {
    let refusal = Partitioner::from_name("pyton-md5").unwrap_err();

    assert_eq!(
        refusal.to_string(),
        "there is no partitioner `pyton-md5`; did you mean `python-md5`? There are `xxh64`, `python` and `python-md5`; a \
         function of your own is given in code"
    );
}

#[test]
fn many_keys_use_every_partition() {
    let used: BTreeSet<Partition> = (0..1000u32).map(|n| Partitioner::Xxh64.place(&n.into(), 16).unwrap()).collect();

    assert_eq!(used.len(), 16);
}

proptest! {
    #[test]
    fn every_text_and_every_bytes_have_a_place(text in ".*", bytes: Vec<u8>, count in 1u32..) {
        for partitioner in [Partitioner::Xxh64, Partitioner::Python, Partitioner::PythonMd5] {
            prop_assert!(partitioner.place(&Key::from(&text), count).unwrap().0 < count);
            prop_assert!(partitioner.place(&Key::from(&bytes), count).unwrap().0 < count);
        }
    }
}
