//! What stands around a store: the cache, and lines that are added together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use runnel::runs::stores::{Batched, Cached};
use runnel::runs::{
    Action, MemoryStore, NewRunLog, RunId, RunLogStore, Status, StoreError, StoreSummary, TaskLogEvent, TaskLogQuery,
    TaskLogRepo,
};
use tokio::sync::Semaphore;

mod cached_memory {
    use super::*;

    crate::all_of_documents!({
        let store = Arc::new(MemoryStore::new().retention(crate::documents::KEPT));
        (Arc::new(Cached::new(store, Duration::from_secs(300))), ())
    });
    crate::suite! {
        (Arc::new(Cached::new(Arc::new(MemoryStore::new()), Duration::from_secs(300))), ()),
        parallel: writers_of_one_run_lose_nothing readers_see_whole_documents
    }
}

mod batched_memory {
    use super::*;

    crate::all_of_lines!((Arc::new(Batched::new(Arc::new(MemoryStore::new()), 100)), ()));
}

#[tokio::test]
async fn only_runs_that_nobody_can_resume_are_kept_at_hand_and_writing_forgets_them() {
    let inner = Arc::new(MemoryStore::new());
    let cached = Cached::new(inner.clone(), Duration::from_secs(300));
    let id = |status: Status| format!("{status}").parse::<RunId>().unwrap();
    let kept = [Status::Success, Status::Inaction];
    let others = [Status::Processing, Status::Fail, Status::Crashed, Status::Terminated];
    for status in kept.into_iter().chain(others) {
        cached.create_run_log(NewRunLog { status, ..NewRunLog::new(id(status), "t") }).await.unwrap();
        cached.get(&id(status)).await.unwrap();
        // Behind its back: by another worker.
        inner.update_run_log_status(&id(status), Status::Triggered).await.unwrap();
    }
    let seen = async |status: Status| cached.get(&id(status)).await.unwrap().status;

    for status in kept {
        assert_eq!(seen(status).await, status);
    }
    for status in others {
        assert_eq!(seen(status).await, Status::Triggered, "{status}");
    }
    cached.create_step_log(&id(Status::Success), runnel::runs::StepLog::new("s")).await.unwrap();
    assert_eq!(seen(Status::Success).await, Status::Triggered);
}

/// A repository that adds when it is let, and counts how often.
struct Gated {
    inner: MemoryStore,
    gate: Semaphore,
    steps: AtomicUsize,
}

#[async_trait]
impl TaskLogRepo for Gated {
    async fn append(&self, events: &[TaskLogEvent]) -> Result<(), StoreError> {
        self.gate.acquire().await.unwrap().forget();
        self.steps.fetch_add(1, Ordering::SeqCst);
        self.inner.append(events).await
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
        TaskLogRepo::summary(&self.inner)
    }
}

#[tokio::test]
async fn lines_that_wait_are_added_together_and_a_dropped_writer_loses_none() {
    let gated = Arc::new(Gated { inner: MemoryStore::new(), gate: Semaphore::new(0), steps: AtomicUsize::new(0) });
    let batched = Arc::new(Batched::new(gated.clone(), 100));
    let mut callers = tokio::task::JoinSet::new();
    let mut add = || {
        let batched = Arc::clone(&batched);
        let line = TaskLogEvent::new("t", Action::Run, RunId::fresh());
        callers.spawn(async move { batched.append(&[line]).await })
    };

    // The first one writes for itself, and the others gather behind it; then it is dropped.
    let first = add();
    tokio::task::yield_now().await;
    (0..20).for_each(|_| drop(add()));
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    first.abort();
    gated.gate.add_permits(1000);
    let mut added = 0;
    while let Some(done) = callers.join_next().await {
        added += done.map_or(0, |done| done.map(|()| 1).unwrap());
    }

    assert_eq!(added, 20);
    assert_eq!(batched.count(&TaskLogQuery::new()).await.unwrap(), 20);
    assert_eq!(gated.steps.load(Ordering::SeqCst), 1, "they were added one by one");
}
