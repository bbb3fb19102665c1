//! The task log as a CSV file: for people with a spreadsheet.
//!
//! Its columns are those of a record model, and the id by which a line that comes again is known. A line of the log is
//! a line of the file: newlines in messages are written as `\n`, backslashes as `\\`.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::disk;
use super::line_file::{Format, Layout, LineFiles, Unreadable};
use super::task_files::answer;
use crate::nearest::did_you_mean;
use crate::runs::projection::{MODELS, RecordModel};
use crate::runs::stores::{StoreError, StoreSummary, TaskLogRepo};
use crate::runs::{TaskLogEvent, TaskLogQuery, TaskRunRecord};

/// Lines of the task log in a CSV file.
///
/// What its record model leaves out is not kept, and asking for it is an error. In rows that do not tell runs apart, all
/// runs of a task are one.
pub struct CsvRepo {
    files: Arc<LineFiles<Rows>>,
    path: PathBuf,
    model: &'static str,
}

struct Rows {
    columns: Vec<&'static str>,
}

/// What every row ends with.
const ID: &str = "event_id";

impl CsvRepo {
    /// The type that configuration names.
    pub const TYPE: &'static str = "csv";

    /// In that file, with the columns of [`TaskRunRecord`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::with_model(path, TaskRunRecord::NAME)
    }

    /// In that file, with the columns of the record model of that name.
    pub fn with_model(path: impl Into<PathBuf>, model: &str) -> Result<Self, StoreError> {
        let path = path.into();
        let refused = |reason| StoreError::Config { field: "task_log_repo.csv".into(), reason };
        let Some((model, columns)) = MODELS.iter().find(|(name, _)| *name == model) else {
            let names: Vec<_> = MODELS.iter().map(|(name, _)| *name).collect();
            let advice = did_you_mean(model, names.iter().copied());
            return Err(refused(format!("`{model}` is no record model{advice}; expected one of {}", names.join(", "))));
        };
        let format = Rows { columns: columns.iter().copied().chain([ID]).collect() };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            disk::make_folder(folder)?;
        }
        let ours = format.columns.join(",");
        match LineFiles::<Rows>::found_heading(&path)? {
            Some(found) if found != ours => {
                let path = path.display();
                return Err(refused(format!(
                    "{path} has other columns (`{found}`) than {model} (`{ours}`): move it away, or name its own model"
                )));
            }
            _ => {}
        }
        let mut lock = path.clone().into_os_string();
        lock.push(".lock");
        Ok(Self { files: LineFiles::new(format, Layout::One(path.clone()), lock.into()), path, model })
    }

    /// Refuses questions about what is not kept.
    fn check(&self, query: &TaskLogQuery) -> Result<(), StoreError> {
        query.check()?;
        let kept = |name: &str| self.files.format().columns.contains(&name);
        let missing =
            query.conditions().iter().map(|condition| &condition.field).find(|field| !kept(&field.to_string()));
        missing.map_or(Ok(()), |field| {
            let reason = format!("rows of {} keep no `{field}`: choose a record model that does", self.model);
            Err(StoreError::Config { field: "task_log_repo.csv".into(), reason })
        })
    }
}

impl Format for Rows {
    fn heading(&self) -> Option<String> {
        Some(self.columns.join(","))
    }

    fn write(&self, event: &TaskLogEvent) -> Result<String, Unreadable> {
        let event = serde_json::to_value(event)?;
        let cells = self.columns.iter().map(|column| match &event[column] {
            Value::Null => String::new(),
            Value::String(text) => cell(text),
            other => cell(&other.to_string()),
        });
        Ok(cells.collect::<Vec<_>>().join(","))
    }

    fn read(&self, line: &str) -> Result<TaskLogEvent, Unreadable> {
        let cells = cells(line)?;
        if cells.len() != self.columns.len() {
            return Err(format!("{} cells instead of {}", cells.len(), self.columns.len()).into());
        }
        let mut event = Map::from_iter([("kind".to_owned(), json!("task")), ("level".to_owned(), json!("INFO"))]);
        for (&column, text) in self.columns.iter().zip(cells) {
            let value = match column {
                "created" => json!(text.parse::<f64>()?),
                "runtime" if !text.is_empty() => json!(text.parse::<f64>()?),
                "start" | "end" | "runtime" | "exc_text" if text.is_empty() => Value::Null,
                _ => Value::String(text),
            };
            event.insert(column.to_owned(), value);
        }
        if !event.contains_key("run_id") {
            let task = event["task_name"].as_str().unwrap_or_default();
            let run = format!("task-{:016x}", xxhash_rust::xxh64::xxh64(task.as_bytes(), 0));
            event.insert("run_id".into(), run.into());
        }
        Ok(serde_json::from_value(Value::Object(event))?)
    }
}

/// A text as a cell.
fn cell(text: &str) -> String {
    let line = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    match line.contains([',', '"', ' ']) {
        true => format!("\"{}\"", line.replace('"', "\"\"")),
        false => line,
    }
}

/// The texts of a row.
fn cells(line: &str) -> Result<Vec<String>, Unreadable> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let cell = cells.last_mut().ok_or("a row has a cell")?;
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            '\\' => cell.push(match letters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('\\') => '\\',
                other => return Err(format!("`\\` before {other:?}").into()),
            }),
            plain => cell.push(plain),
        }
    }
    if quoted {
        return Err("a quote is not closed".into());
    }
    Ok(cells)
}

#[async_trait]
impl TaskLogRepo for CsvRepo {
    async fn append(&self, events: &[TaskLogEvent]) -> Result<(), StoreError> {
        let (files, events) = (Arc::clone(&self.files), events.to_vec());
        disk::blocking(move || files.append(&events)).await
    }

    async fn query(&self, query: &TaskLogQuery) -> Result<Vec<TaskLogEvent>, StoreError> {
        self.check(query)?;
        let (files, query) = (Arc::clone(&self.files), query.clone());
        disk::blocking(move || answer(&query, &files.read(&query)?)).await
    }

    async fn count(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        self.check(query)?;
        let (files, query) = (Arc::clone(&self.files), query.clone());
        disk::blocking(move || Ok(files.read(&query)?.iter().filter(|line| query.matches(line)).count() as u64)).await
    }

    async fn delete(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        self.check(query)?;
        let (files, query) = (Arc::clone(&self.files), query.clone());
        disk::blocking(move || files.delete(&query)).await
    }

    fn summary(&self) -> StoreSummary {
        StoreSummary::new(Self::TYPE).with("File", self.path.display().to_string()).with("Model", self.model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_text_holds_it_is_one_cell_of_one_line() {
        let texts = ["", "plain", "a,b", "say \"x\"", "two\nlines\r\n", "\\n", "\\", "\"", " ", ",\",\n\\"];
        let row = texts.map(cell).join(",");
        assert!(!row.contains('\n'));
        assert_eq!(cells(&row).unwrap(), texts);
    }

    #[test]
    fn damaged_rows_are_errors() {
        for row in ["\"a", "a\\", "a\\x"] {
            assert!(cells(row).is_err(), "{row}");
        }
    }
}
