//! Stores in front of stores.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use async_trait::async_trait;
use runnel::runs::output::{BufferedLogStore, CompositeLogStore, MemoryLogStore, StoredLog};

/// A store that can be broken, and counts appends of lines.
#[derive(Default)]
struct Fragile {
    inner: MemoryLogStore,
    broken: AtomicBool,
    appends: AtomicUsize,
}

impl Fragile {
    fn check(&self) -> Result<(), LogError> {
        let source = std::io::Error::other("it is broken");
        let error = LogError::Io { doing: "append to", place: "a store".into(), source };
        if self.broken.load(Ordering::Relaxed) { Err(error) } else { Ok(()) }
    }
}

#[async_trait]
impl LogStore for Fragile {
    async fn append(&self, run: &RunId, channel: Channel, lines: &[&str]) -> Result<(), LogError> {
        self.check()?;
        self.appends.fetch_add(1, Ordering::Relaxed);
        self.inner.append(run, channel, lines).await
    }
    fn stream(&self, run: &RunId, channel: Channel, options: StreamOptions) -> LineStream {
        self.inner.stream(run, channel, options)
    }
    async fn write_metadata(&self, run: &RunId, metadata: &RunMetadata) -> Result<(), LogError> {
        self.check()?;
        self.inner.write_metadata(run, metadata).await
    }
    async fn read_metadata(&self, run: &RunId) -> Result<Option<RunMetadata>, LogError> {
        self.inner.read_metadata(run).await
    }
    async fn list(&self) -> Result<Vec<StoredLog>, LogError> {
        self.inner.list().await
    }
    async fn delete(&self, run: &RunId) -> Result<bool, LogError> {
        self.inner.delete(run).await
    }
}

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(1_000_000);

#[tokio::test]
async fn a_buffer_writes_when_it_is_full_or_when_it_is_sealed() {
    let behind = Arc::new(Fragile::default());
    let store = BufferedLogStore::new(behind.clone(), 4, NEVER);
    let run = id("r");
    for line in ["1", "2", "3"] {
        store.append_stdout(&run, line).await.unwrap();
    }
    assert_eq!(behind.appends.load(Ordering::Relaxed), 0);
    store.append_stdout(&run, "4").await.unwrap();
    assert_eq!(behind.appends.load(Ordering::Relaxed), 1);
    store.append_stderr(&run, "5").await.unwrap();

    store.write_metadata(&run, &ended(&run)).await.unwrap();

    assert_eq!(stdout(&behind.inner, &run).await, ["1", "2", "3", "4"]);
    assert_eq!(stderr(&behind.inner, &run).await, ["5"]);
}

#[tokio::test]
async fn a_buffer_does_not_hold_lines_for_ever() {
    let behind = Arc::new(Fragile::default());
    let store = BufferedLogStore::new(behind.clone(), 1000, Duration::from_millis(5));
    let run = id("r");
    for count in 1..4 {
        store.append_stdout(&run, "x").await.unwrap();
        let written = async || behind.appends.load(Ordering::Relaxed) == count;
        support::eventually("the line is written", written).await;
    }
}

#[tokio::test]
async fn a_buffer_loses_nothing_while_the_store_behind_fails_and_refuses_more_in_the_end() {
    let behind = Arc::new(Fragile::default());
    let store = BufferedLogStore::new(behind.clone(), 2, NEVER);
    let run = id("r");
    behind.broken.store(true, Ordering::Relaxed);
    let mut taken = Vec::new();
    while store.append_stdout(&run, &taken.len().to_string()).await.is_ok() {
        taken.push(taken.len().to_string());
        assert!(taken.len() < 1000);
    }
    assert!(store.flush().await.is_err());

    behind.broken.store(false, Ordering::Relaxed);
    store.flush().await.unwrap();

    assert_eq!(stdout(&behind.inner, &run).await, taken);
}

#[tokio::test]
async fn a_second_store_that_fails_changes_nothing_for_the_first() {
    let (first, second) = (Arc::new(Fragile::default()), Arc::new(Fragile::default()));
    let store = CompositeLogStore::new(first.clone(), [second.clone() as Arc<dyn LogStore>]);
    let run = id("r");
    store.append_stdout(&run, "both").await.unwrap();
    second.broken.store(true, Ordering::Relaxed);
    store.append_stdout(&run, "first").await.unwrap();
    second.broken.store(false, Ordering::Relaxed);
    store.write_metadata(&run, &ended(&run)).await.unwrap();

    assert_eq!(stdout(&store, &run).await, ["both", "first"]);
    assert_eq!(stdout(&second.inner, &run).await, ["both"]);
    assert_eq!(second.inner.read_metadata(&run).await.unwrap(), Some(ended(&run)));

    first.broken.store(true, Ordering::Relaxed);
    assert!(store.append_stdout(&run, "lost").await.is_err());
}
