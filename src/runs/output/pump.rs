//! The end of the queue at which lines come out: one task for each run, which writes them to the store in batches.
//!
//! It ends when the run is sealed. A store that fails is said once, and what it did not take is counted.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::handle::{Message, QueuedLine, RunEnd, time};
use super::{Channel, LogError, LogStore, RunMetadata};
use crate::clock;
use crate::error::chain;
use crate::runs::{Status, WorkerRef};

/// How many are written at once.
const BATCH: usize = 1024;
/// How long a new run waits to hear whether there is a log of its id already.
const PATIENCE: Duration = Duration::from_secs(2);

/// The other end of the queue.
pub(super) struct Pump {
    pub(super) store: Arc<dyn LogStore>,
    pub(super) metadata: RunMetadata,
    /// Who had the run before, if it is resumed.
    pub(super) last: Option<WorkerRef>,
    pub(super) messages: mpsc::Receiver<Message>,
    pub(super) missing: Arc<[AtomicU64; 2]>,
    pub(super) warned: bool,
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.store.release(&self.metadata.run_id);
    }
}

impl Pump {
    /// Until the run is sealed.
    pub(super) async fn run(mut self) {
        self.begin().await;
        let mut batch = Vec::new();
        while self.messages.recv_many(&mut batch, BATCH).await > 0 {
            let mut lines = Vec::with_capacity(batch.len());
            for message in batch.drain(..) {
                match message {
                    Message::Line(line) => lines.push(line),
                    Message::Seal { end, attempt, answer } => {
                        self.write(lines).await;
                        // Who asked may have gone; the log is sealed all the same.
                        let _ = answer.send(self.seal(end, attempt).await);
                        return;
                    }
                }
            }
            self.write(lines).await;
            if self.messages.is_empty() {
                // Nothing stands before what is missing now.
                self.tell_missing().await;
            }
        }
    }

    /// Makes the run known, so that it can be followed before its first line.
    async fn begin(&mut self) {
        let run = self.metadata.run_id.clone();
        let mut is_whole = false;
        match self.read_before().await {
            Ok(Some(before)) => {
                let before = if before.has_ended() { before } else { self.counted(before).await };
                is_whole = !before.is_outlived_by(self.metadata.activation - 1);
                self.metadata.activation = self.metadata.activation.max(before.activation);
                self.metadata.started_at = before.started_at.min(self.metadata.started_at);
                self.metadata.stdout_lines = before.stdout_lines;
                self.metadata.stderr_lines = before.stderr_lines;
                self.metadata.dropped_lines = before.dropped_lines;
            }
            Ok(None) => {}
            Err(error) => self.warn(&error),
        }
        let mut begun = self.store.write_metadata(&run, &self.metadata).await;
        for channel in Channel::ALL {
            begun = begun.and(self.store.append(&run, channel, &[]).await);
        }
        if let Err(error) = begun {
            self.warn(&error);
        }
        if let (false, Some(last)) = (is_whole, self.last.take()) {
            let notice = format!("[runnel] resumed here: what this run printed before is with {}", place_of(&last));
            for channel in Channel::ALL {
                self.append(channel, &[notice.as_str().into()]).await;
            }
        }
    }

    /// What is known of the log so far. Of a new run that is nothing but for an odd choice of ids, and its lines must not
    /// wait for a store that asks far away.
    async fn read_before(&self) -> Result<Option<RunMetadata>, LogError> {
        let reading = self.store.read_metadata(&self.metadata.run_id);
        if self.last.is_some() {
            return reading.await;
        }
        // Both are safe to drop: they only look and wait.
        tokio::select! {
            read = reading => read,
            () = clock::sleep(PATIENCE) => Ok(None),
        }
    }

    /// What is known of a log that nobody has closed.
    async fn counted(&mut self, before: RunMetadata) -> RunMetadata {
        let counted = before.clone().counted_in(&*self.store).await;
        counted.unwrap_or_else(|error| {
            self.warn(&error);
            before
        })
    }

    /// Writes a batch: to each channel in order, with one append each.
    async fn write(&mut self, batch: Vec<QueuedLine>) {
        for channel in Channel::ALL {
            let mut lines = Vec::new();
            for line in batch.iter().filter(|line| line.channel == channel) {
                lines.extend((line.missing > 0).then(|| Cow::Owned(self.drop_notice(line.missing))));
                lines.push(Cow::Borrowed(&*line.text));
            }
            self.append(channel, &lines).await;
        }
    }

    async fn tell_missing(&mut self) {
        for channel in Channel::ALL {
            let missing = self.missing[channel.index()].swap(0, Ordering::Relaxed);
            if missing > 0 {
                let notice = self.drop_notice(missing);
                self.append(channel, &[notice.into()]).await;
            }
        }
    }

    fn drop_notice(&mut self, missing: u64) -> String {
        self.metadata.dropped_lines += missing;
        format!("[runnel] {missing} lines dropped")
    }

    async fn append(&mut self, channel: Channel, lines: &[Cow<'_, str>]) {
        if lines.is_empty() {
            return;
        }
        let texts: Vec<&str> = lines.iter().map(|line| &**line).collect();
        let count = match channel {
            Channel::Stdout => &mut self.metadata.stdout_lines,
            Channel::Stderr => &mut self.metadata.stderr_lines,
        };
        match self.store.append(&self.metadata.run_id, channel, &texts).await {
            Ok(()) => *count += lines.len() as u64,
            Err(error) => {
                self.metadata.dropped_lines += lines.len() as u64;
                self.warn(&error);
            }
        }
    }

    fn warn(&mut self, error: &LogError) {
        if !std::mem::replace(&mut self.warned, true) {
            let run = &self.metadata.run_id;
            tracing::warn!(%run, error = chain(error), "what a run prints cannot be written; the run goes on");
        }
    }

    async fn seal(&mut self, end: RunEnd, attempt: u32) -> Result<RunMetadata, LogError> {
        self.tell_missing().await;
        let status = if end.status.is_terminal() { end.status } else { Status::Fail };
        let sealed = RunMetadata {
            attempt,
            exit_code: end.exit_code,
            error: end.error,
            partitions: end.partitions,
            ..self.metadata.clone()
        };
        let sealed = sealed.ended(status, time(clock::wall()));
        self.store.write_metadata(&sealed.run_id, &sealed).await.map(|()| sealed)
    }
}

/// Where a worker keeps its lines, for people.
fn place_of(worker: &WorkerRef) -> String {
    match (worker.id.as_str(), worker.host.as_str()) {
        ("", _) => "another worker".to_owned(),
        (id, "") => format!("worker `{id}`"),
        (id, host) => format!("worker `{id}` of machine `{host}`"),
    }
}
