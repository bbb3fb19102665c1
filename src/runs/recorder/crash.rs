//! Finds runs whose worker is gone, and writes their end: what the leader does for the fleet.
//!
//! A run is crashed when its worker's announcements have lapsed, or at once where its process is known to be gone. A
//! worker that was only cut off finds its own end refused later: whoever ends a run shows its entry letter by letter.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::open::OpenEntry;
use super::{RunEvent, Shared};
use crate::broker::{Broker, OpenRun};
use crate::error::{Doing, Failure};
use crate::event::Partition;
use crate::runs::{Action, RunId, TASKS, TaskLogEvent};
use crate::stream::Bound;

/// Looks for crashed runs.
pub(crate) struct CrashWatch(super::Recorder);

/// A run that was found crashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Crashed {
    pub(crate) run_id: RunId,
    pub(crate) task_name: String,
    pub(crate) worker: String,
}

impl CrashWatch {
    pub(crate) fn new(recorder: super::Recorder) -> Self {
        Self(recorder)
    }

    pub(crate) fn clock(&self) -> &crate::clock::ServerClock {
        self.0.clock()
    }

    /// Looks once. Answers the runs whose end it has written. Who may not declare others dead, since an outage makes all
    /// look so, finds only those whose process is known to be gone.
    pub(crate) async fn scan(&self, may_declare_dead: bool) -> Result<Vec<Crashed>, Failure> {
        let shared = &*self.0.0;
        let broker = shared.handle.broker();
        let doing = || "look for crashed runs".to_owned();
        let stream = Bound::new(&TASKS, shared.handle.clone()).stream().await?;
        // In this order: a worker is alive before its first run is open, so that no run is seen without its worker.
        let open = broker.open_runs(&stream).await.doing(doing)?;
        let alive: BTreeSet<String> =
            broker.workers().await.doing(doing)?.into_iter().map(|worker| worker.name).collect();
        let mut found = Vec::new();
        for (partition, open) in open {
            let Some((run_id, entry)) = OpenEntry::read(&open) else {
                tracing::debug!(%partition, run_id = %open.run_id, "an open run that this version cannot read is left alone");
                continue;
            };
            let lapsed = may_declare_dead && !alive.contains(&entry.worker);
            let gone = entry.process.is_gone(&shared.author.process);
            if !(lapsed || gone) || entry.worker == *shared.author.worker {
                continue;
            }
            let event = crash_event(shared, &run_id, &entry, lapsed);
            if write(shared, &**broker, partition, &open, event).await? {
                let (task_name, worker) = (entry.task_name, entry.worker);
                tracing::warn!(%task_name, %run_id, %worker, "a run has crashed: its worker is gone");
                found.push(Crashed { run_id, task_name, worker });
            }
        }
        Ok(found)
    }
}

async fn write(
    shared: &Shared,
    broker: &dyn Broker,
    partition: Partition,
    open: &OpenRun,
    event: TaskLogEvent,
) -> Result<bool, Failure> {
    let (stream, entry) = Bound::new(&TASKS, shared.handle.clone()).entry(RunEvent::Task(event)).await?;
    // Where it is open is where it ends, even if that were not where its task belongs.
    broker.end_run(&stream, partition, open, &entry.fields).await.doing(|| "log a crash".to_owned())
}

/// The end is when it was found; how long it ran nobody knows.
fn crash_event(shared: &Shared, run_id: &RunId, entry: &OpenEntry, lapsed: bool) -> TaskLogEvent {
    let found: DateTime<Utc> = shared.author.time();
    let mut event = TaskLogEvent::new(&entry.task_name, Action::Crash, run_id.clone());
    event.created = shared.author.created();
    event.activation = entry.activation;
    event.start = Some(entry.start);
    event.end = Some(found);
    event.kind = entry.kind;
    event.worker_id.clone_from(&entry.worker);
    event.host.clone_from(&entry.process.host);
    event.partition = entry.partition;
    let how = if lapsed { "has not been heard of" } else { "is gone: its process has ended" };
    event.message = format!("worker {} on {} {how}", entry.worker, entry.process.host);
    event
}
