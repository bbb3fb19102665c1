//! The store on the app's own Redis: what an app has unless it asks for another one.
//!
//! A document is a hash with a field for each step, branch and attempt, for the parameters and for the header, so that
//! a change writes what it changes. It is made on what this process knows of the document, and counts only if nobody
//! has written it since: else the answer brings the document as it is, and the change is made again on that. So an event
//! of the stream costs one script, as long as one process projects its partition, and nothing is lost if two do.

mod configured;
mod held;
mod index;
mod lines;
mod walk;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

pub(super) use self::configured::{Home, OnRedis};
use self::held::{Held, HeldRuns};
use self::index::{ALL, indexes};
use self::walk::Walk;
use super::chunks::{self, Chunks, HEADER, PARAMETERS};
use super::document::Documents;
use super::turns::Turns;
use super::{Change, PurgeReport, RunLogStore, StoreError, StoreSummary, edits};
use crate::broker::BrokerError;
use crate::broker::redis::RedisOptions;
use crate::broker::redis::records::{Document, Lifetime, Records, Write, Written};
use crate::clock;
use crate::event::EventId;
use crate::runs::query::Place;
use crate::runs::{Applied, NewRunLog, Order, Page, RunEvent, RunId, RunLog, RunLogQuery, Status};
use crate::settings::RedisUrl;

/// What a store on Redis can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisStoreOptions {
    /// How long runs are kept after the last that was heard of them once they have ended, and lines of a task that runs
    /// no more. Retention is the leader's work; this is for apps in which nobody leads. Default: for ever.
    pub retention: Option<Duration>,
    /// Whether large parts of documents are compressed. Default: false.
    pub compression: bool,
    /// The most lines of the task log that are kept for one task: the oldest give way. Default: 10,000.
    pub lines_per_task: u64,
    /// How to speak to the server.
    pub connection: RedisOptions,
}

impl Default for RedisStoreOptions {
    fn default() -> Self {
        let connection = RedisOptions::default();
        Self { retention: None, compression: false, lines_per_task: 10_000, connection }
    }
}

/// Documents and lines on a Redis or Valkey server.
#[derive(Debug)]
pub struct RedisStore {
    records: Records,
    held: HeldRuns,
    turns: Turns,
    documents: Documents,
    options: RedisStoreOptions,
}

/// How many documents are read at once.
const AT_ONCE: usize = 200;
/// How often somebody else may be faster.
const TRIES: u32 = 200;

impl RedisStore {
    /// The type that configuration names.
    pub const TYPE: &'static str = "redis";

    /// Connects, trying once. Later it reconnects by itself.
    ///
    /// `app` is part of every key, `prefix` stands before all.
    pub async fn connect(
        url: &RedisUrl,
        app: &str,
        prefix: &str,
        options: RedisStoreOptions,
    ) -> Result<Self, StoreError> {
        let records = Records::connect(url, app, prefix, options.connection).await;
        let documents = Documents { compress: options.compression };
        Ok(Self {
            records: records.map_err(failed)?,
            held: HeldRuns::default(),
            turns: Turns::default(),
            documents,
            options,
        })
    }

    /// Changes a document, or the absence of one. What the change answers is written, unless that is nothing.
    async fn change(
        &self,
        id: &RunId,
        mut change: impl FnMut(Option<RunLog>) -> Result<Option<RunLog>, StoreError> + Send,
    ) -> Result<(), StoreError> {
        // Writers in this process wait for each other here, and not for the server to find out.
        let _turn = self.turns.of(id).await;
        // What we know may be old. A write finds that out; whoever writes nothing must ask first.
        let (mut known, mut asked) = (self.held.get(id), false);
        for n in 0..TRIES {
            if n > 2 {
                clock::sleep(Duration::from_micros(fastrand::u64(..500 * u64::from(n.min(20))))).await;
            }
            match change(known.as_ref().map(|held| held.log.clone())) {
                Ok(Some(log)) => match self.write(log, known.as_ref()).await? {
                    Ok(held) => {
                        self.held.put(held);
                        return Ok(());
                    }
                    Err(newer) => (known, asked) = (newer, true),
                },
                _ if !asked => {
                    let document = self.records.document(id.as_str()).await.map_err(failed)?;
                    (known, asked) = (self.read(id, document)?, true);
                }
                nothing_to_write => return nothing_to_write.map(drop),
            }
        }
        Err(StoreError::Conflict { what: format!("run log {id} is written by others all the time") })
    }

    /// Writes what differs from what is known. If that is old: what there is now.
    async fn write(&self, log: RunLog, known: Option<&Held>) -> Result<Result<Held, Option<Held>>, StoreError> {
        let (mut chunks, mut parts) = (Chunks::new(), Vec::new());
        for (file, bytes) in chunks::split(&log, self.documents)? {
            if known.and_then(|known| known.chunks.get(&file)) != Some(&bytes) {
                parts.push((part(&file).to_owned(), bytes.clone()));
            }
            chunks.insert(file, bytes);
        }
        let (mut join, mut leave) = (indexes(&log), known.map(|known| indexes(&known.log)).unwrap_or_default());
        let place = Place::of(&log).created;
        if known.is_some_and(|known| Place::of(&known.log).created == place) {
            let stays: Vec<_> = join.iter().filter(|index| leave.contains(index)).cloned().collect();
            join.retain(|index| !stays.contains(index));
            leave.retain(|index| !stays.contains(index));
        } else {
            leave.retain(|index| !join.contains(index));
        }
        let wish = Write {
            id: log.run_id.as_str(),
            read: known.map(|known| known.version.as_str()),
            parts,
            place,
            join,
            leave,
            lifetime: self.lifetime(&log, known.map(|known| known.log.status)),
        };
        match self.records.write(&wish).await.map_err(failed)? {
            Written::Now(version) => Ok(Ok(Held { version, chunks, log })),
            Written::Changed(document) => Ok(Err(self.read(&log.run_id, document)?)),
        }
    }

    fn lifetime(&self, log: &RunLog, before: Option<Status>) -> Lifetime {
        match self.options.retention {
            Some(kept) if log.status.is_terminal() => Lifetime::Milliseconds(milliseconds(kept)),
            // Resumed. It must not go while it runs.
            _ if before.is_some_and(Status::is_terminal) && !log.status.is_terminal() => Lifetime::ForEver,
            _ => Lifetime::AsItIs,
        }
    }

    fn read(&self, id: &RunId, document: Option<Document>) -> Result<Option<Held>, StoreError> {
        let Some(Document { version, parts }) = document else { return Ok(None) };
        let chunks: Chunks = parts.into_iter().map(|(name, bytes)| (name + FILE, bytes)).collect();
        let log = chunks::join(&chunks, |file| self.place(id, file))?;
        let headless = || StoreError::Corrupt { location: self.place(id, HEADER), source: "it is missing".into() };
        Ok(Some(Held { version, log: log.ok_or_else(headless)?, chunks }))
    }

    fn read_header(&self, id: &RunId, document: Document) -> Result<Option<RunLog>, StoreError> {
        let chunks: Chunks = document.parts.into_iter().map(|(name, bytes)| (name + FILE, bytes)).collect();
        chunks::header(&chunks, |file| self.place(id, file))
    }

    /// Where a part lies, for people.
    fn place(&self, id: &RunId, file: &str) -> String {
        format!("run log {id} at {}, field `{}`", self.records.address(), part(file))
    }

    /// The headers of these runs; one that cannot be read is left out. With each run whether it is there at all.
    async fn headers(&self, ids: &[RunId]) -> Result<Vec<(RunId, bool, Option<RunLog>)>, StoreError> {
        let texts: Vec<&str> = ids.iter().map(RunId::as_str).collect();
        let documents = self.records.parts(&texts, &[part(HEADER), part(PARAMETERS)]).await.map_err(failed)?;
        let header = |(id, document): (&RunId, Option<Document>)| {
            let there = document.is_some();
            let log = document.and_then(|document| match self.read_header(id, document) {
                Ok(log) => log,
                // One broken document must not hide all the others. Whoever asks for that run is told.
                Err(error) => {
                    tracing::warn!(%error, source = ?std::error::Error::source(&error), "left out of a list of runs");
                    None
                }
            });
            (id.clone(), there, log)
        };
        Ok(ids.iter().zip(documents).map(header).collect())
    }

    /// The index that finds the fewest documents among those that find all that are asked for.
    async fn narrowest(&self, query: &RunLogQuery) -> Result<String, StoreError> {
        let mut indexes = index::that_find(query);
        if indexes.len() < 2 {
            return Ok(indexes.pop().unwrap_or_else(|| ALL.to_owned()));
        }
        let found = self.records.found_by(&indexes).await.map_err(failed)?;
        let narrowest = indexes.into_iter().zip(found).min_by_key(|(_, found)| *found);
        Ok(narrowest.map_or_else(|| ALL.to_owned(), |(index, _)| index))
    }

    /// The documents that an index finds, until there are enough for a page.
    async fn found(&self, query: &RunLogQuery) -> Result<Vec<RunLog>, StoreError> {
        let behind = query.cursor.as_deref().map(str::parse::<Place>).transpose()?;
        let backwards = query.order == Order::NewestFirst;
        let counts = |log: &RunLog| {
            let place = Place::of(log);
            let is_behind =
                behind.as_ref().is_none_or(|cursor| if backwards { place < *cursor } else { place > *cursor });
            is_behind && query.matches(log)
        };
        let index = self.narrowest(query).await?;
        let mut walk = Walk::over(query, behind.as_ref());
        let mut found = Vec::new();
        while found.len() <= query.page_size() {
            let ids = walk.next(&self.records, &index).await?;
            if ids.is_empty() {
                break;
            }
            found.extend(self.headers(&ids).await?.into_iter().filter_map(|(_, _, log)| log).filter(counts));
        }
        Ok(found)
    }
}

/// What chunks are called in folders; fields of a hash need no such end.
const FILE: &str = ".json";

fn part(file: &str) -> &str {
    file.strip_suffix(FILE).unwrap_or(file)
}

fn milliseconds(time: Duration) -> u64 {
    // What no server can count in milliseconds is for ever long.
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(1 << 53)
}

/// What the broker could not do, in the words of stores.
fn failed(error: BrokerError) -> StoreError {
    let doing = match &error {
        BrokerError::Unavailable { .. } => "reach its server",
        _ => "have its server do what was asked",
    };
    StoreError::Backend { doing: doing.into(), transient: error.is_transient(), source: error.into() }
}

#[async_trait]
impl RunLogStore for RedisStore {
    fn service_name(&self) -> &str {
        Self::TYPE
    }

    fn supports_parallel_writes(&self) -> bool {
        true
    }

    fn retention(&self) -> Option<Duration> {
        self.options.retention
    }

    async fn create_run_log(&self, new: NewRunLog) -> Result<RunLog, StoreError> {
        let log = RunLog::from(new);
        self.change(&log.run_id, edits::create(&log)).await?;
        Ok(log)
    }

    async fn get_run_log_by_id(&self, id: &RunId, full: bool) -> Result<RunLog, StoreError> {
        let log = match full {
            true => {
                let document = self.records.document(id.as_str()).await.map_err(failed)?;
                self.read(id, document)?.map(|held| held.log)
            }
            false => {
                let parts = [part(HEADER), part(PARAMETERS)];
                let mut documents = self.records.parts(&[id.as_str()], &parts).await.map_err(failed)?;
                documents.pop().flatten().map(|document| self.read_header(id, document)).transpose()?.flatten()
            }
        };
        log.ok_or_else(|| StoreError::RunLogNotFound(id.clone()))
    }

    async fn put_run_log(&self, log: &RunLog) -> Result<(), StoreError> {
        self.change(&log.run_id, edits::put(log)).await
    }

    async fn get_run_logs(&self, query: &RunLogQuery) -> Result<Page<RunLog>, StoreError> {
        let Some(ids) = &query.run_ids else { return query.page(self.found(query).await?) };
        let each: BTreeSet<RunId> = ids.iter().cloned().collect();
        let each: Vec<RunId> = each.into_iter().collect();
        let mut logs = Vec::new();
        for ids in each.chunks(AT_ONCE) {
            logs.extend(self.headers(ids).await?.into_iter().filter_map(|(_, _, log)| log));
        }
        query.page(logs)
    }

    async fn delete_run_log(&self, id: &RunId) -> Result<bool, StoreError> {
        let _turn = self.turns.of(id).await;
        self.held.forget(id);
        for _ in 0..TRIES {
            let mut found = self.records.parts(&[id.as_str()], &[part(HEADER)]).await.map_err(failed)?;
            let Some(document) = found.pop().flatten() else { return Ok(false) };
            let version = document.version.clone();
            let indexes = match self.read_header(id, document) {
                Ok(Some(log)) => indexes(&log),
                // Nobody knows by which it is found.
                _ => self.records.indexes().await.map_err(failed)?,
            };
            if self.records.remove(id.as_str(), Some(&version), &indexes).await.map_err(failed)? {
                return Ok(true);
            }
        }
        Err(StoreError::Conflict { what: format!("run log {id} is written by others all the time") })
    }

    fn summary(&self) -> StoreSummary {
        StoreSummary::new(Self::TYPE)
            .with("Connection", self.records.address())
            .with_retention(self.options.retention)
            .with("Compression", self.options.compression)
            .with("Lines per task", self.options.lines_per_task)
    }

    async fn update(&self, id: &RunId, change: Change<'_>) -> Result<(), StoreError> {
        self.change(id, edits::update(id, change)).await
    }

    /// In one step, also for a run that nobody has heard of.
    async fn apply(&self, entry: EventId, event: &RunEvent) -> Result<Applied, StoreError> {
        let mut applied = Applied::Seen;
        self.change(event.run_id(), edits::apply(entry, event, &mut applied)).await?;
        Ok(applied)
    }

    /// Documents that the server has let expire are told of as well: whatever else is kept of their runs can go too.
    async fn purge(&self, now: DateTime<Utc>) -> Result<PurgeReport, StoreError> {
        let mut report = PurgeReport::default();
        let kept = self.options.retention.and_then(|kept| chrono::Duration::from_std(kept).ok());
        let Some(kept_since) = kept.and_then(|kept| now.checked_sub_signed(kept)) else { return Ok(report) };
        let query = RunLogQuery::new().created(..kept_since).order(Order::OldestFirst);
        // All of them first, since what is removed moves what follows.
        let (mut walk, mut old) = (Walk::over(&query, None), Vec::new());
        loop {
            let ids = walk.next(&self.records, ALL).await?;
            if ids.is_empty() {
                break;
            }
            old.extend(ids);
        }
        for ids in old.chunks(AT_ONCE) {
            for (id, there, log) in self.headers(ids).await? {
                match log {
                    Some(log) if !log.status.is_terminal() => report.still_open += 1,
                    Some(log) if log.end.unwrap_or(log.created_at) >= kept_since => {}
                    Some(_) if self.delete_run_log(&id).await? => report.deleted.push(id),
                    None if !there => {
                        let indexes = self.records.indexes().await.map_err(failed)?;
                        if self.records.remove(id.as_str(), None, &indexes).await.map_err(failed)? {
                            report.deleted.push(id);
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(report)
    }
}
