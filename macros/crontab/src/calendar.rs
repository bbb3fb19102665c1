//! The local times that a crontab matches, on a calendar without zones.
//!
//! The search is that of the crate `cron`. This is what stands between it and Vixie cron:
//!
//! - It is given sets of numbers only: its own grammar takes what is no crontab, and its weekdays begin with 1.
//! - It wants the day of the month *and* the weekday. Where either will do, two schedules are asked.
//! - It knows the years 1970 to 2100. There are but fourteen calendars of a year, so each year is looked up in one of
//!   the years 1996 to 2023 that has the same.
//! - It never sees a zone: local times are given to it as if they were UTC. [`local`](crate::local) knows of clock
//!   changes, at which the crate skips times, repeats them, and goes back.

use std::iter;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use cron::Schedule;

use crate::fields::Field;
use crate::spec::Spec;

/// A local time, in seconds since 1970 on the local clock.
pub(crate) type Local = i64;

const SECOND: TimeDelta = TimeDelta::seconds(1);

/// Every calendar of a year occurs in 28 successive ones.
const TWINS: std::ops::Range<i32> = 1996..2024;

/// The longest wait for a day: 29 February on a given weekday, across a year like 2100 that is no leap year.
const LONGEST_WAIT: usize = 40;

/// The local times that match, without end.
#[derive(Clone)]
pub(crate) struct Calendar {
    /// One, or two of which either will do.
    schedules: Vec<Schedule>,
}

impl Calendar {
    pub(crate) fn of(spec: &Spec) -> Self {
        let any = |_: u32| true;
        let day = |day| spec.day.allows(day);
        let weekday = |weekday| is_weekday_allowed(spec, weekday);
        let schedules = match spec.either_day_field_will_do() {
            true => vec![schedule(spec, day, any), schedule(spec, any, weekday)],
            false => vec![schedule(spec, day, weekday)],
        };
        Self { schedules }
    }

    /// Whether there is a matching time in any year.
    pub(crate) fn ever_matches(&self) -> bool {
        let [first, end] = [TWINS.start, TWINS.end].map(|year| new_year(year).map(seconds));
        first.and_then(|first| self.at_or_after(first)).is_some_and(|found| Some(found) < end)
    }

    /// The first matching time that is not before `time`.
    pub(crate) fn at_or_after(&self, time: Local) -> Option<Local> {
        let time = DateTime::from_timestamp(time, 0)?.naive_utc();
        let years = iter::successors(Some(time.year()), |year| year.checked_add(1));
        years.take(LONGEST_WAIT + 1).find_map(|year| {
            let from = if year == time.year() { time } else { new_year(year)? };
            // The crate's answers lie strictly after.
            self.in_twin_year(from, |schedule, from| schedule.after(&(from - SECOND)).next()).min()
        })
    }

    /// The last matching time that is not after `time`.
    pub(crate) fn at_or_before(&self, time: Local) -> Option<Local> {
        let time = DateTime::from_timestamp(time, 0)?.naive_utc();
        let years = iter::successors(Some(time.year()), |year| year.checked_sub(1));
        years.take(LONGEST_WAIT + 1).find_map(|year| {
            let from = if year == time.year() { time } else { new_year(year + 1)? - SECOND };
            // .. and strictly before.
            self.in_twin_year(from, |schedule, from| schedule.after(&(from + SECOND)).next_back()).max()
        })
    }

    /// What `search` finds in each schedule in the twin of the year of `from`, as times of that year.
    fn in_twin_year(
        &self,
        from: NaiveDateTime,
        search: impl Fn(&Schedule, DateTime<Utc>) -> Option<DateTime<Utc>>,
    ) -> impl Iterator<Item = Local> {
        let twin = twin(from.year());
        self.schedules.iter().filter_map(move |schedule| {
            let found = search(schedule, from.with_year(twin)?.and_utc()).filter(|found| found.year() == twin)?;
            found.naive_utc().with_year(from.year()).map(seconds)
        })
    }
}

/// The year that is looked up in place of this one: it begins on the same weekday and has as many days.
fn twin(year: i32) -> i32 {
    let shape = |year| new_year(year).map(|first| (first.weekday(), first.date().leap_year()));
    let wanted = shape(year);
    TWINS.into_iter().find(|twin| shape(*twin) == wanted).unwrap_or(TWINS.start)
}

fn new_year(year: i32) -> Option<NaiveDateTime> {
    NaiveDate::from_ymd_opt(year, 1, 1)?.and_hms_opt(0, 0, 0)
}

fn seconds(time: NaiveDateTime) -> Local {
    time.and_utc().timestamp()
}

/// Whether a weekday is allowed, counted from Sunday as 0, which may also have been written as 7.
fn is_weekday_allowed(spec: &Spec, weekday: u32) -> bool {
    spec.weekday.allows(weekday) || weekday == 0 && spec.weekday.allows(7)
}

/// The schedule of these days, weekdays being counted from Sunday as 0.
fn schedule(spec: &Spec, day: impl Fn(u32) -> bool, weekday: impl Fn(u32) -> bool) -> Schedule {
    let of = |field: Field| move |value| field.allows(value);
    let fields = [
        listed(0..60, of(spec.second)),
        listed(0..60, of(spec.minute)),
        listed(0..24, of(spec.hour)),
        listed(1..32, day),
        listed(1..13, of(spec.month)),
        // The crate counts weekdays from Sunday as 1.
        listed(1..8, |quartz| weekday(quartz - 1)),
    ];
    fields.join(" ").parse().expect("six lists of values in their ranges are a schedule")
}

/// The values that are allowed, as a field of the crate's grammar.
fn listed(values: std::ops::Range<u32>, allowed: impl Fn(u32) -> bool) -> String {
    if values.clone().all(&allowed) {
        return "*".into();
    }
    values.filter(|value| allowed(*value)).map(|value| value.to_string()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(spec: &str) -> Calendar {
        Calendar::of(&Spec::parse(spec).unwrap())
    }

    #[test]
    fn every_year_has_a_twin_with_the_same_days() {
        for year in 1600..2400 {
            let shape = |year| {
                let last = NaiveDate::from_ymd_opt(year, 12, 31).unwrap();
                (last.weekday(), last.ordinal())
            };
            assert_eq!(shape(year), shape(twin(year)), "{year}");
        }
    }

    #[test]
    fn no_day_keeps_one_waiting_longer_than_is_looked_for() {
        for weekday in 0..7 {
            let mut spec = Spec::parse(&format!("0 0 29 2 {weekday}")).unwrap();
            // As if it began with a star, so that both must match.
            spec.weekday.begins_with_star = true;
            let leap_days = Calendar::of(&spec);
            for year in 1970..2370 {
                let from = seconds(new_year(year).unwrap());
                assert!(leap_days.at_or_after(from).is_some(), "{weekday} after {year}");
                assert!(leap_days.at_or_before(from).is_some(), "{weekday} before {year}");
            }
        }
    }

    #[test]
    fn times_beyond_the_calendar_are_never_found_and_no_panic() {
        for time in [i64::MIN, i64::MAX, 8_210_266_876_799, -8_334_601_228_800] {
            assert!(calendar("0 0 1 1 *").at_or_after(time).is_none_or(|found| found >= time));
            assert!(calendar("0 0 1 1 *").at_or_before(time).is_none_or(|found| found <= time));
        }
    }
}
