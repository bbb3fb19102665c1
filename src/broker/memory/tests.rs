//! What the links, the faults and the clock promise. That the operations answer as Redis does is the conformance
//! suite's business.

#[cfg(feature = "testing")] // Its clock stands still.
mod fleet;

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::broker::{
    Acquire, Acquired, Broker, BrokerError, Commit, Committed, Epoch, Fence, FrontMark, Group, NewEntry, Owned, Place,
    Source, Start, StreamFacts, StreamRef,
};
use crate::event::{EventId, Fields, Partition};

const TTL: Duration = Duration::from_secs(10);
const NO_PATIENCE: Faults = Faults {
    seed: 0,
    lost_requests: 0.0,
    lost_replies: 0.0,
    late_requests: 0.0,
    duplicates: 0.0,
    late_by: Duration::ZERO..=Duration::ZERO,
    delay: Duration::ZERO..=Duration::ZERO,
    patience: Duration::ZERO,
};

fn orders() -> StreamRef {
    Arc::new(StreamFacts::orders(2))
}

fn place() -> Place {
    Place { group: Group { stream: orders(), processor: "billing".into() }, partition: Partition(0) }
}

fn id(ms: u64) -> EventId {
    EventId::new(ms, 0)
}

fn entry(ms: u64) -> NewEntry {
    NewEntry { partition: Partition(0), id: Some(id(ms)), fields: Fields::from_pairs([("data", "1")]) }
}

async fn append(broker: &MemoryBroker, ids: impl IntoIterator<Item = u64>) {
    let appended = broker.append(&orders(), ids.into_iter().map(entry).collect()).await.unwrap();
    assert!(appended.ids.iter().all(Result::is_ok), "{appended:?}");
}

fn wish(nonce: &str) -> Acquire {
    Acquire { place: place(), nonce: nonce.into(), worker: "ann".into(), ttl: TTL, start: Start::Beginning, joined: 0 }
}

async fn owned(broker: &MemoryBroker, nonce: &str) -> (Fence, Owned) {
    match broker.acquire(&wish(nonce)).await.unwrap() {
        Acquired::Owned(owned) => (Fence { nonce: nonce.into(), epoch: owned.epoch }, *owned),
        other => panic!("{other:?}"),
    }
}

fn commit(fence: &Fence, n: u64, position: u64) -> Commit {
    Commit {
        place: place(),
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

async fn send(broker: &MemoryBroker, commit: Commit) -> Result<Committed, BrokerError> {
    broker.commit(&[commit]).await.pop().unwrap()
}

fn position(memory: &Memory) -> EventId {
    memory.snapshot().partitions[0].fences[0].1.position
}

fn applied(memory: &Memory) -> Vec<(Epoch, u64)> {
    let committed = |step: &Step| match step {
        Step::Committed { epoch, n, .. } => Some((*epoch, *n)),
        _ => None,
    };
    memory.history().iter().filter_map(committed).collect()
}

/// Polls once, with nobody to wake.
fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A server with events 1 to 5, and a connection without patience.
async fn with_events() -> (Memory, MemoryBroker) {
    let memory = Memory::new();
    memory.record_history(true);
    let broker = memory.connect();
    broker.set_faults(NO_PATIENCE);
    append(&broker, 1..=5).await;
    (memory, broker)
}

#[tokio::test]
async fn a_lost_reply_is_applied_once() {
    let (memory, broker) = with_events().await;
    let (fence, _) = owned(&broker, "a").await;
    broker.next_fault(Operation::Commit, Fault::LostReply);

    let lost = send(&broker, commit(&fence, 1, 2)).await;
    let resent = send(&broker, commit(&fence, 1, 2)).await;

    assert!(matches!(lost, Err(BrokerError::Unclear { .. })), "{lost:?}");
    assert_eq!(resent.unwrap(), Committed::Applied);
    assert_eq!(applied(&memory), [(fence.epoch, 1)]);
}

#[tokio::test]
async fn a_lost_request_is_not_applied() {
    let (memory, broker) = with_events().await;
    let (fence, _) = owned(&broker, "a").await;
    broker.next_fault(Operation::Commit, Fault::LostRequest);

    let lost = send(&broker, commit(&fence, 1, 2)).await;

    assert!(matches!(lost, Err(BrokerError::Unclear { .. })), "{lost:?}");
    assert_eq!((applied(&memory).len(), position(&memory)), (0, EventId::ZERO));
}

#[tokio::test]
async fn each_commit_of_a_call_may_be_lost_alone() {
    let (memory, broker) = with_events().await;
    let (fence, _) = owned(&broker, "a").await;
    broker.next_fault(Operation::Commit, Fault::LostReply);

    let answers = broker.commit(&[commit(&fence, 1, 2), commit(&fence, 2, 3)]).await;

    assert!(matches!(answers[..], [Err(BrokerError::Unclear { .. }), Ok(Committed::Applied)]), "{answers:?}");
    assert_eq!(position(&memory), id(3));
}

#[tokio::test]
async fn a_late_request_is_done_after_its_asker_has_given_up() {
    let (memory, broker) = with_events().await;
    let (fence, _) = owned(&broker, "a").await;
    broker.next_fault(Operation::Commit, Fault::Late(Duration::ZERO));

    let unclear = send(&broker, commit(&fence, 1, 2)).await;

    assert!(matches!(unclear, Err(BrokerError::Unclear { .. })), "{unclear:?}");
    assert_eq!(position(&memory), id(2));
}

#[tokio::test]
async fn a_duplicate_that_comes_late_changes_nothing() {
    let (memory, broker) = with_events().await;
    let (fence, _) = owned(&broker, "a").await;
    broker.next_fault(Operation::Commit, Fault::Twice(Duration::ZERO));

    assert_eq!(send(&broker, commit(&fence, 1, 2)).await.unwrap(), Committed::Applied);
    assert_eq!(send(&broker, commit(&fence, 2, 3)).await.unwrap(), Committed::Applied);

    assert_eq!((applied(&memory).len(), position(&memory)), (2, id(3)));
}

#[tokio::test]
async fn a_late_request_dies_with_its_server() {
    let (memory, broker) = with_events().await;
    let (fence, _) = owned(&broker, "a").await;
    broker.next_fault(Operation::Commit, Fault::Late(Duration::ZERO));
    let _ = send(&broker, commit(&fence, 1, 2)).await;

    memory.restart();

    assert_eq!(position(&memory), EventId::ZERO);
}

#[tokio::test]
async fn a_cut_link_hangs_until_it_is_healed() {
    let (memory, broker) = with_events().await;
    broker.cut();

    let wish_of_a = wish("a");
    let mut asked = broker.acquire(&wish_of_a);
    for _ in 0..10 {
        assert!(poll(&mut asked).is_pending());
    }
    assert!(matches!(memory.connect().acquire(&wish("b")).await, Ok(Acquired::Owned(_))), "others are not cut");
    broker.heal();

    assert!(matches!(asked.await, Ok(Acquired::Held { .. })));
}

#[tokio::test]
async fn a_fail_over_loses_what_came_after_the_checkpoint() {
    let (memory, broker) = with_events().await;
    let (fence, _) = owned(&broker, "a").await;
    let checkpoint = memory.checkpoint();
    send(&broker, commit(&fence, 1, 2)).await.unwrap();
    append(&broker, [6]).await;

    memory.roll_back(&checkpoint);

    assert_eq!(position(&memory), EventId::ZERO);
    assert_eq!(memory.snapshot().partitions[0].last, id(5));
    assert_eq!(send(&broker, commit(&fence, 2, 3)).await.unwrap(), Committed::Gap { have: 0 });
    assert!(memory.history().iter().any(|step| matches!(step, Step::RolledBack { steps: 6, .. })));
}

#[tokio::test]
async fn who_is_cut_off_hears_of_a_changed_server_when_healed() {
    let (memory, broker) = with_events().await;
    let other = memory.connect();
    let (here, there) = (broker.server_changes(), other.server_changes());
    broker.cut();

    memory.restart();
    assert_eq!((*here.borrow(), *there.borrow()), (0, 1));
    broker.heal();

    assert_eq!(*here.borrow(), 1);
}

#[tokio::test]
async fn what_was_on_its_way_to_a_changed_server_is_not_done_there() {
    let (memory, broker) = with_events().await;
    let wish_of_a = wish("a");
    let mut asked = broker.acquire(&wish_of_a);
    assert!(poll(&mut asked).is_pending(), "on its way");

    memory.restart();

    assert!(matches!(asked.await, Err(BrokerError::Unclear { .. })));
    assert!(memory.snapshot().partitions[0].fences.is_empty());
}

#[tokio::test]
async fn a_reader_waits_for_what_it_has_not_read() {
    let (memory, broker) = with_events().await;
    let source = Source::Partition(orders(), Partition(0));
    let mut reading = broker.read(&source, id(7), 10, false);
    for _ in 0..10 {
        assert!(poll(&mut reading).is_pending());
    }

    append(&memory.connect(), [6, 8, 9]).await;

    let ids: Vec<_> = reading.await.unwrap().into_iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [id(8), id(9)]);
}

#[tokio::test]
async fn a_reader_is_told_when_the_server_changes() {
    let (memory, broker) = with_events().await;
    let source = Source::Partition(orders(), Partition(0));
    let mut reading = broker.read(&source, id(5), 10, false);
    assert!(poll(&mut reading).is_pending());

    memory.restart();

    assert!(matches!(reading.await, Err(BrokerError::Unclear { .. })));
}

#[tokio::test]
async fn the_bell_wakes_who_listens() {
    let (memory, broker) = with_events().await;
    let group = place().group;
    let bell = Source::Bell(group.clone());
    let mut listening = broker.read(&bell, EventId::ZERO, 10, false);
    for _ in 0..10 {
        assert!(poll(&mut listening).is_pending());
    }

    memory.connect().swap(&group, 0, "{}", &[], "joined").await.unwrap();

    assert_eq!(listening.await.unwrap()[0].fields.get("gen"), Some(&b"1"[..]));
}

#[tokio::test]
async fn no_jump_of_the_clock_makes_a_lease_longer_or_an_epoch_smaller() {
    let (memory, broker) = with_events().await;
    let (first, _) = owned(&broker, "a").await;
    memory.jump(-3_600_000);

    let held = broker.acquire(&wish("b")).await.unwrap();
    assert!(matches!(held, Acquired::Held { wait, .. } if wait <= TTL), "{held:?}");

    memory.jump(TTL.as_millis() as i64 + 1);
    let (second, _) = owned(&broker, "b").await;
    assert_eq!(second.epoch, Epoch(first.epoch.0 + 1));
}

#[tokio::test]
async fn absurd_durations_are_borne() {
    let (_memory, broker) = with_events().await;
    let forever = Acquire { ttl: Duration::MAX, ..wish("a") };

    assert!(matches!(broker.acquire(&forever).await, Ok(Acquired::Owned(_))));
    assert!(matches!(broker.acquire(&wish("b")).await, Ok(Acquired::Held { .. })));
    broker.beat(&place().group, "ann", Duration::MAX, None).await.unwrap();
}
