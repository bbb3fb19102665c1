//! Steps: parts of a run that are written down one by one, and done once.

use std::fmt;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ANSWER, Parameter, Work};
use crate::error::{Error, chain, panic_text};
use crate::runs::log::exposing;
use crate::runs::{AttemptLog, Inaction, RunContext, Status, StepLog, StepTrace, mask};

/// What a step answers is written to the task log unless it is longer: then it is done again should the run be resumed.
const LONGEST_ANSWER: usize = 1 << 20;

/// What runs by the clock may last for as long as its worker, doing steps all the time: so many of one run are written
/// down.
const MOST_STEPS: u32 = 1000;

/// A step has failed; why, is its source.
#[derive(Debug)]
pub struct StepFailed(Link);

/// Names the step, and has the error of the user as its source.
///
/// It is a link of the chain of its own, because boxes of other crates forget the type of what they hold, and only let its
/// causes be seen.
struct Link {
    step: String,
    source: Error,
}

impl StepFailed {
    pub(super) fn new(step: &str, source: Error) -> Self {
        Self(Link { step: step.to_owned(), source })
    }

    /// The step's name.
    pub fn step(&self) -> &str {
        &self.0.step
    }

    /// The steps whose failure an error is, or is caused by: the outermost first. A step may be within another.
    pub fn in_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> impl Iterator<Item = &'a str> {
        let links = std::iter::successors(Some(error), |error| error.source());
        links.filter_map(|error| error.downcast_ref::<Link>()).map(|link| link.step.as_str())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step `{}` failed", self.step)
    }
}

impl fmt::Display for StepFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Link {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

impl std::error::Error for StepFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// A step panicked.
#[derive(Debug, thiserror::Error)]
#[error("it panicked: {0}")]
struct Panicked(String);

impl RunContext {
    /// Does a step of the run, once.
    ///
    /// It is written to the run log, and with it what it answers. A later attempt of the run does not do a step again that
    /// was done, but has its answer back; so does the run when it is resumed, in whatever process. Answers must be written
    /// and read by serde alike. One with a secret in it ([`SecretString`](crate::runs::SecretString), or named like one)
    /// is not written down, nor is one of more than a MiB: such a step is done again when the run is resumed.
    ///
    /// A step that is begun twice under one name is `load`, then `load-2`, and so on: in the same order each time, please.
    ///
    /// In tasks, timers and crontabs, which are never resumed, a step is written down with its times and how it ended, and
    /// what it answers is not kept; of a run that does more than 1,000 steps, the others are just done. So are all steps of
    /// a tenancy of a partition, which may last for months, and those of a run that is not written down.
    ///
    /// # Errors
    /// [`StepFailed`], with the error of `work` as its source. A panic in it is an error too.
    pub async fn step<T, E>(&self, name: &str, work: impl Future<Output = Result<T, E>> + Send) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Send,
        E: Into<Error>,
    {
        let done = match self.work().filter(|log| log.takes_step()) {
            Some(log) => log.do_step(self, name, work).await,
            None => guarded(work).await,
        };
        done.map_err(|error| StepFailed::new(name, error).into())
    }
}

/// What came of it; a panic is an error.
pub(super) async fn guarded<T, E: Into<Error>>(work: impl Future<Output = Result<T, E>> + Send) -> Result<T, Error> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => done.map_err(Into::into),
        Err(panic) => Err(Panicked(panic_text(&*panic)).into()),
    }
}

impl Work {
    /// Whether one more step is written down.
    pub(super) fn takes_step(&self) -> bool {
        let begun = {
            let mut state = self.state();
            state.begun = state.begun.saturating_add(1);
            state.begun
        };
        if !self.is_on_demand() && begun == MOST_STEPS + 1 {
            tracing::warn!("this run has done {MOST_STEPS} steps: the others are not written down");
        }
        self.is_on_demand() || begun <= MOST_STEPS
    }

    async fn do_step<T, E>(
        &self,
        run: &RunContext,
        name: &str,
        work: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Send,
        E: Into<Error>,
    {
        let internal = self.internal_name(run, name);
        if let Some(answer) = self.done_before(&internal) {
            self.trace(&internal, |trace| {
                (trace.status, trace.message) = (Status::Success, "done before".into());
            });
            return Ok(answer);
        }
        let log = self.begin_step(run, StepLog::new(internal), name, "task").await;
        let done = guarded(work).await;
        let answer = match &done {
            Ok(answer) => self.keep_answer(&log.internal_name, answer),
            Err(_) => None,
        };
        self.end_step(run, log, answer, done.as_ref().err()).await;
        done
    }

    /// The name under which a step is known: with that of its branch, and with a number if it is not the first of its name.
    pub(super) fn internal_name(&self, run: &RunContext, name: &str) -> String {
        let within = run.0.branch.as_ref().map(|branch| format!("{branch}.")).unwrap_or_default();
        let internal = format!("{within}{name}");
        let mut state = self.state();
        let used = state.used.entry(internal.clone()).or_default();
        *used += 1;
        if *used == 1 { internal } else { format!("{internal}-{used}") }
    }

    /// What a step or branch has answered before, if it was done.
    pub(super) fn done_before<T: DeserializeOwned>(&self, internal: &str) -> Option<T> {
        let answer = self.state().done.get(internal).cloned()?;
        match serde_json::from_value(answer) {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::warn!(step = internal, %error, "what this step has answered before cannot be read: it is done again");
                None
            }
        }
    }

    /// Remembers an answer for later attempts. What may be written down of it is handed back, if anything.
    pub(super) fn keep_answer<T: Serialize>(&self, internal: &str, answer: &T) -> Option<Value> {
        if !self.is_on_demand() {
            return None;
        }
        let whole = exposing(|| serde_json::to_value(answer));
        let (whole, written) = match (whole, serde_json::to_value(answer)) {
            (Ok(whole), Ok(written)) => (whole, mask::value(&written)),
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(step = internal, %error, "what this step has answered cannot be kept: another attempt does it again");
                return None;
            }
        };
        let is_whole = whole == written;
        self.state().done.insert(internal.to_owned(), whole);
        let is_short = || written.to_string().len() <= LONGEST_ANSWER;
        match is_whole && is_short() {
            true => Some(written),
            false => {
                tracing::debug!(
                    step = internal,
                    "what this step has answered is long or holds a secret: it is not written down"
                );
                None
            }
        }
    }

    pub(super) async fn begin_step(&self, run: &RunContext, mut log: StepLog, name: &str, kind: &str) -> StepLog {
        log.name = name.to_owned();
        log.step_type = kind.to_owned();
        log.status = Status::Processing;
        let internal = log.internal_name.clone();
        self.trace(&internal, |_| {});
        self.state().open.insert(internal, log.clone());
        self.write_step(log.clone()).await;
        self.facts.observers.tell("before_step", |observer| observer.before_step(run, &log)).await;
        log
    }

    pub(super) async fn end_step(
        &self,
        run: &RunContext,
        mut log: StepLog,
        answer: Option<Value>,
        error: Option<&Error>,
    ) {
        let (number, started) = {
            let state = self.state();
            let trace = state.attempt.steps.iter().rev().find(|trace| trace.name == log.internal_name);
            (state.attempt.number, trace.map_or_else(|| self.now(), |trace| trace.started_at))
        };
        log.status = match error {
            None => Status::Success,
            Some(error) if Inaction::of(&**error).is_some() => Status::Inaction,
            Some(_) => Status::Fail,
        };
        log.message = error.map(|error| self.scrubbed(&chain(&**error))).unwrap_or_default();
        let mut attempt = AttemptLog::new(number, started);
        attempt.finished_at = Some(self.now());
        attempt.status = log.status;
        attempt.message.clone_from(&log.message);
        attempt.output_parameters.extend(answer.map(|answer| (ANSWER.to_owned(), Parameter::Json(answer))));
        log.attempts = vec![attempt];
        self.trace(&log.internal_name, |trace| {
            trace.status = log.status;
            trace.message.clone_from(&log.message);
        });
        self.write_step(log.clone()).await;
        self.state().open.shift_remove(&log.internal_name);
        self.facts.observers.tell("after_step", |observer| observer.after_step(run, &log)).await;
    }

    /// Changes the line of a step in the trace of this attempt; the first time it is called, it begins.
    fn trace(&self, internal: &str, change: impl FnOnce(&mut StepTrace)) {
        let now = self.now();
        let mut state = self.state();
        let steps = &mut state.attempt.steps;
        let at = steps.iter().position(|trace| trace.name == internal).unwrap_or_else(|| {
            steps.push(StepTrace {
                name: internal.to_owned(),
                started_at: now,
                finished_at: None,
                status: Status::Processing,
                message: String::new(),
            });
            steps.len() - 1
        });
        change(&mut steps[at]);
        if steps[at].status.is_terminal() {
            steps[at].finished_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Terminal;

    #[test]
    fn the_failed_step_is_found_through_boxes_that_forget_their_type() {
        #[derive(Debug, thiserror::Error)]
        #[error("the night run failed")]
        struct Outer(#[source] Error);
        let failed = || StepFailed::new("load", "no network".into());

        let steps = |error: &(dyn std::error::Error + 'static)| {
            StepFailed::in_error(error).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(steps(&failed()), ["load"]);
        assert_eq!(steps(&StepFailed::new("all", Outer(failed().into()).into())), ["all", "load"]);
        let seen = failed();
        assert_eq!(steps(std::error::Error::source(&seen).unwrap()), ["load"], "its box was forgotten");
        assert!(steps(&Outer("no network".into())).is_empty());
        assert_eq!(chain(&failed()), "step `load` failed: no network");
        assert!(Terminal::is_in(&StepFailed::new("load", Terminal("no such customer").into())));
    }
}
