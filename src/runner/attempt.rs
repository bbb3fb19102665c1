//! One attempt: the only place where a job on demand is called, and what is worth another one.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use super::activation::{Activation, status_of};
use super::trace;
use crate::error::{Error, Terminal, chain, panic_text};
use crate::job::{JobParts, Resolved};
use crate::runs::{AttemptLog, Cut, Ended, Inaction, RunContext, StepFailed, Work};
use crate::stream::current;

/// How an attempt ended.
pub(super) struct Tried {
    pub(super) ended: Ended,
    /// If it failed.
    pub(super) error: Option<Error>,
    pub(super) log: AttemptLog,
}

/// The job panicked.
#[derive(Debug, thiserror::Error)]
#[error("the job panicked: {0}")]
struct Panicked(String);

/// Calls the job, until it ends or is cut short.
pub(super) async fn try_once(
    activation: &Activation<'_>,
    work: &Work,
    run: &RunContext,
    why: &str,
    cut: &mut (impl Future<Output = Cut> + Unpin),
) -> Tried {
    let mut log = AttemptLog::new(run.attempt(), work.now());
    log.retry_indicator = why.to_owned();
    work.begin_attempt(run.attempt());
    // Dropping the user's future is what cutting short means. What has ended by itself is never called cut short.
    let (ended, error) = tokio::select! {
        biased;
        outcome = guarded(activation, run) => match outcome {
            Ok(()) => (Ended::Success, None),
            Err(error) => match Inaction::of(&*error) {
                Some(inaction) => (Ended::Inaction(work.scrubbed(inaction.reason())), None),
                None => (Ended::Failed(work.scrubbed(&chain(&*error))), Some(error)),
            },
        },
        cut = cut => (Ended::Terminated(cut), None),
    };
    log.finished_at = Some(work.now());
    log.status = status_of(&ended);
    log.message = if ended == Ended::Success { String::new() } else { ended.to_string() };
    trace::describe(activation, work, run, &mut log);
    work.end_attempt(&mut log).await;
    Tried { ended, error, log }
}

/// The user's code behind a wall: a panic does not come through.
async fn guarded(activation: &Activation<'_>, run: &RunContext) -> Result<(), Error> {
    let stage = activation.stage;
    let called = async {
        let future = activation.job.call.call(&JobParts { run, states: &stage.states })?;
        match stage.is_current {
            true => current::within(stage.handle.clone(), future).await,
            false => future.await,
        }
    };
    AssertUnwindSafe(called).catch_unwind().await.unwrap_or_else(|panic| Err(Panicked(panic_text(&*panic)).into()))
}

impl Resolved {
    /// Whether another attempt may help after that error: not if it says itself that none can, nor if it comes from a step
    /// that is not worth it.
    pub(super) fn is_worth_retrying(&self, error: &(dyn std::error::Error + 'static)) -> bool {
        if Terminal::is_in(error) {
            return false;
        }
        let mut steps = StepFailed::in_error(error).peekable();
        steps.peek().is_none() || steps.any(|step| self.retry_steps.iter().any(|listed| listed == step))
    }
}
