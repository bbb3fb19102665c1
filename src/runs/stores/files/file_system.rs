//! One file for each run: simple to look at, and for one writer at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::disk;
use crate::runs::stores::document::{self, Documents};
use crate::runs::stores::{Change, RunLogStore, StoreError, StoreSummary, edits};
use crate::runs::{NewRunLog, Page, RunId, RunLog, RunLogQuery};

/// Documents in `<log_folder>/<run_id>.json`.
///
/// Writers of this process wait for each other; of two processes that write one run, the last one wins. Documents are
/// always whole.
#[derive(Debug)]
pub struct FileSystem {
    folder: Arc<Path>,
    documents: Documents,
    retention: Option<Duration>,
    /// Held while a document is read, changed and written.
    writing: Arc<Mutex<()>>,
}

impl FileSystem {
    /// The type that configuration names.
    pub const TYPE: &'static str = "file-system";

    /// In that folder, which is made if need be.
    pub fn open(log_folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let folder = disk::folder(log_folder)?.into();
        Ok(Self { folder, documents: Documents { compress: false }, retention: None, writing: Arc::default() })
    }

    /// Keeps runs that have ended only so long.
    pub fn retention(mut self, kept: Duration) -> Self {
        self.retention = Some(kept);
        self
    }

    /// Compresses large documents, or not. Default: not.
    pub fn compression(mut self, compress: bool) -> Self {
        self.documents = Documents { compress };
        self
    }

    fn path(&self, id: &RunId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    async fn read(&self, id: &RunId) -> Result<Option<RunLog>, StoreError> {
        let path = self.path(id);
        disk::blocking(move || read(&path)).await
    }

    /// Changes a document, or the absence of one, while nobody else of this process does.
    async fn change(
        &self,
        id: &RunId,
        change: impl FnOnce(Option<RunLog>) -> Result<Option<RunLog>, StoreError> + Send,
    ) -> Result<(), StoreError> {
        let writing = Arc::clone(&self.writing).lock_owned().await;
        let Some(log) = change(self.read(id).await?)? else { return Ok(()) };
        let (path, documents) = (self.path(id), self.documents);
        disk::blocking(move || {
            // Held in here, since the file is written to its end also if nobody waits for that any more.
            let _writing = writing;
            disk::replace(&path, &documents.write(&log)?)
        })
        .await
    }
}

fn read(path: &Path) -> Result<Option<RunLog>, StoreError> {
    disk::read(path)?.map(|bytes| document::read(&bytes, || path.display().to_string())).transpose()
}

#[async_trait]
impl RunLogStore for FileSystem {
    fn service_name(&self) -> &str {
        Self::TYPE
    }

    fn retention(&self) -> Option<Duration> {
        self.retention
    }

    async fn create_run_log(&self, new: NewRunLog) -> Result<RunLog, StoreError> {
        let log = RunLog::from(new);
        self.change(&log.run_id, edits::create(&log)).await?;
        Ok(log)
    }

    async fn get_run_log_by_id(&self, id: &RunId, full: bool) -> Result<RunLog, StoreError> {
        let log = self.read(id).await?.ok_or_else(|| StoreError::RunLogNotFound(id.clone()))?;
        Ok(if full { log } else { log.header() })
    }

    async fn put_run_log(&self, log: &RunLog) -> Result<(), StoreError> {
        self.change(&log.run_id, edits::put(log)).await
    }

    async fn get_run_logs(&self, query: &RunLogQuery) -> Result<Page<RunLog>, StoreError> {
        let (query, folder) = (query.clone(), Arc::clone(&self.folder));
        disk::blocking(move || {
            let ids = listed(&query, &folder, ".json")?;
            page(&query, ids, |id| Ok(read(&folder.join(format!("{id}.json")))?.map(|log| log.header())))
        })
        .await
    }

    async fn delete_run_log(&self, id: &RunId) -> Result<bool, StoreError> {
        let path = self.path(id);
        let writing = Arc::clone(&self.writing).lock_owned().await;
        disk::blocking(move || {
            let _writing = writing;
            disk::remove(&path)
        })
        .await
    }

    fn summary(&self) -> StoreSummary {
        StoreSummary::new(Self::TYPE)
            .with("Folder", self.folder.display().to_string())
            .with_retention(self.retention)
            .with("Compression", self.documents.compress)
    }

    async fn update(&self, id: &RunId, change: Change<'_>) -> Result<(), StoreError> {
        self.change(id, edits::update(id, change)).await
    }
}

/// The runs that a folder holds, by its names; only those that the question names itself, if it does.
pub(super) fn listed(query: &RunLogQuery, folder: &Path, ending: &str) -> Result<Vec<RunId>, StoreError> {
    if let Some(ids) = &query.run_ids {
        let each: std::collections::BTreeSet<_> = ids.iter().cloned().collect();
        return Ok(each.into_iter().collect());
    }
    // What has another name is not ours.
    Ok(disk::names(folder)?.iter().filter_map(|name| name.strip_suffix(ending)?.parse().ok()).collect())
}

/// A page of what can be read of these runs.
pub(super) fn page(
    query: &RunLogQuery,
    ids: Vec<RunId>,
    read: impl Fn(&RunId) -> Result<Option<RunLog>, StoreError>,
) -> Result<Page<RunLog>, StoreError> {
    let mut problem = None;
    let logs = ids.into_iter().filter_map(|id| match read(&id) {
        // None: removed since the folder was listed.
        Ok(log) => log,
        // One broken file must not hide all the others. Whoever asks for that run is told.
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::warn!(%error, source = ?std::error::Error::source(&error), "left out of a list of runs");
            None
        }
        Err(error) => {
            problem.get_or_insert(error);
            None
        }
    });
    let page = query.page(logs)?;
    problem.map_or(Ok(page), Err)
}
