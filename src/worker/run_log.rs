//! The projection of the task log: from the stream of runs into the app's stores.
//!
//! It is a processor like those of users, of runnel's own: each run has one writer, the owner of its partition. What comes
//! again changes nothing, so it may be begun anew at any time. While a store does not answer, its events are tried again
//! and never given up; what `task_log_policy` decides about is an event that no further try could store.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Broker, Start};
use crate::codec::{Json, Limits};
use crate::error::{Doing, Failure, Result, Terminal};
use crate::event::{Entry, EventId, Partition};
use crate::processor::handler::Typed;
use crate::processor::{Chain, Context, DeclaredAt, ProcessorOptions, ProcessorSpec, Style};
use crate::record::Record;
use crate::runs::{Applied, RunEvent, StoreError, Stores, TASKS};
use crate::settings::{ExceptionPolicy, Retry, Settings, TaskLogPolicy};

/// Its name: one that users cannot give.
pub(crate) const RUN_LOG: &str = "__runlog";

/// Its partitions rest most of the time, and nobody waits for what a vanished worker has left: rare beats will do.
const LOCK_EXPIRIES: u32 = 3;

/// The processor that writes to these stores.
pub(crate) fn projector(stores: Stores, settings: &Settings) -> ProcessorSpec {
    let declaration = TASKS.declaration();
    let project = move |event: RunEvent, context: Context| {
        let stores = stores.clone();
        async move { project(&stores, context.id(), &event).await }
    };
    let policy = match settings.task_log_policy {
        TaskLogPolicy::Halt => Some(ExceptionPolicy::Halt),
        TaskLogPolicy::Quarantine => Some(ExceptionPolicy::Quarantine),
        TaskLogPolicy::Ignore | TaskLogPolicy::Off => None,
    };
    let options = ProcessorOptions {
        // Only what may work later is tried again.
        retry: Some(Retry { attempts: u32::MAX, from: Duration::from_millis(200), to: Duration::from_secs(10) }),
        exception_policy: policy,
        dead_letter: policy.is_none(),
        lock_expiry: Some(settings.default_lock_expiry * LOCK_EXPIRIES),
        start: Some(Start::Beginning),
        ..ProcessorOptions::default()
    };
    ProcessorSpec {
        name: RUN_LOG.into(),
        stream: declaration.spec.clone(),
        style: Style::Handler(Arc::new(Typed::new(declaration.clone(), project))),
        options,
        middleware: Chain::default(),
        declared_at: DeclaredAt { file: file!(), line: line!() },
    }
}

/// Entries that are read at once.
const PAGE: usize = 500;

/// Projects what lies in the stream, once: for a process in which no worker runs, and with which the stream ends.
///
/// # Errors
/// When the stream cannot be read, or a store does not take an event.
pub(crate) async fn project_all(broker: &dyn Broker, stores: &Stores) -> Result<(), Failure> {
    let reading = || "read the stream of runs".to_owned();
    let name = &TASKS.declaration().spec.name;
    let Some(facts) = broker.stream(name).await.doing(reading)? else { return Ok(()) };
    let stream = Arc::new(facts);
    for partition in (0..stream.partitions).map(Partition) {
        let mut from = EventId::ZERO;
        loop {
            let page = broker.range(&stream, partition, from, EventId::MAX, PAGE, false).await.doing(reading)?;
            for Entry { id, fields } in &page {
                match RunEvent::from_fields(fields, &Json, &Limits::default()) {
                    Ok(event) => project(stores, *id, &event).await.map_err(Failure::RunLogStore)?,
                    Err(error) => tracing::warn!(%id, %error, "an event of a run cannot be read, and is left out"),
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => from = last.id.next(),
                _ => break,
            }
        }
    }
    Ok(())
}

/// The line first: a document without its lines could not be found by what happened to it.
async fn project(stores: &Stores, entry: EventId, event: &RunEvent) -> Result {
    if let Some(line) = event.as_task() {
        stores.task_log.append(std::slice::from_ref(line)).await.or_else(unless_transient)?;
    }
    let applied = stores.run_logs.apply(entry, event).await.or_else(unless_transient)?;
    if applied == Applied::Foreign {
        tracing::warn!(%entry, run_id = %event.run_id(), task_name = %event.task_name(),
            "another task has a run of this id: what is known of this one is in the task log only");
    }
    Ok(())
}

fn unless_transient<T>(error: StoreError) -> Result<T> {
    if error.is_transient() { Err(error.into()) } else { Err(Terminal(error).into()) }
}
