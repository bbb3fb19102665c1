//! One log in several stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{join, join_all};

use super::{Channel, LineStream, LogError, LogStore, RunMetadata, StoredLog, StreamOptions, Upkeep};
use crate::clock::UnixMs;
use crate::error::chain;
use crate::runs::RunId;

/// Writes to all of its stores, and reads from the first.
///
/// What the first one answers is the answer. A failure of another is logged when it begins, and changes nothing else; what it
/// missed meanwhile it does not get later.
pub struct CompositeLogStore {
    primary: Arc<dyn LogStore>,
    others: Vec<Other>,
}

/// A store that must not fail a run.
struct Other {
    store: Arc<dyn LogStore>,
    /// So that an outage is said once.
    failing: AtomicBool,
}

/// How long another store than the first may hold up a run.
const PATIENCE: Duration = Duration::from_secs(10);

impl Other {
    async fn attend<T>(&self, work: impl Future<Output = Result<T, LogError>>) {
        let problem = match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => Some(format!("no answer within {PATIENCE:?}")),
        };
        let failed_before = self.failing.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(error) if !failed_before => {
                tracing::warn!(error, "one of several log stores fails; runs and the other stores go on without it");
            }
            None if failed_before => tracing::info!("a log store that failed works again"),
            _ => {}
        }
    }
}

impl CompositeLogStore {
    /// Reads from `primary`, writes to all.
    pub fn new(primary: Arc<dyn LogStore>, others: impl IntoIterator<Item = Arc<dyn LogStore>>) -> Self {
        let others = others.into_iter().map(|store| Other { store, failing: AtomicBool::new(false) });
        Self { primary, others: others.collect() }
    }
}

impl std::fmt::Debug for CompositeLogStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompositeLogStore").field("stores", &(1 + self.others.len())).finish_non_exhaustive()
    }
}

#[async_trait]
impl LogStore for CompositeLogStore {
    async fn append(&self, run: &RunId, channel: Channel, lines: &[&str]) -> Result<(), LogError> {
        let others = self.others.iter().map(|other| other.attend(other.store.append(run, channel, lines)));
        join(self.primary.append(run, channel, lines), join_all(others)).await.0
    }

    fn stream(&self, run: &RunId, channel: Channel, options: StreamOptions) -> LineStream {
        self.primary.stream(run, channel, options)
    }

    async fn write_metadata(&self, run: &RunId, metadata: &RunMetadata) -> Result<(), LogError> {
        let others = self.others.iter().map(|other| other.attend(other.store.write_metadata(run, metadata)));
        join(self.primary.write_metadata(run, metadata), join_all(others)).await.0
    }

    async fn read_metadata(&self, run: &RunId) -> Result<Option<RunMetadata>, LogError> {
        self.primary.read_metadata(run).await
    }

    async fn list(&self) -> Result<Vec<StoredLog>, LogError> {
        self.primary.list().await
    }

    async fn delete(&self, run: &RunId) -> Result<bool, LogError> {
        let others = self.others.iter().map(|other| other.attend(other.store.delete(run)));
        join(self.primary.delete(run), join_all(others)).await.0
    }

    async fn flush(&self) -> Result<(), LogError> {
        let others = self.others.iter().map(|other| other.attend(other.store.flush()));
        join(self.primary.flush(), join_all(others)).await.0
    }

    async fn prepare(&self) -> Result<(), LogError> {
        self.primary.prepare().await
    }

    async fn tend(&self, upkeep: Upkeep, now: UnixMs) -> Result<(), LogError> {
        let others = self.others.iter().map(|other| other.attend(other.store.tend(upkeep, now)));
        join(self.primary.tend(upkeep, now), join_all(others)).await.0
    }

    fn release(&self, run: &RunId) {
        self.primary.release(run);
        self.others.iter().for_each(|other| other.store.release(run));
    }
}
