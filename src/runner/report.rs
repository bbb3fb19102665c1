//! What came of a run, for whoever asked for it.

use std::time::Duration;

use crate::runs::{AttemptLog, Ended, Parameters, RunId, Status};

/// What came of a run of a job.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use = "a run that failed is no error by itself: look at `status`, or ask for `into_result()`"]
pub struct RunReport {
    /// The run.
    pub run_id: RunId,
    /// Its job.
    pub task_name: String,
    /// How it ended.
    pub status: Status,
    /// 1 for a new run; one more each time it was resumed.
    pub activation: u32,
    /// Its attempts, without those of earlier activations.
    pub attempts: Vec<AttemptLog>,
    /// What its last attempt has put out.
    pub output: Parameters,
    /// How it ended, with the error if it failed.
    pub ended: Ended,
    /// How long it took, all attempts and waits included.
    pub took: Duration,
    /// The earlier run that was finished first, if one had been left unfinished.
    pub pending: Option<Box<RunReport>>,
}

/// A run has failed, or was cut short.
#[derive(Clone, Debug, thiserror::Error)]
#[error("run {} of job `{}` ended as {}: {}", .0.run_id, .0.task_name, .0.status, .0.ended)]
pub struct RunFailed(pub Box<RunReport>);

impl RunReport {
    pub(super) fn new(run_id: &RunId, task_name: &str, activation: u32) -> Self {
        Self {
            run_id: run_id.clone(),
            task_name: task_name.to_owned(),
            status: Status::Processing,
            activation,
            attempts: Vec::new(),
            output: Parameters::new(),
            ended: Ended::Success,
            took: Duration::ZERO,
            pending: None,
        }
    }

    pub(super) fn end(&mut self, ended: Ended, took: Duration) {
        self.status = ended.action().status();
        self.output = self.attempts.last().map(|last| last.output_parameters.clone()).unwrap_or_default();
        (self.ended, self.took) = (ended, took);
    }

    /// Whether it ended well, be it with nothing to do.
    pub fn is_well(&self) -> bool {
        self.ended.is_well()
    }

    /// Itself if it ended well, else the error that says how it ended.
    ///
    /// # Errors
    /// [`RunFailed`], with the report in it.
    pub fn into_result(self) -> Result<Self, RunFailed> {
        if self.is_well() { Ok(self) } else { Err(RunFailed(Box::new(self))) }
    }
}
