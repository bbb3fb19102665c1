//! The task log on Redis: lines by task, in one order over all tasks.
//!
//! Names of tasks are looked up, all other conditions are asked of the lines here, page by page, until there are enough.
//! So the newest lines of a task cost one answer, and rare ones among many cost all of them.

use async_trait::async_trait;

use super::{RedisStore, failed, milliseconds};
use crate::broker::redis::records::{NewLine, StoredLine};
use crate::runs::query::{Condition, Field, Literal, Match};
use crate::runs::stores::document;
use crate::runs::stores::{StoreError, StoreSummary, TaskLogRepo};
use crate::runs::{RunLogStore, TaskLogEvent, TaskLogQuery};

/// How many lines are asked for at once: the first time, and at most.
const FIRST_PAGE: usize = 64;
const LONGEST_PAGE: usize = 1000;

/// A line with its number and its task.
struct Found {
    number: u64,
    id: Vec<u8>,
    task: usize,
    event: TaskLogEvent,
}

/// A walk along the lines of some tasks, in the order of all.
struct Walk {
    tasks: Vec<String>,
    beyond: Option<u64>,
    backwards: bool,
    page: usize,
    done: bool,
}

/// The tasks that a question names, if it names some.
fn named(query: &TaskLogQuery) -> Option<Vec<String>> {
    let text = |literal: &Literal| match literal {
        Literal::Text(name) => Some(name.clone()),
        _ => None,
    };
    query.conditions().iter().find_map(|condition| match condition {
        Condition { field: Field::TaskName, test: Match::Eq(name) } => Some(vec![text(name)?]),
        Condition { field: Field::TaskName, test: Match::In(names) } => {
            let mut names = names.iter().map(text).collect::<Option<Vec<_>>>()?;
            names.sort_unstable();
            names.dedup();
            Some(names)
        }
        _ => None,
    })
}

/// Whether a question asks for nothing but tasks by name, once: their lines need not be read to be counted.
fn asks_for_tasks_alone(query: &TaskLogQuery) -> bool {
    match query.conditions() {
        [] => true,
        [_] => named(query).is_some(),
        _ => false,
    }
}

impl RedisStore {
    async fn tasks(&self, query: &TaskLogQuery) -> Result<Vec<String>, StoreError> {
        match named(query) {
            Some(names) => Ok(names),
            None => self.records.topics().await.map_err(failed),
        }
    }

    async fn walk(&self, query: &TaskLogQuery, backwards: bool) -> Result<Walk, StoreError> {
        let tasks = self.tasks(query).await?;
        let most = query.most().unwrap_or(FIRST_PAGE).clamp(16, LONGEST_PAGE);
        let page = (most / tasks.len().max(1)).max(16);
        Ok(Walk { done: tasks.is_empty(), tasks, beyond: None, backwards, page })
    }

    /// The number of the line that the answer begins after.
    async fn begin(&self, query: &TaskLogQuery, tasks: &[String]) -> Result<Option<u64>, StoreError> {
        let Some(line) = query.begins_after() else { return Ok(None) };
        let mut number = self.records.line_number(tasks, line.as_bytes()).await.map_err(failed)?;
        if number.is_none() {
            // It may be a line of a task that is not asked for.
            let all = self.records.topics().await.map_err(failed)?;
            number = self.records.line_number(&all, line.as_bytes()).await.map_err(failed)?;
        }
        number.map(Some).ok_or_else(|| StoreError::line_gone(Some(line)))
    }

    /// The next lines of a walk.
    async fn next(&self, walk: &mut Walk) -> Result<Vec<Found>, StoreError> {
        let pages = self.records.lines(&walk.tasks, walk.beyond, walk.backwards, walk.page).await.map_err(failed)?;
        // Beyond the end of a page that is full there may be lines that come before those of other tasks.
        let ends = pages.iter().filter(|page| page.len() == walk.page).filter_map(|page| page.last());
        let ends = ends.map(|line| line.number);
        let horizon = if walk.backwards { ends.max() } else { ends.min() };
        let within = |line: &StoredLine| match horizon {
            Some(horizon) if walk.backwards => line.number >= horizon,
            Some(horizon) => line.number <= horizon,
            None => true,
        };
        let mut found = Vec::new();
        for (task, page) in pages.into_iter().enumerate() {
            for StoredLine { number, id, text } in page.into_iter().filter(within) {
                let place = || format!("line {number} of task `{}` at {}", walk.tasks[task], self.records.address());
                match document::read(&text, place) {
                    Ok(event) => found.push(Found { number, id, task, event }),
                    // It stays where it is, and hides no other.
                    Err(error) => tracing::warn!(%error, "a line of the task log is damaged"),
                }
            }
        }
        found.sort_unstable_by_key(|line| line.number);
        if walk.backwards {
            found.reverse();
        }
        (walk.beyond, walk.done) = (horizon, horizon.is_none());
        let longest = (LONGEST_PAGE / walk.tasks.len().max(1)).max(16);
        walk.page = (walk.page * 4).min(longest).max(walk.page.min(longest));
        Ok(found)
    }
}

#[async_trait]
impl TaskLogRepo for RedisStore {
    async fn append(&self, events: &[TaskLogEvent]) -> Result<(), StoreError> {
        let mut tasks: Vec<&str> = events.iter().map(|event| event.task_name.as_str()).collect();
        tasks.sort_unstable();
        tasks.dedup();
        let mut lines = Vec::with_capacity(events.len());
        for event in events {
            let topic = tasks.partition_point(|task| *task < event.task_name.as_str());
            lines.push(NewLine { topic, id: *event.event_id.as_bytes(), text: self.documents.write(event)? });
        }
        let ttl = self.options.retention.map_or(0, milliseconds);
        self.records.add_lines(&tasks, &lines, self.options.lines_per_task, ttl).await.map_err(failed)
    }

    async fn query(&self, query: &TaskLogQuery) -> Result<Vec<TaskLogEvent>, StoreError> {
        query.check()?;
        let mut walk = self.walk(query, query.is_newest_first()).await?;
        walk.beyond = self.begin(query, &walk.tasks).await?;
        let most = query.most().unwrap_or(usize::MAX);
        let mut answer = Vec::new();
        while !walk.done && answer.len() < most {
            let lines = self.next(&mut walk).await?.into_iter().map(|line| line.event);
            let room = most - answer.len();
            answer.extend(lines.filter(|line| query.matches(line)).take(room));
        }
        Ok(answer)
    }

    async fn count(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        query.check()?;
        if asks_for_tasks_alone(query) {
            let tasks = self.tasks(query).await?;
            return Ok(self.records.line_counts(&tasks).await.map_err(failed)?.into_iter().sum());
        }
        let mut walk = self.walk(query, false).await?;
        let mut count = 0;
        while !walk.done {
            count += self.next(&mut walk).await?.iter().filter(|line| query.matches(&line.event)).count() as u64;
        }
        Ok(count)
    }

    async fn delete(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        query.check()?;
        let mut walk = self.walk(query, false).await?;
        let mut deleted = 0;
        while !walk.done {
            let mut gone: Vec<Vec<(u64, Vec<u8>)>> = walk.tasks.iter().map(|_| Vec::new()).collect();
            for line in self.next(&mut walk).await?.into_iter().filter(|line| query.matches(&line.event)) {
                gone[line.task].push((line.number, line.id));
            }
            for (task, lines) in walk.tasks.iter().zip(gone).filter(|(_, lines)| !lines.is_empty()) {
                deleted += self.records.remove_lines(task, &lines).await.map_err(failed)?;
            }
        }
        Ok(deleted)
    }

    fn summary(&self) -> StoreSummary {
        RunLogStore::summary(self)
    }
}
