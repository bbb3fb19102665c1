//! Units as runs of their own: `track = "batch"` and `track = "event"`.
//!
//! The outermost of a processor's middleware. A unit does not begin before the task log has its begin, unless
//! `task_log_policy` ignores that: it waits, so that no event is given up because of its bookkeeping, and its timeout does
//! not run meanwhile. A unit that is dropped in the middle, by a timeout or a drain, has ended all the same.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::clock;
use crate::processor::{Middleware, Next, Outcome, Settled, Unit};
use crate::runs::recorder::{Beginning, End, Recorder, Recording, Refused};
use crate::runs::{Action, RunId, TaskKind};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Writes each unit down.
pub(crate) struct Tracked {
    pub(crate) recorder: Recorder,
    /// Why the worker must end, as a sentence.
    pub(crate) halts: mpsc::UnboundedSender<String>,
}

#[async_trait]
impl Middleware for Tracked {
    async fn handle(&self, unit: &mut Unit, next: Next<'_>) -> Outcome {
        unit.set_timed(false);
        let mut open = Open { recorder: &self.recorder, recording: Some(self.begin(unit).await) };
        unit.set_timed(true);
        let outcome = next.run(unit).await;
        unit.set_timed(false);
        if let Some(recording) = open.recording.take()
            && let Err(refused) = self.recorder.end(recording, told(&outcome)).await
        {
            self.halt(&refused);
        }
        outcome
    }
}

impl Tracked {
    /// Waits until it is written down.
    async fn begin(&self, unit: &Unit) -> Recording {
        let beginning = beginning(unit);
        let mut pause = FIRST_PAUSE;
        loop {
            let refused = match self.recorder.begin(beginning.clone()).await {
                Ok(recording) => return recording,
                Err(refused) => refused,
            };
            tracing::warn!(processor = %beginning.task_name, id = %unit.id(), ?pause, "{}; the event waits", refused.why);
            self.halt(&refused);
            clock::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn halt(&self, refused: &Refused) {
        if refused.halts {
            // It only fails when the worker has ended.
            let _ = self.halts.send(format!("{}: task_log_policy is `halt`", refused.why));
        }
    }
}

fn beginning(unit: &Unit) -> Beginning {
    let context = unit.context();
    let extra = [("event", unit.id().to_string().into()), ("events", unit.events().len().into())];
    Beginning {
        run_id: RunId::fresh(),
        task_name: context.processor().into(),
        kind: TaskKind::Processor,
        partition: Some(context.partition().0),
        activation: 1,
        attempt: unit.attempt(),
        extra: extra.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

fn told(outcome: &Outcome) -> End {
    match outcome {
        Ok(Settled::Handled) => End { action: Action::Success, message: String::new(), error: None },
        Ok(Settled::Passed) => {
            End { action: Action::Inaction, message: "settled without the processor's function".into(), error: None }
        }
        Err(error) => {
            let text = crate::error::chain(&**error);
            let message = text.lines().next().unwrap_or_default().to_owned();
            End { action: Action::Fail, message, error: Some(text) }
        }
    }
}

/// A unit that has begun. If it is dropped, so was the unit.
struct Open<'a> {
    recorder: &'a Recorder,
    recording: Option<Recording>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(recording) = self.recording.take() {
            let message = "dropped in the middle: its time was over, or its partition's tenancy".to_owned();
            self.recorder.cut(recording, End { action: Action::Terminate, message, error: None });
        }
    }
}
