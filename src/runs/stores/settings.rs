//! What every store can be told, and how a configuration is read.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::StoreError;
use crate::nearest::did_you_mean;
use crate::runs::TaskRunRecord;
use crate::runs::projection::RecordModel;

/// What every store can be told.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct StoreSettings {
    /// How long runs that have ended are kept, in days; 0 is for ever. Default: 90.
    pub retention_days: u32,
    /// Whether large documents are compressed. What is compressed is read either way. Default: true.
    pub enable_compression: bool,
    /// How long documents of ended runs are kept at hand, in seconds; 0 is not at all. Default: 300.
    pub cache_ttl_seconds: u64,
    /// How many lines of the task log are added in one step, where several callers add some at once. Default: 100.
    pub batch_size: usize,
    /// Whether lines that are added at once are added in one step. Default: true.
    pub async_writes: bool,
    /// `false` takes away what a store says it can do; `true` gives it nothing. Default: true.
    pub supports_parallel_writes: bool,
    /// Keep everything in memory instead, and connect to nothing. Default: false.
    pub mock: bool,
    /// Keep the lines of the task log elsewhere: `"csv"`, or `{ type = "csv", path = "..", record_model = ".." }`.
    pub task_log_repo: Option<TaskLogRepoName>,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            retention_days: 90,
            enable_compression: true,
            cache_ttl_seconds: 300,
            batch_size: 100,
            async_writes: true,
            supports_parallel_writes: true,
            mock: false,
            task_log_repo: None,
        }
    }
}

impl StoreSettings {
    /// How long runs that have ended are kept; nothing is for ever.
    pub(super) fn retention(&self) -> Option<Duration> {
        const DAY: u64 = 86_400;
        (self.retention_days > 0).then(|| Duration::from_secs(u64::from(self.retention_days) * DAY))
    }
}

/// A repository of lines, by its type alone or with its configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct TaskLogRepoName(Value);

/// A repository of lines.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum TaskLogRepoSettings {
    Memory,
    Csv {
        #[serde(default = "default_path")]
        path: PathBuf,
        #[serde(default = "default_model")]
        record_model: String,
    },
}

fn default_path() -> PathBuf {
    "task_log.csv".into()
}

fn default_model() -> String {
    TaskRunRecord::NAME.into()
}

impl TaskLogRepoName {
    pub(super) fn read(&self) -> Result<TaskLogRepoSettings, StoreError> {
        let table = match &self.0 {
            Value::Table(table) => table.clone(),
            name => Table::from_iter([("type".to_owned(), name.clone())]),
        };
        read("task_log_repo", table)
    }
}

const COMMON: [&str; 8] = [
    "retention_days",
    "enable_compression",
    "cache_ttl_seconds",
    "batch_size",
    "async_writes",
    "supports_parallel_writes",
    "mock",
    "task_log_repo",
];

/// Parts what every store can be told from what is the store's own.
pub(super) fn split(field: &str, config: Table) -> Result<(StoreSettings, Table), StoreError> {
    let (common, own): (Table, Table) = config.into_iter().partition(|(name, _)| COMMON.contains(&name.as_str()));
    Ok((read(field, common)?, own))
}

/// Reads a configuration; `field` is its place, for the error.
pub(super) fn read<C: DeserializeOwned>(field: &str, config: Table) -> Result<C, StoreError> {
    let names: Vec<String> = config.keys().cloned().collect();
    config.try_into::<C>().map_err(|error: toml::de::Error| {
        // One line: what is wrong, and the name of what it is about, which the message of a wrong type leaves out.
        let text = error.to_string();
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let mut reason = lines.next().unwrap_or_default().to_owned();
        lines.for_each(|line| reason.extend([" ", line.trim()]));
        if reason.starts_with("unknown field") {
            let unknown = names.iter().find(|name| reason.contains(&format!("unknown field `{name}`")));
            reason.extend(unknown.map(|name| did_you_mean(name, COMMON)));
        }
        StoreError::Config { field: field.to_owned(), reason }
    })
}
