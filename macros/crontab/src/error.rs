//! What was wrong with a text, in words for the person who wrote it.

use std::error::Error;
use std::fmt;

/// Why a text is no crontab.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrontabError {
    /// It cannot be read.
    #[non_exhaustive]
    Invalid {
        /// What was written.
        spec: String,
        /// Which field, what it holds, and what was expected.
        why: String,
    },
    /// It can be read, but no day of any year matches.
    #[non_exhaustive]
    NeverFires {
        /// What was written.
        spec: String,
    },
}

impl CrontabError {
    pub(crate) fn invalid(spec: &str, why: String) -> Self {
        Self::Invalid { spec: shown(spec), why }
    }

    pub(crate) fn never(spec: &str) -> Self {
        Self::NeverFires { spec: shown(spec) }
    }
}

impl fmt::Display for CrontabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { spec, why } if spec.is_empty() => write!(f, "a crontab is missing: {why}"),
            Self::Invalid { spec, why } => write!(f, "`{spec}` is no crontab: {why}"),
            Self::NeverFires { spec } => {
                write!(f, "the crontab `{spec}` never fires: no year has a day that its day and month fields allow")
            }
        }
    }
}

impl Error for CrontabError {}

/// Why a text is no time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimezoneError {
    pub(crate) name: String,
    pub(crate) nearest: Option<&'static str>,
}

impl TimezoneError {
    /// The zone that was most likely meant.
    pub fn nearest(&self) -> Option<&'static str> {
        self.nearest
    }
}

impl fmt::Display for TimezoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no time zone", self.name)?;
        match self.nearest {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => write!(f, ": expected `UTC`, or a name like `Europe/London`"),
        }
    }
}

impl Error for TimezoneError {}

/// What was written, fit for a line of a log: bounded, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = text
        .chars()
        .take(MOST)
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    if text.chars().nth(MOST).is_some() {
        shown.push_str("...");
    }
    shown
}
