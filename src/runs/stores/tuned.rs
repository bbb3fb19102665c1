//! What configuration may say of any store: how long it keeps, and that it is not to be written in parallel.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Change, RunLogStore, StoreError, StoreSummary};
use crate::runs::{NewRunLog, Page, RunId, RunLog, RunLogQuery};

/// A store as it was configured.
pub(super) struct Tuned {
    pub(super) inner: Arc<dyn RunLogStore>,
    pub(super) retention: Option<Duration>,
    /// May be lowered, never raised: a store knows best what it cannot do.
    pub(super) parallel_writes: bool,
    pub(super) compression: bool,
}

#[async_trait]
impl RunLogStore for Tuned {
    fn service_name(&self) -> &str {
        self.inner.service_name()
    }

    fn supports_parallel_writes(&self) -> bool {
        self.parallel_writes && self.inner.supports_parallel_writes()
    }

    fn retention(&self) -> Option<Duration> {
        self.retention
    }

    async fn create_run_log(&self, new: NewRunLog) -> Result<RunLog, StoreError> {
        self.inner.create_run_log(new).await
    }

    async fn get_run_log_by_id(&self, id: &RunId, full: bool) -> Result<RunLog, StoreError> {
        self.inner.get_run_log_by_id(id, full).await
    }

    async fn put_run_log(&self, log: &RunLog) -> Result<(), StoreError> {
        self.inner.put_run_log(log).await
    }

    async fn get_run_logs(&self, query: &RunLogQuery) -> Result<Page<RunLog>, StoreError> {
        self.inner.get_run_logs(query).await
    }

    async fn delete_run_log(&self, id: &RunId) -> Result<bool, StoreError> {
        self.inner.delete_run_log(id).await
    }

    fn summary(&self) -> StoreSummary {
        self.inner.summary().with_retention(self.retention).with("Compression", self.compression)
    }

    async fn update(&self, id: &RunId, change: Change<'_>) -> Result<(), StoreError> {
        self.inner.update(id, change).await
    }
}
