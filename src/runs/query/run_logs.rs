//! Questions for documents of runs: which ones, page by page.

use std::ops::Bound;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use crate::runs::stores::StoreError;
use crate::runs::{RunId, RunLog, Status};

/// From which end answers come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// The newest first.
    #[default]
    NewestFirst,
    /// The oldest first.
    OldestFirst,
}

/// A range of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where it begins.
    pub from: Bound<DateTime<Utc>>,
    /// Where it ends.
    pub to: Bound<DateTime<Utc>>,
}

impl Default for Range {
    /// All times.
    fn default() -> Self {
        Self { from: Bound::Unbounded, to: Bound::Unbounded }
    }
}

impl<R: std::ops::RangeBounds<DateTime<Utc>>> From<R> for Range {
    fn from(range: R) -> Self {
        Self { from: range.start_bound().cloned(), to: range.end_bound().cloned() }
    }
}

impl Range {
    /// Whether that time is in it.
    pub fn contains(&self, time: DateTime<Utc>) -> bool {
        use std::ops::RangeBounds;
        (self.from, self.to).contains(&time)
    }
}

/// Which documents of runs.
///
/// They are ordered by when their runs were first heard of, to the microsecond, and then by id, so that each is on one
/// page exactly, however many come meanwhile.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct RunLogQuery {
    /// Only these runs: `None` is all of them, an empty list none.
    pub run_ids: Option<Vec<RunId>>,
    /// Only runs of that task.
    pub task_name: Option<String>,
    /// Only runs filed under that.
    pub tag: Option<String>,
    /// Only runs that stand like one of these; an empty list is no condition.
    pub status: Vec<Status>,
    /// Only runs first heard of then.
    pub created: Range,
    /// The longest page. Default: 100. At most [`RunLogQuery::MAX_LIMIT`].
    pub limit: usize,
    /// Where the page before ended: its [`Page::next`].
    pub cursor: Option<String>,
    /// From which end. Default: the newest first.
    pub order: Order,
}

impl Default for RunLogQuery {
    fn default() -> Self {
        Self {
            run_ids: None,
            task_name: None,
            tag: None,
            status: Vec::new(),
            created: Range::default(),
            limit: 100,
            cursor: None,
            order: Order::NewestFirst,
        }
    }
}

/// Some of the answers, and where the others begin.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// These.
    pub items: Vec<T>,
    /// The cursor for the page behind this one; nothing if this is the last.
    pub next: Option<String>,
}

/// The place of a document in the order of all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When its run was first heard of, in microseconds of Unix time.
    pub created: i64,
    /// Its run.
    pub run_id: RunId,
}

impl Place {
    /// The place of that document.
    pub fn of(log: &RunLog) -> Self {
        Self { created: log.created_at.timestamp_micros(), run_id: log.run_id.clone() }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}~{}", self.created, self.run_id)
    }
}

impl FromStr for Place {
    type Err = StoreError;

    fn from_str(cursor: &str) -> Result<Self, StoreError> {
        let place = cursor
            .split_once('~')
            .and_then(|(created, run_id)| Some(Self { created: created.parse().ok()?, run_id: run_id.parse().ok()? }));
        place.ok_or_else(|| StoreError::Cursor { cursor: cursor.chars().take(192).collect() })
    }
}

impl RunLogQuery {
    /// The longest page there is.
    pub const MAX_LIMIT: usize = 1000;

    /// Every run, the newest first.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only these runs.
    pub fn run_ids(mut self, ids: impl IntoIterator<Item = RunId>) -> Self {
        self.run_ids = Some(ids.into_iter().collect());
        self
    }

    /// Only runs of that task.
    pub fn task(mut self, name: impl Into<String>) -> Self {
        self.task_name = Some(name.into());
        self
    }

    /// Only runs filed under that.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Only runs that stand like that; asked again, runs that stand like any of them.
    pub fn status(mut self, status: Status) -> Self {
        self.status.push(status);
        self
    }

    /// Only runs first heard of in that range of times.
    pub fn created(mut self, range: impl Into<Range>) -> Self {
        self.created = range.into();
        self
    }

    /// So many on a page.
    pub fn limit(mut self, documents: usize) -> Self {
        self.limit = documents;
        self
    }

    /// The page behind that cursor.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// From that end.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// How many are on a page: at least one, so that pages end.
    pub fn page_size(&self) -> usize {
        self.limit.clamp(1, Self::MAX_LIMIT)
    }

    /// Whether that document is one of them, on whatever page.
    pub fn matches(&self, log: &RunLog) -> bool {
        self.run_ids.as_ref().is_none_or(|ids| ids.contains(&log.run_id))
            && self.task_name.as_ref().is_none_or(|name| *name == log.task_name)
            && self.tag.as_ref().is_none_or(|tag| *tag == log.tag)
            && (self.status.is_empty() || self.status.contains(&log.status))
            && self.created.contains(log.created_at)
    }

    /// The page out of all documents, in whatever order they come. Only what is on it is kept meanwhile.
    pub fn page(&self, logs: impl IntoIterator<Item = RunLog>) -> Result<Page<RunLog>, StoreError> {
        let behind = self.cursor.as_deref().map(str::parse::<Place>).transpose()?;
        let newest_first = self.order == Order::NewestFirst;
        let is_behind = |place: &Place| match &behind {
            Some(cursor) if newest_first => place < cursor,
            Some(cursor) => place > cursor,
            None => true,
        };
        let mut kept = std::collections::BTreeMap::new();
        for log in logs {
            let place = Place::of(&log);
            if self.matches(&log) && is_behind(&place) {
                kept.insert(place, log);
                // One more than a page, to know whether another one follows.
                if kept.len() > self.page_size() + 1 {
                    let _too_far = if newest_first { kept.pop_first() } else { kept.pop_last() };
                }
            }
        }
        let more = kept.len() > self.page_size();
        let mut items: Vec<_> = kept.into_values().collect();
        if newest_first {
            items.reverse();
        }
        items.truncate(self.page_size());
        let next = items.last().filter(|_| more).map(|last| Place::of(last).to_string());
        Ok(Page { items, next })
    }
}
