//! Lines of the task log: rows in the order in which they were added.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::SqlStore;
use super::filters;
use super::names::key;
use super::statement::{Statement, Value};
use crate::runs::stores::{StoreError, StoreSummary, TaskLogRepo, document};
use crate::runs::{Action, RunId, TaskLogEvent, TaskLogQuery};

/// How many lines one statement adds, reads or removes: none takes long.
const LINES_AT_ONCE: usize = 500;

const COLUMNS: &str = "event_id, task_name, action, created, run_id, activation, \"start\", \"end\", runtime, attempt, \
                       kind, worker_id, host, \"partition\", level, doc, encoding";

/// The count of a line: its place in the order of all.
type Count = i64;

impl SqlStore {
    fn line(&self, event: &TaskLogEvent) -> Result<Vec<Value>, StoreError> {
        if !event.created.is_finite() {
            // JSON has no word for it, so that nobody could read the line again.
            let source = format!("`created` of the event {} is {}, which is no time", event.event_id, event.created);
            return Err(StoreError::Backend { doing: "add a line".into(), transient: false, source: source.into() });
        }
        let micros = |time: Option<DateTime<Utc>>| Value::Int(time.map(|time| time.timestamp_micros()));
        let text = |text: &str| Value::Text(key(text).into_owned());
        let doc = self.documents.write(event)?;
        let encoding = document::encoding(&doc);
        Ok(vec![
            event.event_id.to_string().into(),
            text(&event.task_name),
            event.action.as_str().into(),
            event.created.into(),
            event.run_id.as_str().into(),
            i64::from(event.activation).into(),
            micros(event.start),
            micros(event.end),
            Value::Float(event.runtime.filter(|runtime| runtime.is_finite())),
            i64::from(event.attempt).into(),
            event.kind.as_str().into(),
            text(&event.worker_id),
            text(&event.host),
            Value::Int(event.partition.map(i64::from)),
            event.level.as_str().into(),
            Value::Bytes(doc),
            encoding.into(),
        ])
    }

    /// The count of the line that an answer is to begin after.
    async fn count_of(&self, query: &TaskLogQuery) -> Result<Option<Count>, StoreError> {
        let Some(line) = query.begins_after() else { return Ok(None) };
        let text = format!("SELECT id FROM {} WHERE event_id = $1", self.tables.events);
        let rows = self.database.rows("find a line", Statement::new(text).with(line.to_string())).await?;
        rows.first().ok_or_else(|| StoreError::line_gone(Some(line)))?.int(0).map(Some)
    }

    /// Some lines behind that one, and the count of the last one that was read, if more may follow.
    async fn some_lines(
        &self,
        query: &TaskLogQuery,
        behind: Option<Count>,
        most: usize,
    ) -> Result<(Vec<(Count, TaskLogEvent)>, Option<Count>), StoreError> {
        let (is_behind, order) = if query.is_newest_first() { ("<", "DESC") } else { (">", "ASC") };
        let mut statement = Statement::new(format!("SELECT id, doc FROM {} WHERE 1 = 1", self.tables.events));
        let exact = filters::say(query.conditions(), &mut statement);
        if let Some(count) = behind {
            statement.say(&format!(" AND id {is_behind} ")).bind(count);
        }
        let at_once = if exact { most.min(LINES_AT_ONCE) } else { LINES_AT_ONCE };
        statement.say(&format!(" ORDER BY id {order} LIMIT ")).bind(i64::try_from(at_once).unwrap_or(i64::MAX));
        let rows = self.database.rows("read the task log", statement).await?;
        let (mut lines, mut last) = (Vec::with_capacity(rows.len()), None);
        for row in &rows {
            let count = row.int(0)?;
            last = Some(count);
            match document::read::<TaskLogEvent>(&row.bytes(1)?, || self.location(format!("line {count}"))) {
                Ok(line) if query.matches(&line) => lines.push((count, line)),
                Ok(_) => {}
                // One broken line must not hide all the others.
                Err(error) => {
                    tracing::warn!(%error, source = ?std::error::Error::source(&error), "left out of the task log");
                }
            }
        }
        Ok((lines, last.filter(|_| rows.len() == at_once)))
    }

    /// Removes what columns alone can tell.
    async fn delete_at_once(&self, said: &Statement) -> Result<u64, StoreError> {
        let events = &self.tables.events;
        let mut deleted = 0;
        loop {
            let Statement { text, values, recurs } = said;
            let text = format!(
                "DELETE FROM {events} WHERE id IN (SELECT id FROM {events} WHERE 1 = 1{text} ORDER BY id LIMIT {LINES_AT_ONCE})"
            );
            let mut within = self.database.begin("remove lines").await?;
            let now = within.execute(Statement { text, values: values.clone(), recurs: *recurs }).await?;
            within.commit().await?;
            deleted += now;
            if now < LINES_AT_ONCE as u64 {
                return Ok(deleted);
            }
        }
    }
}

#[async_trait]
impl TaskLogRepo for SqlStore {
    async fn append(&self, events: &[TaskLogEvent]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let rows = events.iter().map(|event| self.line(event)).collect::<Result<Vec<_>, _>>()?;
        let mut within = self.database.begin("add lines").await?;
        if let Some(turn) = self.database.dialect().turn() {
            // Else a line could come to be seen after another one with a higher count, and whoever reads on from that
            // one would miss it.
            within.rows(Statement::new(turn).with(self.tables.turn())).await?;
        }
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let mut statement = Statement::new(format!("INSERT INTO {} ({COLUMNS}) VALUES ", self.tables.events));
            statement.rows(rows.by_ref().take(LINES_AT_ONCE)).say(" ON CONFLICT (event_id) DO NOTHING");
            within.execute(statement).await?;
        }
        within.commit().await
    }

    async fn query(&self, query: &TaskLogQuery) -> Result<Vec<TaskLogEvent>, StoreError> {
        query.check()?;
        let mut behind = self.count_of(query).await?;
        let most = query.most().unwrap_or(usize::MAX);
        let mut found = Vec::new();
        while found.len() < most {
            let (lines, last) = self.some_lines(query, behind, most - found.len()).await?;
            found.extend(lines.into_iter().map(|(_, line)| line).take(most - found.len()));
            if last.is_none() {
                break;
            }
            behind = last;
        }
        Ok(found)
    }

    async fn count(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        query.check()?;
        let mut statement = Statement::new(format!("SELECT COUNT(*) FROM {} WHERE 1 = 1", self.tables.events));
        if filters::say(query.conditions(), &mut statement) {
            let rows = self.database.rows("count lines", statement).await?;
            return rows.first().map_or(Ok(0), |row| row.int(0)).map(|count| u64::try_from(count).unwrap_or(0));
        }
        let (mut counted, mut behind) = (0, None);
        loop {
            let (lines, last) = self.some_lines(query, behind, LINES_AT_ONCE).await?;
            counted += lines.len() as u64;
            if last.is_none() {
                return Ok(counted);
            }
            behind = last;
        }
    }

    async fn delete(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        query.check()?;
        let mut said = Statement::new("");
        if filters::say(query.conditions(), &mut said) {
            return self.delete_at_once(&said).await;
        }
        let (mut deleted, mut behind) = (0, None);
        loop {
            let (lines, last) = self.some_lines(query, behind, LINES_AT_ONCE).await?;
            if !lines.is_empty() {
                let mut statement = Statement::new(format!("DELETE FROM {} WHERE id IN ", self.tables.events));
                statement.list(lines.iter().map(|(count, _)| (*count).into()));
                let mut within = self.database.begin("remove lines").await?;
                deleted += within.execute(Statement { recurs: false, ..statement }).await?;
                within.commit().await?;
            }
            if last.is_none() {
                return Ok(deleted);
            }
            behind = last;
        }
    }

    fn summary(&self) -> StoreSummary {
        self.told()
    }

    async fn open_runs(&self, task_name: &str) -> Result<Vec<RunId>, StoreError> {
        // Of each run, the beginnings that no end follows.
        let events = &self.tables.events;
        let text = format!(
            "SELECT run_id FROM {events} e WHERE task_name = $1 AND action = $2 AND NOT EXISTS (SELECT 1 FROM {events} l \
             WHERE l.run_id = e.run_id AND l.task_name = e.task_name AND l.action <> e.action AND l.id > e.id) \
             GROUP BY run_id ORDER BY MIN(id)"
        );
        let asked = Statement::new(text).with(key(task_name).into_owned()).with(Action::Run.as_str());
        let rows = self.database.rows("find open runs", asked).await?;
        rows.iter().map(|row| Ok(row.text(0)?.parse()?)).collect()
    }
}
