//! Logs in memory, for tests and for apps without a folder. They grow without bound and end with the process.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream;
use tokio::sync::watch;

use super::lines::pieces;
use super::{Channel, LineStream, LogError, LogLine, LogStore, RunMetadata, StoredLog, StreamOptions};
use crate::runs::RunId;

/// Keeps logs in memory. Clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct MemoryLogStore(Arc<Mutex<BTreeMap<RunId, Log>>>);

#[derive(Debug, Default)]
struct Log {
    lines: [Vec<String>; 2],
    metadata: Option<RunMetadata>,
    changed: watch::Sender<()>,
}

impl Log {
    fn has_ended(&self) -> bool {
        self.metadata.as_ref().is_some_and(RunMetadata::has_ended)
    }
}

/// How many lines are taken out at once.
const BATCH: usize = 256;

impl MemoryLogStore {
    fn logs(&self) -> MutexGuard<'_, BTreeMap<RunId, Log>> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}

/// Where a reader is.
struct Reading {
    logs: MemoryLogStore,
    run: RunId,
    channel: Channel,
    options: StreamOptions,
    next: usize,
    left: usize,
    changed: watch::Receiver<()>,
    ready: VecDeque<LogLine>,
}

impl Reading {
    fn begin(logs: MemoryLogStore, run: RunId, channel: Channel, options: StreamOptions) -> Result<Self, LogError> {
        let (next, changed) = {
            let known = logs.logs();
            let log = known.get(&run).ok_or_else(|| LogError::NotFound { run: run.clone() })?;
            let of_tail = options.tail.map_or(0, |tail| log.lines[channel.index()].len().saturating_sub(tail));
            (options.since_line.max(of_tail), log.changed.subscribe())
        };
        let left = options.max_lines.unwrap_or(usize::MAX);
        Ok(Self { logs, run, channel, options, next, left, changed, ready: VecDeque::new() })
    }

    /// Takes out what there is; whether there may be more.
    fn take(&mut self) -> bool {
        let known = self.logs.logs();
        let Some(log) = known.get(&self.run) else { return false };
        let lines = log.lines[self.channel.index()].iter().enumerate().skip(self.next).take(BATCH.min(self.left));
        self.ready.extend(lines.map(|(number, text)| LogLine { number, text: text.clone() }));
        self.next += self.ready.len();
        self.left -= self.ready.len();
        !self.ready.is_empty() || (self.options.follow && self.left > 0 && !log.has_ended())
    }

    async fn next(&mut self) -> Option<LogLine> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            // Seen before it is looked at: a change in between wakes the wait below.
            self.changed.borrow_and_update();
            if !self.take() {
                return None;
            }
            // An error means that the log was removed; the next look finds that.
            if self.ready.is_empty() && self.changed.changed().await.is_err() {
                return None;
            }
        }
    }
}

#[async_trait]
impl LogStore for MemoryLogStore {
    async fn append(&self, run: &RunId, channel: Channel, lines: &[&str]) -> Result<(), LogError> {
        let mut logs = self.logs();
        let log = logs.entry(run.clone()).or_default();
        log.lines[channel.index()].extend(lines.iter().flat_map(|line| pieces(line)).map(str::to_owned));
        log.changed.send_replace(());
        Ok(())
    }

    fn stream(&self, run: &RunId, channel: Channel, options: StreamOptions) -> LineStream {
        match Reading::begin(self.clone(), run.clone(), channel, options) {
            Err(error) => stream::once(async { Err(error) }).boxed(),
            Ok(reading) => stream::unfold(reading, |mut reading| async {
                let line = reading.next().await?;
                Some((Ok(line), reading))
            })
            .boxed(),
        }
    }

    async fn write_metadata(&self, run: &RunId, metadata: &RunMetadata) -> Result<(), LogError> {
        let mut logs = self.logs();
        let log = logs.entry(run.clone()).or_default();
        log.metadata = Some(metadata.clone());
        log.changed.send_replace(());
        Ok(())
    }

    async fn read_metadata(&self, run: &RunId) -> Result<Option<RunMetadata>, LogError> {
        Ok(self.logs().get(run).and_then(|log| log.metadata.clone()))
    }

    async fn list(&self) -> Result<Vec<StoredLog>, LogError> {
        let stored = |(run, log): (&RunId, &Log)| StoredLog {
            run_id: run.clone(),
            metadata: log.metadata.clone(),
            bytes: log.lines.iter().flatten().map(|line| line.len() as u64 + 1).sum(),
        };
        Ok(self.logs().iter().map(stored).collect())
    }

    async fn delete(&self, run: &RunId) -> Result<bool, LogError> {
        Ok(self.logs().remove(run).is_some())
    }
}
