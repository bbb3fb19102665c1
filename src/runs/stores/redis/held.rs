//! What this process knows of documents that it writes: a guess that a write checks.

use std::sync::{Mutex, PoisonError};

use indexmap::IndexMap;

use crate::runs::stores::chunks::Chunks;
use crate::runs::{RunId, RunLog};

/// A document as it was read or written last.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) version: String,
    pub(super) chunks: Chunks,
    pub(super) log: RunLog,
}

/// The most documents that are held, and the longest one: it is read again, which costs less than holding many.
const ROOM: usize = 256;
const LONGEST: usize = 64 * 1024;

/// The documents written last, the oldest first.
#[derive(Debug, Default)]
pub(super) struct HeldRuns {
    documents: Mutex<IndexMap<RunId, Held>>,
}

impl HeldRuns {
    pub(super) fn get(&self, id: &RunId) -> Option<Held> {
        self.documents().get(id).cloned()
    }

    pub(super) fn put(&self, held: Held) {
        let size: usize = held.chunks.values().map(Vec::len).sum();
        let mut documents = self.documents();
        documents.shift_remove(&held.log.run_id);
        if size <= LONGEST {
            documents.insert(held.log.run_id.clone(), held);
        }
        if documents.len() > ROOM {
            documents.shift_remove_index(0);
        }
    }

    pub(super) fn forget(&self, id: &RunId) {
        self.documents().shift_remove(id);
    }

    fn documents(&self) -> std::sync::MutexGuard<'_, IndexMap<RunId, Held>> {
        // A guess that a panic has spoiled is found out like any other.
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
