//! The words of runs: which have begun and not ended.
//!
//! A run begins and ends with an event in the stream of the task log, and stands among its partition's open runs in
//! between. Both change in one step, so that each activation of a run has exactly one end, whoever races for it: the
//! worker that ran it, a leader that found that worker dead, or a zombie.

use std::sync::Arc;

use crate::event::EventId;

/// A run that has begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OpenRun {
    /// Its id.
    pub run_id: Arc<str>,
    /// What its worker wrote of it (JSON). It names worker and activation: who ends the run must show it, letter by
    /// letter.
    pub entry: Arc<str>,
}

/// The answer to the wish to begin a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It has begun; this is its event.
    Now(EventId),
    /// It had begun by the same entry: the same wish, sent again.
    Before,
    /// A run of this id is open, by another entry.
    Taken {
        /// That entry.
        entry: String,
    },
    /// The partition is at its size: nothing was done.
    Full {
        /// Entries in it.
        length: u64,
    },
}
