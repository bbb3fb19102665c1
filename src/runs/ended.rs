//! How a run ended.

use std::fmt;
use std::time::Duration;

use super::Action;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Well.
    Success,
    /// Well, with nothing to do: the reason it gave.
    Inaction(String),
    /// With an error, told with its causes, or a panic.
    Failed(String),
    /// It was dropped in the middle.
    Terminated(Cut),
    /// It was not called at all: it could not be written to the task log.
    NotStarted(String),
}

/// Why a run was dropped in the middle.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// It took longer than its timeout.
    TimedOut(Duration),
    /// Its worker drains, and the grace period is over.
    Drained,
    /// Its worker no longer leads the fleet for which it ran.
    Deposed,
    /// Nobody heard of its worker for so long that the run may be resumed elsewhere.
    Unheard,
}

impl Ended {
    /// What the task log says of it.
    pub fn action(&self) -> Action {
        match self {
            Self::Success => Action::Success,
            Self::Inaction(_) => Action::Inaction,
            Self::Failed(_) => Action::Fail,
            Self::Terminated(_) | Self::NotStarted(_) => Action::Terminate,
        }
    }

    /// Whether it ended well.
    pub fn is_well(&self) -> bool {
        matches!(self, Self::Success | Self::Inaction(_))
    }

    /// Whether it is its own failure: an error, a panic, or that it took too long. What others have cut short is not.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Terminated(Cut::TimedOut(_)))
    }
}

/// In words: the reason or the error, where there is one.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("success"),
            Self::Inaction(reason) => write!(f, "nothing to do: {reason}"),
            Self::Failed(error) => f.write_str(error),
            Self::Terminated(cut) => cut.fmt(f),
            Self::NotStarted(why) => write!(f, "not started: {why}"),
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(limit) => write!(f, "it took longer than its timeout of {limit:?}"),
            Self::Drained => f.write_str("the worker was drained, and the grace period was over"),
            Self::Deposed => f.write_str("the worker leads the fleet no more"),
            Self::Unheard => f.write_str(
                "the store has not answered for so long that others take this worker for dead, and may resume the run",
            ),
        }
    }
}
