//! Logs in files, on the disk of the worker that runs what prints them.
//!
//! ```text
//! <folder>/job_runs/<run_id>/stdout.log      append-only; stdout.log.gz some time after the end
//!                            stderr.log      likewise
//!                            metadata.json   how the run stands; whole or not there
//! ```
//!
//! What an append returned for is in the file: the end of this process takes nothing of it away, and other processes can
//! read it at once. (The end of the *machine* may: lines are not synced.) Whoever writes to a run holds a shared lock on its
//! folder until the run has ended, so that no process tidies up what another still writes.

mod folder;
mod gz;
mod reading;
mod upkeep;

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use chrono::DateTime;
use tokio::sync::watch;

use super::lines::pieces;
use super::{Channel, LineStream, LogError, LogStore, RunMetadata, StoredLog, StreamOptions};
use crate::clock::UnixMs;
use crate::error::chain;
use crate::runs::{RunId, Status};
use folder::{RunFolder, Runs, io_failed};
use reading::{Bell, blocking};

pub use upkeep::{Upkeep, UpkeepReport};

/// Where logs lie unless told otherwise.
pub const DEFAULT_FOLDER: &str = "/var/log/runnel";

/// Keeps logs in files. Clones are the same store.
#[derive(Clone, Debug)]
pub struct FileLogStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    runs: Runs,
    /// The runs that this process writes to.
    open: Mutex<HashMap<RunId, Arc<Writing>>>,
}

/// A run that this process writes to. One append at a time: lines of two do not mix.
#[derive(Debug, Default)]
struct Writing {
    files: Arc<tokio::sync::Mutex<Option<Files>>>,
    bell: watch::Sender<()>,
}

#[derive(Debug)]
struct Files {
    folder: RunFolder,
    channels: [Option<File>; 2],
}

impl FileLogStore {
    /// Logs in this folder, which is made when the first line comes.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Shared { runs: Runs::below(&folder.into()), open: Mutex::default() }))
    }

    /// Where the folders of runs lie.
    pub fn path(&self) -> &Path {
        self.0.runs.path()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Writing>>> {
        self.0.open.lock().expect("no code panics while it holds this lock")
    }

    fn writing(&self, run: &RunId) -> Arc<Writing> {
        self.open().entry(run.clone()).or_default().clone()
    }

    /// Does something with the open files of a run, where it may block. It is done to its end even if nobody waits.
    async fn with_files(
        &self,
        writing: &Writing,
        run: &RunId,
        work: impl FnOnce(&mut Option<Files>) -> Result<(), LogError> + Send + 'static,
    ) -> Result<(), LogError> {
        let mut files = writing.files.clone().lock_owned().await;
        let (runs, run) = (self.0.runs.clone(), run.clone());
        blocking(move || {
            if files.is_none() {
                *files = Some(Files::open(&runs, &run)?);
            }
            work(&mut files)
        })
        .await?
    }

    /// Runs whose metadata do not say that they ended, and to which no process writes: what a crash has left. Their logs
    /// can be closed by writing metadata with a terminal status.
    pub async fn abandoned(&self) -> Result<Vec<StoredLog>, LogError> {
        let runs = self.0.runs.clone();
        let stored = self.list().await?;
        blocking(move || {
            let is_abandoned = |run: &RunId| -> Result<bool, LogError> {
                let folder = runs.find(run)?;
                folder.map_or(Ok(false), |folder| folder.hold_alone())
            };
            let mut found = Vec::new();
            for log in stored.into_iter().filter(|log| !log.has_ended()) {
                if is_abandoned(&log.run_id)? {
                    found.push(log);
                }
            }
            Ok(found)
        })
        .await?
    }
}

impl Default for FileLogStore {
    /// Logs in [`DEFAULT_FOLDER`].
    fn default() -> Self {
        Self::new(DEFAULT_FOLDER)
    }
}

impl Files {
    fn open(runs: &Runs, run: &RunId) -> Result<Self, LogError> {
        loop {
            let folder = runs.make(run)?;
            folder.hold()?;
            // While we waited for the lock, maintenance may have removed it.
            if !folder.is_gone() {
                return Ok(Self { folder, channels: [None, None] });
            }
        }
    }

    fn channel(&mut self, channel: Channel) -> Result<&mut File, LogError> {
        let file = &mut self.channels[channel.index()];
        if file.is_none() {
            upkeep::unpack(&self.folder, channel)?;
            *file = Some(self.folder.append(&name(channel))?);
        }
        Ok(file.as_mut().expect("it was opened just now"))
    }
}

fn name(channel: Channel) -> String {
    format!("{channel}.log")
}

#[async_trait]
impl LogStore for FileLogStore {
    async fn append(&self, run: &RunId, channel: Channel, lines: &[&str]) -> Result<(), LogError> {
        let mut bytes = Vec::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        for piece in lines.iter().flat_map(|line| pieces(line)) {
            bytes.extend_from_slice(piece.as_bytes());
            bytes.push(b'\n');
        }
        let writing = self.writing(run);
        let appended = self.with_files(&writing, run, move |open| {
            let files = open.as_mut().expect("they were opened");
            let written = files.channel(channel)?.write_all(&bytes);
            written.map_err(|source| {
                let failed = io_failed("append to", files.folder.place(&name(channel)), source);
                // It may end within a line; opening it anew looks after that.
                files.channels[channel.index()] = None;
                failed
            })
        });
        appended.await?;
        writing.bell.send_replace(());
        Ok(())
    }

    fn stream(&self, run: &RunId, channel: Channel, options: StreamOptions) -> LineStream {
        let bell: Bell = self.open().get(run).map(|writing| writing.bell.subscribe());
        reading::stream(self.0.runs.clone(), run.clone(), channel, options, bell)
    }

    async fn write_metadata(&self, run: &RunId, metadata: &RunMetadata) -> Result<(), LogError> {
        let writing = self.writing(run);
        let ended = metadata.has_ended();
        let metadata = metadata.clone();
        let written = self.with_files(&writing, run, move |open| {
            open.as_ref().expect("they were opened").folder.set_metadata(&metadata)?;
            if ended {
                *open = None;
            }
            Ok(())
        });
        written.await?;
        if ended {
            self.open().remove(run);
        }
        writing.bell.send_replace(());
        Ok(())
    }

    async fn read_metadata(&self, run: &RunId) -> Result<Option<RunMetadata>, LogError> {
        let (runs, run) = (self.0.runs.clone(), run.clone());
        blocking(move || runs.find(&run)?.map_or(Ok(None), |folder| folder.metadata())).await?
    }

    async fn list(&self) -> Result<Vec<StoredLog>, LogError> {
        let runs = self.0.runs.clone();
        blocking(move || Ok(runs.all()?.iter().filter_map(|run| stored(&runs, run)).collect())).await?
    }

    async fn delete(&self, run: &RunId) -> Result<bool, LogError> {
        let writing = self.open().remove(run);
        let (runs, run) = (self.0.runs.clone(), run.clone());
        let deleted = blocking(move || {
            let folder = runs.find(&run)?;
            folder.map_or(Ok(false), |folder| folder.destroy(&runs).map(|()| true))
        });
        let deleted = deleted.await?;
        if let Some(writing) = writing {
            *writing.files.lock().await = None;
        }
        deleted
    }

    async fn tend(&self, upkeep: Upkeep, now: UnixMs) -> Result<(), LogError> {
        for left in self.abandoned().await? {
            let at = i64::try_from(now).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
            let begun = left.metadata.unwrap_or_else(|| RunMetadata::begun(left.run_id.clone(), "", 1, at));
            let begun = begun.counted_in(self).await?;
            self.write_metadata(&left.run_id, &begun.ended(Status::Crashed, at)).await?;
            self.release(&left.run_id);
        }
        let done = self.maintain(upkeep, now).await?;
        if !done.compressed.is_empty() || !done.deleted.is_empty() {
            tracing::info!(
                compressed = done.compressed.len(),
                deleted = done.deleted.len(),
                bytes = done.bytes,
                "logs of runs tidied up"
            );
        }
        Ok(())
    }

    async fn prepare(&self) -> Result<(), LogError> {
        let runs = self.0.runs.clone();
        blocking(move || runs.prepare()).await?
    }

    fn release(&self, run: &RunId) {
        self.open().remove(run);
    }
}

/// What there is of a run. One that cannot be looked at does not hide the others.
fn stored(runs: &Runs, run: &RunId) -> Option<StoredLog> {
    let folder = runs.find(run).unwrap_or_else(|error| {
        tracing::warn!(%run, error = chain(&error), "the log of a run cannot be opened");
        None
    })?;
    let metadata = folder.metadata().unwrap_or_else(|error| {
        tracing::warn!(%run, error = chain(&error), "the metadata of a run cannot be read");
        None
    });
    Some(StoredLog { run_id: run.clone(), metadata, bytes: folder.bytes().unwrap_or(0) })
}
