//! From local times to instants, across clock changes.
//!
//! Two questions, asked forward and backward. When does the local clock *show* a matching time: that is for crontabs
//! that follow real time. When has it *reached* one for the first time, by showing it or a later one: that is for
//! times of day, and it has one answer for every time, also for one that is skipped or comes twice.
//!
//! Clocks are assumed never to go back by a day or more, and not to change twice within a day: none did since 1970.

use chrono::{DateTime, MappedLocalTime, Offset, TimeZone};
use chrono_tz::{GapInfo, Tz};

use crate::calendar::{Calendar, Local};

/// An instant, in seconds since 1970.
type Instant = i64;

const DAY: i64 = 24 * 3600;

/// The first instant after `after` at which the local clock reaches a matching time.
pub(crate) fn next_reached(calendar: &Calendar, after: Instant, zone: Tz) -> Option<Instant> {
    first_reached(calendar.at_or_after(latest_reached(after, zone)? + 1)?, zone)
}

/// The last instant, not after `until`, at which the local clock reached a matching time.
pub(crate) fn last_reached(calendar: &Calendar, until: Instant, zone: Tz) -> Option<Instant> {
    first_reached(calendar.at_or_before(latest_reached(until, zone)?)?, zone)
}

/// The first instant after `after` at which the local clock shows a matching time.
pub(crate) fn next_shown(calendar: &Calendar, after: Instant, zone: Tz) -> Option<Instant> {
    let mut from = after + 1;
    loop {
        let offset = offset(from, zone)?;
        let time = calendar.at_or_after(from + offset)?;
        let shown = time - offset;
        let near = shown.min(from + DAY);
        from = match first_change(from, near, zone)? {
            // From there on the clock shows other times, perhaps some that it has shown before.
            Some(change) => change,
            None if near == shown => return Some(shown),
            // The clock shows nothing that matches until it comes near that time, where it may change again.
            None => near.max(first_reached(time, zone)? - 2 * DAY),
        };
    }
}

/// The last instant, not after `until`, at which the local clock showed a matching time.
pub(crate) fn last_shown(calendar: &Calendar, until: Instant, zone: Tz) -> Option<Instant> {
    let mut until = until;
    loop {
        let offset = offset(until, zone)?;
        let time = calendar.at_or_before(until + offset)?;
        let shown = time - offset;
        let near = shown.max(until - DAY);
        until = match first_change(near, until, zone)? {
            Some(change) => change - 1,
            None if near == shown => return Some(shown),
            None => near.min(first_reached(time, zone)? + 2 * DAY),
        };
    }
}

/// The first instant at which the local clock shows that time or a later one.
fn first_reached(time: Local, zone: Tz) -> Option<Instant> {
    let local = DateTime::from_timestamp(time, 0)?.naive_utc();
    let instant = match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(instant) | MappedLocalTime::Ambiguous(instant, _) => instant,
        MappedLocalTime::None => GapInfo::new(&local, &zone)?.end?,
    };
    Some(instant.timestamp())
}

/// The latest time that the local clock has reached by then: what it shows, but in the second pass of an hour that
/// comes twice, the end of the first.
fn latest_reached(by: Instant, zone: Tz) -> Option<Local> {
    let shown = by + offset(by, zone)?;
    if first_reached(shown, zone)? == by {
        return Some(shown);
    }
    last_where(shown, shown + DAY, |time| Some(first_reached(time, zone)? <= by))
}

/// The first instant after `from`, not after `until`, with another offset than at `from`. They are a day apart at most.
fn first_change(from: Instant, until: Instant, zone: Tz) -> Option<Option<Instant>> {
    let before = offset(from, zone)?;
    if offset(until, zone)? == before {
        return Some(None);
    }
    last_where(from, until, |instant| Some(offset(instant, zone)? == before)).map(|last| Some(last + 1))
}

/// The last number for which it holds, from one for which it does up to one for which it does not.
fn last_where(mut holds: i64, mut fails: i64, test: impl Fn(i64) -> Option<bool>) -> Option<i64> {
    while fails - holds > 1 {
        let middle = holds + (fails - holds) / 2;
        if test(middle)? { holds = middle } else { fails = middle }
    }
    Some(holds)
}

/// How far the local clock is ahead of UTC.
fn offset(instant: Instant, zone: Tz) -> Option<i64> {
    let utc = DateTime::from_timestamp(instant, 0)?.naive_utc();
    Some(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc().into())
}
