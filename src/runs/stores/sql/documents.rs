//! Documents: read by one statement, changed under the lock of their header.

use std::ops::Bound;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::SqlStore;
use super::database::{Row, Transaction};
use super::names::key;
use super::parts::{self, Kind, Parts};
use super::statement::{Statement, Value};
use crate::runs::query::Place;
use crate::runs::stores::{Change, RunLogStore, StoreError, StoreSummary, document};
use crate::runs::{NewRunLog, Order, Page, RunId, RunLog, RunLogQuery};

/// How many rows one statement writes: far from the number of values that either database takes at once.
const ROWS_AT_ONCE: usize = 500;

/// How many values a condition may list. A longer list is looked through here instead.
const LONGEST_LIST: usize = 10_000;

/// A document as it lies in the tables.
struct Stored {
    header: Vec<u8>,
    parts: Parts,
}

impl SqlStore {
    /// The statement for a document: its header in the first row, if there is one.
    fn document(&self, id: &RunId, full: bool) -> Statement {
        let tables = &self.tables;
        let mut text =
            format!("SELECT 'run' AS kind, '' AS name, 0 AS place, doc FROM {} WHERE run_id = $1", tables.runs);
        if full {
            text.push_str(" UNION ALL SELECT kind, name, place, doc FROM ");
            text.push_str(&format!("{} WHERE run_id = $1", tables.steps));
        }
        text.push_str(" UNION ALL SELECT 'parameter', name, place, doc FROM ");
        text.push_str(&format!("{} WHERE run_id = $1", tables.parameters));
        Statement::new(text).with(id.as_str())
    }

    fn stored(&self, id: &RunId, rows: Vec<Row>) -> Result<Option<Stored>, StoreError> {
        let (mut header, mut parts) = (None, Parts::new());
        for row in rows {
            let (word, bytes) = (row.text(0)?, row.bytes(3)?);
            match Kind::of(&word) {
                Some(kind) => {
                    parts.insert((kind, row.text(1)?), (row.int(2)?, bytes));
                }
                None if word == "run" => header = Some(bytes),
                None => {
                    let source = format!("it has a part that is {word:?}, which this program does not know").into();
                    return Err(StoreError::Corrupt { location: self.location(format!("run {id}")), source });
                }
            }
        }
        Ok(header.map(|header| Stored { header, parts }))
    }

    fn joined(&self, id: &RunId, stored: &Stored) -> Result<RunLog, StoreError> {
        parts::join(&stored.header, &stored.parts, || self.location(format!("run {id}")))
    }

    /// A document that nobody else changes until the transaction ends.
    async fn lock(&self, within: &mut Transaction<'_>, id: &RunId) -> Result<Option<Stored>, StoreError> {
        let lock = format!("SELECT 1 FROM {} WHERE run_id = $1{}", self.tables.runs, self.database.dialect().locking());
        if within.rows(Statement::new(lock).with(id.as_str())).await?.is_empty() {
            return Ok(None);
        }
        // By a statement of its own: one that waited for a lock sees other tables as they were before.
        let rows = within.rows(self.document(id, true)).await?;
        self.stored(id, rows)
    }

    /// Writes what is other than it was. The lock of its header is ours.
    async fn write(&self, within: &mut Transaction<'_>, log: &RunLog, before: &Stored) -> Result<(), StoreError> {
        let (header, parts) = parts::split(log, self.documents)?;
        let changed = |kinds: &'static [Kind]| {
            let of_these = parts.iter().filter(|((kind, _), _)| kinds.contains(kind));
            let changed = of_these.filter(|&(key, kept)| before.parts.get(key) != Some(kept));
            changed.collect::<Vec<_>>()
        };
        for rows in changed(&[Kind::Step, Kind::Attempt]).chunks(ROWS_AT_ONCE) {
            let row = |&((kind, name), (place, doc)): &(&(Kind, String), &parts::Kept)| {
                let mut row = vec![log.run_id.as_str().into(), kind.word().into(), name.as_str().into()];
                row.extend([(*place).into(), Value::Bytes(doc.clone()), document::encoding(doc).into()]);
                row
            };
            within.execute(self.upsert(&self.tables.steps, "run_id, kind, name", PART, rows.iter().map(row))).await?;
        }
        for rows in changed(&[Kind::Parameter]).chunks(ROWS_AT_ONCE) {
            let row = |&((_, name), (place, doc)): &(&(Kind, String), &parts::Kept)| {
                let mut row = vec![log.run_id.as_str().into(), name.as_str().into()];
                row.extend([(*place).into(), Value::Bytes(doc.clone()), document::encoding(doc).into()]);
                row
            };
            within.execute(self.upsert(&self.tables.parameters, "run_id, name", PART, rows.iter().map(row))).await?;
        }
        for (kind, name) in before.parts.keys().filter(|key| !parts.contains_key(key)) {
            within.execute(self.removal(&log.run_id, *kind, name)).await?;
        }
        if before.header != header {
            let row = header_row(log, header);
            within.execute(self.upsert(&self.tables.runs, "run_id", HEADER, [row])).await?;
        }
        Ok(())
    }

    /// Writes rows, whether they are there or not.
    fn upsert(
        &self,
        table: &str,
        key: &str,
        columns: &[&str],
        rows: impl IntoIterator<Item = Vec<Value>>,
    ) -> Statement {
        let mut statement = Statement::new(format!("INSERT INTO {table} ({key}, {}) VALUES ", columns.join(", ")));
        statement.rows(rows).say(&format!(" ON CONFLICT ({key}) DO UPDATE SET "));
        let set: Vec<_> = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
        statement.say(&set.join(", "));
        statement
    }

    fn removal(&self, id: &RunId, kind: Kind, name: &str) -> Statement {
        let statement = match kind {
            Kind::Parameter => format!("DELETE FROM {} WHERE run_id = $1 AND name = $2", self.tables.parameters),
            Kind::Step | Kind::Attempt => {
                let steps = &self.tables.steps;
                format!("DELETE FROM {steps} WHERE run_id = $1 AND name = $2 AND kind = '{}'", kind.word())
            }
        };
        Statement::new(statement).with(id.as_str()).with(name)
    }

    /// Writes the header of a run that there is none of. `false` if there is one.
    async fn insert(&self, within: &mut Transaction<'_>, log: &RunLog, header: Vec<u8>) -> Result<bool, StoreError> {
        let mut statement =
            Statement::new(format!("INSERT INTO {} (run_id, {}) VALUES ", self.tables.runs, HEADER.join(", ")));
        statement.rows([header_row(log, header)]).say(" ON CONFLICT (run_id) DO NOTHING");
        Ok(within.execute(statement).await? == 1)
    }

    /// The statement for headers behind that place, with their parameters, and for at most so many of them.
    fn headers(&self, query: &RunLogQuery, behind: Option<&Place>, most: usize) -> Result<Statement, StoreError> {
        let mut statement = Statement::new("WITH page AS (SELECT run_id, created_at, doc FROM ");
        statement.say(&self.tables.runs).say(" WHERE 1 = 1");
        if let Some(ids) = query.run_ids.as_ref().filter(|ids| ids.len() <= LONGEST_LIST) {
            match ids.is_empty() {
                true => statement.say(" AND 1 = 0"),
                false => statement.say(" AND run_id IN ").list(ids.iter().map(|id| id.as_str().into())),
            };
        }
        for (column, wanted) in [(" AND task_name = ", &query.task_name), (" AND tag = ", &query.tag)] {
            if let Some(wanted) = wanted {
                statement.say(column).bind(key(wanted).into_owned());
            }
        }
        if !query.status.is_empty() {
            statement.say(" AND status IN ").list(query.status.iter().map(|status| status.as_str().into()));
        }
        // The columns are to the microsecond: what lies in the same one as an end is looked at here.
        let micros = |time: &DateTime<Utc>| time.timestamp_micros();
        if let Bound::Included(from) | Bound::Excluded(from) = &query.created.from {
            statement.say(" AND created_at >= ").bind(micros(from));
        }
        if let Bound::Included(to) | Bound::Excluded(to) = &query.created.to {
            statement.say(" AND created_at <= ").bind(micros(to));
        }
        let (behind_it, order) = match query.order {
            Order::NewestFirst => ("<", "DESC"),
            Order::OldestFirst => (">", "ASC"),
        };
        if let Some(place) = behind {
            statement.say(&format!(" AND (created_at, run_id) {behind_it} (")).bind(place.created);
            statement.say(", ").bind(place.run_id.as_str()).say(")");
        }
        statement.say(&format!(" ORDER BY created_at {order}, run_id {order} LIMIT "));
        statement.bind(i64::try_from(most).unwrap_or(i64::MAX));
        statement.say(") SELECT run_id, created_at, '' AS name, -1 AS place, doc FROM page UNION ALL ");
        statement.say("SELECT page.run_id, page.created_at, p.name, p.place, p.doc FROM page JOIN ");
        statement.say(&self.tables.parameters).say(" p ON p.run_id = page.run_id ");
        statement.say(&format!("ORDER BY 2 {order}, 1 {order}, 4"));
        statement.recurs = query.run_ids.is_none();
        Ok(statement)
    }

    /// Headers behind that place, and the places of all that were read, those of broken ones included.
    async fn some_headers(
        &self,
        query: &RunLogQuery,
        behind: Option<&Place>,
        most: usize,
    ) -> Result<(Vec<RunLog>, Vec<Place>), StoreError> {
        let rows = self.database.rows("list run logs", self.headers(query, behind, most)?).await?;
        let mut stored: Vec<(Place, Stored)> = Vec::new();
        for row in rows {
            let (place, bytes) = (Place { created: row.int(1)?, run_id: row.text(0)?.parse()? }, row.bytes(4)?);
            match (row.int(3)?, stored.last_mut()) {
                // The header of a run comes before its parameters.
                (-1, _) => stored.push((place, Stored { header: bytes, parts: Parts::new() })),
                (at, Some((_, run))) => {
                    run.parts.insert((Kind::Parameter, row.text(2)?), (at, bytes));
                }
                (_, None) => {}
            }
        }
        let readable = stored.iter().filter_map(|(place, stored)| {
            // One broken document must not hide all the others. Whoever asks for that run is told.
            let left_out = |error: &StoreError| {
                tracing::warn!(%error, source = ?std::error::Error::source(error), "left out of a list of runs");
            };
            self.joined(&place.run_id, stored).inspect_err(left_out).ok()
        });
        Ok((readable.collect(), stored.into_iter().map(|(place, _)| place).collect()))
    }
}

const HEADER: &[&str] = &["task_name", "tag", "status", "created_at", "\"start\"", "\"end\"", "doc", "encoding"];
const PART: &[&str] = &["place", "doc", "encoding"];

fn header_row(log: &RunLog, header: Vec<u8>) -> Vec<Value> {
    let micros = |time: Option<DateTime<Utc>>| Value::Int(time.map(|time| time.timestamp_micros()));
    let encoding = document::encoding(&header);
    let mut row = vec![log.run_id.as_str().into(), Value::Text(key(&log.task_name).into())];
    row.extend([Value::Text(key(&log.tag).into()), log.status.as_str().into(), micros(Some(log.created_at))]);
    row.extend([micros(log.start), micros(log.end), Value::Bytes(header), encoding.into()]);
    row
}

#[async_trait]
impl RunLogStore for SqlStore {
    fn service_name(&self) -> &str {
        self.kind
    }

    fn supports_parallel_writes(&self) -> bool {
        true
    }

    fn retention(&self) -> Option<std::time::Duration> {
        self.retention
    }

    async fn create_run_log(&self, new: NewRunLog) -> Result<RunLog, StoreError> {
        let log = RunLog::from(new);
        // Nothing but a header yet.
        let (header, _) = parts::split(&log, self.documents)?;
        let mut within = self.database.begin("create a run log").await?;
        if !self.insert(&mut within, &log, header).await? {
            return Err(StoreError::RunLogExists(log.run_id));
        }
        within.commit().await?;
        Ok(log)
    }

    async fn get_run_log_by_id(&self, id: &RunId, full: bool) -> Result<RunLog, StoreError> {
        let rows = self.database.rows("read a run log", self.document(id, full)).await?;
        let stored = self.stored(id, rows)?.ok_or_else(|| StoreError::RunLogNotFound(id.clone()))?;
        self.joined(id, &stored)
    }

    async fn put_run_log(&self, log: &RunLog) -> Result<(), StoreError> {
        let mut within = self.database.begin("write a run log").await?;
        let before = loop {
            if let Some(before) = self.lock(&mut within, &log.run_id).await? {
                break before;
            }
            let (header, _) = parts::split(log, self.documents)?;
            if self.insert(&mut within, log, header.clone()).await? {
                break Stored { header, parts: Parts::new() };
            }
            // Somebody created it meanwhile: it is locked, and is there or was deleted again.
        };
        let log = log.clone().over(self.joined(&log.run_id, &before)?);
        self.write(&mut within, &log, &before).await?;
        within.commit().await
    }

    async fn get_run_logs(&self, query: &RunLogQuery) -> Result<Page<RunLog>, StoreError> {
        let mut behind = query.cursor.as_deref().map(str::parse::<Place>).transpose()?;
        // One more than a page, to know whether another one follows.
        let wanted = query.page_size() + 1;
        let mut found = Vec::new();
        loop {
            let (logs, places) = self.some_headers(query, behind.as_ref(), wanted).await?;
            found.extend(logs.into_iter().filter(|log| query.matches(log)));
            if places.len() < wanted || found.len() >= wanted {
                return query.page(found);
            }
            behind = places.into_iter().last();
        }
    }

    async fn delete_run_log(&self, id: &RunId) -> Result<bool, StoreError> {
        let tables = &self.tables;
        let mut within = self.database.begin("delete a run log").await?;
        let delete = |table| Statement::new(format!("DELETE FROM {table} WHERE run_id = $1")).with(id.as_str());
        // The header first: its lock is that of the document.
        let existed = within.execute(delete(&tables.runs)).await? > 0;
        for table in [&tables.steps, &tables.parameters] {
            within.execute(delete(table)).await?;
        }
        within.commit().await?;
        Ok(existed)
    }

    fn summary(&self) -> StoreSummary {
        self.told()
    }

    async fn update(&self, id: &RunId, change: Change<'_>) -> Result<(), StoreError> {
        let mut within = self.database.begin("change a run log").await?;
        let before = self.lock(&mut within, id).await?.ok_or_else(|| StoreError::RunLogNotFound(id.clone()))?;
        let mut log = self.joined(id, &before)?;
        if !change(&mut log)? {
            return Ok(());
        }
        self.write(&mut within, &log, &before).await?;
        within.commit().await
    }
}
