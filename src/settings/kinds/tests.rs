//! What each kind reads, and what it refuses.

use std::time::Duration;

use super::*;

#[test]
fn durations_are_read_with_and_without_their_unit() {
    let ms = |n| Some(Duration::from_millis(n));
    for (text, as_seconds, as_millis) in [
        ("250ms", ms(250), ms(250)),
        ("10s", ms(10_000), ms(10_000)),
        ("2m", ms(120_000), ms(120_000)),
        ("1h", ms(3_600_000), ms(3_600_000)),
        ("1.5s", ms(1_500), ms(1_500)),
        ("0", ms(0), ms(0)),
        ("4", ms(4_000), ms(4)),
        ("0.25", ms(250), Some(Duration::from_micros(250))),
    ] {
        assert_eq!(Seconds::read(text), as_seconds, "{text}");
        assert_eq!(Millis::read(text), as_millis, "{text}");
    }
}

#[test]
fn what_is_no_duration_is_none() {
    let far = format!("{}h", u64::MAX);
    for bad in ["", "s", "-1s", "+1", "1e3", "1_000", "10 parsecs", "1.5.2s", ".", "1.", "NaN", "١s", far.as_str()] {
        assert_eq!(Seconds::read(bad), None, "{bad}");
    }
}

#[test]
fn sizes_know_both_thousands() {
    for (text, bytes) in [("16MiB", 16 << 20), ("64MB", 64_000_000), ("1 kib", 1024), ("0", 0), ("7B", 7)] {
        assert_eq!(Size::read(text), Some(bytes), "{text}");
    }
    for bad in ["", "MiB", "-1", "1.5MB", "1TB", "99999999999999999999", "18446744073709551615GiB"] {
        assert_eq!(Size::read(bad), None, "{bad}");
    }
}

#[test]
fn a_time_starts_before_every_event_of_its_millisecond() {
    let start = Begin::read("1970-01-01T00:00:01Z");
    assert_eq!(start, Some(Start::After(EventId::new(999, u64::MAX))));
    assert_eq!(Begin::read("1970-01-01T00:00:00Z"), Some(Start::Beginning));
    assert_eq!(Begin::read("5-3"), Some(Start::After(EventId::new(5, 3))));
    for bad in ["", "yesterday", "-5", "1960-01-01T00:00:00Z", "2026-11-01"] {
        assert_eq!(Begin::read(bad), None, "{bad}");
    }
}

#[test]
fn a_misspelt_level_is_not_taken_as_a_target() {
    assert!(Level::read("info,myapp=debug").is_some());
    assert_eq!(Level::read("warning"), Some("warn".into()));
    for bad in ["", "inof", "info,", "myapp=loud", "=debug", "in fo"] {
        assert_eq!(Level::read(bad), None, "{bad}");
    }
}
