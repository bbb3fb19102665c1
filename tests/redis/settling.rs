//! Using a place and giving it up: commits, renewals, releases.

use redis::Value;
use runnel::broker::{Acquired, Broker, Commit, Committed, Fence, FrontMark, Mark, Note, Renewed, StopKind};
use runnel::{EventId, Partition};

use crate::world::{World, code, id, ids};

// --- commits --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_commit_moves_the_group_so_that_everybody_sees_it() {
    let world = World::new().await;
    world.add(1..=10);
    let owner = world.acquire("A").await;

    assert_eq!(owner.commit(1, 5).await, Committed::Applied);

    assert_eq!(world.group(), (id(5), Some(5), 0));
    assert_eq!(world.fence("cursor").as_deref(), Some("5-0"));
}

#[tokio::test]
async fn a_lost_reply_is_applied_once() {
    let world = World::new().await;
    world.add(1..=10);
    let owner = world.acquire("A").await;
    let mut commit = owner.commits(1, 5, 5);
    commit.done = ids([7]);

    assert_eq!(owner.send(commit.clone()).await, Committed::Applied);
    let _: Value = world.does("SREM D 7-0");
    assert_eq!(owner.send(commit).await, Committed::Applied);

    assert_eq!(world.does::<u64>("SCARD D"), 0, "the resend did nothing");
    assert_eq!(owner.commit(2, 6).await, Committed::Applied);
}

#[tokio::test]
async fn a_number_out_of_turn_is_a_gap_and_moves_nothing() {
    let world = World::new().await;
    world.add(1..=10);
    let owner = world.acquire("A").await;
    owner.commit(1, 5).await;
    owner.commit(2, 6).await;

    for n in [0, 1, 4, u64::MAX] {
        assert_eq!(owner.commit(n, 9).await, Committed::Gap { have: 2 }, "{n}");
    }
    assert_eq!(world.group().0, id(6));
}

#[tokio::test]
async fn after_a_release_nothing_is_committed() {
    let world = World::new().await;
    world.add(1..=3);
    let owner = world.acquire("A").await;
    owner.release().await;

    for n in [0, 1, 2] {
        assert_eq!(owner.commit(n, 3).await, Committed::Fenced { by: String::new() }, "{n}");
    }
    assert_eq!(world.group().0, id(0));
}

#[tokio::test]
async fn a_lease_that_ran_out_still_settles_while_nobody_else_came() {
    let world = World::new().await;
    world.add(1..=3);
    let owner = world.acquire("A").await;
    world.expire();

    assert_eq!(owner.commit(1, 2).await, Committed::Applied);
    assert!(matches!(owner.renew(2).await, Renewed::Ours { .. }));
}

#[tokio::test]
async fn ids_settled_ahead_are_added_and_passed_ones_removed() {
    let world = World::new().await;
    world.add(1..=20);
    let owner = world.acquire("A").await;
    let mut commit = owner.commits(1, 2, 2);
    commit.done = ids([4, 5, 8]);
    owner.send(commit).await;
    let mut commit = owner.commits(2, 5, 5);
    (commit.done, commit.passed) = (ids([9]), ids([4, 5]));
    owner.send(commit).await;

    let mut left: Vec<String> = world.does("SMEMBERS D");
    left.sort_unstable();
    assert_eq!(left, ["8-0", "9-0"]);
}

#[tokio::test]
async fn thousands_of_ids_fit_in_one_commit() {
    let world = World::new().await;
    world.fill(3000);
    let owner = world.acquire("A").await;
    let mut commit = owner.commits(1, 1, 1);
    commit.done = ids(3..3000);
    owner.send(commit).await;
    assert_eq!(world.does::<u64>("SCARD D"), 2997);

    let next = world.take_over("B").await;
    assert_eq!(next.owned.done, ids(3..3000));
    let mut commit = next.commits(1, 2999, 2999);
    commit.passed = ids(3..3000);
    next.send(commit).await;
    assert_eq!(world.does::<u64>("EXISTS D"), 0);
}

#[tokio::test]
async fn many_commits_go_together_and_each_has_its_own_answer() {
    let world = World::new().await;
    let mut commits = Vec::new();
    let mut stream = crate::world::facts("orders");
    stream.partitions = 3;
    let stream = std::sync::Arc::new(stream);
    for n in 0..3 {
        let mut wish = world.wish("A");
        wish.place.partition = Partition(n);
        wish.place.group.stream = stream.clone();
        let Acquired::Owned(owned) = world.broker.acquire(&wish).await.unwrap() else { panic!("it is free") };
        commits.push(Commit {
            place: wish.place,
            fence: Fence { nonce: "A".into(), epoch: owned.epoch },
            n: 1,
            position: EventId::ZERO,
            entries_read: None,
            seen: EventId::ZERO,
            front: FrontMark::Keep,
            done: vec![],
            passed: vec![],
            letters: vec![],
            letters_limit: 10,
        });
    }
    commits[1].n = 5;
    commits[2].fence.nonce = "Z".into();

    let answers = world.broker.commit(&commits).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();

    assert_eq!(answers, [Committed::Applied, Committed::Gap { have: 0 }, Committed::Fenced { by: "A".into() }]);
}

#[tokio::test]
async fn an_unknown_count_of_entries_is_no_hindrance() {
    let world = World::new().await;
    world.add(1..=9);
    let owner = world.acquire("A").await;
    let mut commit = owner.commits(1, 9, 0);
    commit.entries_read = None;

    assert_eq!(owner.send(commit).await, Committed::Applied);

    let Renewed::Ours { entries_read, notes, .. } = owner.renew(9).await else { panic!("A owns it") };
    assert_eq!((entries_read, notes, world.group().1), (Some(9), vec![], Some(0)));
}

#[tokio::test]
async fn a_group_or_stream_that_is_gone_is_told_and_nothing_is_settled() {
    for gone in ["XGROUP DESTROY P billing", "DEL P"] {
        let world = World::new().await;
        world.add(1..=5);
        let owner = world.acquire("A").await;
        let _: Value = world.does(gone);
        let mut commit = owner.commits(1, 5, 5);
        commit.done = ids([9]);

        assert_eq!(owner.commit(1, 5).await, Committed::GroupMissing);
        assert_eq!(owner.send(commit).await, Committed::GroupMissing);
        assert_eq!(owner.renew(5).await, Renewed::GroupMissing);
        assert_eq!((world.fence("cursor").as_deref(), world.does::<u64>("EXISTS D")), (Some("0-0"), 0));
    }
}

#[tokio::test]
async fn a_commit_to_keys_of_a_wrong_type_changes_nothing() {
    for key in ["P", "D"] {
        let world = World::new().await;
        world.add(1..=5);
        let owner = world.acquire("A").await;
        let _: Value = world.does(&format!("SET {key} x"));
        let mut commit = owner.commits(1, 5, 5);
        commit.done = ids([9]);
        commit.front = FrontMark::Set { id: id(6), fails: 1 };

        let error = owner.try_send(commit).await.unwrap_err();

        assert_eq!(code(&error), "WRONGTYPE", "{error}");
        assert_eq!((world.fence("cursor").as_deref(), world.fence("head").as_deref()), (Some("0-0"), Some("")));
        if key == "D" {
            assert_eq!(world.group().0, id(0));
        }
    }
}

// --- renewals -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_renewal_prolongs_the_lease_and_tells_how_far_the_stream_is() {
    let world = World::new().await;
    world.add(1..=10);
    let owner = world.acquire("A").await;
    owner.commit(1, 4).await;
    world.expire();

    let renewed = owner.renew(6).await;

    let ours = Renewed::Ours { last: id(10), lag: Some(6), entries_read: Some(4), notes: vec![] };
    assert_eq!(renewed, ours);
    assert!(matches!(world.try_acquire("B").await.unwrap(), Acquired::Held { .. }));
}

#[tokio::test]
async fn a_renewal_by_somebody_else_is_fenced() {
    let world = World::new().await;
    let old = world.acquire("A").await;
    let new = world.take_over("B").await;

    assert_eq!(old.renew(0).await, Renewed::Fenced { by: "B".into() });
    new.release().await;
    assert_eq!(new.renew(0).await, Renewed::Fenced { by: String::new() });
}

#[tokio::test]
async fn a_renewal_finds_what_nobody_told_the_owner() {
    let world = World::new().await;
    world.add(1..=9);
    let owner = world.acquire("A").await;
    owner.commit(1, 5).await;
    let notes = async |read| match owner.renew(read).await {
        Renewed::Ours { notes, .. } => notes,
        other => panic!("{other:?}"),
    };

    assert_eq!(notes(12).await, [Note::ReadPositionAhead]);
    let _: Value = world.does("XGROUP SETID P billing 3-0");
    assert_eq!(notes(5).await, [Note::MovedBack { from: id(5), to: id(3) }]);
    let _: Value = world.does("XGROUP SETID P billing 7-0");
    assert_eq!(notes(5).await, [Note::ForwardMoveIgnored { to: id(7) }]);
    let _: Value = world.does("XGROUP SETID P billing 5-0");
    let _: Value = world.does("XGROUP CREATECONSUMER P billing stranger");
    assert_eq!(notes(5).await, [Note::ForeignConsumers]);
}

#[tokio::test]
async fn events_deleted_unread_are_a_gap_when_the_end_is_reached_and_lag_is_repaired() {
    let world = World::new().await;
    world.add(1..=10);
    let owner = world.acquire("A").await;
    owner.commit(1, 2).await;
    let _: Value = world.does("XTRIM P MAXLEN 5");
    owner.send(owner.commits(2, 10, 7)).await;

    let Renewed::Ours { notes, entries_read, .. } = owner.renew(10).await else { panic!("A owns it") };

    assert_eq!((notes, entries_read, world.group().1), (vec![Note::Gap { entries: 3 }], Some(10), Some(0)));
}

// --- releases -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_released_place_is_free_at_once_and_a_resend_is_harmless() {
    let world = World::new().await;
    let owner = world.acquire("A").await;

    assert!(owner.release().await);
    assert!(owner.release().await, "it was ours");

    let next = world.acquire("B").await;
    assert!(!next.owned.unclean);
    assert!(owner.release().await, "it had been ours");
    assert!(matches!(next.renew(0).await, Renewed::Ours { .. }), "the resend did not touch B's ownership");
}

#[tokio::test]
async fn a_place_that_was_taken_over_is_not_released_by_its_old_owner() {
    let world = World::new().await;
    let old = world.acquire("A").await;
    let new = world.take_over("B").await;
    let mark = Mark { kind: StopKind::Halted, at: id(1), error: "late".into() };

    assert!(!world.broker.release(&world.place, &old.fence, Some(&mark)).await.unwrap());

    assert_eq!(world.fence("state").as_deref(), Some("ok"));
    assert!(matches!(new.renew(0).await, Renewed::Ours { .. }));
}

#[tokio::test]
async fn a_pause_survives_a_release() {
    let world = World::new().await;
    let owner = world.acquire("A").await;
    let _: Value = world.does("HSET F state paused");
    let mark = Mark { kind: StopKind::Halted, at: id(1), error: "later".into() };

    world.broker.release(&world.place, &owner.fence, Some(&mark)).await.unwrap();

    assert_eq!(world.fence("state").as_deref(), Some("paused"));
}
