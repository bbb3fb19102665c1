//! Writes many lines at once to a store for which each append is dear.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use super::lines::pieces;
use super::{Channel, LineStream, LogError, LogStore, RunMetadata, StoredLog, StreamOptions, Upkeep};
use crate::clock::{self, UnixMs};
use crate::error::chain;
use crate::runs::RunId;
use crate::tasks::{Gate, Tasks};

/// Holds lines back until there are enough of them, or until they have waited for a while.
///
/// Metadata, reading and [`flush`](LogStore::flush) write what is held first. What is held when the process is killed is lost. Lines that
/// the store behind does not take are held and offered again; when too many are held, appending fails.
#[derive(Debug)]
pub struct BufferedLogStore {
    shared: Arc<Shared>,
    /// Writes what has waited long enough; begun with the first line, since there may be no runtime before.
    timer: Mutex<Option<Tasks>>,
}

struct Shared {
    inner: Arc<dyn LogStore>,
    lines: usize,
    wait: Duration,
    held: Mutex<HashMap<RunId, Arc<AsyncMutex<Held>>>>,
    any: Notify,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("lines", &self.lines).field("wait", &self.wait).finish_non_exhaustive()
    }
}

/// The lines of a run that are held, by channel. Locked while they are written, so that they stay in order.
#[derive(Debug, Default)]
struct Held([Vec<String>; 2]);

/// How many times its size a buffer may grow while the store behind fails.
const PATIENCE: usize = 16;

impl BufferedLogStore {
    /// In front of a store: writes when a run has so many lines, or after so long. 256 lines and 200 ms are good values.
    pub fn new(inner: Arc<dyn LogStore>, lines: usize, wait: Duration) -> Self {
        let shared = Shared { inner, lines: lines.max(1), wait, held: Mutex::default(), any: Notify::new() };
        Self { shared: Arc::new(shared), timer: Mutex::default() }
    }

    fn keep_time(&self) {
        let mut timer = self.timer.lock().expect("no code panics while it holds this lock");
        if timer.as_ref().is_none_or(Tasks::is_empty) {
            let mut tasks = Tasks::behind(&Gate::default());
            tasks.start(self.shared.clone().flush_in_time());
            *timer = Some(tasks);
        }
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, HashMap<RunId, Arc<AsyncMutex<Held>>>> {
        self.held.lock().expect("no code panics while it holds this lock")
    }

    async fn flush_in_time(self: Arc<Self>) {
        loop {
            self.any.notified().await;
            clock::sleep(self.wait).await;
            if let Err(error) = self.flush_all().await {
                tracing::warn!(error = chain(&error), "lines of runs are held back, since they cannot be written");
                self.any.notify_one();
            }
        }
    }

    /// All of them, also if one fails. The first error is the answer.
    async fn flush_all(&self) -> Result<(), LogError> {
        let runs: Vec<RunId> = self.held().keys().cloned().collect();
        let mut result = Ok(());
        for run in runs {
            result = result.and(self.flush_run(&run).await);
        }
        result
    }

    async fn flush_run(&self, run: &RunId) -> Result<(), LogError> {
        let Some(held) = self.held().get(run).cloned() else { return Ok(()) };
        let mut lines = held.lock().await;
        lines.write(&*self.inner, run).await?;
        let mut all = self.held();
        // Whoever has the buffer in hand, or waits for it, is about to put lines into it.
        if Arc::strong_count(&held) <= 2 {
            all.remove(run);
        }
        Ok(())
    }
}

impl Held {
    fn count(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    async fn write(&mut self, inner: &dyn LogStore, run: &RunId) -> Result<(), LogError> {
        for channel in Channel::ALL {
            let lines = &mut self.0[channel.index()];
            if !lines.is_empty() {
                let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
                inner.append(run, channel, &texts).await?;
                lines.clear();
            }
        }
        Ok(())
    }
}

#[async_trait]
impl LogStore for BufferedLogStore {
    async fn append(&self, run: &RunId, channel: Channel, lines: &[&str]) -> Result<(), LogError> {
        if lines.is_empty() {
            return self.shared.inner.append(run, channel, lines).await;
        }
        let held = self.shared.held().entry(run.clone()).or_default().clone();
        let mut held = held.lock().await;
        if held.count() >= self.shared.lines.saturating_mul(PATIENCE) {
            held.write(&*self.shared.inner, run).await?;
        }
        held.0[channel.index()].extend(lines.iter().flat_map(|line| pieces(line)).map(str::to_owned));
        if held.count() < self.shared.lines {
            self.keep_time();
            self.shared.any.notify_one();
            return Ok(());
        }
        if let Err(error) = held.write(&*self.shared.inner, run).await {
            tracing::warn!(%run, error = chain(&error), "lines of a run are held back, since they cannot be written");
            self.keep_time();
            self.shared.any.notify_one();
        }
        Ok(())
    }

    fn stream(&self, run: &RunId, channel: Channel, options: StreamOptions) -> LineStream {
        let (shared, run) = (self.shared.clone(), run.clone());
        let begin = async move {
            match shared.flush_run(&run).await {
                Ok(()) => shared.inner.stream(&run, channel, options),
                Err(error) => stream::once(async { Err(error) }).boxed(),
            }
        };
        stream::once(begin).flatten().boxed()
    }

    async fn write_metadata(&self, run: &RunId, metadata: &RunMetadata) -> Result<(), LogError> {
        self.shared.flush_run(run).await?;
        self.shared.inner.write_metadata(run, metadata).await
    }

    async fn read_metadata(&self, run: &RunId) -> Result<Option<RunMetadata>, LogError> {
        self.shared.inner.read_metadata(run).await
    }

    async fn list(&self) -> Result<Vec<StoredLog>, LogError> {
        self.shared.flush_all().await?;
        self.shared.inner.list().await
    }

    async fn delete(&self, run: &RunId) -> Result<bool, LogError> {
        self.shared.held().remove(run);
        self.shared.inner.delete(run).await
    }

    async fn flush(&self) -> Result<(), LogError> {
        self.shared.flush_all().await?;
        self.shared.inner.flush().await
    }

    async fn prepare(&self) -> Result<(), LogError> {
        self.shared.inner.prepare().await
    }

    async fn tend(&self, upkeep: Upkeep, now: UnixMs) -> Result<(), LogError> {
        self.shared.inner.tend(upkeep, now).await
    }

    fn release(&self, run: &RunId) {
        self.shared.inner.release(run);
    }
}
