//! What the table's tests are written in: one stream, one processor, and short words for what is done with them.

use std::ops::{Deref, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use runnel::broker::{
    Acquire, Acquired, Broker, BrokerError, Commit, Committed, Fence, FenceFacts, FrontMark, Group, GroupSurvey,
    KeyLayout, LAYOUT_VERSION, Mark, NewEntry, Note, Owned, PartitionSurvey, Place, Renew, Renewed, Start, Stop,
    StopKind, StreamFacts, StreamRef,
};
use runnel::event::{Entry, EventId, Fields, Partition};

use crate::hands::Hands;
use crate::stores::{Kind, Store};

/// Long enough never to pass in a test.
pub(crate) const TTL: Duration = Duration::from_secs(3600);
pub(crate) const TTL_MS: i64 = 3_600_000;
/// Passes while a test waits for it.
pub(crate) const SOON: Duration = Duration::from_millis(200);
/// The partition that is meant where none is named.
pub(crate) const FIRST: Partition = Partition(0);
/// A time at which everything that happens in a test has long happened.
pub(crate) const LATER: u64 = 9_000_000_000_000_000;

pub(crate) fn id(ms: u64) -> EventId {
    EventId::new(ms, 0)
}

pub(crate) fn ids(all: impl IntoIterator<Item = u64>) -> Vec<EventId> {
    all.into_iter().map(id).collect()
}

pub(crate) fn facts(name: &str) -> StreamFacts {
    StreamFacts {
        name: name.into(),
        layout_version: LAYOUT_VERSION,
        partitions: 3,
        slot_groups: 2,
        keys: KeyLayout::Runnel,
        partitioner: "xxh64".into(),
        codec: "json".into(),
        created: 0,
    }
}

/// An entry of that id in a partition.
pub(crate) fn entry(partition: Partition, id: Option<EventId>) -> NewEntry {
    NewEntry { partition, id, fields: Fields::from_pairs([("data", "1")]) }
}

pub(crate) struct Case {
    store: Store,
    pub(crate) stream: StreamRef,
    pub(crate) group: Group,
}

impl Deref for Case {
    type Target = dyn Broker;
    fn deref(&self) -> &Self::Target {
        &*self.store.broker
    }
}

impl Case {
    /// An empty store.
    pub(crate) async fn empty(kind: Kind) -> Self {
        let stream: StreamRef = Arc::new(facts("orders"));
        let group = Group { stream: Arc::clone(&stream), processor: "billing".into() };
        Self { store: Store::empty(kind).await, stream, group }
    }

    /// A store with these events in the first partition.
    pub(crate) async fn with(kind: Kind, events: RangeInclusive<u64>) -> Self {
        let case = Self::empty(kind).await;
        case.add(events).await;
        case
    }

    /// From now on the dead letters are meant where the stream was, and their consumer where its processor was.
    pub(crate) fn turn_to_letters(&mut self) {
        self.stream = Arc::new(self.stream.dead_letters());
        self.group.stream = Arc::clone(&self.stream);
    }

    pub(crate) fn hands(&self) -> &dyn Hands {
        &*self.store.hands
    }

    pub(crate) fn kind(&self) -> Kind {
        self.store.kind
    }

    /// Whether the lag behind trimmed entries is the one of Redis 7.0.
    pub(crate) fn plain_lag(&self) -> bool {
        self.store.plain_lag
    }

    pub(crate) fn place(&self) -> Place {
        self.place_of("billing")
    }

    /// The place of another processor or foreign group in the first partition.
    pub(crate) fn place_of(&self, processor: &str) -> Place {
        Place { group: Group { processor: processor.into(), ..self.group.clone() }, partition: FIRST }
    }

    pub(crate) async fn add(&self, events: RangeInclusive<u64>) {
        for chunk in events.collect::<Vec<_>>().chunks(1000) {
            let entries = chunk.iter().map(|ms| entry(FIRST, Some(id(*ms)))).collect();
            let appended = self.append(&self.stream, entries).await.unwrap();
            assert!(appended.ids.iter().all(Result::is_ok), "{appended:?}");
        }
    }

    pub(crate) fn wish(&self, nonce: &str) -> Acquire {
        Acquire {
            place: self.place(),
            nonce: nonce.into(),
            worker: format!("worker-{nonce}").into(),
            ttl: TTL,
            start: Start::Beginning,
            joined: 0,
        }
    }

    pub(crate) async fn wished(&self, wish: &Acquire) -> Acquired {
        self.acquire(wish).await.unwrap()
    }

    pub(crate) async fn take(&self, nonce: &str) -> Acquired {
        self.wished(&self.wish(nonce)).await
    }

    /// Owns the place, or fails the test.
    pub(crate) async fn own(&self, nonce: &str) -> (Fence, Owned) {
        match self.take(nonce).await {
            Acquired::Owned(owned) => (Fence { nonce: nonce.into(), epoch: owned.epoch }, *owned),
            other => panic!("{nonce} does not own it: {other:?}"),
        }
    }

    /// Owns it after the owner now has crashed.
    pub(crate) async fn take_over(&self, nonce: &str) -> (Fence, Owned) {
        self.hands().lapse(&self.place());
        self.own(nonce).await
    }

    /// A plain commit; change what is to be otherwise.
    pub(crate) fn commit_of(&self, fence: &Fence, n: u64, position: u64) -> Commit {
        Commit {
            place: self.place(),
            fence: fence.clone(),
            n,
            position: id(position),
            entries_read: Some(position),
            seen: id(position),
            front: FrontMark::Keep,
            done: vec![],
            passed: vec![],
            letters: vec![],
            letters_limit: 10,
        }
    }

    pub(crate) async fn send(&self, commit: Commit) -> Committed {
        self.commit(&[commit]).await.pop().unwrap().unwrap()
    }

    /// Commits up to there, or fails the test.
    pub(crate) async fn settle(&self, fence: &Fence, n: u64, position: u64) {
        assert_eq!(self.send(self.commit_of(fence, n, position)).await, Committed::Applied);
    }

    pub(crate) async fn prolong(&self, fence: &Fence, read: u64) -> Renewed {
        let renew = Renew { place: self.place(), fence: fence.clone(), ttl: TTL, read: id(read) };
        self.renew(&[renew]).await.pop().unwrap().unwrap()
    }

    pub(crate) async fn give_up(&self, fence: &Fence) -> bool {
        self.release(&self.place(), fence, None).await.unwrap()
    }

    /// Owns it and gives it up with a mark at that event. Answers the mark as others are told it.
    pub(crate) async fn stop_at(&self, kind: StopKind, at: u64) -> Stop {
        let (fence, _) = self.own("stopper").await;
        let mark = Mark { kind, at: id(at), error: "out of\npaper".into() };
        assert!(self.release(&self.place(), &fence, Some(&mark)).await.unwrap());
        self.fence().await.stop.expect("a mark was left")
    }

    pub(crate) async fn look(&self) -> PartitionSurvey {
        self.survey(&self.stream).await.unwrap().swap_remove(0)
    }

    pub(crate) async fn look_at(&self, group: &str) -> GroupSurvey {
        let found = self.look().await.groups.into_iter().find(|found| found.name == group);
        found.unwrap_or_else(|| panic!("there is no group {group}"))
    }

    pub(crate) async fn fence(&self) -> FenceFacts {
        self.look_at("billing").await.fence.expect("there is a fence")
    }

    /// The ids that are there.
    pub(crate) async fn events(&self) -> Vec<EventId> {
        let entries = self.range(&self.stream, FIRST, EventId::ZERO, EventId::MAX, 10_000, false).await.unwrap();
        ids_of(&entries)
    }
}

pub(crate) fn ids_of(entries: &[Entry]) -> Vec<EventId> {
    entries.iter().map(|entry| entry.id).collect()
}

/// What is told of an acquisition that found nothing odd.
pub(crate) const NOTHING: &[Note] = &[];

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(answer: Result<T, BrokerError>) -> String {
    match answer {
        Err(BrokerError::Refused { code, .. }) => code,
        other => panic!("not refused: {other:?}"),
    }
}
