//! What happens to a run, and how it stands.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A word that is not one of those that stand there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no {kind}: expected one of {expected}")]
pub struct UnknownWord {
    word: String,
    kind: &'static str,
    expected: String,
}

impl UnknownWord {
    pub(crate) fn new(word: &str, kind: &'static str, expected: String) -> Self {
        // What is wrong is shown, but not all of a text that may be huge.
        Self { word: word.chars().take(64).collect(), kind, expected }
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $kind:literal, { $($(#[$each:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$each])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its word, as it is stored.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                let found = Self::ALL.iter().find(|known| known.as_str().eq_ignore_ascii_case(word));
                let expected = || Self::ALL.iter().map(|known| known.as_str()).collect::<Vec<_>>().join(", ");
                found.copied().ok_or_else(|| UnknownWord::new(word, $kind, expected()))
            }
        }
    };
}

words! {
    /// What happened to a run.
    Action, "action", {
        /// It began.
        Run = "run",
        /// It ended well.
        Success = "success",
        /// It ended with an error or a panic.
        Fail = "fail",
        /// It was ended: by its timeout, or because the worker drained.
        Terminate = "terminate",
        /// It ended well, and says that there was nothing to do.
        Inaction = "inaction",
        /// Its worker vanished.
        Crash = "crash",
    }
}

words! {
    /// How a run stands.
    Status, "status", {
        /// Written down, and nothing more.
        Created = "CREATED",
        /// Asked for; not begun.
        Triggered = "TRIGGERED",
        /// It runs.
        Processing = "PROCESSING",
        /// It ended well.
        Success = "SUCCESS",
        /// It ended with an error.
        Fail = "FAIL",
        /// It was ended.
        Terminated = "TERMINATED",
        /// It ended well, with nothing to do.
        Inaction = "INACTION",
        /// Its worker vanished.
        Crashed = "CRASHED",
    }
}

words! {
    /// What kind of function runs.
    TaskKind, "kind", {
        /// At start.
        Task = "task",
        /// Every interval.
        Timer = "timer",
        /// At calendar instants.
        Crontab = "crontab",
        /// When asked.
        Job = "job",
        /// A tenancy of a partition.
        Processor = "processor",
    }
}

words! {
    /// How much an event of a run is worth somebody's attention. From the least to the most.
    Level, "level", {
        /// For whoever looks into the code.
        Trace = "TRACE",
        /// For whoever looks for a mistake.
        Debug = "DEBUG",
        /// As expected.
        Info = "INFO",
        /// Odd, and it goes on.
        Warn = "WARN",
        /// It failed.
        Error = "ERROR",
    }
}

impl From<tracing::Level> for Level {
    fn from(level: tracing::Level) -> Self {
        match level {
            tracing::Level::TRACE => Self::Trace,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::INFO => Self::Info,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::ERROR => Self::Error,
        }
    }
}

impl Action {
    /// How much it is worth somebody's attention: a failure is an error, an end from outside a warning.
    pub const fn level(self) -> Level {
        match self {
            Self::Run | Self::Success | Self::Inaction => Level::Info,
            Self::Terminate => Level::Warn,
            Self::Fail | Self::Crash => Level::Error,
        }
    }

    /// How a run stands after this.
    pub const fn status(self) -> Status {
        match self {
            Self::Run => Status::Processing,
            Self::Success => Status::Success,
            Self::Fail => Status::Fail,
            Self::Terminate => Status::Terminated,
            Self::Inaction => Status::Inaction,
            Self::Crash => Status::Crashed,
        }
    }

    /// Whether it ends the activation of its run.
    pub const fn is_terminal(self) -> bool {
        self.status().is_terminal()
    }
}

impl Status {
    /// Whether nothing more can come in the same activation.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Success | Self::Fail | Self::Terminated | Self::Inaction | Self::Crashed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written_and_unknown_ones_are_refused() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse::<Action>().as_ref(), Ok(action));
        }
        let problem = "explode".parse::<Action>().unwrap_err().to_string();
        assert!(problem.contains("run, success, fail"), "{problem}");
        assert!(serde_json::from_str::<Action>("\"explode\"").is_err());
    }

    #[test]
    fn only_run_does_not_end_a_run() {
        let open: Vec<_> = Action::ALL.iter().filter(|action| !action.is_terminal()).collect();
        assert_eq!(open, [&Action::Run]);
    }
}
