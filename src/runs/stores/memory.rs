//! The store that is gone with its process: for trying out, for tests, and for apps without Redis.

use std::collections::{BTreeMap, HashSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{Change, RunLogStore, StoreError, StoreSummary, TaskLogRepo};
use crate::runs::{NewRunLog, Page, RunId, RunLog, RunLogQuery, TaskLogEvent, TaskLogQuery};

/// Documents and lines in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    held: RwLock<Held>,
    retention: Option<Duration>,
}

#[derive(Debug, Default)]
struct Held {
    logs: BTreeMap<RunId, RunLog>,
    lines: Vec<TaskLogEvent>,
    /// The ids of the lines.
    known: HashSet<Uuid>,
}

impl MemoryStore {
    /// An empty one, which keeps everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps runs that have ended only so long.
    pub fn retention(mut self, kept: Duration) -> Self {
        self.retention = Some(kept);
        self
    }

    // What a panic left is whole: documents and lines are put in by single steps, which do not panic half-way.
    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl RunLogStore for MemoryStore {
    fn service_name(&self) -> &str {
        "memory"
    }

    fn supports_parallel_writes(&self) -> bool {
        true
    }

    fn retention(&self) -> Option<Duration> {
        self.retention
    }

    async fn create_run_log(&self, new: NewRunLog) -> Result<RunLog, StoreError> {
        let mut held = self.write();
        if held.logs.contains_key(&new.run_id) {
            return Err(StoreError::RunLogExists(new.run_id));
        }
        let log = RunLog::from(new);
        held.logs.insert(log.run_id.clone(), log.clone());
        Ok(log)
    }

    async fn get_run_log_by_id(&self, id: &RunId, full: bool) -> Result<RunLog, StoreError> {
        let held = self.read();
        let log = held.logs.get(id).ok_or_else(|| StoreError::RunLogNotFound(id.clone()))?;
        Ok(if full { log.clone() } else { log.header() })
    }

    async fn put_run_log(&self, log: &RunLog) -> Result<(), StoreError> {
        let mut held = self.write();
        let log = match held.logs.remove(&log.run_id) {
            Some(older) => log.clone().over(older),
            None => log.clone(),
        };
        held.logs.insert(log.run_id.clone(), log);
        Ok(())
    }

    async fn get_run_logs(&self, query: &RunLogQuery) -> Result<Page<RunLog>, StoreError> {
        query.page(self.read().logs.values().filter(|log| query.matches(log)).map(RunLog::header))
    }

    async fn delete_run_log(&self, id: &RunId) -> Result<bool, StoreError> {
        Ok(self.write().logs.remove(id).is_some())
    }

    fn summary(&self) -> StoreSummary {
        StoreSummary::new("memory")
    }

    async fn update(&self, id: &RunId, change: Change<'_>) -> Result<(), StoreError> {
        let mut held = self.write();
        let log = held.logs.get_mut(id).ok_or_else(|| StoreError::RunLogNotFound(id.clone()))?;
        // On a copy, so that a change that fails half-way has not happened.
        let mut changed = log.clone();
        if change(&mut changed)? {
            *log = changed;
        }
        Ok(())
    }
}

#[async_trait]
impl TaskLogRepo for MemoryStore {
    async fn append(&self, events: &[TaskLogEvent]) -> Result<(), StoreError> {
        let mut held = self.write();
        for event in events {
            if held.known.insert(event.event_id) {
                held.lines.push(event.clone());
            }
        }
        Ok(())
    }

    async fn query(&self, query: &TaskLogQuery) -> Result<Vec<TaskLogEvent>, StoreError> {
        query.check()?;
        let held = self.read();
        let lines = query.answer(&held.lines).ok_or_else(|| StoreError::line_gone(query.begins_after()))?;
        Ok(lines.into_iter().cloned().collect())
    }

    async fn count(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        query.check()?;
        Ok(self.read().lines.iter().filter(|line| query.matches(line)).count() as u64)
    }

    async fn delete(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        query.check()?;
        let mut held = self.write();
        let before = held.lines.len();
        // Their ids stay known: what was removed and comes again is not new.
        held.lines.retain(|line| !query.matches(line));
        Ok((before - held.lines.len()) as u64)
    }

    fn summary(&self) -> StoreSummary {
        StoreSummary::new("memory")
    }
}
