//! Sees what becomes of events while they are processed, and of jobs. For tests; in a worker nobody watches.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::broker::{Epoch, StopKind};
use crate::event::{EventId, Partition};
use crate::runs::{Ended, RunContext, RunId};

/// What was seen of one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// Its function is about to be called: which try this is.
    Started {
        /// 1 for the first.
        attempt: u32,
    },
    /// It was handled.
    Handled,
    /// A try of it failed.
    Failed {
        /// The error and its causes.
        error: String,
    },
    /// It was given up and settled: the policy IGNORE.
    Ignored,
    /// It was given up and settled, and kept as a dead letter.
    DeadLettered,
    /// It was settled without its function: a middleware filtered it, or it was put back for another processor.
    Passed,
    /// Its partition was stopped at it.
    Stopped {
        /// Halted or quarantined.
        kind: StopKind,
    },
}

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The worker.
    pub worker: Arc<str>,
    /// The processor.
    pub processor: Arc<str>,
    /// The stream.
    pub stream: Arc<str>,
    /// The partition.
    pub partition: Partition,
    /// The epoch of the ownership under which it happened.
    pub epoch: Epoch,
    /// The events of the unit.
    pub ids: Vec<EventId>,
    /// What happened.
    pub what: What,
}

/// A run of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fired {
    /// The worker.
    pub worker: Arc<str>,
    /// The job.
    pub job: Arc<str>,
    /// The run.
    pub run_id: RunId,
    /// The instant that a timer or a crontab ran for, by the server's clock.
    pub instant: Option<DateTime<Utc>>,
    /// When it started, by the server's clock.
    pub started: DateTime<Utc>,
    /// The term of the leader it ran under, if it ran for the fleet.
    pub term: Option<u64>,
    /// Which try it was.
    pub attempt: u32,
    /// How it ended; none while it runs, and for ever if its worker was killed.
    pub outcome: Option<Ended>,
}

impl Fired {
    pub(crate) fn of(run: &RunContext, outcome: Option<Ended>) -> Self {
        Self {
            worker: run.worker().into(),
            job: run.task_name().into(),
            run_id: run.run_id().clone(),
            instant: run.instant(),
            started: run.started(),
            term: run.term(),
            attempt: run.attempt(),
            outcome,
        }
    }
}

/// One thing to be seen.
#[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "only tests look"))]
#[derive(Clone, Debug)]
pub(crate) enum Sight {
    /// Of an event.
    Seen(Seen),
    /// Of a job: once when it starts, once when it is over.
    Fired(Fired),
}

/// Somebody who watches, or nobody.
#[derive(Clone, Default)]
pub(crate) struct Witness(Option<Arc<dyn Fn(Sight) + Send + Sync>>);

impl Witness {
    #[cfg(feature = "testing")]
    pub(crate) fn new(sees: impl Fn(Sight) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sees)))
    }

    /// Tells it, if there is one.
    pub(crate) fn see(&self, what: impl FnOnce() -> Seen) {
        if let Some(sees) = &self.0 {
            sees(Sight::Seen(what()));
        }
    }

    /// Tells it of a run of a job, if there is one.
    pub(crate) fn fired(&self, what: impl FnOnce() -> Fired) {
        if let Some(sees) = &self.0 {
            sees(Sight::Fired(what()));
        }
    }
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Witness(watching)" } else { "Witness(nobody)" })
    }
}
