//! Lines that are added at the same time, added together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex as Lock, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Mutex, oneshot};

use super::{LinesHeld, StoreError, StoreSummary, TaskLogRepo};
use crate::runs::{RunId, TaskLogEvent, TaskLogQuery};

/// A repository that takes what several callers add at once in one step.
///
/// Nobody is told that a line is there before it is: while one batch is written the next one gathers. So it costs a
/// lonely caller nothing, and many callers share the price of a sync or a transaction.
pub struct Batched {
    inner: Arc<dyn TaskLogRepo>,
    size: usize,
    waiting: Lock<VecDeque<Waiting>>,
    /// Held by the caller who writes, for all who wait.
    turn: Mutex<()>,
}

struct Waiting {
    events: Vec<TaskLogEvent>,
    done: oneshot::Sender<Result<(), StoreError>>,
}

impl Batched {
    /// Batches of about that many lines: what one caller adds is not divided.
    pub fn new(inner: Arc<dyn TaskLogRepo>, size: usize) -> Self {
        Self { inner, size: size.max(1), waiting: Lock::default(), turn: Mutex::default() }
    }

    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = 0;
        let mut batch = Vec::new();
        while lines < self.size
            && let Some(next) = waiting.pop_front()
        {
            lines += next.events.len();
            batch.push(next);
        }
        batch
    }

    /// Writes a batch, and tells everybody in it.
    async fn write(&self, batch: Vec<Waiting>) {
        let all: Vec<_> = batch.iter().flat_map(|waiting| waiting.events.iter().cloned()).collect();
        let together = self.inner.append(&all).await;
        let alone = batch.len() == 1;
        let mut together = Some(together);
        for waiting in batch {
            let done = match together.take() {
                Some(Ok(())) => {
                    together = Some(Ok(()));
                    Ok(())
                }
                Some(Err(error)) if alone => Err(error),
                // One line that is refused must not fail the others: each has its own answer. Lines that were added
                // already are known by their ids.
                _ => self.inner.append(&waiting.events).await,
            };
            // Nobody waits any more: nobody needs to know.
            let _ = waiting.done.send(done);
        }
    }
}

#[async_trait]
impl TaskLogRepo for Batched {
    async fn append(&self, events: &[TaskLogEvent]) -> Result<(), StoreError> {
        loop {
            let (done, mut answer) = oneshot::channel();
            self.waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_back(Waiting { events: events.to_vec(), done });
            let told = loop {
                let _turn = self.turn.lock().await;
                match answer.try_recv() {
                    Ok(told) => break Some(told),
                    Err(oneshot::error::TryRecvError::Closed) => break None,
                    Err(oneshot::error::TryRecvError::Empty) => self.write(self.take()).await,
                }
            };
            // Nothing: whoever wrote for us was dropped half-way. Added again, what is there already is known by its id.
            if let Some(told) = told {
                return told;
            }
        }
    }

    async fn query(&self, query: &TaskLogQuery) -> Result<Vec<TaskLogEvent>, StoreError> {
        self.inner.query(query).await
    }

    async fn count(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        self.inner.count(query).await
    }

    async fn delete(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        self.inner.delete(query).await
    }

    fn summary(&self) -> StoreSummary {
        self.inner.summary()
    }

    fn lines_held(&self) -> LinesHeld {
        self.inner.lines_held()
    }

    async fn open_runs(&self, task_name: &str) -> Result<Vec<RunId>, StoreError> {
        self.inner.open_runs(task_name).await
    }
}
