//! What stands among the open runs: enough to find out whether its worker lives, and to write the end in its place.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::process::Process;
use crate::broker::OpenRun;
use crate::runs::{RunId, TaskKind};

/// An open run's entry. Its text is the key to end the run, so it is written once and kept letter by letter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OpenEntry {
    pub(crate) worker: String,
    pub(crate) activation: u32,
    pub(crate) task_name: String,
    pub(crate) kind: TaskKind,
    pub(crate) partition: Option<u32>,
    pub(crate) start: DateTime<Utc>,
    pub(crate) process: Process,
}

impl OpenEntry {
    pub(crate) fn open(&self, run_id: &RunId) -> OpenRun {
        let entry = serde_json::to_string(self).expect("it has only texts and numbers");
        OpenRun { run_id: run_id.as_str().into(), entry: entry.into() }
    }

    /// What lies in the store, if it is one of ours.
    pub(crate) fn read(open: &OpenRun) -> Option<(RunId, Self)> {
        Some((open.run_id.parse().ok()?, serde_json::from_str(&open.entry).ok()?))
    }
}
