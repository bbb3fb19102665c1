//! The document of a run: how it stands, what it was given, what its steps and attempts did.
//!
//! It is made of the run's events by [`RunLog::apply`], which is pure: the projection of the stream, a job without
//! Redis and the tests all use it, so the same events make the same document everywhere. Stores keep it and never
//! change what it says.

mod parameter;
mod parts;
mod reduce;
#[cfg(test)]
mod reduce_tests;

use std::time::Duration;

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::output::RunMetadata;
use super::{RunEvent, RunId, Status, TaskKind, mask};
use crate::clock;
use crate::event::EventId;

pub(crate) use parameter::exposing;
pub use parameter::{Parameter, SecretString};
pub use parts::{AttemptLog, BranchLog, CodeIdentity, JobLog, StepLog, StepTrace, WorkerRef};
pub use reduce::Applied;

/// Parameters by name, in the order in which they were set.
pub type Parameters = IndexMap<String, Parameter>;

/// The document of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunLog {
    /// Which run.
    pub run_id: RunId,
    /// The task it is a run of.
    pub task_name: String,
    /// What kind of function that is.
    pub kind: TaskKind,
    /// A fingerprint of what the run would do: a changed one cannot be resumed.
    #[serde(default)]
    pub dag_hash: Option<String>,
    /// What its author files it under.
    #[serde(default)]
    pub tag: String,
    /// How it stands.
    pub status: Status,
    /// The activation that `status` is about; 0 before the first.
    #[serde(default)]
    pub activation: u32,
    /// When it was first heard of.
    pub created_at: DateTime<Utc>,
    /// When its activation began.
    #[serde(default)]
    pub start: Option<DateTime<Utc>>,
    /// When its activation ended, or was found to have ended.
    #[serde(default)]
    pub end: Option<DateTime<Utc>>,
    /// How long the activation ran, in seconds; nothing while it runs, and where nobody knows.
    #[serde(default)]
    pub runtime: Option<f64>,
    /// Who ran it last.
    #[serde(default)]
    pub worker: WorkerRef,
    /// The partition of a processor's tenancy.
    #[serde(default)]
    pub partition: Option<u32>,
    /// What its last action said.
    #[serde(default)]
    pub message: String,
    /// The error that ended its activation, and what caused it, a line each.
    #[serde(default)]
    pub exc_text: Option<String>,
    /// What it was given, and what it set.
    #[serde(default)]
    pub parameters: Parameters,
    /// How it was configured, without secrets.
    #[serde(default)]
    pub run_config: Map<String, Value>,
    /// Its steps by internal name, in the order in which they began. Steps of a branch are in their branch.
    #[serde(default)]
    pub steps: IndexMap<String, StepLog>,
    /// What a job adds.
    #[serde(default)]
    pub job: Option<JobLog>,
    /// The attempts of the whole run, by number. They go on across activations.
    #[serde(default)]
    pub attempts: Vec<AttemptLog>,
    /// What is known of its output.
    #[serde(default)]
    pub metadata: Option<RunMetadata>,
    /// The last event that is in here, by its place in the stream.
    #[serde(default)]
    pub last_entry: Option<EventId>,
}

/// What is known of a run before it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRunLog {
    /// Which run.
    pub run_id: RunId,
    /// The task it is a run of.
    pub task_name: String,
    /// What kind of function that is.
    pub kind: TaskKind,
    /// A fingerprint of what the run would do.
    pub dag_hash: Option<String>,
    /// What its author files it under.
    pub tag: String,
    /// How it stands: created, unless told otherwise.
    pub status: Status,
    /// When it was first heard of.
    pub created_at: DateTime<Utc>,
}

impl NewRunLog {
    /// A run of a job that is heard of now.
    pub fn new(run_id: RunId, task_name: impl Into<String>) -> Self {
        Self {
            run_id,
            task_name: task_name.into(),
            kind: TaskKind::Job,
            dag_hash: None,
            tag: String::new(),
            status: Status::Created,
            created_at: time(clock::wall() as f64 / 1e3),
        }
    }

    /// Of that kind.
    pub fn kind(mut self, kind: TaskKind) -> Self {
        self.kind = kind;
        self
    }

    /// Filed under that.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = tag.into();
        self
    }

    /// With that fingerprint.
    pub fn dag_hash(mut self, hash: impl Into<String>) -> Self {
        self.dag_hash = Some(hash.into());
        self
    }
}

impl From<&RunEvent> for NewRunLog {
    /// The run of an event that is the first one heard of it.
    fn from(event: &RunEvent) -> Self {
        let created_at = time(event.created());
        Self { created_at, ..Self::new(event.run_id().clone(), event.task_name()).kind(event.kind()) }
    }
}

impl From<NewRunLog> for RunLog {
    fn from(new: NewRunLog) -> Self {
        Self {
            run_id: new.run_id,
            task_name: new.task_name,
            kind: new.kind,
            dag_hash: new.dag_hash,
            tag: new.tag,
            status: new.status,
            activation: 0,
            created_at: new.created_at,
            start: None,
            end: None,
            runtime: None,
            worker: WorkerRef::default(),
            partition: None,
            message: String::new(),
            exc_text: None,
            parameters: Parameters::new(),
            run_config: Map::new(),
            steps: IndexMap::new(),
            job: None,
            attempts: Vec::new(),
            metadata: None,
            last_entry: None,
        }
    }
}

impl RunLog {
    /// How long its activation ran. Nothing while it runs, and nothing for one that crashed: nobody saw its end.
    pub fn duration(&self) -> Option<Duration> {
        let seconds = match (self.runtime, self.status, self.start, self.end) {
            (Some(seconds), ..) => seconds,
            (None, Status::Crashed, ..) => return None,
            (None, _, Some(start), Some(end)) => (end - start).as_seconds_f64(),
            _ => return None,
        };
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Without steps and attempts: what a list shows.
    pub fn header(&self) -> Self {
        // Written out, so that the large parts are not copied only to be dropped.
        Self {
            dag_hash: self.dag_hash.clone(),
            tag: self.tag.clone(),
            worker: self.worker.clone(),
            message: self.message.clone(),
            exc_text: self.exc_text.clone(),
            parameters: self.parameters.clone(),
            run_config: self.run_config.clone(),
            job: self.job.clone(),
            metadata: self.metadata.clone(),
            steps: IndexMap::new(),
            attempts: Vec::new(),
            run_id: self.run_id.clone(),
            task_name: self.task_name.clone(),
            ..*self
        }
    }

    /// A step, wherever it is: among the steps of the run or in a branch.
    pub fn step(&self, internal_name: &str) -> Option<&StepLog> {
        parts::find_step(&self.steps, internal_name)
    }

    /// A branch, wherever it is.
    pub fn branch(&self, internal_name: &str) -> Option<&BranchLog> {
        parts::find_branch(&self.steps, internal_name)
    }

    /// A branch, to change it.
    pub fn branch_mut(&mut self, internal_name: &str) -> Option<&mut BranchLog> {
        parts::find_branch_mut(&mut self.steps, internal_name)
    }

    /// Puts a step in its place: into the branch that its internal name begins with, or among the steps of the run.
    ///
    /// What is known of a step of that name stays where the new one is silent: attempts and branches.
    pub fn put_step(&mut self, step: StepLog) {
        let within = parts::enclosing_branch(&mut self.steps, &step.internal_name);
        parts::put_step(within, step);
    }

    /// Puts a branch under its step, the one whose internal name it continues. `false` if there is no such step.
    #[must_use]
    pub fn put_branch(&mut self, branch: BranchLog) -> bool {
        parts::put_branch(&mut self.steps, branch)
    }

    /// Puts an attempt in its place by its number, among those of that step or of the whole run.
    ///
    /// A step nobody has heard of yet is written down as running: its attempt is the proof.
    pub fn put_attempt(&mut self, step: Option<&str>, attempt: AttemptLog) {
        let Some(name) = step else { return parts::put_attempt(&mut self.attempts, attempt) };
        if self.step(name).is_none() {
            self.put_step(StepLog { status: Status::Processing, ..StepLog::new(name) });
        }
        if let Some(step) = parts::find_step_mut(&mut self.steps, name) {
            parts::put_attempt(&mut step.attempts, attempt);
        }
    }

    /// Sets parameters of the run, or of that branch; others stay. `false` if there is no such branch.
    #[must_use]
    pub fn set_parameters(&mut self, branch: Option<&str>, parameters: Parameters) -> bool {
        let within = match branch {
            None => Some(&mut self.parameters),
            Some(name) => self.branch_mut(name).map(|branch| &mut branch.parameters),
        };
        within.map(|within| within.extend(parameters)).is_some()
    }

    /// Sets members of the configuration, without secrets; others stay.
    pub fn set_run_config(&mut self, config: &Map<String, Value>) {
        self.run_config.extend(mask::map(config));
    }

    /// This document over an older one of the same run.
    ///
    /// Steps, attempts, parameters and configuration that this one does not have stay, so that one read without them
    /// can be put back and takes nothing away.
    pub fn over(self, older: Self) -> Self {
        let mut steps = older.steps;
        for (_, step) in self.steps {
            parts::put_step(&mut steps, step);
        }
        let mut attempts = older.attempts;
        for attempt in self.attempts {
            parts::put_attempt(&mut attempts, attempt);
        }
        let mut parameters = older.parameters;
        parameters.extend(self.parameters);
        let mut run_config = older.run_config;
        run_config.extend(self.run_config);
        let (job, metadata) = (self.job.or(older.job), self.metadata.or(older.metadata));
        Self { steps, attempts, parameters, run_config, job, metadata, ..self }
    }
}

/// Seconds of Unix time, to the microsecond. What no calendar has becomes its nearest end.
pub(crate) fn time(seconds: f64) -> DateTime<Utc> {
    // `as` saturates, and takes NaN for 0.
    let micros = (seconds * 1e6).round() as i64;
    let nearest = if micros < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp_micros(micros).unwrap_or(nearest)
}
