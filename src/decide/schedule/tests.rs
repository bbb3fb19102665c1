use std::fmt::Write;

use chrono::{DateTime, NaiveDateTime};
use proptest::prelude::*;

use super::*;
use crate::decide::scenario;

/// What is asked. Times are in UTC, in 2026.
struct Asked {
    schedule: Schedule,
    missed: Missed,
    max_lateness: Option<Duration>,
    last: UnixMs,
    now: UnixMs,
}

fn begin() -> Asked {
    Asked { schedule: every(60_000, 0), missed: Missed::Skip, max_lateness: None, last: 0, now: 0 }
}

fn every(ms: u64, origin: UnixMs) -> Schedule {
    Schedule::Every { interval: Duration::from_millis(ms), origin }
}

fn crontab(spec: &str, zone: &str) -> Schedule {
    Schedule::Crontab { spec: spec.parse().unwrap(), zone: runnel_crontab::parse_timezone(zone).unwrap() }
}

/// `07-01/12:00`, or with seconds, or with their fractions.
fn instant(text: &str) -> UnixMs {
    let text = if text.matches(':').count() == 1 { format!("2026-{text}:00") } else { format!("2026-{text}") };
    let time = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d/%H:%M:%S%.f").unwrap();
    time.and_utc().timestamp_millis().try_into().unwrap()
}

fn shown(instant: UnixMs) -> String {
    let time = DateTime::from_timestamp_millis(instant.try_into().unwrap()).unwrap();
    let text = time.format("%m-%d/%H:%M:%S%.f").to_string();
    text.strip_suffix(":00").unwrap_or(&text).to_owned()
}

fn seconds(text: &str) -> Duration {
    Duration::from_secs_f64(text.strip_suffix('s').unwrap().parse().unwrap())
}

fn tell(asked: &mut Asked, words: &[&str]) {
    match words {
        ["every", interval, "from", origin] => {
            asked.schedule = Schedule::Every { interval: seconds(interval), origin: instant(origin) }
        }
        ["crontab", spec @ .., "in", zone] => asked.schedule = crontab(&spec.join(" "), zone),
        ["missed", missed] => asked.missed = missed.parse().unwrap(),
        ["missed", missed, "late", lateness] => {
            asked.missed = missed.parse().unwrap();
            asked.max_lateness = Some(seconds(lateness));
        }
        ["last", last] => asked.last = instant(last),
        ["now", now] => asked.now = instant(now),
        _ => panic!("{words:?}"),
    }
}

fn show(asked: &mut Asked) -> String {
    let Asked { schedule, missed, max_lateness, last, now } = asked;
    let due = schedule.due(*last, *now, *missed, *max_lateness);
    let mut text = String::from("run");
    for instant in due.run {
        let _ = write!(text, " {}", shown(instant));
    }
    format!("{text}; {} skipped; next {}", due.skipped, due.next.map_or("never".into(), shown))
}

#[test]
fn schedules_as_text() {
    scenario::play(include_str!("../scenarios/schedule.txt"), begin, tell, show);
}

#[test]
fn a_timer_of_a_millisecond_that_was_down_for_years_is_decided_at_once() {
    let year = 365 * 24 * 3_600_000;

    let due = every(1, 0).due(year, 30 * year, Missed::All(2), None);

    let now = 30 * year;
    assert_eq!(due, Due { run: vec![now - 1, now], skipped: 29 * year - 2, next: Some(now + 1) });
}

#[test]
fn a_crontab_of_a_second_that_was_down_for_years_is_counted_up_to_a_bound() {
    let every_second = crontab("* * * * * *", "UTC");

    let due = every_second.due(instant("01-01/00:00") / 2, instant("07-01/00:00:01"), Missed::Latest, None);

    assert_eq!(due.run, [instant("07-01/00:00:01")]);
    assert_eq!(due.skipped, MOST_COUNTED);
}

#[test]
fn no_more_run_at_once_than_may_be_asked_for() {
    let due = every(1, 0).due(0, 10_000_000, Missed::All(u32::MAX), None);

    assert_eq!(due.run.len(), Missed::MOST as usize);
    assert_eq!(due.skipped, 10_000_000 - u64::from(Missed::MOST));
}

#[test]
fn an_interval_below_a_millisecond_is_one() {
    let often = Schedule::Every { interval: Duration::from_micros(1), origin: 5 };

    assert_eq!(often.next_after(7), Some(8));
}

#[test]
fn at_the_end_of_time_nothing_is_next_and_nothing_breaks() {
    for schedule in [every(u64::MAX, 1), every(1_000, 0), every(u64::MAX, u64::MAX), crontab("* * * * *", "UTC")] {
        assert_eq!(schedule.next_after(u64::MAX), None);
        for missed in [Missed::Skip, Missed::Latest, Missed::All(3)] {
            for (last, now) in [(0, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX)] {
                schedule.due(last, now, missed, Some(Duration::MAX));
            }
        }
    }
    let forever = Schedule::Every { interval: Duration::MAX, origin: 0 };
    assert_eq!(forever.next_after(0), Some(u64::MAX));
}

/// The definition, one instant after another.
fn naive(schedule: &Schedule, last: UnixMs, now: UnixMs, missed: Missed, max_lateness: Option<Duration>) -> Due {
    let candidates: Vec<_> = iter::successors(schedule.next_after(last), |instant| schedule.next_after(*instant))
        .take_while(|instant| *instant <= now)
        .collect();
    let in_time = |most: usize, max_lateness: Option<Duration>| {
        let newest = &candidates[candidates.len().saturating_sub(most)..];
        let late = |instant: &UnixMs| Duration::from_millis(now - instant);
        newest.iter().filter(|i| max_lateness.is_none_or(|most| late(i) <= most)).copied().collect::<Vec<_>>()
    };
    let run = match missed {
        Missed::Skip => in_time(1, max_lateness.or(Some(Duration::from_secs(60)))),
        Missed::Latest => in_time(1, max_lateness),
        Missed::All(most) => in_time(most as usize, max_lateness),
    };
    Due { skipped: (candidates.len() - run.len()) as u64, run, next: schedule.next_after(now.max(last)) }
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    const SPECS: &[&str] =
        &["* * * * *", "*/7 * * * *", "0,30 1 * * *", "15 1-2 * * *", "*/20 30 1 * * *", "0 */2 * * *"];
    const ZONES: &[&str] = &["UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe"];
    prop_oneof![
        (1..100_000u64, night()).prop_map(|(ms, origin)| every(ms, origin)),
        (prop::sample::select(SPECS), prop::sample::select(ZONES)).prop_map(|(spec, zone)| crontab(spec, zone)),
    ]
}

/// Instants near each other, and near to clock changes of London.
fn night() -> impl Strategy<Value = UnixMs> {
    let change = prop_oneof![Just(instant("03-29/01:00")), Just(instant("10-25/01:00"))];
    (change, 0..4 * 3_600_000u64).prop_map(|(change, away)| change - 2 * 3_600_000 + away)
}

proptest! {
    #![proptest_config(scenario::cases(500))]

    #[test]
    fn what_is_due_agrees_with_the_definition(
        schedule in any_schedule(),
        last in night(),
        gap in -100_000..1_000_000i64,
        missed in prop_oneof![Just(Missed::Skip), Just(Missed::Latest), (1..20u32).prop_map(Missed::All)],
        max_lateness in prop::option::of((0..1_000_000u64).prop_map(Duration::from_millis)),
    ) {
        let now = last.saturating_add_signed(gap);

        let due = schedule.due(last, now, missed, max_lateness);

        prop_assert_eq!(&due, &naive(&schedule, last, now, missed, max_lateness));
        prop_assert!(due.next.is_some_and(|next| next > now.max(last)));
    }
}
