//! A folder for each run and a file for each part of it: for many writers, also in several processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::disk::{self, Lock};
use super::file_system::{listed, page};
use crate::runs::stores::chunks::{self, Chunks, HEADER, PARAMETERS};
use crate::runs::stores::document::Documents;
use crate::runs::stores::{Change, RunLogStore, StoreError, StoreSummary, edits};
use crate::runs::{NewRunLog, Page, RunId, RunLog, RunLogQuery};

/// Documents in `<log_folder>/<run_id>/`: `RunLog.json`, and a file for each step, branch and attempt and for the
/// parameters.
///
/// A lock for each run, of the system's, orders writers of all processes, and lets readers see nothing half-written.
/// A writer that is killed leaves chunks that are whole, and the header of before.
#[derive(Debug)]
pub struct ChunkedFs {
    folder: Arc<Path>,
    documents: Documents,
    retention: Option<Duration>,
}

/// A document that nobody else can read or write meanwhile.
struct Held {
    lock: Lock,
    log: Option<RunLog>,
    chunks: Chunks,
}

impl ChunkedFs {
    /// The type that configuration names.
    pub const TYPE: &'static str = "chunked-fs";

    /// In that folder, which is made if need be.
    pub fn open(log_folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let folder: Arc<Path> = disk::folder(log_folder)?.into();
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(DELETED)) {
                // Nothing refers to it; what cannot be removed now is tried again when a store is opened next.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(Self { folder, documents: Documents { compress: false }, retention: None })
    }

    /// Keeps runs that have ended only so long.
    pub fn retention(mut self, kept: Duration) -> Self {
        self.retention = Some(kept);
        self
    }

    /// Compresses large chunks, or not. Default: not.
    pub fn compression(mut self, compress: bool) -> Self {
        self.documents = Documents { compress };
        self
    }

    /// Changes a document, or the absence of one, while nobody else reads or writes it.
    async fn change(
        &self,
        id: &RunId,
        may_create: bool,
        change: impl FnOnce(Option<RunLog>) -> Result<Option<RunLog>, StoreError> + Send,
    ) -> Result<(), StoreError> {
        let folder = self.folder.join(id.as_str());
        let run = folder.clone();
        let held = disk::blocking(move || hold(&run, may_create)).await?;
        let Some(Held { lock, log, chunks }) = held else {
            // Nothing to change, and nothing to be created: the change has the word.
            return change(None).map(drop);
        };
        let Some(log) = change(log)? else { return Ok(()) };
        let documents = self.documents;
        disk::blocking(move || {
            // Held in here, since the chunks are written to their end also if nobody waits for that any more.
            let _lock = lock;
            for (file, bytes) in chunks::split(&log, documents)? {
                if chunks.get(&file) != Some(&bytes) {
                    disk::replace(&folder.join(file), &bytes)?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// What the folder of a run that is being removed is called meanwhile.
const DELETED: &str = ".deleted-";

fn place(folder: &Path) -> impl Fn(&str) -> String + '_ {
    move |file| folder.join(file).display().to_string()
}

/// All chunks of a run.
fn read_chunks(folder: &Path) -> Result<Chunks, StoreError> {
    let files = disk::names(folder)?.into_iter().filter(|name| name.ends_with(".json"));
    let mut chunks = Chunks::new();
    for file in files {
        if let Some(bytes) = disk::read(&folder.join(&file))? {
            chunks.insert(file, bytes);
        }
    }
    Ok(chunks)
}

/// Takes a document away from everybody else. Nothing if there is none and none may be created.
fn hold(folder: &Path, may_create: bool) -> Result<Option<Held>, StoreError> {
    let lock = loop {
        if may_create {
            disk::make_folder(folder)?;
        }
        match Lock::exclusive(&folder.join(".lock"))? {
            Some(lock) => break lock,
            None if !may_create => return Ok(None),
            // Removed between the two: made again.
            None => {}
        }
    };
    let chunks = read_chunks(folder)?;
    let log = chunks::join(&chunks, place(folder))?;
    Ok(Some(Held { lock, log, chunks }))
}

fn read(folder: &Path) -> Result<Option<RunLog>, StoreError> {
    let Some(_lock) = Lock::shared(&folder.join(".lock"))? else { return Ok(None) };
    chunks::join(&read_chunks(folder)?, place(folder))
}

/// The header alone needs no lock: it is one file, and each of its parameters is there or not.
fn read_header(folder: &Path) -> Result<Option<RunLog>, StoreError> {
    let mut chunks = Chunks::new();
    for file in [HEADER, PARAMETERS] {
        if let Some(bytes) = disk::read(&folder.join(file))? {
            chunks.insert(file.to_owned(), bytes);
        }
    }
    chunks::header(&chunks, place(folder))
}

/// Takes the folder of a run out of sight, whole, and then removes it.
fn remove(folder: &Path, all: &Path) -> Result<bool, StoreError> {
    let Some(_lock) = Lock::exclusive(&folder.join(".lock"))? else { return Ok(false) };
    let existed = folder.join(HEADER).exists();
    let hidden = all.join(format!("{DELETED}{}", uuid::Uuid::now_v7()));
    fs::rename(folder, &hidden).map_err(disk::failed("remove", folder))?;
    disk::sync_folder(all)?;
    fs::remove_dir_all(&hidden).map_err(disk::failed("remove", &hidden))?;
    Ok(existed)
}

#[async_trait]
impl RunLogStore for ChunkedFs {
    fn service_name(&self) -> &str {
        Self::TYPE
    }

    fn supports_parallel_writes(&self) -> bool {
        true
    }

    fn retention(&self) -> Option<Duration> {
        self.retention
    }

    async fn create_run_log(&self, new: NewRunLog) -> Result<RunLog, StoreError> {
        let log = RunLog::from(new);
        self.change(&log.run_id, true, edits::create(&log)).await?;
        Ok(log)
    }

    async fn get_run_log_by_id(&self, id: &RunId, full: bool) -> Result<RunLog, StoreError> {
        let folder = self.folder.join(id.as_str());
        let log = disk::blocking(move || if full { read(&folder) } else { read_header(&folder) }).await?;
        log.ok_or_else(|| StoreError::RunLogNotFound(id.clone()))
    }

    async fn put_run_log(&self, log: &RunLog) -> Result<(), StoreError> {
        self.change(&log.run_id, true, edits::put(log)).await
    }

    async fn get_run_logs(&self, query: &RunLogQuery) -> Result<Page<RunLog>, StoreError> {
        let (query, folder) = (query.clone(), Arc::clone(&self.folder));
        disk::blocking(move || {
            let ids = listed(&query, &folder, "")?;
            page(&query, ids, |id| read_header(&folder.join(id.as_str())))
        })
        .await
    }

    async fn delete_run_log(&self, id: &RunId) -> Result<bool, StoreError> {
        let (folder, all) = (self.folder.join(id.as_str()), Arc::clone(&self.folder));
        disk::blocking(move || remove(&folder, &all)).await
    }

    fn summary(&self) -> StoreSummary {
        StoreSummary::new(Self::TYPE)
            .with("Folder", self.folder.display().to_string())
            .with_retention(self.retention)
            .with("Compression", self.documents.compress)
    }

    async fn update(&self, id: &RunId, change: Change<'_>) -> Result<(), StoreError> {
        self.change(id, false, edits::update(id, change)).await
    }
}
