//! The words of runs: which have begun and not ended.
//!
//! A run begins and ends with an event in the stream of the task log, and stands among its partition's open runs in
//! between. Both change in one step, so that each activation of a run has exactly one end, whoever races for it: the
//! worker that ran it, a leader that found that worker dead, or a zombie. It also has exactly one begin: which ones are
//! over is kept beside the open ones, for ten minutes at least unless there are very many, so that a begin which was
//! under way for long, or arrives twice, does not begin one again.

use std::sync::Arc;

use serde::Deserialize;

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

impl OpenRun {
    /// The activation that its entry names. It has one end, so that no other entry begins it after that; what names
    /// none is one by itself.
    pub fn activation(&self) -> Option<u32> {
        #[derive(Deserialize)]
        struct Named {
            activation: u32,
        }
        serde_json::from_str::<Named>(&self.entry).ok().map(|named| named.activation)
    }
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
    /// This activation has ended, or was given up before it began: nothing was done.
    Over,
    /// The partition is at its size: nothing was done.
    Full {
        /// Entries in it.
        length: u64,
    },
}
