//! The golden cases of `tests/vectors/cron.json`: every one of them.

use std::path::Path;

use chrono::{DateTime, Utc};
use runnel_crontab::{Crontab, CrontabError, parse_timezone};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
    invalid: Vec<Invalid>,
    never: Vec<String>,
    undecided: Vec<Undecided>,
}

#[derive(Deserialize)]
struct Case {
    spec: String,
    timezone: String,
    after: DateTime<Utc>,
    next: Vec<DateTime<Utc>>,
    tag: String,
}

#[derive(Deserialize)]
struct Invalid {
    spec: String,
    why: String,
}

#[derive(Deserialize)]
struct Undecided {
    spec: String,
}

fn vectors() -> Vectors {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/cron.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn ms(time: DateTime<Utc>) -> u64 {
    time.timestamp_millis().try_into().unwrap()
}

#[test]
fn every_case_fires_at_its_instants() {
    let cases = vectors().cases;
    assert_eq!(cases.len(), 443);
    for Case { spec, timezone, after, next, tag } in cases {
        let crontab: Crontab = spec.parse().unwrap();
        let zone = parse_timezone(&timezone).unwrap();

        let mut time = ms(after);
        for expected in next {
            let fires = crontab.next_after(time, zone).unwrap();
            let shown = DateTime::from_timestamp_millis(fires as i64).unwrap();
            assert_eq!(shown, expected, "{tag}: `{spec}` in {timezone} after {time}");
            time = fires;
        }
    }
}

#[test]
fn every_case_fired_at_its_instants_looking_back() {
    for Case { spec, timezone, after, next, tag } in vectors().cases {
        let crontab: Crontab = spec.parse().unwrap();
        let zone = parse_timezone(&timezone).unwrap();

        let mut until = ms(next[2]);
        for expected in next.iter().rev() {
            let fired = crontab.last_until(until, zone).unwrap();
            let shown = DateTime::from_timestamp_millis(fired as i64).unwrap();
            assert_eq!(shown, *expected, "{tag}: `{spec}` in {timezone} until {until}");
            until = fired - 1;
        }
        let before = crontab.last_until(until, zone);
        assert!(before.is_none_or(|fired| fired <= ms(after)), "{tag}: `{spec}` in {timezone}");
    }
}

#[test]
fn what_is_no_crontab_is_refused() {
    let invalid = vectors().invalid;
    assert_eq!(invalid.len(), 68);
    for Invalid { spec, why } in invalid {
        let refused = spec.parse::<Crontab>();
        assert!(matches!(refused, Err(CrontabError::Invalid { .. })), "`{spec}` ({why}): {refused:?}");
    }
}

#[test]
fn what_never_fires_is_refused() {
    let never = vectors().never;
    assert_eq!(never.len(), 14);
    for spec in never {
        let refused = spec.parse::<Crontab>();
        assert!(matches!(refused, Err(CrontabError::NeverFires { .. })), "`{spec}`: {refused:?}");
    }
}

/// What differs between programs is refused, so that nobody is surprised. A nickname's case means nothing.
#[test]
fn what_other_programs_read_in_ways_of_their_own_is_refused() {
    for Undecided { spec } in vectors().undecided {
        assert_eq!(spec.parse::<Crontab>().is_ok(), spec == "@Daily", "{spec}");
    }
}
