//! Runs that have ended well, kept at hand: they change no more. Any other may be resumed at any moment, by whoever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{Change, PurgeReport, RunLogStore, StoreError, StoreSummary};
use crate::clock::{self, Instant};
use crate::event::EventId;
use crate::runs::{
    Applied, AttemptLog, BranchLog, JobLog, NewRunLog, Page, Parameters, RunEvent, RunId, RunLog, RunLogQuery, Status,
    StepLog,
};

/// The most documents that are kept at hand.
const ROOM: usize = 1024;

/// A store whose documents of runs that have ended well are kept at hand for a time.
///
/// What is written through it is seen at once. What another process writes to such a run, or that it has removed it, is
/// seen when that time has passed.
pub struct Cached {
    inner: Arc<dyn RunLogStore>,
    ttl: Duration,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    logs: HashMap<RunId, (Instant, RunLog)>,
    /// How often something was written: what was read before it is not put in after it.
    writes: u64,
}

impl Cached {
    /// Keeps them for that time.
    pub fn new(inner: Arc<dyn RunLogStore>, ttl: Duration) -> Self {
        Self { inner, ttl, held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Losing an entry is all that a panic could do, and that is allowed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, id: &RunId) {
        let mut held = self.held();
        held.writes += 1;
        held.logs.remove(id);
    }

    fn keep(&self, log: &RunLog, writes: u64) {
        let mut held = self.held();
        let is_final = matches!(log.status, Status::Success | Status::Inaction);
        if !is_final || held.writes != writes {
            return;
        }
        let now = clock::now();
        if held.logs.len() >= ROOM {
            held.logs.retain(|_, (since, _)| now.since(*since) < self.ttl);
        }
        if held.logs.len() >= ROOM {
            let oldest = held.logs.iter().min_by_key(|(_, (since, _))| *since).map(|(id, _)| id.clone());
            oldest.and_then(|id| held.logs.remove(&id));
        }
        held.logs.insert(log.run_id.clone(), (now, log.clone()));
    }
}

#[async_trait]
impl RunLogStore for Cached {
    fn service_name(&self) -> &str {
        self.inner.service_name()
    }

    fn supports_parallel_writes(&self) -> bool {
        self.inner.supports_parallel_writes()
    }

    fn retention(&self) -> Option<Duration> {
        self.inner.retention()
    }

    async fn create_run_log(&self, new: NewRunLog) -> Result<RunLog, StoreError> {
        self.inner.create_run_log(new).await
    }

    async fn get_run_log_by_id(&self, id: &RunId, full: bool) -> Result<RunLog, StoreError> {
        let writes = {
            let held = self.held();
            if let Some((since, log)) = held.logs.get(id)
                && clock::now().since(*since) < self.ttl
            {
                return Ok(if full { log.clone() } else { log.header() });
            }
            held.writes
        };
        let log = self.inner.get_run_log_by_id(id, full).await?;
        if full {
            self.keep(&log, writes);
        }
        Ok(log)
    }

    async fn put_run_log(&self, log: &RunLog) -> Result<(), StoreError> {
        let put = self.inner.put_run_log(log).await;
        // Also if it failed: nobody knows what it has done before it did.
        self.forget(&log.run_id);
        put
    }

    async fn get_run_logs(&self, query: &RunLogQuery) -> Result<Page<RunLog>, StoreError> {
        self.inner.get_run_logs(query).await
    }

    async fn delete_run_log(&self, id: &RunId) -> Result<bool, StoreError> {
        let deleted = self.inner.delete_run_log(id).await;
        self.forget(id);
        deleted
    }

    fn summary(&self) -> StoreSummary {
        self.inner.summary()
    }

    async fn update(&self, id: &RunId, change: Change<'_>) -> Result<(), StoreError> {
        let updated = self.inner.update(id, change).await;
        self.forget(id);
        updated
    }

    async fn apply(&self, entry: EventId, event: &RunEvent) -> Result<Applied, StoreError> {
        let done = self.inner.apply(entry, event).await;
        self.forget(event.run_id());
        done
    }

    async fn update_run_log_status(&self, id: &RunId, status: Status) -> Result<(), StoreError> {
        let done = self.inner.update_run_log_status(id, status).await;
        self.forget(id);
        done
    }

    async fn set_parameters(&self, id: &RunId, set: Parameters, branch: Option<&str>) -> Result<(), StoreError> {
        let done = self.inner.set_parameters(id, set, branch).await;
        self.forget(id);
        done
    }

    async fn set_run_config(&self, id: &RunId, config: &Map<String, Value>) -> Result<(), StoreError> {
        let done = self.inner.set_run_config(id, config).await;
        self.forget(id);
        done
    }

    async fn create_step_log(&self, id: &RunId, step: StepLog) -> Result<(), StoreError> {
        let done = self.inner.create_step_log(id, step).await;
        self.forget(id);
        done
    }

    async fn add_branch_log(&self, id: &RunId, branch: BranchLog) -> Result<(), StoreError> {
        let done = self.inner.add_branch_log(id, branch).await;
        self.forget(id);
        done
    }

    async fn add_job_log(&self, id: &RunId, job: JobLog) -> Result<(), StoreError> {
        let done = self.inner.add_job_log(id, job).await;
        self.forget(id);
        done
    }

    async fn record_attempt(&self, id: &RunId, step: Option<&str>, attempt: AttemptLog) -> Result<(), StoreError> {
        let done = self.inner.record_attempt(id, step, attempt).await;
        self.forget(id);
        done
    }

    async fn purge(&self, now: DateTime<Utc>) -> Result<PurgeReport, StoreError> {
        let report = self.inner.purge(now).await?;
        report.deleted.iter().for_each(|id| self.forget(id));
        Ok(report)
    }
}
