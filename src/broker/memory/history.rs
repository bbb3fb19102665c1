//! What happened in a store, step by step, for checkers that share no code with the engine.
//!
//! Recorded only when asked for, and never taken back: a rollback is a step of its own that says which steps it undid.

use crate::broker::{ClaimKind, Claimed, Epoch, FenceFacts, Place, Term};
use crate::clock::UnixMs;
use crate::event::{EventId, Fields, Partition};

/// One change of the store, in the order in which the store made them. Times are the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names of the fields say what they are, and only checkers read them.
pub enum Step {
    /// An entry was added.
    Appended { stream: String, partition: Partition, id: EventId, fields: Fields, at: UnixMs },
    /// Entries were cut that every group had settled.
    Trimmed { stream: String, partition: Partition, ids: Vec<EventId>, at: UnixMs },
    /// The oldest entries were dropped, processed or not.
    Dropped { stream: String, partition: Partition, ids: Vec<EventId>, at: UnixMs },
    /// A place has a new owner. The same nonce asking again makes no step.
    Owned { place: Place, worker: String, nonce: String, epoch: Epoch, position: EventId, at: UnixMs },
    /// A commit was applied. A resend makes no step.
    Committed { place: Place, nonce: String, epoch: Epoch, n: u64, position: EventId, done: Vec<EventId>, at: UnixMs },
    /// Events were given up with a commit or by an operator: each with its letter. Comes before that step.
    Lettered { place: Place, letters: Vec<(EventId, EventId)>, at: UnixMs },
    /// Letters were put back: each with the entry it became, which was added just before.
    Retried { stream: String, partition: Partition, letters: Vec<(EventId, EventId)>, at: UnixMs },
    /// Letters of this stream were dropped.
    LettersDropped { stream: String, partition: Partition, ids: Vec<EventId>, at: UnixMs },
    /// An owner released. A resend makes no step.
    Released { place: Place, nonce: String, epoch: Epoch, at: UnixMs },
    /// An operator changed a place; it has this position now.
    Intervened { place: Place, epoch: Epoch, position: EventId, at: UnixMs },
    /// A plan was installed by somebody who had seen the one of generation `expected`; it is the next one.
    Planned { stream: String, processor: String, expected: u64, generation: u64, plan: String, at: UnixMs },
    /// A processor was unregistered.
    Forgotten { stream: String, processor: String, at: UnixMs },
    /// A run began. The same wish sent again makes no step.
    RunBegun { partition: Partition, run_id: String, entry: String, at: UnixMs },
    /// A run ended.
    RunEnded { partition: Partition, run_id: String, at: UnixMs },
    /// A worker joined the fleet, which is in this generation; `begun` says that it began with that.
    Enrolled { worker: String, generation: u64, begun: bool, at: UnixMs },
    /// A worker leads, in a new term. Prolonging it makes no step.
    Led { worker: String, term: Term, at: UnixMs },
    /// A leader resigned. A resend makes no step.
    Resigned { worker: String, term: Term, at: UnixMs },
    /// A claim was answered, also one that got nothing and a resend.
    Claimed { job: String, instant: UnixMs, term: Term, worker: String, kind: ClaimKind, answer: Claimed, at: UnixMs },
    /// A claim was closed. A resend makes no step.
    Closed { job: String, instant: UnixMs, term: Term, at: UnixMs },
    /// A job was stopped, or goes on.
    JobStopped { job: String, stopped: bool, at: UnixMs },
    /// The newest entries of a partition were lost by a fault.
    TailLost { stream: String, partition: Partition, ids: Vec<EventId>, at: UnixMs },
    /// The store is again what it was when it had made `steps` steps: those after it, up to this one, never happened.
    RolledBack { steps: usize, at: UnixMs },
    /// Everything was deleted.
    Flushed { at: UnixMs },
}

/// The steps so far, if they are recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    steps: Vec<Step>,
    recording: bool,
}

impl History {
    pub(super) fn set_recording(&mut self, recording: bool) {
        self.recording = recording;
    }

    pub(super) fn record(&mut self, step: impl FnOnce() -> Step) {
        if self.recording {
            self.steps.push(step());
        }
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// What a store holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub struct Snapshot {
    /// The server's clock.
    pub now: UnixMs,
    /// Every partition that holds something, by stream and number.
    pub partitions: Vec<PartitionSnapshot>,
}

/// What one partition of a [`Snapshot`] holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub struct PartitionSnapshot {
    /// The stream's name.
    pub stream: String,
    /// The partition.
    pub partition: Partition,
    /// The entries that are still there.
    pub entries: Vec<(EventId, Fields)>,
    /// Entries ever added.
    pub added: u64,
    /// The last id ever given out.
    pub last: EventId,
    /// Each group's name and position.
    pub groups: Vec<(String, EventId)>,
    /// Each processor's fence, and the ids that are settled above its position.
    pub fences: Vec<(String, FenceFacts, Vec<EventId>)>,
}
