//! The task log as one asks it: what happened, last, how often, and what runs now.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::query::ops::in_;
use super::stores::{StoreError, TaskLogRepo};
use super::{Action, RunId, Status, TaskLogEvent, TaskLogQuery, log};

/// The task log of an app, or of one task of it.
#[derive(Clone)]
pub struct TaskLog {
    repo: Arc<dyn TaskLogRepo>,
    task_name: Option<String>,
}

/// A question to the task log, ready to be asked.
#[must_use]
pub struct TaskLogRows {
    repo: Arc<dyn TaskLogRepo>,
    query: TaskLogQuery,
}

/// How a task stands.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct TaskState {
    /// How its newest line leaves it; created, if there is none.
    pub status: Status,
    /// When it last began.
    pub last_run: Option<DateTime<Utc>>,
    /// When it last ended well.
    pub last_success: Option<DateTime<Utc>>,
    /// When it last failed.
    pub last_fail: Option<DateTime<Utc>>,
    /// When it was last ended from outside.
    pub last_terminate: Option<DateTime<Utc>>,
    /// When it last had nothing to do.
    pub last_inaction: Option<DateTime<Utc>>,
    /// When its worker last vanished.
    pub last_crash: Option<DateTime<Utc>>,
    /// How often it failed or crashed since it last ended in another way.
    pub fails_in_row: u64,
    /// The runs that began and have not ended, the oldest first.
    pub running: Vec<RunId>,
}

impl TaskLog {
    /// All of it.
    pub fn new(repo: Arc<dyn TaskLogRepo>) -> Self {
        Self { repo, task_name: None }
    }

    /// That of one task: every question is about it.
    pub fn of_task(&self, name: impl Into<String>) -> Self {
        Self { repo: Arc::clone(&self.repo), task_name: Some(name.into()) }
    }

    /// The lines that fulfil these conditions.
    pub fn filter_by(&self, query: TaskLogQuery) -> TaskLogRows {
        let query = match &self.task_name {
            Some(name) => TaskLogQuery::new().task(name).and(query),
            None => query,
        };
        TaskLogRows { repo: Arc::clone(&self.repo), query }
    }

    /// Every line.
    pub fn all(&self) -> TaskLogRows {
        self.filter_by(TaskLogQuery::new())
    }

    /// The newest line about that action.
    pub async fn latest(&self, action: Action) -> Result<Option<TaskLogEvent>, StoreError> {
        self.filter_by(TaskLogQuery::new().action(action)).last().await
    }

    /// How the task stands. Of a whole app's log: how its newest line leaves it, and what runs by nobody's name.
    pub async fn state(&self) -> Result<TaskState, StoreError> {
        let when = async |action| {
            let line = self.latest(action).await?;
            Ok::<_, StoreError>(line.map(|line| log::time(line.created)))
        };
        let newest = self.all().last().await?;
        let running = match &self.task_name {
            Some(name) => self.repo.open_runs(name).await?,
            None => Vec::new(),
        };
        Ok(TaskState {
            status: newest.map_or(Status::Created, |line| line.action.status()),
            last_run: when(Action::Run).await?,
            last_success: when(Action::Success).await?,
            last_fail: when(Action::Fail).await?,
            last_terminate: when(Action::Terminate).await?,
            last_inaction: when(Action::Inaction).await?,
            last_crash: when(Action::Crash).await?,
            fails_in_row: self.fails_in_row().await?,
            running,
        })
    }

    async fn fails_in_row(&self) -> Result<u64, StoreError> {
        let otherwise = TaskLogQuery::new().action(in_([Action::Success, Action::Inaction, Action::Terminate]));
        let fails = TaskLogQuery::new().action(in_([Action::Fail, Action::Crash]));
        let since = match self.filter_by(otherwise).last().await? {
            Some(line) => fails.after(line.event_id),
            None => fails,
        };
        let mut since = self.filter_by(since).stream();
        let mut row = 0;
        while since.try_next().await?.is_some() {
            row += 1;
        }
        Ok(row)
    }
}

impl TaskLogRows {
    /// At most so many.
    pub fn limit(mut self, lines: usize) -> Self {
        self.query = self.query.limit(lines);
        self
    }

    /// All of them, in the order in which they were stored.
    pub async fn all(self) -> Result<Vec<TaskLogEvent>, StoreError> {
        self.repo.query(&self.query).await
    }

    /// The first one.
    pub async fn first(self) -> Result<Option<TaskLogEvent>, StoreError> {
        Ok(self.repo.query(&self.query.limit(1)).await?.pop())
    }

    /// The last one.
    pub async fn last(self) -> Result<Option<TaskLogEvent>, StoreError> {
        // From its own end, the last one of a question that asks for the newest first is the oldest.
        let turned = self.query.turned();
        Ok(self.repo.query(&turned.limit(1)).await?.pop())
    }

    /// How many there are.
    pub async fn count(self) -> Result<u64, StoreError> {
        self.repo.count(&self.query).await
    }

    /// One after the other, read page by page: for more of them than one wants to hold.
    pub fn stream(self) -> BoxStream<'static, Result<TaskLogEvent, StoreError>> {
        const AT_ONCE: usize = 500;
        let left = self.query.most().unwrap_or(usize::MAX);
        let pages = stream::try_unfold((self, left), |(rows, left)| async move {
            let size = left.min(AT_ONCE);
            if size == 0 {
                return Ok::<_, StoreError>(None);
            }
            let lines = rows.repo.query(&rows.query.clone().limit(size)).await?;
            let Some(last) = lines.last() else { return Ok(None) };
            // A page that is not full is the last one: nothing is left to ask for.
            let left = if lines.len() < size { 0 } else { left - lines.len() };
            let rows = TaskLogRows { query: rows.query.after(last.event_id), ..rows };
            Ok(Some((stream::iter(lines.into_iter().map(Ok)), (rows, left))))
        });
        pages.try_flatten().boxed()
    }

    /// Removes them, and says how many there were. For retention only: the log is an audit trail.
    pub async fn delete(self) -> Result<u64, StoreError> {
        self.repo.delete(&self.query).await
    }
}
