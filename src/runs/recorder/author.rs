//! Who writes events of runs: their worker, their process, and the clock they go by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::process::Process;
use super::{Beginning, End};
use crate::clock::ServerClock;
use crate::runs::{Action, EventHead, TaskLogEvent};

/// Writes the events of one worker, wherever they go.
pub(super) struct Author {
    pub(super) clock: ServerClock,
    pub(super) worker: Arc<str>,
    pub(super) process: Process,
    /// The last `created`, in microseconds: none is earlier than the one before.
    last_created: AtomicU64,
}

impl Author {
    pub(super) fn new(clock: ServerClock, worker: Arc<str>) -> Self {
        Self { clock, worker, process: Process::own(), last_created: AtomicU64::new(0) }
    }

    pub(super) fn time(&self) -> DateTime<Utc> {
        i64::try_from(self.clock.now()).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
    }

    /// Seconds of the server's time; never less than the one before.
    pub(super) fn created(&self) -> f64 {
        let now = self.clock.now().saturating_mul(1000);
        let before = self.last_created.fetch_max(now, Ordering::Relaxed);
        before.max(now) as f64 / 1e6
    }

    /// A run begins.
    pub(super) fn begin(&self, beginning: &Beginning, started: DateTime<Utc>) -> TaskLogEvent {
        let mut event = TaskLogEvent::new(&*beginning.task_name, Action::Run, beginning.run_id.clone());
        event.created = self.created();
        event.activation = beginning.activation;
        event.start = Some(started);
        event.attempt = beginning.attempt;
        event.kind = beginning.kind;
        event.worker_id = self.worker.to_string();
        event.host.clone_from(&self.process.host);
        event.partition = beginning.partition;
        event.extra = beginning.extra.clone();
        event
    }

    /// The run that began with that event has ended.
    pub(super) fn end(&self, run: TaskLogEvent, runtime: Duration, end: End) -> TaskLogEvent {
        let mut event = TaskLogEvent::new(run.task_name.clone(), end.action, run.run_id.clone());
        event.created = self.created();
        event.end = run.start.map(|start| start + runtime);
        event.runtime = Some(runtime.as_secs_f64());
        event.message = end.message;
        event.exc_text = end.error;
        let TaskLogEvent { activation, start, attempt, kind, worker_id, host, partition, extra, .. } = run;
        TaskLogEvent { activation, start, attempt, kind, worker_id, host, partition, extra, ..event }
    }

    /// The head of something that belongs to the run that began with that event.
    pub(super) fn head(&self, run: &TaskLogEvent) -> EventHead {
        EventHead { created: self.created(), ..EventHead::beside(run) }
    }
}
