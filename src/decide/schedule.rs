//! When a job is due: every so often, or at the instants of a crontab; and what becomes of instants that were missed.
//!
//! It is asked with the last instant that was claimed and the time, and answers which instants to run now, how many
//! are given up, and when to ask again. A job that was down for a year is decided about as fast as one that was down
//! for a second: nothing is counted one by one from the past.
//!
//! It claims nothing: whether an instant is still free is decided by the store.

use std::iter;
use std::time::Duration;

use runnel_crontab::{Crontab, Tz};

use crate::clock::UnixMs;

mod choices;
#[cfg(test)]
mod tests;

pub use choices::{Delivery, Missed, Overlap, UnknownChoice};

/// How late the newest instant may be where older ones are skipped and nothing else was said: a worker that takes over
/// the leadership still runs it, one that starts in the morning does not run what was due at night.
const USUAL_LATENESS: Duration = Duration::from_secs(60);

/// Skipped instants of a crontab are counted up to here; there may have been more.
const MOST_COUNTED: u64 = 10_000;

/// The instants of a job.
#[derive(Clone, Debug)]
pub(crate) enum Schedule {
    /// At `origin`, and each `interval` after it, in whole milliseconds and at least one.
    Every {
        /// Between two instants.
        interval: Duration,
        /// The first instant.
        origin: UnixMs,
    },
    /// When a crontab fires in a zone.
    Crontab {
        /// When.
        spec: Crontab,
        /// Where.
        zone: Tz,
    },
}

/// What is to be done about the instants since the last one that was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// The instants to run, the oldest first.
    pub(crate) run: Vec<UnixMs>,
    /// How many others there were. Those of crontabs are counted up to 10,000, which then means "that many or more".
    pub(crate) skipped: u64,
    /// The first instant after all of these.
    pub(crate) next: Option<UnixMs>,
}

impl Schedule {
    /// The first instant strictly after `after`; none at the end of time.
    pub(crate) fn next_after(&self, after: UnixMs) -> Option<UnixMs> {
        match self {
            Self::Every { origin, .. } if after < *origin => Some(*origin),
            Self::Every { interval, origin } => grid(*interval, *origin, self.grid_count(after)),
            Self::Crontab { spec, zone } => spec.next_after(after, *zone),
        }
    }

    /// What is due at `now`, when `last` was the last instant that was claimed.
    ///
    /// The instants in question are those after `last`, up to `now`. A clock that went back behind `last` finds none,
    /// and no instant a second time.
    pub(crate) fn due(&self, last: UnixMs, now: UnixMs, missed: Missed, max_lateness: Option<Duration>) -> Due {
        let (most, max_lateness) = match missed {
            Missed::Skip => (1, Some(max_lateness.unwrap_or(USUAL_LATENESS))),
            Missed::Latest => (1, max_lateness),
            Missed::All(most) => (most.min(Missed::MOST), max_lateness),
        };
        let earliest = max_lateness.map_or(0, |lateness| now.saturating_sub(in_ms(lateness)));
        let may_run = |instant: &UnixMs| *instant > last && *instant >= earliest;

        let mut run: Vec<_> = self.back_from(now).take_while(may_run).take(most as usize).collect();
        run.reverse();
        let skipped = match run.first() {
            Some(oldest) => self.count(last, oldest - 1),
            None => self.count(last, now),
        };
        Due { run, skipped, next: self.next_after(now.max(last)) }
    }

    /// The last instant that is not after `until`.
    fn last_until(&self, until: UnixMs) -> Option<UnixMs> {
        match self {
            Self::Every { interval, origin } => grid(*interval, *origin, self.grid_count(until).checked_sub(1)?),
            Self::Crontab { spec, zone } => spec.last_until(until, *zone),
        }
    }

    /// All instants up to `until`, the newest first.
    fn back_from(&self, until: UnixMs) -> impl Iterator<Item = UnixMs> {
        iter::successors(self.last_until(until), |instant| self.last_until(instant.checked_sub(1)?))
    }

    /// How many instants lie after `last`, up to `until`.
    fn count(&self, last: UnixMs, until: UnixMs) -> u64 {
        match self {
            Self::Every { .. } => self.grid_count(until).saturating_sub(self.grid_count(last)),
            Self::Crontab { .. } => {
                let missed = self.back_from(until).take_while(|instant| *instant > last);
                missed.zip(0..MOST_COUNTED).count() as u64
            }
        }
    }

    /// How many instants of the grid lie at or before `until`; none without a grid.
    fn grid_count(&self, until: UnixMs) -> u64 {
        match self {
            Self::Every { interval, origin } => {
                until.checked_sub(*origin).map_or(0, |since| (since / step(*interval)).saturating_add(1))
            }
            Self::Crontab { .. } => 0,
        }
    }
}

/// The instant of the grid after `steps`.
fn grid(interval: Duration, origin: UnixMs, steps: u64) -> Option<UnixMs> {
    origin.checked_add(steps.checked_mul(step(interval))?)
}

/// An interval of less than a millisecond would have many instants in one.
fn step(interval: Duration) -> u64 {
    in_ms(interval).max(1)
}

fn in_ms(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}
