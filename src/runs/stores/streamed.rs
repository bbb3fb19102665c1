//! Lines of the task log where they were first written: in the stream of runs, for stores that keep documents alone.
//!
//! Every process of an app reads the same ones, and they outlive all of them. Nothing is written here, since a line is in
//! the stream before anybody could; and nothing is removed: the log goes as far back as the stream, whose partitions make
//! room when they are full.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use futures::future::try_join_all;
use uuid::Uuid;

use super::{LinesHeld, StoreError, StoreSummary, TaskLogRepo};
use crate::broker::{Broker, BrokerError, StreamRef};
use crate::codec::{Json, Limits};
use crate::event::{Entry, EventId, Partition};
use crate::record::Record;
use crate::route::Partitioner;
use crate::runs::query::{Field, Literal, Match};
use crate::runs::tasks::TASKS_NAME;
use crate::runs::{RunEvent, TaskLogEvent, TaskLogQuery};

/// Entries of a partition that are read at once.
const PAGE: usize = 500;
/// Of how many answers it is known where they ended.
const ENDS: usize = 64;

/// The lines of an app's stream of runs.
pub(crate) struct StreamedLines {
    broker: Arc<dyn Broker>,
    /// Where answers have ended, so that who goes on behind one is not led through all that was before it.
    ends: Mutex<VecDeque<(Uuid, EventId)>>,
}

impl StreamedLines {
    pub(crate) fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker, ends: Mutex::default() }
    }

    fn ends(&self) -> MutexGuard<'_, VecDeque<(Uuid, EventId)>> {
        self.ends.lock().expect("no code panics while it holds this lock")
    }

    fn remember(&self, line: Uuid, id: EventId) {
        let mut ends = self.ends();
        ends.push_back((line, id));
        if ends.len() > ENDS {
            ends.pop_front();
        }
    }

    /// Stands before the first line that a question may be answered with; None if nothing was ever written.
    async fn reading(&self, query: &TaskLogQuery) -> Result<Option<Reading<'_>>, StoreError> {
        let Some(facts) = self.broker.stream(TASKS_NAME).await.map_err(failed)? else { return Ok(None) };
        let after = query.begins_after();
        let known = after.and_then(|line| self.ends().iter().rev().find(|(end, _)| *end == line).map(|(_, id)| *id));
        let backwards = query.is_newest_first();
        let begin = known.unwrap_or(if backwards { EventId::MAX } else { EventId::ZERO });
        let partitions = match the_one_of(query, &facts) {
            Some(partition) => vec![partition],
            None => (0..facts.partitions).map(Partition).collect(),
        };
        let parts =
            partitions.into_iter().map(|partition| Part { partition, lines: VecDeque::new(), next: Some(begin) });
        let mut reading = Reading { broker: &*self.broker, stream: Arc::new(facts), backwards, parts: parts.collect() };
        if let Some(after) = after {
            // Other lines of the same moment may stand before it.
            while reading.next().await?.ok_or_else(|| StoreError::line_gone(Some(after)))?.1.event_id != after {}
        }
        Ok(Some(reading))
    }
}

/// The partition that has all lines which a question about one task can be answered with.
fn the_one_of(query: &TaskLogQuery, facts: &crate::broker::StreamFacts) -> Option<Partition> {
    let task = query.conditions().iter().find_map(|condition| match (&condition.field, &condition.test) {
        (Field::TaskName, Match::Eq(Literal::Text(name))) => Some(name.as_str()),
        _ => None,
    })?;
    Partitioner::from_name(&facts.partitioner).ok()?.place(&task.into(), facts.partitions).ok()
}

/// Lines of some partitions, in one order: that of their ids.
struct Reading<'a> {
    broker: &'a dyn Broker,
    stream: StreamRef,
    backwards: bool,
    parts: Vec<Part>,
}

struct Part {
    partition: Partition,
    /// Read and not handed out.
    lines: VecDeque<(EventId, TaskLogEvent)>,
    /// Where the next page begins, if there may be one.
    next: Option<EventId>,
}

impl Part {
    fn must_read(&self) -> bool {
        self.lines.is_empty() && self.next.is_some()
    }
}

impl Reading<'_> {
    async fn next(&mut self) -> Result<Option<(EventId, TaskLogEvent)>, StoreError> {
        if self.parts.iter().any(Part::must_read) {
            let (broker, stream, backwards) = (self.broker, &self.stream, self.backwards);
            try_join_all(self.parts.iter_mut().map(|part| part.read(broker, stream, backwards))).await?;
        }
        let fronts = self.parts.iter().enumerate().filter_map(|(at, part)| Some((part.lines.front()?.0, at)));
        let next = if self.backwards { fronts.max() } else { fronts.min() };
        Ok(next.and_then(|(_, at)| self.parts[at].lines.pop_front()))
    }
}

impl Part {
    /// Reads until there is a line, or nothing more.
    async fn read(&mut self, broker: &dyn Broker, stream: &StreamRef, backwards: bool) -> Result<(), StoreError> {
        while self.lines.is_empty()
            && let Some(at) = self.next
        {
            let (from, to) = if backwards { (EventId::ZERO, at) } else { (at, EventId::MAX) };
            let page = broker.range(stream, self.partition, from, to, PAGE, backwards).await.map_err(failed)?;
            self.next = match page.last() {
                Some(last) if page.len() == PAGE => Some(if backwards { last.id.before() } else { last.id.next() }),
                _ => None,
            };
            self.lines.extend(page.iter().filter_map(line_of));
        }
        Ok(())
    }
}

fn line_of(Entry { id, fields }: &Entry) -> Option<(EventId, TaskLogEvent)> {
    match RunEvent::from_fields(fields, &Json, &Limits::default()) {
        Ok(RunEvent::Task(line)) => Some((*id, line)),
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(%id, %error, "an event of the task log cannot be read, and is left out");
            None
        }
    }
}

fn failed(error: BrokerError) -> StoreError {
    StoreError::Backend {
        doing: "read the stream of runs".into(),
        transient: error.is_transient(),
        source: error.into(),
    }
}

#[async_trait]
impl TaskLogRepo for StreamedLines {
    /// They are there: only what is in the stream is ever handed on.
    async fn append(&self, _: &[TaskLogEvent]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn query(&self, query: &TaskLogQuery) -> Result<Vec<TaskLogEvent>, StoreError> {
        query.check()?;
        let most = query.most().unwrap_or(usize::MAX);
        let (mut lines, mut end) = (Vec::new(), EventId::ZERO);
        match self.reading(query).await? {
            None if query.begins_after().is_some() => return Err(StoreError::line_gone(query.begins_after())),
            None => return Ok(lines),
            Some(mut reading) => {
                while lines.len() < most
                    && let Some((id, line)) = reading.next().await?
                {
                    if query.matches(&line) {
                        lines.push(line);
                        end = id;
                    }
                }
            }
        }
        if let Some(last) = lines.last() {
            self.remember(last.event_id, end);
        }
        Ok(lines)
    }

    async fn count(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        query.check()?;
        let all = query.conditions().iter().cloned().fold(TaskLogQuery::new(), TaskLogQuery::with);
        let Some(mut reading) = self.reading(&all).await? else { return Ok(0) };
        let mut count = 0;
        while let Some((_, line)) = reading.next().await? {
            count += u64::from(query.matches(&line));
        }
        Ok(count)
    }

    /// None: they go with the stream.
    async fn delete(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        query.check()?;
        Ok(0)
    }

    fn summary(&self) -> StoreSummary {
        StoreSummary::new("stream").with("Stream", TASKS_NAME)
    }

    fn lines_held(&self) -> LinesHeld {
        LinesHeld::InStream
    }
}

/// Holds the lines of a store of documents alone as long as nobody knows a stream of runs: in memory.
pub(super) struct Stopgap(pub(super) super::MemoryStore);

#[async_trait]
impl TaskLogRepo for Stopgap {
    async fn append(&self, events: &[TaskLogEvent]) -> Result<(), StoreError> {
        self.0.append(events).await
    }

    async fn query(&self, query: &TaskLogQuery) -> Result<Vec<TaskLogEvent>, StoreError> {
        self.0.query(query).await
    }

    async fn count(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        self.0.count(query).await
    }

    async fn delete(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        TaskLogRepo::delete(&self.0, query).await
    }

    fn summary(&self) -> StoreSummary {
        TaskLogRepo::summary(&self.0)
    }

    fn lines_held(&self) -> LinesHeld {
        LinesHeld::UntilAStreamIsKnown
    }
}

#[cfg(all(test, feature = "testing"))]
#[path = "streamed_tests.rs"]
mod tests;
