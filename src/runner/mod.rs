//! Runs of jobs on demand: several attempts inside one run, steps that are done once, and runs that are resumed.
//!
//! A [`Stage`] is where jobs are run; [`Stage::run`] is what is done for one call. First it finishes what the last run of
//! the job has left behind ([`past`]), then it runs the job, each time as one [`activation`] with as many attempts as the
//! policy allows. What remains of an attempt is its [`trace`].
//!
//! The room does not know where a job was asked for: in code, on the command line or in a worker. Steps themselves are in
//! [`runs`](crate::runs), with the context that they are called on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::error::Failure;
use crate::job::{JobSection, JobSpec, Resolved, read_input};
use crate::processor::extract::States;
use crate::runs::ids::RunIds;
use crate::runs::output::Keeping;
use crate::runs::recorder::{Alive, Journal, Refused};
use crate::runs::{CodeIdentity, Done, Input, Observers, RunId, RunLog, RunLogStore, Status, done_in};
use crate::stream::current::Handle;

mod activation;
mod attempt;
mod folder;
mod past;
mod presence;
mod report;
mod trace;

pub(crate) use past::{Past, task_of};
pub(crate) use presence::{Presence, worker_name};
pub(crate) use trace::{TraceStores, Traces, identities};

pub use report::{RunFailed, RunReport};

use activation::Activation;
use folder::Folder;

/// How often those who look on are told how far a run is.
pub(crate) const LOG_PERIOD: Duration = Duration::from_secs(1);

/// Where jobs on demand are run.
pub(crate) struct Stage {
    pub(crate) handle: Handle,
    /// Whether streams without an app mean that of the handle.
    pub(crate) is_current: bool,
    pub(crate) states: Arc<States>,
    pub(crate) worker: Arc<str>,
    pub(crate) journal: Arc<dyn Journal>,
    /// The documents of earlier runs, as far as they are projected.
    pub(crate) run_logs: Option<Arc<dyn RunLogStore>>,
    /// Whether `__tasks` is read as well, for what is not projected yet.
    pub(crate) has_stream: bool,
    pub(crate) trace_stores: TraceStores,
    pub(crate) observers: Observers,
    pub(crate) work_dir: PathBuf,
    pub(crate) log_period: Duration,
    /// Where the output of runs goes, if it is kept.
    pub(crate) keeping: Option<Keeping>,
    pub(crate) run_ids: RunIds,
    pub(crate) code: Vec<CodeIdentity>,
    /// Cancelled: what runs has the grace period to finish.
    pub(crate) drain: CancellationToken,
    /// Cancelled: what runs is dropped.
    pub(crate) abort: CancellationToken,
    /// How well we are heard of; none where nobody could resume what runs here.
    pub(crate) alive: Option<Alive>,
    /// Why the worker that this is in must end, as a sentence; none outside of a worker.
    pub(crate) halts: Option<mpsc::UnboundedSender<String>>,
}

/// Told when the begin of an activation is written, or why it was not. Dropped if it did not come to that.
pub(crate) type Begins = oneshot::Sender<Result<(), Refused>>;

/// A run that is to be resumed.
struct Resumed {
    log: RunLog,
    done: Done,
}

impl Stage {
    /// Runs a job with that input. What its last run has left unfinished is finished first.
    ///
    /// # Errors
    /// When the input or the configuration cannot work, or what is known of earlier runs cannot be read. A run that fails is
    /// no error here.
    pub(crate) async fn run(
        &self,
        job: &JobSpec,
        section: &JobSection,
        given: Map<String, Value>,
    ) -> Result<RunReport, Failure> {
        let plan = self.plan(job, section)?;
        let input = read_input(&job.call.inputs, given)
            .map_err(|why| Failure::Invalid(format!("job `{}` cannot run: {why}", job.name)))?;
        let folder = Folder::of(&self.work_dir, &job.name);
        self.traces().resend(job, &plan, &folder).await;
        if plan.run_from_clean_folder {
            folder.clean()?;
        }
        let finished = match self.pending(job, &plan).await? {
            Some(pending) => self.finish(job, &plan, pending, &input).await?,
            None => None,
        };
        match finished {
            // What is left is still to be finished before anything else.
            Some(report) if !report.is_well() => Ok(report),
            finished => {
                // An id made of what is kept of the input: no secret gets into it.
                let parameters = serde_json::to_value(input.plain()).unwrap_or_default();
                let run_id = self.run_ids.of(&job.name, &parameters);
                let new = Activation::new(self, job, &plan, run_id, input);
                Ok(RunReport { pending: finished.map(Box::new), ..new.run().await })
            }
        }
    }

    /// Resumes that run of a job, with what it was given at first. `begins` is told on the way, if somebody waits for it.
    ///
    /// # Errors
    /// When it cannot be resumed: [`Failure::RetryValidation`] says why.
    pub(crate) async fn retry(
        &self,
        job: &JobSpec,
        section: &JobSection,
        run_id: &RunId,
        begins: Option<Begins>,
    ) -> Result<RunReport, Failure> {
        let plan = self.plan(job, section)?;
        let past = self.past();
        let log = past.run(&job.name, run_id).await?;
        self.journal.find_crashed(log.as_ref()).await?;
        let log = past.run(&job.name, run_id).await?;
        let Some(log) = log else {
            return Err(Failure::NotFound(format!("job `{}` has no run {run_id}", job.name)));
        };
        let why = match log.status {
            Status::Fail | Status::Crashed | Status::Terminated => None,
            Status::Success | Status::Inaction => Some("it has ended well"),
            _ => Some("it is running"),
        };
        if let Some(why) = why {
            return Err(refused(&log, why));
        }
        let resumed = Resumed { done: done_in(&log), log };
        self.resume(job, &plan, resumed, &Input::default(), begins).await
    }

    fn plan(&self, job: &JobSpec, section: &JobSection) -> Result<Resolved, Failure> {
        let plan = job.plan.over(section);
        match plan.retry.refusals().into_iter().next() {
            None => Ok(plan),
            Some(why) => Err(Failure::Invalid(format!("job `{}`: {why}", job.name))),
        }
    }

    pub(crate) fn traces(&self) -> Traces<'_> {
        Traces { run_logs: self.run_logs.as_deref(), named: &self.trace_stores }
    }

    fn past(&self) -> Past<'_> {
        Past { run_logs: self.run_logs.as_deref(), stream: self.has_stream.then_some(&self.handle) }
    }

    /// The newest run of the job, if it ended badly with some of its steps done, and is not given up.
    async fn pending(&self, job: &JobSpec, plan: &Resolved) -> Result<Option<Resumed>, Failure> {
        let past = self.past();
        let newest = past.newest(&job.name).await?;
        let newest = match &newest {
            // Its process may be gone without anybody having noticed yet.
            Some(log) if !log.status.is_terminal() => {
                self.journal.find_crashed(newest.as_ref()).await?;
                past.newest(&job.name).await?
            }
            _ => newest,
        };
        let Some(log) = newest.filter(|log| matches!(log.status, Status::Fail | Status::Crashed)) else {
            return Ok(None);
        };
        if !log.steps.values().any(has_done) {
            return Ok(None);
        }
        if plan.run_from_clean_folder {
            tracing::warn!(job = %job.name, run_id = %log.run_id,
                "run {} has not come to its end, and is given up: the job is run from a clean folder", log.run_id);
            return Ok(None);
        }
        Ok(Some(Resumed { done: done_in(&log), log }))
    }

    /// Finishes a pending run before a new one; none if it cannot be finished any more.
    async fn finish(
        &self,
        job: &JobSpec,
        plan: &Resolved,
        pending: Resumed,
        new: &Input,
    ) -> Result<Option<RunReport>, Failure> {
        match self.resume(job, plan, pending, new, None).await {
            Ok(report) => Ok(Some(report)),
            Err(refused @ Failure::RetryValidation(_)) => {
                tracing::warn!(job = %job.name, "{refused}; a new run is started without it");
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn resume(
        &self,
        job: &JobSpec,
        plan: &Resolved,
        resumed: Resumed,
        new: &Input,
        begins: Option<Begins>,
    ) -> Result<RunReport, Failure> {
        let Resumed { log, done } = resumed;
        let dag_hash = trace::dag_hash(job, plan);
        if log.dag_hash.as_ref().is_some_and(|hash| *hash != dag_hash) {
            return Err(refused(&log, "the job has changed since: its steps or parameters are others"));
        }
        let given = past::input_of(&log, &job.call.inputs, new)
            .map_err(|secret| refused(&log, &format!("its parameter `{secret}` is a secret, which is not kept")))?;
        let input = read_input(&job.call.inputs, given).map_err(|why| refused(&log, &why))?;
        self.journal.continues(&log);
        tracing::info!(job = %job.name, run_id = %log.run_id, steps_done = done.len(), "a run is resumed");
        let next = Activation::new(self, job, plan, log.run_id.clone(), input).continuing(&log, done);
        Ok(next.telling(begins).run().await)
    }

    /// Has the worker end, if that is what the policy of the task log demands.
    fn halt(&self, refused: &Refused) {
        if let (true, Some(halts)) = (refused.halts, &self.halts) {
            // It only fails when the worker has ended.
            let _ = halts.send(format!("{}: task_log_policy is `halt`", refused.why));
        }
    }
}

fn has_done(step: &crate::runs::StepLog) -> bool {
    step.status == Status::Success || step.branches.values().any(|branch| branch.steps.values().any(has_done))
}

fn refused(log: &RunLog, why: &str) -> Failure {
    Failure::RetryValidation(format!("run {} of job `{}` cannot be resumed: {why}", log.run_id, log.task_name))
}
