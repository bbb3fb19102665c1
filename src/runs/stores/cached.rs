//! Runs that have ended, kept at hand: they change no more, unless somebody resumes them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{Change, RunLogStore, StoreError, StoreSummary};
use crate::clock::{self, Instant};
use crate::runs::{NewRunLog, Page, RunId, RunLog, RunLogQuery};

/// The most documents that are kept at hand.
const ROOM: usize = 1024;

/// A store whose documents of ended runs are kept at hand for a time.
///
/// What is written through it is seen at once. What another process writes, by resuming a run, is seen when that time
/// has passed: it is for readers, and the projection of the stream writes through its own store.
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
        if !log.status.is_terminal() || held.writes != writes {
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
}
