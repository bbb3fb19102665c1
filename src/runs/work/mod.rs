//! What a run does while it runs: its steps and branches, what it counts, what it wants to be remembered of it.
//!
//! A [`Work`] lives as long as an activation of a job's run, over all its attempts. It knows which steps are done, so that
//! none is done twice, and writes each down as it goes. Whether there is another attempt is not decided here.
//!
//! Tasks, timers and crontabs have one too, for a single attempt: their steps are written down, and what they answer is
//! not kept. Tenancies have none: one may last for months, and would have a step for each of its events.

mod input;
mod observer;
mod parallel;
mod progress;
mod step;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::output::RunMetadata;
use super::recorder::{Noted, Page};
use super::{AttemptLog, Parameter, Parameters, RunContext, RunEvent, RunLog, Status, StepLog, StepTrace};
use crate::clock::ServerClock;

use input::Scrub;
pub(crate) use input::{Input, input_parameter};
pub(crate) use observer::Observers;
pub use observer::RunObserver;
pub use progress::{Counter, Progress, Tally};
pub use step::StepFailed;

/// The parameter of a step's attempt, and of a branch, that holds what it has answered.
const ANSWER: &str = "answer";

/// What steps and branches have answered that are done, by their internal names.
pub(crate) type Done = HashMap<String, Value>;

/// What is fixed for the work of an activation.
pub(crate) struct WorkFacts {
    pub(crate) page: Box<dyn Page>,
    pub(crate) clock: ServerClock,
    pub(crate) input: Input,
    /// The folder of a job on demand. None for what runs by the clock, which is never resumed: nothing is kept for that.
    pub(crate) folder: Option<PathBuf>,
    /// Whether branches may be written down at once.
    pub(crate) parallel: bool,
    pub(crate) observers: Observers,
}

/// The work of one activation.
pub(crate) struct Work {
    pub(crate) facts: WorkFacts,
    scrub: Scrub,
    progress: progress::Counters,
    state: Mutex<State>,
}

struct State {
    done: Done,
    attempt: Notes,
    /// How often each name of a step was used in this attempt.
    used: HashMap<String, u32>,
    /// Steps that have begun and not ended.
    open: IndexMap<String, StepLog>,
    /// How many have begun.
    begun: u32,
}

/// What this attempt leaves behind.
#[derive(Default)]
struct Notes {
    number: u32,
    steps: Vec<StepTrace>,
    metrics: Parameters,
    outputs: Parameters,
}

impl Work {
    pub(crate) fn new(facts: WorkFacts, done: Done) -> Self {
        let state = State { done, attempt: Notes::default(), used: HashMap::new(), open: IndexMap::new(), begun: 0 };
        let (scrub, progress) = (Scrub::of(&facts.input), progress::Counters::default());
        Self { facts, scrub, progress, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds this lock")
    }

    /// The time, by the clock that events go by.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        i64::try_from(self.facts.clock.now()).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
    }

    /// Whether it is that of a job on demand, which is tried again and resumed.
    fn is_on_demand(&self) -> bool {
        self.facts.folder.is_some()
    }

    /// A text without the secrets that the run was given.
    pub(crate) fn scrubbed(&self, text: &str) -> String {
        self.scrub.text(text)
    }

    /// Another attempt begins.
    pub(crate) fn begin_attempt(&self, number: u32) {
        let mut state = self.state();
        state.attempt = Notes { number, ..Notes::default() };
        state.used.clear();
    }

    /// Steps that were cut in the middle end as what they are in does.
    pub(crate) async fn end_open_steps(&self, status: Status, why: &str) {
        let open: Vec<StepLog> = std::mem::take(&mut self.state().open).into_values().collect();
        for step in open {
            let message = format!("cut in the middle: {why}");
            self.write_step(StepLog { status, message, ..step }).await;
        }
    }

    /// The attempt is over: what it leaves behind goes into its log.
    pub(crate) async fn end_attempt(&self, log: &mut AttemptLog) {
        self.end_open_steps(log.status, &log.message).await;
        let notes = std::mem::take(&mut self.state().attempt);
        log.steps = notes.steps;
        for step in log.steps.iter_mut().filter(|step| !step.status.is_terminal()) {
            (step.status, step.finished_at) = (log.status, log.finished_at);
        }
        log.user_defined_metrics = notes.metrics;
        log.output_parameters = notes.outputs;
    }

    /// How the run's output stands: its document keeps that for longer than the lines are kept.
    pub(crate) async fn note_output(&self, metadata: RunMetadata) {
        self.note("how its output stands", Box::new(|head| RunEvent::Metadata { head, metadata })).await;
    }

    /// Writes something down. What cannot be is told, and the run goes on: it matters only if the run is resumed.
    pub(crate) async fn note(&self, what: &str, noted: Noted) {
        if let Err(failure) = self.facts.page.note(noted).await {
            let error = crate::error::chain(&failure);
            tracing::warn!(%error, "{what} could not be written to the run log: its document will lack it, and should it be resumed, it will not be known");
        }
    }

    async fn write_step(&self, log: StepLog) {
        let what = format!("step `{}`", log.internal_name);
        self.note(&what, Box::new(|head| super::RunEvent::Step { head, log })).await;
    }
}

/// What the steps and branches of an earlier activation have answered that were done.
pub(crate) fn done_in(log: &RunLog) -> Done {
    fn collect(steps: &IndexMap<String, StepLog>, done: &mut Done) {
        for (name, step) in steps {
            if step.status == Status::Success
                && let Some(Parameter::Json(answer)) =
                    step.attempts.iter().rev().find_map(|attempt| attempt.output_parameters.get(ANSWER))
            {
                done.insert(name.clone(), answer.clone());
            }
            for (name, branch) in &step.branches {
                if branch.status == Status::Success
                    && let Some(Parameter::Json(answer)) = branch.parameters.get(ANSWER)
                {
                    done.insert(name.clone(), answer.clone());
                }
                collect(&branch.steps, done);
            }
        }
    }
    let mut done = Done::new();
    collect(&log.steps, &mut done);
    done
}

impl RunContext {
    /// What the run was given.
    pub(crate) fn input_values(&self) -> &Map<String, Value> {
        static NOTHING: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        self.0.work.as_ref().map_or(&NOTHING, |work| &work.facts.input.values)
    }

    /// A figure of this attempt, kept in its trace: rows read, bytes written. The last one of a name counts.
    pub fn metric(&self, name: impl Into<String>, value: impl Into<Value>) {
        let value = match value.into() {
            Value::Number(number) => Parameter::Metric(number),
            other => Parameter::Json(super::mask::value(&other)),
        };
        self.remember(|notes| &mut notes.metrics, name.into(), value);
    }

    /// Something that this attempt has made and others will ask for, kept in its trace and in the report of the run: where
    /// a file lies, how far it got. The last one of a name counts.
    pub fn output(&self, name: impl Into<String>, value: impl Into<Value>) {
        let name = name.into();
        let value: Value = value.into();
        let parameter = input_parameter(&name, &value, value.clone());
        self.remember(|notes| &mut notes.outputs, name, parameter);
    }

    fn remember(&self, place: impl FnOnce(&mut Notes) -> &mut Parameters, name: String, value: Parameter) {
        match self.work().filter(|work| work.is_on_demand()) {
            Some(work) => drop(place(&mut work.state().attempt).insert(name, value)),
            None => tracing::debug!(%name, "only jobs on demand have traces: this is not kept"),
        }
    }

    /// A folder of this job's own on this machine: made if it is not there, kept between runs unless the job is run from
    /// a clean one. Files in its `traces` are runnel's.
    ///
    /// # Errors
    /// When it cannot be made, or this is no job on demand.
    pub fn work_dir(&self) -> crate::Result<&Path> {
        let folder = self.work().and_then(|work| work.facts.folder.as_ref());
        let folder = folder.ok_or("only jobs on demand have a folder of their own")?;
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))?;
        Ok(folder)
    }

    fn work(&self) -> Option<&Arc<Work>> {
        self.0.work.as_ref()
    }
}
