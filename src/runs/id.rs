//! The name of a run: the same in the task log, in the run log, in captured output and in URLs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The id of a run: a UUIDv7 unless the app makes its own.
///
/// It is a file name and a part of URLs and keys, so it is a checked type: 1 to 128 letters, digits, `.`, `_` and `-` of
/// ASCII, the first a letter or digit. No path can be smuggled in with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(Arc<str>);

/// A text that is no run id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no run id: it must be 1 to 128 letters, digits, `.`, `_` or `-`, and begin with a letter or a digit"
)]
pub struct InvalidRunId {
    text: String,
}

/// The longest run id.
const LONGEST: usize = 128;

impl RunId {
    /// A new one: a UUIDv7, so that later runs sort later.
    pub fn fresh() -> Self {
        Self(uuid::Uuid::now_v7().to_string().into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let goes_on_well = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        match begins_well && goes_on_well && text.len() <= LONGEST {
            true => Ok(Self(text.into())),
            // What is wrong is shown, but not all of a text that may be huge.
            false => Err(InvalidRunId { text: text.chars().take(LONGEST + 1).collect() }),
        }
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;
    fn try_from(text: String) -> Result<Self, InvalidRunId> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_leave_a_folder_is_no_run_id() {
        for text in ["", ".", "..", "../x", "a/b", "a\\b", "-x", "_x", ".x", "a\0", "a b", "ä", "a:b", &"a".repeat(129)]
        {
            assert!(text.parse::<RunId>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn fresh_ids_and_plain_names_are_run_ids() {
        for text in [RunId::fresh().as_str(), "a", "2026-11-22.nightly_1", &"a".repeat(128)] {
            assert_eq!(text.parse::<RunId>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn later_ids_sort_later() {
        let ids: Vec<_> = (0..100).map(|_| RunId::fresh()).collect();
        assert!(ids.is_sorted());
    }
}
