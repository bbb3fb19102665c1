//! The task log beside the documents of a folder: a file of JSON lines for each task.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::disk;
use super::line_file::{Format, Layout, LineFiles, Unreadable};
use crate::runs::stores::{StoreError, StoreSummary, TaskLogRepo};
use crate::runs::{TaskLogEvent, TaskLogQuery};

/// Lines in `<log_folder>/_events/<task>.jsonl`, in the order of the stream.
///
/// Lines of several tasks are answered in the order in which they were created, since nothing else orders them.
pub(crate) struct TaskFiles {
    files: Arc<LineFiles<JsonLines>>,
    folder: String,
}

struct JsonLines;

impl Format for JsonLines {
    fn write(&self, event: &TaskLogEvent) -> Result<String, Unreadable> {
        // JSON escapes newlines.
        Ok(serde_json::to_string(event)?)
    }

    fn read(&self, line: &str) -> Result<TaskLogEvent, Unreadable> {
        Ok(serde_json::from_str(line)?)
    }
}

impl TaskFiles {
    /// In that folder of documents.
    pub(crate) fn open(log_folder: &Path) -> Result<Self, StoreError> {
        // No run is called like this: run ids begin with a letter or a digit.
        let folder = disk::folder(log_folder.join("_events"))?;
        let lock = folder.join(".lock");
        let shown = folder.display().to_string();
        Ok(Self { files: LineFiles::new(JsonLines, Layout::PerTask(folder, ".jsonl"), lock), folder: shown })
    }
}

#[async_trait]
impl TaskLogRepo for TaskFiles {
    async fn append(&self, events: &[TaskLogEvent]) -> Result<(), StoreError> {
        let (files, events) = (Arc::clone(&self.files), events.to_vec());
        disk::blocking(move || files.append(&events)).await
    }

    async fn query(&self, query: &TaskLogQuery) -> Result<Vec<TaskLogEvent>, StoreError> {
        query.check()?;
        let (files, query) = (Arc::clone(&self.files), query.clone());
        disk::blocking(move || answer(&query, &files.read(&query)?)).await
    }

    async fn count(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        query.check()?;
        let (files, query) = (Arc::clone(&self.files), query.clone());
        disk::blocking(move || Ok(files.read(&query)?.iter().filter(|line| query.matches(line)).count() as u64)).await
    }

    async fn delete(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        query.check()?;
        let (files, query) = (Arc::clone(&self.files), query.clone());
        disk::blocking(move || files.delete(&query)).await
    }

    fn summary(&self) -> StoreSummary {
        StoreSummary::new("jsonl").with("Folder", self.folder.clone())
    }
}

/// The answer out of these lines.
pub(super) fn answer(query: &TaskLogQuery, lines: &[TaskLogEvent]) -> Result<Vec<TaskLogEvent>, StoreError> {
    let found = query.answer(lines).ok_or_else(|| StoreError::line_gone(query.begins_after()))?;
    Ok(found.into_iter().cloned().collect())
}
