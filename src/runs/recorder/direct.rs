//! Runs without Redis: their events are applied straight to a store, by whoever runs them.
//!
//! Nobody watches over such runs. One whose process has died is found by the next run of its job on the same machine,
//! by the process that its document names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use serde_json::Value;

use super::author::Author;
use super::process::Process;
use super::{Beginning, End, Journal, Noted, Page, Refused};
use crate::clock::{self, Instant, ServerClock};
use crate::error::Failure;
use crate::event::EventId;
use crate::runs::{Action, RunEvent, RunLog, Status, StoreError, Stores, TaskLogEvent};

/// The member of a run's configuration that names the process which runs it.
const PROCESS: &str = "process";

/// Writes the runs of one process into a store.
pub(crate) struct Direct(Arc<Shared>);

struct Shared {
    author: Author,
    stores: Stores,
    /// The place of the last event: each has a later one, as in a stream.
    last: AtomicU64,
}

struct InStore {
    shared: Arc<Shared>,
    run: TaskLogEvent,
    began: Instant,
    /// Held while an event is applied: a document has one writer, whatever its store can do.
    turn: tokio::sync::Mutex<()>,
}

impl Direct {
    pub(crate) fn new(stores: Stores, worker: Arc<str>) -> Self {
        let now = clock::now();
        let author = Author::new(ServerClock::heard(now, now, clock::wall()), worker);
        Self(Arc::new(Shared { author, stores, last: AtomicU64::new(0) }))
    }
}

impl Shared {
    /// A place later than all others, also than those of earlier processes, as far as clocks go.
    fn next(&self) -> EventId {
        let now = self.author.clock.now().saturating_mul(1000);
        let later = |last: u64| Some(now.max(last.saturating_add(1)));
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later).unwrap_or_else(|last| last);
        let place = now.max(last.saturating_add(1));
        EventId::new(place / 1000, place % 1000)
    }

    async fn apply(&self, event: &RunEvent) -> Result<(), StoreError> {
        if let RunEvent::Task(line) = event {
            self.stores.task_log.append(std::slice::from_ref(line)).await?;
        }
        let _applied = self.stores.run_logs.apply(self.next(), event).await?;
        Ok(())
    }
}

fn failed(source: StoreError) -> Failure {
    Failure::RunLogStore(source.into())
}

#[async_trait]
impl Journal for Direct {
    fn clock(&self) -> &ServerClock {
        &self.0.author.clock
    }

    async fn begin(&self, beginning: Beginning) -> Result<Box<dyn Page>, Refused> {
        let shared = &self.0;
        let (began, started) = (clock::now(), shared.author.time());
        let run = shared.author.begin(&beginning, started);
        let process = serde_json::to_value(&shared.author.process).expect("it has only texts and numbers");
        let written = async {
            shared.apply(&RunEvent::Task(run.clone())).await?;
            let run_config = [(PROCESS.to_owned(), process)].into_iter().collect();
            let head = shared.author.head(&run);
            shared.apply(&RunEvent::RunConfig { head, dag_hash: None, tag: None, run_config }).await
        };
        written.await.map_err(|error| {
            let why = format!("the begin of a run cannot be written: {}", crate::error::chain(&error));
            Refused::unwritten(why, false)
        })?;
        let shared = self.0.clone();
        Ok(Box::new(InStore { shared, run, began, turn: tokio::sync::Mutex::default() }))
    }

    fn continues(&self, log: &RunLog) {
        let behind = log.last_entry.map_or(0, |last| last.ms.saturating_add(1).saturating_mul(1000));
        self.0.last.fetch_max(behind, Ordering::Relaxed);
    }

    async fn find_crashed(&self, newest: Option<&RunLog>) -> Result<(), Failure> {
        let Some(log) = newest.filter(|log| log.status == Status::Processing) else { return Ok(()) };
        let process = log.run_config.get(PROCESS).cloned().unwrap_or(Value::Null);
        let Ok(process) = serde_json::from_value::<Process>(process) else { return Ok(()) };
        if !process.is_gone(&self.0.author.process) {
            return Ok(());
        }
        self.continues(log);
        let mut event = TaskLogEvent::new(&*log.task_name, Action::Crash, log.run_id.clone());
        event.created = self.0.author.created();
        event.activation = log.activation;
        event.kind = log.kind;
        event.start = log.start;
        event.end = Some(self.0.author.time());
        event.worker_id.clone_from(&log.worker.id);
        event.host.clone_from(&log.worker.host);
        event.message = format!("worker {} on {} is gone: its process has ended", log.worker.id, log.worker.host);
        tracing::warn!(task_name = %log.task_name, run_id = %log.run_id, worker = %log.worker.id,
            "a run has crashed: its process is gone");
        self.0.apply(&RunEvent::Task(event)).await.map_err(failed)
    }
}

#[async_trait]
impl Page for InStore {
    async fn note(&self, noted: Noted) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        let event = noted(self.shared.author.head(&self.run));
        self.shared.apply(&event).await.map_err(failed)
    }

    async fn end(&self, end: End) -> Result<(), Refused> {
        let _turn = self.turn.lock().await;
        let event = self.shared.author.end(self.run.clone(), clock::now().since(self.began), end);
        self.shared.apply(&RunEvent::Task(event)).await.map_err(|error| {
            let why = format!("the end of run {} cannot be written: {}", self.run.run_id, crate::error::chain(&error));
            Refused::unwritten(why, false)
        })
    }
}
