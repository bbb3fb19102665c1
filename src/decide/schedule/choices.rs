//! What may be chosen about a job's instants: words with their texts, as attributes and settings write them.

use std::fmt;
use std::str::FromStr;

use crate::nearest::did_you_mean;

/// What becomes of instants at which no worker was there to run the job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Missed {
    /// They are skipped. The newest still runs while it is at most 60 s late, or as late as the job allows.
    #[default]
    Skip,
    /// The newest runs, however late, unless the job sets a bound.
    Latest,
    /// The newest so many run, one after another, the oldest first: from 1 to [`Missed::MOST`].
    All(u32),
}

impl Missed {
    /// The most that [`All`](Self::All) may ask for.
    pub const MOST: u32 = 1_000;
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skip => f.pad("skip"),
            Self::Latest => f.pad("latest"),
            Self::All(most) => f.pad(&format!("all({most})")),
        }
    }
}

impl FromStr for Missed {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, UnknownChoice> {
        let all = || {
            let most = text.strip_prefix("all(")?.strip_suffix(')')?;
            // `parse` alone would take a sign.
            let digits = most.bytes().all(|b| b.is_ascii_digit());
            most.parse().ok().filter(|most| digits && (1..=Self::MOST).contains(most)).map(Self::All)
        };
        match text {
            "skip" => Ok(Self::Skip),
            "latest" => Ok(Self::Latest),
            _ => all().ok_or_else(|| UnknownChoice {
                text: text.into(),
                of: "way to treat missed instants",
                expected: "`skip`, `latest`, or `all(60)` with a number from 1 to 1000",
                names: &["skip", "latest"],
            }),
        }
    }
}

/// How often an instant runs when a worker crashes while it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Once, or not at all: it was claimed, and is not run again.
    #[default]
    AtMostOnce,
    /// Until a run of it has ended: another worker runs it again.
    AtLeastOnce,
}

/// What happens at an instant while the run of an earlier one goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// It runs when the earlier one has ended.
    Queue,
    /// It runs beside it.
    Allow,
}

macro_rules! words {
    ($name:ident, $of:literal, $expected:literal, { $($text:literal => $variant:ident,)* }) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $text,)* })
            }
        }

        impl FromStr for $name {
            type Err = UnknownChoice;

            fn from_str(text: &str) -> Result<Self, UnknownChoice> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(UnknownChoice { text: text.into(), of: $of, expected: $expected, names: &[$($text),*] }),
                }
            }
        }
    };
}

words! { Delivery, "delivery", "`at_most_once` or `at_least_once`", {
    "at_most_once" => AtMostOnce,
    "at_least_once" => AtLeastOnce,
}}

words! { Overlap, "way to overlap", "`skip`, `queue` or `allow`", {
    "skip" => Skip,
    "queue" => Queue,
    "allow" => Allow,
}}

/// A text that is none of the choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownChoice {
    text: String,
    of: &'static str,
    expected: &'static str,
    names: &'static [&'static str],
}

impl fmt::Display for UnknownChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, of, expected, names } = self;
        let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
        write!(f, "`{shown}` is no {of}: expected {expected}{}", did_you_mean(text, names.iter().copied()))
    }
}

impl std::error::Error for UnknownChoice {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T: FromStr<Err = UnknownChoice> + fmt::Debug>(text: &str) -> String {
        text.parse::<T>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_shown_can_be_read() {
        for missed in [Missed::Skip, Missed::Latest, Missed::All(1), Missed::All(Missed::MOST)] {
            assert_eq!(missed.to_string().parse(), Ok(missed));
        }
        for delivery in [Delivery::AtMostOnce, Delivery::AtLeastOnce] {
            assert_eq!(delivery.to_string().parse(), Ok(delivery));
        }
        for overlap in [Overlap::Skip, Overlap::Queue, Overlap::Allow] {
            assert_eq!(overlap.to_string().parse(), Ok(overlap));
        }
    }

    #[test]
    fn other_texts_are_answered_with_what_there_is() {
        assert_eq!(
            refusal::<Missed>("lastest"),
            "`lastest` is no way to treat missed instants: expected `skip`, `latest`, or `all(60)` with a number from 1 to \
             1000; did you mean `latest`?"
        );
        assert_eq!(
            refusal::<Delivery>("exactly_once"),
            "`exactly_once` is no delivery: expected `at_most_once` or `at_least_once`"
        );
        assert_eq!(refusal::<Overlap>("wait"), "`wait` is no way to overlap: expected `skip`, `queue` or `allow`");
    }

    #[test]
    fn all_must_say_how_many_within_bounds() {
        for text in
            ["all", "all()", "all(0)", "all(1001)", "all(+5)", "all(-1)", "all( 5 )", "all(5", "all(99999999999)"]
        {
            assert!(refusal::<Missed>(text).contains("`all(60)`"), "{text}");
        }
    }
}
