//! Random crontabs around clock changes, against an oracle that looks at every second of the clock.
//!
//! The oracle knows neither the parser nor the calendar of the library: a crontab is generated as what its fields allow,
//! and the text is written from that.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, Offset, TimeZone, Timelike};
use chrono_tz::TZ_VARIANTS;
use proptest::prelude::*;
use proptest::sample::select;
use runnel_crontab::{Crontab, Tz};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A field as it is written, and what it allows.
#[derive(Clone, Debug)]
struct Field {
    text: String,
    allows: BTreeSet<u32>,
}

#[derive(Clone, Debug)]
struct Fields {
    second: Field,
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
}

impl Fields {
    fn text(&self) -> String {
        let Self { second, minute, hour, day, month, weekday } = self;
        [second, minute, hour, day, month, weekday].map(|field| field.text.clone()).join(" ")
    }

    fn follows_real_time(&self) -> bool {
        self.minute.text.starts_with('*') || self.hour.text.starts_with('*')
    }

    fn matches(&self, local: i64) -> bool {
        let second = local.rem_euclid(MINUTE);
        self.matches_minute(local - second) && self.second.allows.contains(&(second as u32))
    }

    fn matches_minute(&self, local: i64) -> bool {
        let time = DateTime::from_timestamp(local, 0).unwrap();
        let day = self.day.allows.contains(&time.day());
        let weekday = self.weekday.allows.iter().any(|day| day % 7 == time.weekday().num_days_from_sunday());
        let either = !self.day.text.starts_with('*') && !self.weekday.text.starts_with('*');
        (if either { day || weekday } else { day && weekday })
            && self.minute.allows.contains(&time.minute())
            && self.hour.allows.contains(&time.hour())
            && self.month.allows.contains(&time.month())
    }

    /// When it fires in the time from `from` until `until`, by looking at every second of every minute of which any
    /// could match. No zone changes its offset within a minute.
    fn fires(&self, from: i64, until: i64, zone: Tz) -> Vec<i64> {
        let mut fires = Vec::new();
        let mut reached = (from - 2 * DAY..from).step_by(60).map(|then| then + 59 + offset(then, zone)).max().unwrap();
        for minute in (from..until).step_by(60) {
            let offset = offset(minute, zone);
            let skips_none = reached + 1 >= minute + offset;
            if skips_none && !self.matches_minute(minute + offset) {
                reached = reached.max(minute + 59 + offset);
                continue;
            }
            for instant in minute..minute + MINUTE {
                let shown = instant + offset;
                let fires_now = match self.follows_real_time() {
                    true => self.matches(shown),
                    false => (reached + 1..=shown).any(|time| self.matches(time)),
                };
                if fires_now {
                    fires.push(instant);
                }
                reached = reached.max(shown);
            }
        }
        fires
    }
}

fn offset(instant: i64, zone: Tz) -> i64 {
    let utc = DateTime::from_timestamp(instant, 0).unwrap().naive_utc();
    zone.offset_from_utc_datetime(&utc).fix().local_minus_utc().into()
}

fn star(first: u32, last: u32) -> impl Strategy<Value = Field> {
    Just(Field { text: "*".into(), allows: (first..=last).collect() })
}

fn field(first: u32, last: u32) -> impl Strategy<Value = Field> {
    let stepped = (1..=last).prop_map(move |step| Field {
        text: format!("*/{step}"),
        allows: (first..=last).step_by(step as usize).collect(),
    });
    let list = proptest::collection::vec(first..=last, 1..5).prop_map(|values| Field {
        text: values.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
        allows: values.into_iter().collect(),
    });
    let range = (first..=last, first..=last, 1..=last).prop_map(|(a, b, step)| Field {
        text: format!("{}-{}/{step}", a.min(b), a.max(b)),
        allows: (a.min(b)..=a.max(b)).step_by(step as usize).collect(),
    });
    let to_the_end = (first..=last, 1..=last).prop_map(move |(from, step)| Field {
        text: format!("{from}/{step}"),
        allows: (from..=last).step_by(step as usize).collect(),
    });
    prop_oneof![3 => star(first, last), 1 => stepped, 2 => list, 1 => range, 1 => to_the_end]
}

/// Mostly of days that occur, so that something fires within the time that is looked at.
fn crontab() -> impl Strategy<Value = Fields> {
    let mostly_star = |first, last| prop_oneof![4 => star(first, last), 1 => field(first, last)];
    let second = prop_oneof![
        2 => Just(Field { text: "0".into(), allows: [0].into() }),
        1 => field(0, 59),
    ];
    // Clocks change at night.
    let hour = prop_oneof![2 => field(0, 23), 1 => field(0, 4).prop_map(|field| Field {
        text: field.allows.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
        ..field
    })];
    (second, field(0, 59), hour, mostly_star(1, 31), mostly_star(1, 12), mostly_star(0, 7))
        .prop_map(|(second, minute, hour, day, month, weekday)| Fields { second, minute, hour, day, month, weekday })
}

/// A zone, and an instant around its next clock change after some time; or any, if there is none for a year.
fn night() -> impl Strategy<Value = (Tz, i64)> {
    let some_time = 5 * 365 * DAY..70 * 365 * DAY;
    let away = prop_oneof![3 => -90 * MINUTE..90 * MINUTE, 1 => -30 * HOUR..30 * HOUR];
    // Most zones of the world do not change their clocks any more.
    let changing = [Tz::Europe__London, Tz::America__New_York, Tz::Australia__Lord_Howe, Tz::America__Havana];
    let zone = prop_oneof![select(&TZ_VARIANTS[..]), select(changing.to_vec())];
    (zone, some_time, away).prop_map(|(zone, time, away)| {
        let before = offset(time, zone);
        let changed = |then: &i64| offset(*then, zone) != before;
        let day = (time..time + 365 * DAY).step_by(DAY as usize).find(changed);
        let change = day.and_then(|day| (day - DAY..=day).step_by(60).find(changed));
        (zone, change.unwrap_or(time) + away)
    })
}

#[allow(clippy::disallowed_methods, reason = "the size of a test run is no setting of a worker")]
fn cases(few: u32) -> ProptestConfig {
    let scale = std::env::var("RUNNEL_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    ProptestConfig { cases: few.saturating_mul(scale), failure_persistence: None, ..Default::default() }
}

fn ms(seconds: i64) -> u64 {
    seconds as u64 * 1_000
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn it_fires_when_an_oracle_that_looks_at_every_second_says_so(
        fields in crontab(),
        (zone, at) in night(),
        fraction in 0..1_000u64,
    ) {
        let (from, until) = (at.div_euclid(MINUTE) * MINUTE - 30 * HOUR, at.div_euclid(MINUTE) * MINUTE + 30 * HOUR);
        let Ok(crontab) = fields.text().parse::<Crontab>() else {
            return Err(TestCaseError::reject("it never fires"));
        };
        let all = fields.fires(from, until, zone);

        for time in (at - 2 * HOUR..at + 2 * HOUR).step_by(613) {
            let later = all.iter().find(|fires| **fires > time);
            let next = crontab.next_after(ms(time) + fraction, zone);
            match later {
                Some(later) => prop_assert_eq!(next, Some(ms(*later)), "`{}` in {} after {}", fields.text(), zone, time),
                None => prop_assert!(next.is_none_or(|next| next >= ms(until)), "`{}` in {zone} after {time}", fields.text()),
            }
            let earlier = all.iter().rfind(|fired| **fired <= time);
            let last = crontab.last_until(ms(time) + fraction, zone);
            match earlier {
                Some(earlier) => prop_assert_eq!(last, Some(ms(*earlier)), "`{}` in {} until {}", fields.text(), zone, time),
                None => prop_assert!(last.is_none_or(|last| last < ms(from)), "`{}` in {zone} until {time}", fields.text()),
            }
        }
        // From one to the next there are all of them.
        let mut time = ms(at) + fraction;
        for fires in all.iter().filter(|fires| **fires > at).take(30) {
            prop_assert_eq!(crontab.next_after(time, zone), Some(ms(*fires)), "`{}` in {}", fields.text(), zone);
            time = ms(*fires);
        }
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn the_next_is_strictly_later_and_the_last_not_later_at_any_time(
        fields in crontab(),
        zone in select(&TZ_VARIANTS[..]),
        time in prop_oneof![any::<u64>(), 0..300_000_000_000_000u64, 0..5_000_000_000_000u64],
        later in 0..100_000_000_000u64,
    ) {
        let Ok(crontab) = fields.text().parse::<Crontab>() else {
            return Err(TestCaseError::reject("it never fires"));
        };
        let next = crontab.next_after(time, zone);
        let last = crontab.last_until(time, zone);
        prop_assert!(next.is_none_or(|next| next > time));
        prop_assert!(last.is_none_or(|last| last <= time));

        if let Some(next) = next {
            // Nothing lies between.
            prop_assert_eq!(crontab.last_until(next - 1, zone), last);
            prop_assert_eq!(crontab.last_until(next, zone), Some(next));
        }

        // Later questions have later answers.
        let time = time.saturating_add(later);
        prop_assert!(crontab.next_after(time, zone).is_none_or(|then| Some(then) >= next));
        prop_assert!(crontab.last_until(time, zone) >= last);
    }
}
