//! Logs that outlive their worker: written here, and copied to a [`Destination`] when their run has ended.
//!
//! A copy is made in the background, and anew if that fails; it can be made twice without harm. Its metadata are written
//! last, and count as the mark that it is whole. Only then, and only if asked, the log here is removed. Who reads finds the one
//! here, else the copy, also if it moves while it is read. A run that goes on after its log was moved has it brought back.

mod destination;
mod remote;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncGuard, mpsc, watch};

use super::{Channel, LineStream, LogError, LogLine, LogStore, RunMetadata, StoredLog, StreamOptions, Upkeep};
use crate::clock::{self, UnixMs};
use crate::error::chain;
use crate::runs::RunId;
use crate::tasks::{Gate, Tasks};
use remote::Remote;

pub use destination::{Content, Destination, FolderDestination};

/// How many logs are copied at once.
const AT_ONCE: usize = 4;
/// How often a copy is tried before it is left for [`ShippingLogStore::ship_all`].
const TRIES: u32 = 8;
/// How long to wait after the first failure; twice as long after each other.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long to wait for word of a newer copy where there is something without one.
const PATIENCE: Duration = Duration::from_secs(2);

/// Copies logs of ended runs to a destination.
pub struct ShippingLogStore {
    shared: Arc<Shared>,
    /// The way to the task that copies; begun with the first run, since there may be no runtime before.
    shipper: Mutex<Option<(mpsc::UnboundedSender<RunId>, Tasks)>>,
}

struct Shared {
    local: Arc<dyn LogStore>,
    remote: Remote,
    keep_local: bool,
    /// Runs that are to be copied.
    waiting: watch::Sender<HashSet<RunId>>,
    /// Runs that are written to, with nothing left at the destination that is not here. Locked while one is brought back.
    here: AsyncMutex<HashSet<RunId>>,
}

impl ShippingLogStore {
    /// Written to `local`, copied to `destination`; the log in `local` goes then, unless it is to be kept.
    pub fn new(local: Arc<dyn LogStore>, destination: Arc<dyn Destination>, keep_local: bool) -> Self {
        let shared = Shared {
            local,
            remote: Remote(destination),
            keep_local,
            waiting: watch::Sender::default(),
            here: AsyncMutex::default(),
        };
        Self { shared: Arc::new(shared), shipper: Mutex::default() }
    }

    /// Copies all logs of ended runs that were not yet, such as those of before a crash. It waits for none of them: see
    /// [`flush`](LogStore::flush).
    pub async fn ship_all(&self) -> Result<(), LogError> {
        for log in self.shared.local.list().await? {
            if log.has_ended() {
                self.ship(&log.run_id);
            }
        }
        Ok(())
    }

    fn shipper(&self) -> MutexGuard<'_, Option<(mpsc::UnboundedSender<RunId>, Tasks)>> {
        self.shipper.lock().expect("no code panics while it holds this lock")
    }

    fn ship(&self, run: &RunId) {
        if !self.shared.waiting.send_if_modified(|waiting| waiting.insert(run.clone())) {
            return;
        }
        let mut shipper = self.shipper();
        let (queue, _) = shipper.get_or_insert_with(|| {
            let (queue, runs) = mpsc::unbounded_channel();
            let mut tasks = Tasks::behind(&Gate::default());
            tasks.start(self.shared.clone().ship_each(runs));
            (queue, tasks)
        });
        // It is closed only when the runtime ends; then the copy is made after the next start.
        let _ = queue.send(run.clone());
    }
}

impl Shared {
    async fn ship_each(self: Arc<Self>, runs: mpsc::UnboundedReceiver<RunId>) {
        let runs = stream::unfold(runs, |mut runs| async { runs.recv().await.map(|run| (run, runs)) });
        runs.for_each_concurrent(AT_ONCE, |run| {
            let shared = &self;
            async move {
                shared.ship_with_patience(&run).await;
                shared.waiting.send_if_modified(|waiting| waiting.remove(&run));
            }
        })
        .await;
    }

    async fn ship_with_patience(&self, run: &RunId) {
        let mut pause = FIRST_PAUSE;
        for failures in 1..=TRIES {
            match self.ship(run).await {
                Ok(()) => return,
                Err(error) if failures == 1 => {
                    tracing::warn!(%run, error = chain(&error), "a log cannot be shipped yet; it is tried again");
                }
                Err(error) if failures == TRIES => {
                    tracing::error!(%run, error = chain(&error), "a log could not be shipped; it stays here until the next try");
                    return;
                }
                Err(_) => {}
            }
            clock::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Copies a log, unless that is done already, or no longer right: the run may have been resumed.
    async fn ship(&self, run: &RunId) -> Result<(), LogError> {
        let ended = async || Ok(self.local.read_metadata(run).await?.filter(RunMetadata::has_ended));
        let Some(metadata) = ended().await? else { return Ok(()) };
        let copied = self.remote.metadata(run).await?;
        if copied.as_ref().is_some_and(|copied| metadata.is_outlived_by(copied.activation)) {
            // The run was resumed elsewhere, and its copy has more than this log: which stays as long as logs stay here.
            tracing::debug!(%run, "a log is not shipped: there is one of a later activation");
            return Ok(());
        }
        let is_written_to = self.here.lock().await.contains(run);
        if is_written_to || copied.as_ref() != Some(&metadata) {
            if copied.is_some() {
                // Else old metadata would vouch for new lines.
                self.remote.delete_metadata(run).await?;
            }
            for channel in Channel::ALL {
                let lines = self.local.stream(run, channel, StreamOptions::default());
                self.remote.put_lines(run, channel, lines).await?;
            }
            if ended().await?.as_ref() != Some(&metadata) {
                return Ok(());
            }
            self.remote.put_metadata(&metadata).await?;
        }
        // Nobody resumes it meanwhile: who does asks for this lock first.
        let mut here = self.here.lock().await;
        if ended().await?.as_ref() == Some(&metadata) {
            here.remove(run);
            if !self.keep_local {
                self.local.delete(run).await?;
            }
        }
        Ok(())
    }

    /// Sees to it that what a run has printed before is here, before it prints more. As long as the answer is held, it
    /// stays. Of a new run there is nothing to be expected: its lines are kept whether or not the destination answers.
    async fn bring_back(&self, run: &RunId, is_new: bool) -> Result<AsyncGuard<'_, HashSet<RunId>>, LogError> {
        loop {
            let here = self.here.lock().await;
            if here.contains(run) {
                return Ok(here);
            }
            // Asked without the lock, which others need who write.
            drop(here);
            let local = self.local.read_metadata(run).await?;
            let copied = match is_new {
                true => self.copy_in_time(run, local.as_ref()).await,
                false => self.newer_copy(run, local.as_ref()).await?,
            };
            let mut here = self.here.lock().await;
            if self.local.read_metadata(run).await? != local {
                // It was shipped meanwhile, and may be gone from here.
                continue;
            }
            if copied.is_some() && !here.contains(run) {
                self.restore(run).await?;
            }
            here.insert(run.clone());
            return Ok(here);
        }
    }

    /// What was brought back by halves before is brought back anew.
    async fn restore(&self, run: &RunId) -> Result<(), LogError> {
        self.local.delete(run).await?;
        self.remote.restore(run, &*self.local).await
    }

    /// The metadata of the copy, if that is all there is, or if the run was resumed elsewhere after it ended here.
    async fn newer_copy(&self, run: &RunId, local: Option<&RunMetadata>) -> Result<Option<RunMetadata>, LogError> {
        match local {
            Some(local) if !local.has_ended() => Ok(None),
            None => self.remote.metadata(run).await,
            Some(local) => {
                let copied = self.remote.metadata(run).await?;
                Ok(copied.filter(|copied| local.is_outlived_by(copied.activation)))
            }
        }
    }

    /// The same for who cannot wait for long, and has something where the destination does not answer.
    async fn copy_in_time(&self, run: &RunId, local: Option<&RunMetadata>) -> Option<RunMetadata> {
        // Both are safe to drop: they only look and wait.
        tokio::select! {
            found = self.newer_copy(run, local) => found.unwrap_or_else(|error| {
                tracing::warn!(%run, error = chain(&error), "whether there is a newer copy of a log cannot be seen");
                None
            }),
            () = clock::sleep(PATIENCE) => {
                tracing::warn!(%run, "where logs are shipped to does not say whether there is a newer copy of a log");
                None
            }
        }
    }

    /// The same for readers.
    async fn copy_to_read(&self, run: &RunId, local: Option<&RunMetadata>) -> Result<Option<RunMetadata>, LogError> {
        match local {
            Some(_) => Ok(self.copy_in_time(run, local).await),
            None => self.newer_copy(run, local).await,
        }
    }
}

/// A reader who goes on at the destination when the log here goes away.
struct Reading {
    lines: LineStream,
    /// What to ask for at the destination; `None` if we are there.
    elsewhere: Option<StreamOptions>,
    shared: Arc<Shared>,
    run: RunId,
    channel: Channel,
}

impl Reading {
    async fn next(mut self) -> Option<(Result<LogLine, LogError>, Self)> {
        loop {
            match (self.lines.next().await?, self.elsewhere.take()) {
                (Err(LogError::NotFound { .. }), Some(options)) => {
                    self.lines = self.shared.remote.stream(&self.run, self.channel, options);
                }
                (Ok(line), Some(options)) => {
                    let max_lines = options.max_lines.map(|max| max.saturating_sub(1));
                    let since_line = line.number + 1;
                    self.elsewhere = Some(StreamOptions { since_line, max_lines, tail: None, ..options });
                    return Some((Ok(line), self));
                }
                (line, _) => return Some((line, self)),
            }
        }
    }
}

impl std::fmt::Debug for ShippingLogStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShippingLogStore").field("keep_local", &self.shared.keep_local).finish_non_exhaustive()
    }
}

#[async_trait]
impl LogStore for ShippingLogStore {
    async fn append(&self, run: &RunId, channel: Channel, lines: &[&str]) -> Result<(), LogError> {
        drop(self.shared.bring_back(run, false).await?);
        self.shared.local.append(run, channel, lines).await
    }

    fn stream(&self, run: &RunId, channel: Channel, options: StreamOptions) -> LineStream {
        let (shared, run) = (self.shared.clone(), run.clone());
        let begin = async move {
            let local = shared.local.read_metadata(&run).await.ok().flatten();
            // None here is none yet: the reader below looks at the destination when it finds nothing.
            if local.is_some() && matches!(shared.copy_to_read(&run, local.as_ref()).await, Ok(Some(_))) {
                return shared.remote.stream(&run, channel, options);
            }
            let lines = shared.local.stream(&run, channel, options);
            stream::unfold(Reading { lines, elsewhere: Some(options), shared, run, channel }, Reading::next).boxed()
        };
        stream::once(begin).flatten().boxed()
    }

    async fn write_metadata(&self, run: &RunId, metadata: &RunMetadata) -> Result<(), LogError> {
        let here = self.shared.bring_back(run, metadata.is_of_a_new_run()).await?;
        self.shared.local.write_metadata(run, metadata).await?;
        drop(here);
        if metadata.has_ended() {
            self.ship(run);
        }
        Ok(())
    }

    async fn read_metadata(&self, run: &RunId) -> Result<Option<RunMetadata>, LogError> {
        let local = self.shared.local.read_metadata(run).await?;
        let copied = self.shared.copy_to_read(run, local.as_ref()).await?;
        Ok(copied.or(local))
    }

    async fn list(&self) -> Result<Vec<StoredLog>, LogError> {
        let here = self.shared.local.list().await?;
        let mut all: BTreeMap<_, _> = here.into_iter().map(|log| (log.run_id.clone(), log)).collect();
        let elsewhere = self.shared.remote.runs().await?.into_iter().filter(|run| !all.contains_key(run));
        let shared = &self.shared;
        let copies = stream::iter(elsewhere.collect::<Vec<_>>()).map(|run| async move {
            let metadata = shared.remote.metadata(&run).await?;
            Ok::<_, LogError>(StoredLog { run_id: run, metadata, bytes: 0 })
        });
        let copies: Vec<_> = copies.buffered(AT_ONCE).try_collect().await?;
        all.extend(copies.into_iter().map(|log| (log.run_id.clone(), log)));
        Ok(all.into_values().collect())
    }

    async fn delete(&self, run: &RunId) -> Result<bool, LogError> {
        let was_elsewhere = self.shared.remote.delete(run).await?;
        Ok(self.shared.local.delete(run).await? || was_elsewhere)
    }

    /// Waits until all copies that are due were made or given up.
    async fn flush(&self) -> Result<(), LogError> {
        self.shared.local.flush().await?;
        let mut waiting = self.shared.waiting.subscribe();
        // The sender is ours, so it cannot be gone.
        let _ = waiting.wait_for(HashSet::is_empty).await;
        Ok(())
    }

    async fn tend(&self, upkeep: Upkeep, now: UnixMs) -> Result<(), LogError> {
        self.shared.local.tend(upkeep, now).await?;
        self.ship_all().await
    }

    async fn prepare(&self) -> Result<(), LogError> {
        self.shared.local.prepare().await
    }

    fn release(&self, run: &RunId) {
        self.shared.local.release(run);
    }
}
