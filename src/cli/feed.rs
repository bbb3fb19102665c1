//! What stands between lines of JSON and events of a stream.

use std::fmt;

use async_trait::async_trait;

use crate::error::Failure;
use crate::event::EventId;

/// How events are given their place where the program does not know the record's type.
#[derive(Clone, Debug, Default)]
pub(crate) struct FeedOptions {
    /// The field that is the key.
    pub(crate) key: Option<String>,
    /// The partition of all of them.
    pub(crate) partition: Option<u32>,
}

/// One line of what is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: u64,
    /// JSON.
    pub(crate) text: Vec<u8>,
}

/// A line that was not sent, and why. The ones before it in the same call were sent if the error came from sending.
#[derive(Debug)]
pub(crate) enum LineError {
    /// It is no record of the stream.
    Bad {
        /// The line.
        line: u64,
        /// "missing field 'amount'".
        why: String,
    },
    /// It is one, and could not be sent.
    Unsent {
        /// The line.
        line: u64,
        /// Why.
        source: Box<Failure>,
    },
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad { line, why } => write!(f, "{line}: {why}"),
            Self::Unsent { line, source } => write!(f, "{line}: {source}"),
        }
    }
}

/// Turns lines into events of one stream.
#[async_trait]
pub(crate) trait Feeder: Send + Sync {
    /// Refuses a line that is no record of the stream. Sends nothing.
    fn check(&self, line: &Line) -> Result<(), LineError>;

    /// Sends them in order. Answers their ids; on an error, the ids of those before it are lost to the caller, which
    /// the line in the error makes up for.
    async fn send(&self, lines: &[Line]) -> Result<Vec<EventId>, LineError>;
}

/// What is wrong with a record, without the place inside the line, which nobody counts.
pub(crate) fn why_no_record(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = match text.rfind(" at line ") {
        Some(at) if error.is_data() => &text[..at],
        _ => text.trim_end(),
    };
    text.replace(" at line 1 column ", " at column ").replace('`', "'")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "read for its errors only")]
    struct Order {
        amount: f64,
    }

    #[test]
    fn a_bad_record_is_told_in_words() {
        let why = |text: &str| why_no_record(&serde_json::from_str::<Order>(text).unwrap_err());

        assert_eq!(why("{}"), "missing field 'amount'");
        assert_eq!(why(r#"{"amount":"x"}"#), "invalid type: string \"x\", expected f64");
        assert_eq!(why("{"), "EOF while parsing an object at column 1");
        assert_eq!(LineError::Bad { line: 17, why: why("{}") }.to_string(), "17: missing field 'amount'");
    }
}
