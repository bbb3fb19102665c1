//! What is written down of a run while it happens: the records of the internal stream `__tasks`.
//!
//! A [`TaskLogEvent`] is one line of the task log: something began or ended. The other kinds of [`RunEvent`] carry what
//! belongs to the document of the run alone (its steps, attempts, parameters), so that questions about actions never
//! see them. Readers ignore members they do not know; a word that is no action, status or kind is an error.

mod wire;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::log::{AttemptLog, Parameter, StepLog};
use super::output::RunMetadata;
use super::{Action, Level, RunId, TaskKind};
use crate::clock;

/// Something that happened to a run: it began, or it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskLogEvent {
    /// The task, timer, crontab, job or processor.
    pub task_name: String,
    /// What happened.
    pub action: Action,
    /// When it was written, in seconds of Unix time to the microsecond. Never an identity: two may share it.
    pub created: f64,
    /// Which run.
    pub run_id: RunId,
    /// Made once by whoever wrote this: what comes again under this id is the same event.
    pub event_id: Uuid,
    /// From 1; one more each time a failed or crashed run is resumed.
    #[serde(default = "first")]
    pub activation: u32,
    /// When the activation began.
    #[serde(default)]
    pub start: Option<DateTime<Utc>>,
    /// When it ended, or was found to have ended.
    #[serde(default)]
    pub end: Option<DateTime<Utc>>,
    /// How long it ran, in seconds; nothing while it runs, and where nobody knows.
    #[serde(default)]
    pub runtime: Option<f64>,
    /// The attempt that this is about, from 1.
    #[serde(default = "first")]
    pub attempt: u32,
    /// What kind of function it is.
    pub kind: TaskKind,
    /// The worker that ran it.
    #[serde(default)]
    pub worker_id: String,
    /// The machine of that worker.
    #[serde(default)]
    pub host: String,
    /// The partition of a processor's tenancy.
    #[serde(default)]
    pub partition: Option<u32>,
    /// How much it is worth somebody's attention.
    pub level: Level,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// The error and what caused it, a line each.
    #[serde(default)]
    pub exc_text: Option<String>,
    /// Whatever else the app wants to find again.
    #[serde(default)]
    pub extra: BTreeMap<String, Value>,
}

const fn first() -> u32 {
    1
}

impl TaskLogEvent {
    /// The member of `extra` that says where the captured output of the worker's runs is served.
    pub const LOG_URL: &'static str = "log_url";

    /// An event of now, with an id of its own: the first activation and attempt of a task, from nowhere in particular.
    pub fn new(task_name: impl Into<String>, action: Action, run_id: RunId) -> Self {
        Self {
            task_name: task_name.into(),
            action,
            created: clock::wall() as f64 / 1e3,
            run_id,
            event_id: Uuid::now_v7(),
            activation: 1,
            start: None,
            end: None,
            runtime: None,
            attempt: 1,
            kind: TaskKind::Task,
            worker_id: String::new(),
            host: String::new(),
            partition: None,
            level: action.level(),
            message: String::new(),
            exc_text: None,
            extra: BTreeMap::new(),
        }
    }
}

/// What every event of a run says beside its contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventHead {
    /// Made once by whoever wrote this: what comes again under this id is the same event.
    pub event_id: Uuid,
    /// Which run.
    pub run_id: RunId,
    /// The task that runs.
    pub task_name: String,
    /// What kind of function it is.
    pub kind: TaskKind,
    /// Which activation of the run.
    pub activation: u32,
    /// When it was written, in seconds of Unix time to the microsecond.
    pub created: f64,
    /// The worker that wrote it.
    #[serde(default)]
    pub worker_id: String,
}

impl EventHead {
    /// The head of an event of now, in the run and activation of `event`.
    pub fn beside(event: &TaskLogEvent) -> Self {
        Self {
            event_id: Uuid::now_v7(),
            run_id: event.run_id.clone(),
            task_name: event.task_name.clone(),
            kind: event.kind,
            activation: event.activation,
            created: clock::wall() as f64 / 1e3,
            worker_id: event.worker_id.clone(),
        }
    }
}

/// A record of the internal stream `__tasks`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunEvent {
    /// The run began or ended: a line of the task log.
    Task(TaskLogEvent),
    /// How a step stands.
    Step {
        /// Whose.
        head: EventHead,
        /// The step.
        log: StepLog,
    },
    /// An attempt ended.
    Attempt {
        /// Whose.
        head: EventHead,
        /// The internal name of the step that was tried; nothing for an attempt of the whole run.
        #[serde(skip_serializing_if = "Option::is_none")]
        step: Option<String>,
        /// The attempt.
        log: Box<AttemptLog>,
    },
    /// Parameters were given or set.
    Parameters {
        /// Whose.
        head: EventHead,
        /// The internal name of the branch they belong to; nothing for the run's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        branch: Option<String>,
        /// By name. Secrets are not in it: they are written as `***`.
        parameters: IndexMap<String, Parameter>,
    },
    /// How the run is configured.
    RunConfig {
        /// Whose.
        head: EventHead,
        /// A fingerprint of what the run would do: a changed one cannot be resumed.
        #[serde(skip_serializing_if = "Option::is_none")]
        dag_hash: Option<String>,
        /// What its author files it under.
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<String>,
        /// The configuration; what is named like a secret is masked before it is kept.
        run_config: Map<String, Value>,
    },
    /// What is known of the run's output.
    Metadata {
        /// Whose.
        head: EventHead,
        /// As the log store keeps it.
        metadata: RunMetadata,
    },
}

impl RunEvent {
    /// The task it is about: what places it in the stream, so that events of one task, and of one run, stay in order.
    pub fn task_name(&self) -> &str {
        match self.head() {
            Ok(head) => &head.task_name,
            Err(event) => &event.task_name,
        }
    }

    /// The run it is about.
    pub fn run_id(&self) -> &RunId {
        match self.head() {
            Ok(head) => &head.run_id,
            Err(event) => &event.run_id,
        }
    }

    /// Its own id: what comes again under this id is the same event.
    pub fn event_id(&self) -> Uuid {
        match self.head() {
            Ok(head) => head.event_id,
            Err(event) => event.event_id,
        }
    }

    /// The activation of the run it belongs to.
    pub fn activation(&self) -> u32 {
        match self.head() {
            Ok(head) => head.activation,
            Err(event) => event.activation,
        }
    }

    /// What kind of function it is about.
    pub fn kind(&self) -> TaskKind {
        match self.head() {
            Ok(head) => head.kind,
            Err(event) => event.kind,
        }
    }

    /// When it was written, in seconds of Unix time.
    pub fn created(&self) -> f64 {
        match self.head() {
            Ok(head) => head.created,
            Err(event) => event.created,
        }
    }

    /// The line of the task log, if it is one.
    pub fn as_task(&self) -> Option<&TaskLogEvent> {
        match self {
            Self::Task(event) => Some(event),
            _ => None,
        }
    }

    /// Its head, or the line of the task log that is its own.
    fn head(&self) -> Result<&EventHead, &TaskLogEvent> {
        match self {
            Self::Task(event) => Err(event),
            Self::Step { head, .. }
            | Self::Attempt { head, .. }
            | Self::Parameters { head, .. }
            | Self::RunConfig { head, .. }
            | Self::Metadata { head, .. } => Ok(head),
        }
    }
}

impl From<TaskLogEvent> for RunEvent {
    fn from(event: TaskLogEvent) -> Self {
        Self::Task(event)
    }
}
