//! What configuration may say of any store: how long it keeps, and that it is not to be written in parallel.
//!
//! All else is passed on, also what a store need not have of its own: it may do it in fewer steps.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{Change, PurgeReport, RunLogStore, StoreError, StoreSummary, purge};
use crate::event::EventId;
use crate::runs::{
    Applied, AttemptLog, BranchLog, JobLog, NewRunLog, Page, Parameters, RunEvent, RunId, RunLog, RunLogQuery, Status,
    StepLog,
};

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

    async fn apply(&self, entry: EventId, event: &RunEvent) -> Result<Applied, StoreError> {
        self.inner.apply(entry, event).await
    }

    async fn update_run_log_status(&self, id: &RunId, status: Status) -> Result<(), StoreError> {
        self.inner.update_run_log_status(id, status).await
    }

    async fn set_parameters(&self, id: &RunId, set: Parameters, branch: Option<&str>) -> Result<(), StoreError> {
        self.inner.set_parameters(id, set, branch).await
    }

    async fn set_run_config(&self, id: &RunId, config: &Map<String, Value>) -> Result<(), StoreError> {
        self.inner.set_run_config(id, config).await
    }

    async fn create_step_log(&self, id: &RunId, step: StepLog) -> Result<(), StoreError> {
        self.inner.create_step_log(id, step).await
    }

    async fn add_branch_log(&self, id: &RunId, branch: BranchLog) -> Result<(), StoreError> {
        self.inner.add_branch_log(id, branch).await
    }

    async fn add_job_log(&self, id: &RunId, job: JobLog) -> Result<(), StoreError> {
        self.inner.add_job_log(id, job).await
    }

    async fn record_attempt(&self, id: &RunId, step: Option<&str>, attempt: AttemptLog) -> Result<(), StoreError> {
        self.inner.record_attempt(id, step, attempt).await
    }

    async fn get_parameters(&self, id: &RunId, branch: Option<&str>) -> Result<Parameters, StoreError> {
        self.inner.get_parameters(id, branch).await
    }

    async fn get_run_config(&self, id: &RunId) -> Result<Map<String, Value>, StoreError> {
        self.inner.get_run_config(id).await
    }

    async fn get_step_log(&self, id: &RunId, internal_name: &str) -> Result<StepLog, StoreError> {
        self.inner.get_step_log(id, internal_name).await
    }

    async fn get_branch_log(&self, id: &RunId, internal_name: &str) -> Result<BranchLog, StoreError> {
        self.inner.get_branch_log(id, internal_name).await
    }

    async fn get_job_log(&self, id: &RunId) -> Result<JobLog, StoreError> {
        self.inner.get_job_log(id).await
    }

    fn create_job_log(&self) -> JobLog {
        self.inner.create_job_log()
    }

    /// A store that keeps its runs as long as it was told to knows best what else is to be removed with them.
    async fn purge(&self, now: DateTime<Utc>) -> Result<PurgeReport, StoreError> {
        match self.inner.retention() == self.retention {
            true => self.inner.purge(now).await,
            false => purge(self, self.retention, now).await,
        }
    }
}
