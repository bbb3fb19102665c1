//! What a run knows of itself: [`RunContext`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};

use crate::clock::UnixMs;
use crate::stream::current::Handle;

use super::output::{Channel, Nowhere, RunCommand, RunOutput};
use super::work::Work;
use super::{RunId, TaskKind};

/// The run that a function is in: of a task, timer, crontab or job, or a tenancy of a partition.
///
/// ```
/// use runnel::prelude::*;
///
/// #[runnel::timer(interval = "10s")]
/// async fn ping(run: RunContext) -> Result<()> {
///     tracing::info!(run = %run.run_id(), instant = ?run.instant(), "ping");
///     Ok(())
/// }
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct RunContext(pub(crate) Arc<RunFacts>);

/// What is fixed for a run.
#[derive(Clone)]
pub(crate) struct RunFacts {
    pub(crate) handle: Handle,
    pub(crate) run_id: RunId,
    pub(crate) task_name: Arc<str>,
    pub(crate) kind: TaskKind,
    /// Of a tenancy.
    pub(crate) partition: Option<u32>,
    pub(crate) worker: Arc<str>,
    /// The instant it was meant for.
    pub(crate) instant: Option<UnixMs>,
    /// The leader's term, for fleet jobs.
    pub(crate) term: Option<u64>,
    /// Which try, from 1.
    pub(crate) attempt: u32,
    pub(crate) started: UnixMs,
    /// Cleared when the right to run can no longer be trusted.
    pub(crate) is_ours: Arc<AtomicBool>,
    /// Where its output goes, if it is kept.
    pub(crate) output: Option<RunOutput>,
    /// What it does, step by step; none of a tenancy.
    pub(crate) work: Option<Arc<Work>>,
    /// The branch that this is the context of, by its internal name.
    pub(crate) branch: Option<Arc<str>>,
}

impl RunContext {
    pub(crate) fn new(facts: RunFacts) -> Self {
        Self(Arc::new(facts))
    }

    /// The id of this run: the same in the task log, the run log and captured output.
    pub fn run_id(&self) -> &RunId {
        &self.0.run_id
    }

    /// The name of what runs.
    pub fn task_name(&self) -> &str {
        &self.0.task_name
    }

    /// What kind of function runs.
    pub fn kind(&self) -> TaskKind {
        self.0.kind
    }

    /// The app's name.
    pub fn app(&self) -> &str {
        self.0.handle.app()
    }

    /// This worker's name.
    pub fn worker(&self) -> &str {
        &self.0.worker
    }

    /// The instant a timer or crontab runs for, by the server's clock; later by the run's lateness than that it started.
    /// None for tasks, jobs on demand and tenancies.
    pub fn instant(&self) -> Option<DateTime<Utc>> {
        self.0.instant.map(time)
    }

    /// When the run started, by the server's clock.
    pub fn started(&self) -> DateTime<Utc> {
        time(self.0.started)
    }

    /// The leader's term in which a fleet job (`on_leader`) runs: it rises at each change of leader, so a store that refuses
    /// lower ones refuses a leader that was replaced.
    pub fn term(&self) -> Option<u64> {
        self.0.term
    }

    /// Which try of the run this is: 1 for the first.
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// The same for every try of this instant of this job, and for nothing else: `shop/close_of_business/1795315500000`.
    /// Where there is no instant it is the run's own id: `shop/ingest/0193…`.
    pub fn idempotency_key(&self) -> String {
        let facts = &*self.0;
        match facts.instant {
            Some(instant) => format!("{}/{}/{instant}", self.app(), facts.task_name),
            None => format!("{}/{}/{}", self.app(), facts.task_name, facts.run_id),
        }
    }

    /// Prints a line to this run's standard output. Events of `tracing` get there by themselves; what `println!` prints
    /// does not. Where no output is kept it is logged instead.
    pub async fn stdout(&self, line: &str) {
        self.print(Channel::Stdout, line).await;
    }

    /// Prints a line to this run's standard error.
    pub async fn stderr(&self, line: &str) {
        self.print(Channel::Stderr, line).await;
    }

    async fn print(&self, channel: Channel, line: &str) {
        let Some(output) = &self.0.output else {
            tracing::info!(task_name = self.task_name(), %channel, "{line}");
            return;
        };
        if let Err(error) = output.print(channel, line).await {
            tracing::warn!(error = %crate::error::chain(&error), "a line of a run was not kept");
        }
    }

    /// A child process whose output is this run's, line by line, and whose exit code is the run's. It is killed when the
    /// run is dropped. Nothing it prints is lost: it waits while its lines cannot be written.
    ///
    /// # Errors
    /// Of [`RunCommand::run`]: when it cannot be started or watched.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> RunCommand {
        let nowhere = || RunOutput::begin(Arc::new(Nowhere), self.run_id().clone(), self.task_name(), self.attempt());
        RunCommand::new(self.0.output.clone().unwrap_or_else(nowhere), program)
    }

    /// Whether this worker may still believe that it is the one to do this: that it leads, or owns the partition. Ask
    /// before an effect that must not repeat; the answer can be outdated by the time it is used.
    pub fn still_ours(&self) -> bool {
        self.0.is_ours.load(Ordering::Relaxed)
    }
}

fn time(ms: UnixMs) -> DateTime<Utc> {
    i64::try_from(ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
}

impl std::fmt::Debug for RunContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunContext")
            .field("run_id", &self.0.run_id)
            .field("task_name", &self.0.task_name)
            .field("attempt", &self.0.attempt)
            .finish_non_exhaustive()
    }
}
