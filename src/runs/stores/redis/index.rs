//! Which indexes a document stands in, and which find what is asked for.

use crate::runs::{RunLog, RunLogQuery, Status};

/// The index that finds every document.
pub(super) const ALL: &str = "created";

/// The indexes that find a document.
pub(super) fn indexes(log: &RunLog) -> Vec<String> {
    let mut indexes = vec![ALL.to_owned(), of_task(&log.task_name), of_status(log.status)];
    indexes.extend(Some(log.tag.as_str()).filter(|tag| !tag.is_empty()).map(of_tag));
    indexes
}

/// Indexes each of which finds all that is asked for; none, if only [`ALL`] does.
pub(super) fn that_find(query: &RunLogQuery) -> Vec<String> {
    let mut indexes: Vec<String> = Vec::new();
    indexes.extend(query.tag.as_deref().filter(|tag| !tag.is_empty()).map(of_tag));
    indexes.extend(query.task_name.as_deref().map(of_task));
    if let [status] = query.status[..] {
        indexes.push(of_status(status));
    }
    indexes
}

fn of_tag(tag: &str) -> String {
    format!("tag.{tag}")
}

fn of_task(name: &str) -> String {
    format!("task.{name}")
}

fn of_status(status: Status) -> String {
    format!("status.{status}")
}
