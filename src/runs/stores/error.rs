//! What a store could not do, and why.

use super::super::query::FilterError;
use super::super::{InvalidRunId, RunId};

/// What a store could not do, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It is to be created, and there is one.
    #[error("there is a run log {0} already")]
    RunLogExists(RunId),
    /// There is no such run.
    #[error("there is no run log {0}")]
    RunLogNotFound(RunId),
    /// There is no such step.
    #[error("run log {run_id} has no step `{name}`, or none that it could be a branch of")]
    StepLogNotFound {
        /// The run.
        run_id: RunId,
        /// The internal name that was asked for.
        name: String,
    },
    /// There is no such branch.
    #[error("run log {run_id} has no branch `{name}`")]
    BranchLogNotFound {
        /// The run.
        run_id: RunId,
        /// The internal name that was asked for.
        name: String,
    },
    /// The run is not that of a job.
    #[error("run log {0} has no job log")]
    JobLogNotFound(RunId),
    /// A text that is no run id.
    #[error(transparent)]
    InvalidRunId(#[from] InvalidRunId),
    /// A question that makes no sense.
    #[error(transparent)]
    Query(#[from] FilterError),
    /// A cursor that no page ended with.
    #[error("{cursor:?} is no cursor: take the `next` of the page before")]
    Cursor {
        /// As it was given.
        cursor: String,
    },
    /// Somebody else wrote meanwhile, again and again, or removed what an answer was to begin after.
    #[error("{what}; try again")]
    Conflict {
        /// What was in the way.
        what: String,
    },
    /// What is stored cannot be read. It is left as it is.
    #[error("{location} cannot be read; it was left as it is")]
    Corrupt {
        /// Where it is.
        location: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A store cannot be configured like this.
    #[error("{field}: {reason}")]
    Config {
        /// Which part of the configuration: `run_log_store.postgres`.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What keeps the data did not do what was asked.
    #[error("the run log store failed to {doing}")]
    Backend {
        /// What was being done.
        doing: String,
        /// Whether it may work later without anybody's help.
        transient: bool,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether trying again may help without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Backend { transient: true, .. })
    }

    /// No such branch.
    pub(crate) fn branch(run_id: &RunId, name: &str) -> Self {
        Self::BranchLogNotFound { run_id: run_id.clone(), name: name.to_owned() }
    }

    /// The line that an answer was to begin after is gone.
    pub(crate) fn line_gone(line: Option<uuid::Uuid>) -> Self {
        let line = line.unwrap_or_default();
        Self::Conflict {
            what: format!("the line {line} of the task log, which the answer was to follow, is not there"),
        }
    }
}
