//! What happens to an aircraft: the record of this example, and why a line is not one.
//!
//! A line is read by serde alone. Only one that was refused is looked at a second time, to say which field is to blame
//! and how: the error tells where it stopped, the line what stands there. No text of an error is taken apart.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

/// One departure, arrival or cancellation. The aircraft, `tail`, is the key: order matters within it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Flight {
    /// 1, 2, 3 ... over all aircraft.
    pub(crate) seq: u64,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    /// When it happened; for a cancellation the planned departure.
    pub(crate) at: DateTime<Utc>,
    pub(crate) tail: String,
    pub(crate) carrier: String,
    #[serde(rename = "flight")]
    pub(crate) number: u32,
    pub(crate) origin: String,
    pub(crate) dest: String,
    /// The planned departure, or the planned arrival.
    pub(crate) scheduled: DateTime<Utc>,
    /// Minutes. None for a cancellation, but never left out.
    #[serde(deserialize_with = "must_be_there")]
    pub(crate) delay: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Departed,
    Arrived,
    Cancelled,
}

/// serde takes an absent `Option` for `None`; with a function of its own, the field must be there.
fn must_be_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
    Option::deserialize(deserializer)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Departed => "departed",
            Self::Arrived => "arrived",
            Self::Cancelled => "cancelled",
        })
    }
}

impl Flight {
    /// The flight written on one line, without its line feed.
    pub(crate) fn read(line: &[u8]) -> Result<Self, Refused> {
        serde_json::from_slice(line).map_err(|source| Refused::because(line, source))
    }

    /// Whether it left, or came, a quarter of an hour late or more.
    pub(crate) fn is_late(&self) -> bool {
        self.delay.is_some_and(|minutes| minutes >= 15)
    }

    /// The text that an aircraft's digest is made of.
    pub(crate) fn text(&self) -> String {
        let Self { seq, kind, at, carrier, number, origin, dest, delay, .. } = self;
        let at = at.format("%Y-%m-%dT%H:%M:%SZ");
        let delay = delay.map_or_else(|| "-".to_owned(), |minutes| minutes.to_string());
        format!("{seq} {kind} {at} {carrier}{number} {origin} {dest} {delay}\n")
    }
}

/// A line that is no flight.
#[derive(Debug, thiserror::Error)]
#[error("{reason}{}", in_field(*.field))]
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    /// Which field is to blame, where one is.
    pub(crate) field: Option<&'static str>,
    source: serde_json::Error,
}

fn in_field(field: Option<&'static str>) -> String {
    field.map(|name| format!(" in `{name}`")).unwrap_or_default()
}

/// What is wrong with a line. Written as in `bad_expected.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    NotUtf8,
    Truncated,
    NotJson,
    NotAnObject,
    MissingField,
    WrongType,
    UnknownType,
    OutOfRange,
    BadTime,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUtf8 => "not_utf8",
            Self::Truncated => "truncated",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::UnknownType => "unknown_type",
            Self::OutOfRange => "out_of_range",
            Self::BadTime => "bad_time",
        })
    }
}

impl Refused {
    fn because(line: &[u8], source: serde_json::Error) -> Self {
        let (reason, field) = blame(line, &source);
        Self { reason, field, source }
    }
}

/// The fields, and what they hold.
const FIELDS: [(&str, Holds); 10] = [
    ("seq", Holds::Number),
    ("type", Holds::Kind),
    ("at", Holds::Time),
    ("tail", Holds::Text),
    ("carrier", Holds::Text),
    ("flight", Holds::Number),
    ("origin", Holds::Text),
    ("dest", Holds::Text),
    ("scheduled", Holds::Time),
    ("delay", Holds::Number),
];

#[derive(Clone, Copy)]
enum Holds {
    Number,
    Kind,
    Time,
    Text,
}

/// What was wrong where serde stopped. The line is one that it refused.
fn blame(line: &[u8], source: &serde_json::Error) -> (Reason, Option<&'static str>) {
    let Ok(text) = std::str::from_utf8(line) else { return (Reason::NotUtf8, None) };
    match serde_json::from_str::<IgnoredAny>(text) {
        // A line that begins as something else is none that was cut off.
        Err(_) if source.is_eof() => return (Reason::Truncated, None),
        Err(_) => return (Reason::NotJson, None),
        Ok(_) if !text.trim_start().starts_with('{') => return (Reason::NotAnObject, None),
        Ok(_) => {}
    }
    if let Some((name, _)) = FIELDS.into_iter().find(|field| Suspect::find(*field, text).is_none()) {
        return (Reason::MissingField, Some(name));
    }
    let before =
        FIELDS.into_iter().filter_map(|field| Suspect::find(field, text)).filter(|s| s.begins < source.column());
    let culprit = before.max_by_key(|suspect| suspect.begins);
    match culprit {
        // Half a surrogate pair only shows when somebody wants the text.
        Some(suspect) if source.is_syntax() && suspect.is_text() => (Reason::NotJson, None),
        Some(suspect) => (suspect.fault(), Some(suspect.name)),
        None => (Reason::WrongType, None),
    }
}

/// A field of a refused line, and the text from its value on.
struct Suspect<'a> {
    name: &'static str,
    holds: Holds,
    begins: usize,
    value: &'a str,
}

impl<'a> Suspect<'a> {
    fn find((name, holds): (&'static str, Holds), line: &'a str) -> Option<Self> {
        let label = format!("\"{name}\":");
        let begins = line.find(&label)?;
        Some(Self { name, holds, begins, value: line[begins + label.len()..].trim_start() })
    }

    fn fault(&self) -> Reason {
        match self.holds {
            Holds::Number if self.is_whole() => Reason::OutOfRange,
            Holds::Kind if self.is_text() => Reason::UnknownType,
            Holds::Time if self.is_text() => Reason::BadTime,
            _ => Reason::WrongType,
        }
    }

    fn is_text(&self) -> bool {
        self.value.starts_with('"')
    }

    /// Whether its value is a whole number, of any size: without a fraction, or beyond all that have one.
    fn is_whole(&self) -> bool {
        let end = self.value.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c)).unwrap_or(self.value.len());
        let digits = &self.value[..end];
        digits.parse::<f64>().is_ok_and(|number| number.is_infinite() || !digits.contains(['.', 'e', 'E']))
    }
}
