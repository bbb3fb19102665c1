//! Sees what becomes of events while they are processed. For tests; in a worker nobody watches.

use std::sync::Arc;

use crate::broker::{Epoch, StopKind};
use crate::event::{EventId, Partition};

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

/// Somebody who watches, or nobody.
#[derive(Clone, Default)]
pub(crate) struct Witness(Option<Arc<dyn Fn(Seen) + Send + Sync>>);

impl Witness {
    #[cfg(feature = "testing")]
    pub(crate) fn new(sees: impl Fn(Seen) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sees)))
    }

    /// Tells it, if there is one.
    pub(crate) fn see(&self, what: impl FnOnce() -> Seen) {
        if let Some(sees) = &self.0 {
            sees(what());
        }
    }
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Witness(watching)" } else { "Witness(nobody)" })
    }
}
