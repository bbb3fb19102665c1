//! Where the records of runs are kept: documents in a [`RunLogStore`], lines of the task log in a [`TaskLogRepo`].
//!
//! Every store gives the same answers; `tests/stores` asks each of them the same questions. What they differ in is how
//! many may write one run at once, and what survives.

mod batched;
mod cached;
mod chunks;
mod document;
mod edits;
mod error;
mod files;
mod memory;
#[cfg(feature = "object-store")]
mod object;
mod redis;
mod registry;
mod settings;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
mod streamed;
mod summary;
mod tuned;
mod turns;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{
    Applied, AttemptLog, BranchLog, JobLog, NewRunLog, Order, Page, Parameters, RunEvent, RunId, RunLog, RunLogQuery,
    Status, StepLog, TaskLogEvent, TaskLogQuery,
};
use crate::event::EventId;

pub use batched::Batched;
pub use cached::Cached;
pub use error::StoreError;
pub use files::{ChunkedFs, CsvRepo, FileSystem};
pub use memory::MemoryStore;
#[cfg(all(feature = "object-store", feature = "gzip"))]
pub use object::ObjectDestination;
#[cfg(feature = "object-store")]
pub use object::{Bucket, ObjectStore};
pub use redis::{RedisStore, RedisStoreOptions};
pub use registry::{StoreRegistry, Stores, open_store};
pub use settings::{StoreSettings, TaskLogRepoName};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sql::{SqlSettings, SqlStore};
pub use summary::StoreSummary;

/// A change of a document, which says whether it changed anything. A store may call it again with a newer document.
pub type Change<'a> = &'a mut (dyn FnMut(&mut RunLog) -> Result<bool, StoreError> + Send);

/// The lines of the task log.
#[async_trait]
pub trait TaskLogRepo: Send + Sync {
    /// Adds lines, in this order. One whose `event_id` is there already is left out: it came again.
    async fn append(&self, events: &[TaskLogEvent]) -> Result<(), StoreError>;

    /// The lines that are asked for, in the order in which they were added: per task, that of the stream.
    async fn query(&self, query: &TaskLogQuery) -> Result<Vec<TaskLogEvent>, StoreError>;

    /// How many lines fulfil the conditions. Order, limit and beginning are not asked.
    async fn count(&self, query: &TaskLogQuery) -> Result<u64, StoreError>;

    /// Removes the lines that fulfil the conditions, and says how many. For retention only: the log is an audit trail.
    async fn delete(&self, query: &TaskLogQuery) -> Result<u64, StoreError>;

    /// What it is, for people.
    fn summary(&self) -> StoreSummary;

    /// What holds its lines. Only runnel's own repositories have reason to say something else.
    fn lines_held(&self) -> LinesHeld {
        LinesHeld::Here
    }

    /// The runs of that task that began and have not ended, the oldest first.
    async fn open_runs(&self, task_name: &str) -> Result<Vec<RunId>, StoreError> {
        const AT_ONCE: usize = 1000;
        let mut open = indexmap::IndexSet::new();
        let mut query = TaskLogQuery::new().task(task_name).limit(AT_ONCE);
        loop {
            let lines = self.query(&query).await?;
            for line in &lines {
                match line.action.is_terminal() {
                    true => open.shift_remove(&line.run_id),
                    false => open.insert(line.run_id.clone()),
                };
            }
            match lines.last() {
                Some(last) if lines.len() == AT_ONCE => query = query.after(last.event_id),
                _ => return Ok(open.into_iter().collect()),
            }
        }
    }
}

/// What holds the lines of a [`TaskLogRepo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinesHeld {
    /// The repository, until they are removed.
    Here,
    /// The stream of runs, whose oldest events go by themselves.
    InStream,
    /// The repository, in memory: an app that is connected reads those of its stream in place of them.
    UntilAStreamIsKnown,
}

/// What a pass of retention did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeReport {
    /// The runs whose documents are gone. Whatever else is kept of them can go too.
    pub deleted: Vec<RunId>,
    /// How many runs are old enough, but have not ended.
    pub still_open: u64,
}

/// The documents of runs.
///
/// A store must write seven things; the others are made of them. [`update`](Self::update) is the one through which
/// documents are changed: a store that can do it atomically overrides it, and says so by
/// [`supports_parallel_writes`](Self::supports_parallel_writes).
#[async_trait]
pub trait RunLogStore: Send + Sync {
    /// Its type, as configuration names it.
    fn service_name(&self) -> &str;

    /// Whether any number of writers may write different steps and parameters of one run at once and lose nothing,
    /// and no reader ever sees half a document.
    fn supports_parallel_writes(&self) -> bool {
        false
    }

    /// How long runs that have ended are kept. `None`: for ever.
    fn retention(&self) -> Option<Duration> {
        None
    }

    /// Writes down a run that nobody has heard of.
    async fn create_run_log(&self, new: NewRunLog) -> Result<RunLog, StoreError>;

    /// A document; only its header, without steps and attempts, unless it is asked for in full.
    async fn get_run_log_by_id(&self, id: &RunId, full: bool) -> Result<RunLog, StoreError>;

    /// Writes a document, whether its run was heard of or not.
    ///
    /// Its steps, attempts, parameters and configuration are added to those that are there or take their place; none is
    /// removed. So a header can be put back.
    async fn put_run_log(&self, log: &RunLog) -> Result<(), StoreError>;

    /// A page of headers.
    async fn get_run_logs(&self, query: &RunLogQuery) -> Result<Page<RunLog>, StoreError>;

    /// Removes a document, and says whether there was one.
    async fn delete_run_log(&self, id: &RunId) -> Result<bool, StoreError>;

    /// What it is, for people. Nothing secret is in it.
    fn summary(&self) -> StoreSummary;

    /// Reads a document in full, changes it, and writes it if that changed anything.
    ///
    /// Here it is done in two steps, so that writers of one run can overwrite each other.
    async fn update(&self, id: &RunId, change: Change<'_>) -> Result<(), StoreError> {
        let mut log = self.get_run_log_by_id(id, true).await?;
        match change(&mut log)? {
            true => self.put_run_log(&log).await,
            false => Ok(()),
        }
    }

    /// A document in full.
    async fn get(&self, id: &RunId) -> Result<RunLog, StoreError> {
        self.get_run_log_by_id(id, true).await
    }

    /// Takes an event of the stream into the document of its run, which is created if need be.
    ///
    /// Idempotent: the document knows its last event, so one that comes again changes nothing.
    async fn apply(&self, entry: EventId, event: &RunEvent) -> Result<Applied, StoreError> {
        let mut applied = Applied::Seen;
        let mut take = |log: &mut RunLog| {
            applied = log.apply(entry, event);
            Ok(applied == Applied::Changed)
        };
        match self.update(event.run_id(), &mut take).await {
            Err(StoreError::RunLogNotFound(_)) => match self.create_run_log(event.into()).await {
                // Somebody else heard of it at the same time.
                Ok(_) | Err(StoreError::RunLogExists(_)) => self.update(event.run_id(), &mut take).await?,
                Err(error) => return Err(error),
            },
            done => done?,
        }
        Ok(applied)
    }

    /// Says how a run stands.
    async fn update_run_log_status(&self, id: &RunId, status: Status) -> Result<(), StoreError> {
        self.update(id, &mut |log| Ok(std::mem::replace(&mut log.status, status) != status)).await
    }

    /// The parameters of a run, or of a branch.
    async fn get_parameters(&self, id: &RunId, branch: Option<&str>) -> Result<Parameters, StoreError> {
        match branch {
            None => Ok(self.get_run_log_by_id(id, false).await?.parameters),
            Some(branch) => Ok(self.get_branch_log(id, branch).await?.parameters),
        }
    }

    /// Sets parameters of a run, or of a branch; others stay. Values of secrets are not kept.
    async fn set_parameters(&self, id: &RunId, set: Parameters, branch: Option<&str>) -> Result<(), StoreError> {
        let set: Parameters = set.into_iter().map(|(name, value)| (name, value.masked())).collect();
        let change = &mut |log: &mut RunLog| match (log.set_parameters(branch, set.clone()), branch) {
            (false, Some(branch)) => Err(StoreError::branch(id, branch)),
            _ => Ok(true),
        };
        self.update(id, change).await
    }

    /// How a run is configured.
    async fn get_run_config(&self, id: &RunId) -> Result<Map<String, Value>, StoreError> {
        Ok(self.get_run_log_by_id(id, false).await?.run_config)
    }

    /// Sets members of the configuration of a run, without what is named like a secret; others stay.
    async fn set_run_config(&self, id: &RunId, config: &Map<String, Value>) -> Result<(), StoreError> {
        let change = &mut |log: &mut RunLog| {
            log.set_run_config(config);
            Ok(true)
        };
        self.update(id, change).await
    }

    /// Writes a step, whether it was heard of or not.
    async fn create_step_log(&self, id: &RunId, step: StepLog) -> Result<(), StoreError> {
        let change = &mut |log: &mut RunLog| {
            log.put_step(step.clone());
            Ok(true)
        };
        self.update(id, change).await
    }

    /// A step, wherever it is.
    async fn get_step_log(&self, id: &RunId, internal_name: &str) -> Result<StepLog, StoreError> {
        let log = self.get(id).await?;
        let no_step = || StoreError::StepLogNotFound { run_id: id.clone(), name: internal_name.to_owned() };
        log.step(internal_name).cloned().ok_or_else(no_step)
    }

    /// Writes a branch under its step, whether it was heard of or not.
    async fn add_branch_log(&self, id: &RunId, branch: BranchLog) -> Result<(), StoreError> {
        let change = &mut |log: &mut RunLog| match log.put_branch(branch.clone()) {
            true => Ok(true),
            false => Err(StoreError::StepLogNotFound { run_id: id.clone(), name: branch.internal_name.clone() }),
        };
        self.update(id, change).await
    }

    /// A branch, wherever it is.
    async fn get_branch_log(&self, id: &RunId, internal_name: &str) -> Result<BranchLog, StoreError> {
        let log = self.get(id).await?;
        log.branch(internal_name).cloned().ok_or_else(|| StoreError::branch(id, internal_name))
    }

    /// What a job adds to its document, before it begins. Nothing is written.
    fn create_job_log(&self) -> JobLog {
        JobLog::new()
    }

    /// Writes what a job adds.
    async fn add_job_log(&self, id: &RunId, job: JobLog) -> Result<(), StoreError> {
        self.update(id, &mut |log| Ok(log.job.replace(job.clone()).as_ref() != Some(&job))).await
    }

    /// What a job added.
    async fn get_job_log(&self, id: &RunId) -> Result<JobLog, StoreError> {
        let log = self.get_run_log_by_id(id, false).await?;
        log.job.ok_or_else(|| StoreError::JobLogNotFound(id.clone()))
    }

    /// Writes an attempt of that step, or of the whole run.
    async fn record_attempt(&self, id: &RunId, step: Option<&str>, attempt: AttemptLog) -> Result<(), StoreError> {
        let change = &mut |log: &mut RunLog| {
            log.put_attempt(step, attempt.clone());
            Ok(true)
        };
        self.update(id, change).await
    }

    /// Removes what retention does not keep: documents of runs that ended longer ago. What has not ended is never
    /// touched, however old it is.
    async fn purge(&self, now: DateTime<Utc>) -> Result<PurgeReport, StoreError> {
        purge(self, self.retention(), now).await
    }
}

/// What [`RunLogStore::purge`] does where a store has no better way.
async fn purge<S: RunLogStore + ?Sized>(
    store: &S,
    retention: Option<Duration>,
    now: DateTime<Utc>,
) -> Result<PurgeReport, StoreError> {
    let mut report = PurgeReport::default();
    let kept_since = retention.and_then(|kept| now.checked_sub_signed(chrono::Duration::from_std(kept).ok()?));
    let Some(kept_since) = kept_since else { return Ok(report) };
    let mut query = RunLogQuery::new().created(..kept_since).order(Order::OldestFirst).limit(RunLogQuery::MAX_LIMIT);
    loop {
        let page = store.get_run_logs(&query).await?;
        for log in page.items {
            if !log.status.is_terminal() {
                report.still_open += 1;
            } else if log.end.unwrap_or(log.created_at) < kept_since && store.delete_run_log(&log.run_id).await? {
                report.deleted.push(log.run_id);
            }
        }
        let Some(next) = page.next else { return Ok(report) };
        query = query.cursor(next);
    }
}
