//! Documents of runs in a bucket: one object for each run, written by compare-and-set.
//!
//! A document lies whole in `<run>/RunLog.json`. A bucket cannot change several objects in one step, so a document in
//! chunks could be read half old and half new; and each object costs a request. It is read, changed, and put on the
//! condition that it is still what was read. A server that takes no conditions is found out when the store is opened:
//! then writers of one run can overwrite each other, and [`RunLogStore::supports_parallel_writes`] says so.
//!
//! The lines of the task log are not kept here: many small additions are what buckets are bad at. They are in whatever
//! stands beside this store, and in the stream `__tasks` as far back as that reaches.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};
use serde::{Deserialize, Serialize};

use super::{Bucket, failed, index};
use crate::clock;
use crate::event::EventId;
use crate::runs::query::Place;
use crate::runs::stores::document::{self, Documents};
use crate::runs::stores::turns::Turns;
use crate::runs::stores::{Change, RunLogStore, StoreError, StoreSummary, edits};
use crate::runs::{Applied, NewRunLog, Order, Page, RunEvent, RunId, RunLog, RunLogQuery};

/// Documents in a bucket.
#[derive(Debug)]
pub struct ObjectStore {
    client: Arc<dyn object_store::ObjectStore>,
    bucket: Bucket,
    /// Whether the server puts on conditions.
    conditional: bool,
    turns: Turns,
    documents: Documents,
    retention: Option<Duration>,
}

/// What lies in an object.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// The number of its index entry.
    n: u64,
    run_log: RunLog,
}

/// An object as it was read.
struct Read {
    stored: Stored,
    version: UpdateVersion,
}

/// How many objects are asked for at once.
const AT_ONCE: usize = 16;
/// How often somebody else may be faster.
const TRIES: u32 = 200;

impl ObjectStore {
    /// The type that configuration names.
    pub const TYPE: &'static str = "object-store";

    /// Opens a bucket, and finds out whether it can be written and what it can do.
    pub async fn connect(bucket: &Bucket) -> Result<Self, StoreError> {
        Self::over(Arc::new(bucket.client()?), bucket.clone()).await
    }

    /// Over another client of the crate `object_store`: one for tests, or of another make.
    pub async fn over(client: Arc<dyn object_store::ObjectStore>, bucket: Bucket) -> Result<Self, StoreError> {
        let conditional = takes_conditions(&*client, &bucket).await?;
        if !conditional {
            tracing::warn!(
                bucket = bucket.address(),
                "this object store puts without conditions: writers of one run \
                can overwrite each other, so branches of a run are run one after the other"
            );
        }
        let documents = Documents { compress: false };
        Ok(Self { client, bucket, conditional, turns: Turns::default(), documents, retention: None })
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

    fn path(&self, id: &RunId) -> Result<Path, StoreError> {
        self.bucket.path(&format!("{id}/RunLog.json"))
    }

    async fn read(&self, id: &RunId) -> Result<Option<Read>, StoreError> {
        let path = self.path(id)?;
        let found = match self.client.get(&path).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(failed("read a document"))?,
        };
        let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
        let bytes = found.bytes().await.map_err(failed("read a document"))?;
        let stored = document::read(&bytes, || format!("{path} in {}", self.bucket.address()))?;
        Ok(Some(Read { stored, version }))
    }

    /// Changes a document, or the absence of one. What the change answers is written, unless that is nothing.
    async fn change(
        &self,
        id: &RunId,
        mut change: impl FnMut(Option<RunLog>) -> Result<Option<RunLog>, StoreError> + Send,
    ) -> Result<(), StoreError> {
        let _turn = self.turns.of(id).await;
        for n in 0..TRIES {
            if n > 0 {
                clock::sleep(Duration::from_millis(fastrand::u64(..5 * u64::from(n.min(20))))).await;
            }
            let known = self.read(id).await?;
            let Some(log) = change(known.as_ref().map(|known| known.stored.run_log.clone()))? else { return Ok(()) };
            if self.write(log, known).await? {
                return Ok(());
            }
        }
        Err(StoreError::Conflict { what: format!("run log {id} is written by others all the time") })
    }

    /// Writes a document with its index entry. `false` if somebody was faster.
    async fn write(&self, log: RunLog, known: Option<Read>) -> Result<bool, StoreError> {
        let path = self.path(&log.run_id)?;
        let before = known.as_ref().map(|known| &known.stored);
        let stays = before.is_some_and(|before| index::is_same(&before.run_log, &log));
        // Told apart from all others, also from one that somebody else puts for the same change.
        let n = before.filter(|_| stays).map_or_else(|| fastrand::u64(..), |before| before.n);
        let entry = index::name(&log, n);
        let left = before.filter(|_| !stays).map(|before| index::name(&before.run_log, before.n));
        if !stays {
            let put = self.client.put(&self.bucket.path(&entry)?, PutPayload::new()).await;
            put.map_err(failed("put an index entry"))?;
        }
        let bytes = self.documents.write(&Stored { n, run_log: log })?;
        let mode = match known {
            None if self.conditional => PutMode::Create,
            Some(known) if self.conditional => PutMode::Update(known.version),
            _ => PutMode::Overwrite,
        };
        match self.client.put_opts(&path, Bytes::from(bytes).into(), mode.into()).await {
            Ok(_) => {
                self.forget(left).await;
                Ok(true)
            }
            // Removed since it was read, or written.
            Err(Error::Precondition { .. } | Error::AlreadyExists { .. } | Error::NotFound { .. }) => {
                self.forget((!stays).then_some(entry)).await;
                Ok(false)
            }
            Err(error) => Err(failed("write a document")(error)),
        }
    }

    /// Removes an index entry that nothing stands behind any more. One that stays costs a reader a request, and no more.
    async fn forget(&self, entry: Option<String>) {
        if let Some(entry) = entry
            && let Ok(path) = self.bucket.path(&entry)
            && let Err(error) = self.client.delete(&path).await
            && !matches!(error, Error::NotFound { .. })
        {
            tracing::debug!(%error, entry, "an index entry stays behind");
        }
    }

    /// The headers of these runs, in their order; one that is gone or cannot be read is left out.
    async fn headers(&self, ids: Vec<RunId>) -> Result<Vec<RunLog>, StoreError> {
        let read = |id: RunId| async move {
            match self.read(&id).await {
                Ok(found) => Ok(found.map(|found| found.stored.run_log.header())),
                // One broken document must not hide all the others. Whoever asks for that run is told.
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::warn!(%error, source = ?std::error::Error::source(&error), "left out of a list of runs");
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        };
        let found: Vec<Option<RunLog>> = stream::iter(ids).map(read).buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The days that have entries, in the order of the question.
    async fn days(&self, query: &RunLogQuery, cursor: Option<&Place>) -> Result<Vec<String>, StoreError> {
        let folder = self.bucket.path(index::FOLDER)?;
        let listed = self.client.list_with_delimiter(Some(&folder)).await.map_err(failed("list the index"))?;
        let mut days: Vec<String> = listed
            .common_prefixes
            .iter()
            .filter_map(|folder| folder.filename())
            .filter(|day| index::is_within(day, query, cursor))
            .map(str::to_owned)
            .collect();
        days.sort_unstable();
        if query.order == Order::NewestFirst {
            days.reverse();
        }
        Ok(days)
    }

    /// The runs of a day that may be among those that are asked for, in the order of the question.
    async fn of_day(&self, day: &str, query: &RunLogQuery, cursor: Option<&Place>) -> Result<Vec<RunId>, StoreError> {
        let folder = self.bucket.path(&format!("{}/{day}", index::FOLDER))?;
        let mut listed = self.client.list(Some(&folder));
        let mut found = BTreeSet::new();
        let backwards = query.order == Order::NewestFirst;
        let is_behind = |place: &Place| cursor.is_none_or(|at| if backwards { place < at } else { place > at });
        while let Some(object) = listed.try_next().await.map_err(failed("list the index"))? {
            let entry = object.location.filename().and_then(index::Entry::read);
            if let Some(entry) = entry.filter(|entry| entry.may_match(query) && is_behind(&entry.place)) {
                found.insert(entry.place);
            }
        }
        let mut ids: Vec<RunId> = found.into_iter().map(|place| place.run_id).collect();
        if backwards {
            ids.reverse();
        }
        Ok(ids)
    }
}

/// Whether a put is refused when its condition is not fulfilled: some servers do not look at it.
async fn takes_conditions(client: &dyn object_store::ObjectStore, bucket: &Bucket) -> Result<bool, StoreError> {
    let path = bucket.path(&format!("_probe/{}", uuid::Uuid::now_v7().simple()))?;
    let put = async |text: &'static str, mode: PutMode| client.put_opts(&path, text.into(), mode.into()).await;
    let first = put("1", PutMode::Create).await;
    let conditional = match first {
        Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => false,
        Err(error) => return Err(failed("write to its bucket")(error)),
        Ok(first) => {
            let again = put("2", PutMode::Create).await;
            let old = UpdateVersion { e_tag: first.e_tag, version: first.version };
            let newer = put("3", PutMode::Update(old.clone())).await;
            let late = put("4", PutMode::Update(old)).await;
            matches!(again, Err(Error::AlreadyExists { .. } | Error::Precondition { .. }))
                && newer.is_ok()
                && matches!(late, Err(Error::Precondition { .. }))
        }
    };
    match client.delete(&path).await {
        Ok(()) | Err(Error::NotFound { .. }) => Ok(conditional),
        Err(error) => Err(failed("remove from its bucket")(error)),
    }
}

#[async_trait]
impl RunLogStore for ObjectStore {
    fn service_name(&self) -> &str {
        Self::TYPE
    }

    fn supports_parallel_writes(&self) -> bool {
        self.conditional
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
        let read = self.read(id).await?.ok_or_else(|| StoreError::RunLogNotFound(id.clone()))?;
        Ok(if full { read.stored.run_log } else { read.stored.run_log.header() })
    }

    async fn put_run_log(&self, log: &RunLog) -> Result<(), StoreError> {
        self.change(&log.run_id, edits::put(log)).await
    }

    async fn get_run_logs(&self, query: &RunLogQuery) -> Result<Page<RunLog>, StoreError> {
        let cursor = query.cursor.as_deref().map(str::parse::<Place>).transpose()?;
        if let Some(ids) = &query.run_ids {
            let each: BTreeSet<RunId> = ids.iter().cloned().collect();
            return query.page(self.headers(each.into_iter().collect()).await?);
        }
        let mut found = Vec::new();
        'days: for day in self.days(query, cursor.as_ref()).await? {
            for ids in self.of_day(&day, query, cursor.as_ref()).await?.chunks(query.page_size() + 1) {
                let logs = self.headers(ids.to_vec()).await?;
                found.extend(logs.into_iter().filter(|log| query.matches(log)));
                if found.len() > query.page_size() {
                    break 'days;
                }
            }
        }
        query.page(found)
    }

    async fn delete_run_log(&self, id: &RunId) -> Result<bool, StoreError> {
        let _turn = self.turns.of(id).await;
        let known = match self.read(id).await {
            // What cannot be read can be removed; its entries lead nowhere then.
            Err(StoreError::Corrupt { .. }) => None,
            Ok(None) => return Ok(false),
            known => known?,
        };
        match self.client.delete(&self.path(id)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(failed("remove a document")(error)),
        }
        let Some(Read { stored, .. }) = known else { return Ok(true) };
        // All of them: a killed writer may have left one too many.
        let beginning = self.bucket.path(&index::beginning(&stored.run_log))?;
        let day = self.bucket.path(&format!("{}/{}", index::FOLDER, stored.run_log.created_at.format("%Y-%m-%d")))?;
        let listed = self.client.list_with_offset(Some(&day), &beginning);
        let ours = |object: &object_store::ObjectMeta| {
            std::future::ready(Ok(object.location.as_ref().starts_with(beginning.as_ref())))
        };
        let entries: Vec<_> = listed.try_take_while(ours).try_collect().await.map_err(failed("list the index"))?;
        for entry in entries {
            match self.client.delete(&entry.location).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(failed("remove an index entry")(error)),
            }
        }
        Ok(true)
    }

    fn summary(&self) -> StoreSummary {
        let summary = self.bucket.summary(Self::TYPE).with_retention(self.retention);
        summary.with("Compression", self.documents.compress).with("Conditional writes", self.conditional)
    }

    async fn update(&self, id: &RunId, change: Change<'_>) -> Result<(), StoreError> {
        self.change(id, edits::update(id, change)).await
    }

    /// In one reading and one writing, also for a run that nobody has heard of.
    async fn apply(&self, entry: EventId, event: &RunEvent) -> Result<Applied, StoreError> {
        let mut applied = Applied::Seen;
        self.change(event.run_id(), edits::apply(entry, event, &mut applied)).await?;
        Ok(applied)
    }
}
