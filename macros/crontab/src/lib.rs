//! Crontabs as Vixie cron reads them, in time zones with clock changes.
//!
//! It says when a crontab fires, forward and backward, and refuses what is none in words for people. It knows no clock:
//! the time is an argument. Beside the library this is a package of its own because the macros check the specs they
//! meet while the user's code compiles.
//!
//! ```
//! use runnel_crontab::{Crontab, parse_timezone};
//!
//! let crontab: Crontab = "45 17 * * MON-FRI".parse()?;
//! let london = parse_timezone("Europe/London")?;
//!
//! // Friday, 17 July 2026, 18:00 in London; then Monday, 17:45.
//! assert_eq!(crontab.next_after(1_784_307_600_000, london), Some(1_784_565_900_000));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is read
//!
//! Five fields, minute hour day-of-month month weekday, or six with the second first, separated by blanks or tabs; or
//! one of `@yearly`, `@annually`, `@monthly`, `@weekly`, `@daily`, `@midnight` and `@hourly`. A field is a list of `*`,
//! `5`, `1-5`, each also with a step: `*/10`, `1-5/2`; `5/10` is from 5 to the end. Months and weekdays may be named by
//! their first three letters, in any case. Sunday is 0, and 7.
//!
//! A day matches if day-of-month **or** weekday does, where neither begins with `*`; else if both do.
//!
//! # When clocks change
//!
//! - A crontab whose minute or hour begins with `*` follows real time: it fires whenever the local clock shows a matching
//!   time, twice in an hour that comes twice, never in one that is skipped.
//! - Any other is about times of day. It fires once for each matching time, at the first instant at which the local
//!   clock shows that time or a later one: after the gap for a time that is skipped, in the first pass for one that
//!   comes twice. Several times that come to one instant fire once.
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod calendar;
mod error;
mod fields;
mod local;
mod spec;
mod timezone;

use std::fmt;
use std::str::FromStr;

pub use chrono_tz::Tz;

pub use error::{CrontabError, TimezoneError};
pub use timezone::parse_timezone;

use calendar::Calendar;
use spec::Spec;

const SECOND: u64 = 1_000;

/// No instant after this one is looked for: the end of the year 9999, in seconds.
const END_OF_TIME: i64 = 253_402_300_799;

/// A crontab that was read, and that fires at some time.
#[derive(Clone)]
pub struct Crontab {
    text: String,
    calendar: Calendar,
    follows_real_time: bool,
}

impl Crontab {
    /// The first instant strictly after `after` at which it fires, both in milliseconds since 1970.
    ///
    /// `None` only at the end of time, which is the year 9999. The work is bounded, whatever the crontab and the time.
    pub fn next_after(&self, after: u64, zone: Tz) -> Option<u64> {
        let after = i64::try_from(after / SECOND).ok().filter(|after| *after < END_OF_TIME)?;
        let next = match self.follows_real_time {
            true => local::next_shown(&self.calendar, after, zone)?,
            false => local::next_reached(&self.calendar, after, zone)?,
        };
        in_ms(next)
    }

    /// The last instant, not after `until`, at which it fires, both in milliseconds since 1970; none before that.
    pub fn last_until(&self, until: u64, zone: Tz) -> Option<u64> {
        let until = i64::try_from(until / SECOND).map_or(END_OF_TIME, |until| until.min(END_OF_TIME));
        let last = match self.follows_real_time {
            true => local::last_shown(&self.calendar, until, zone)?,
            false => local::last_reached(&self.calendar, until, zone)?,
        };
        in_ms(last)
    }
}

fn in_ms(instant: i64) -> Option<u64> {
    let instant = u64::try_from(instant).ok().filter(|_| instant <= END_OF_TIME)?;
    Some(instant * SECOND)
}

impl FromStr for Crontab {
    type Err = CrontabError;

    /// Reads a crontab. One that never fires, like 30 February, is refused as well.
    fn from_str(text: &str) -> Result<Self, CrontabError> {
        let text = text.trim_matches(spec::BLANKS);
        let spec = Spec::parse(text).map_err(|why| CrontabError::invalid(text, why))?;
        let calendar = Calendar::of(&spec);
        if !calendar.ever_matches() {
            return Err(CrontabError::never(text));
        }
        Ok(Self { text: text.to_owned(), calendar, follows_real_time: spec.follows_real_time() })
    }
}

/// The text it was read from.
impl fmt::Display for Crontab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Crontab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crontab({:?})", self.text)
    }
}
