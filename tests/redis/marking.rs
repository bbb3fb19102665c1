//! Taking a place that is marked: events in front, halted and quarantined places, and what foreign hands can break.

use std::time::Duration;

use redis::Value;
use runnel::broker::{Acquired, Broker, FrontMark, Stop, StopKind};

use crate::world::{World, code, id, ids};

// --- fronts and marks -----------------------------------------------------------------------------------------------

#[tokio::test]
async fn an_event_in_front_counts_the_owners_that_vanished_over_it() {
    let world = World::new().await;
    world.add(1..=5);
    let owner = world.acquire("A").await;
    let mut commit = owner.commits(1, 2, 2);
    commit.front = FrontMark::Set { id: id(3), fails: 2 };
    owner.send(commit).await;

    let second = world.take_over("B").await.owned.front.unwrap();
    let third = world.take_over("C").await;
    let front = third.owned.front.unwrap();
    assert_eq!((second.id, second.fails, second.crashes, front.crashes), (id(3), 2, 1, 2));

    third.release().await;
    let after_release = world.acquire("D").await;
    assert_eq!(after_release.owned.front, Some(front), "a clean release counts nothing");
}

#[tokio::test]
async fn marking_the_same_event_again_keeps_its_crashes_and_another_begins_at_none() {
    let world = World::new().await;
    world.add(1..=5);
    let owner = world.acquire("A").await;
    let set = |owner: &crate::world::Owner<'_>, n, position, front| {
        let mut commit = owner.commits(n, position, position);
        commit.front = FrontMark::Set { id: id(front), fails: 1 };
        commit
    };
    owner.send(set(&owner, 1, 2, 3)).await;
    let next = world.take_over("B").await;

    next.send(set(&next, 1, 2, 3)).await;
    assert_eq!(world.fence("crashes").as_deref(), Some("1"));
    next.send(set(&next, 2, 3, 4)).await;
    assert_eq!((world.fence("crashes").as_deref(), world.fence("head").as_deref()), (Some("0"), Some("4-0")));
    let mut clear = next.commits(3, 4, 4);
    clear.front = FrontMark::Clear;
    next.send(clear).await;
    assert_eq!((world.fence("fails").as_deref(), world.fence("head").as_deref()), (Some("0"), Some("")));
}

#[tokio::test]
async fn a_front_that_was_settled_is_forgotten() {
    let world = World::new().await;
    world.add(1..=5);
    let owner = world.acquire("A").await;
    let mut commit = owner.commits(1, 2, 2);
    commit.front = FrontMark::Set { id: id(3), fails: 1 };
    owner.send(commit).await;
    owner.commit(2, 3).await;

    assert_eq!(world.take_over("B").await.owned.front, None);
}

async fn marked(world: &World, kind: StopKind) -> u64 {
    world.add(1..=5);
    let owner = world.acquire("A").await;
    let mut commit = owner.commits(1, 2, 2);
    commit.front = FrontMark::Set { id: id(3), fails: 4 };
    owner.send(commit).await;
    let mark = runnel::broker::Mark { kind, at: id(3), error: "it is out of paper".into() };
    assert!(world.broker.release(&world.place, &owner.fence, Some(&mark)).await.unwrap());
    world.fence("qat").unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_quarantined_place_is_stopped_for_everybody() {
    let world = World::new().await;
    let since = marked(&world, StopKind::Quarantined).await;

    let mut wish = world.wish("B");
    wish.joined = u64::MAX >> 12;

    let stop = Stop { kind: StopKind::Quarantined, at: id(3), error: "it is out of paper".into(), since };
    assert_eq!(world.broker.acquire(&wish).await.unwrap(), Acquired::Stopped(stop));
    assert_eq!(world.fence("owner").as_deref(), Some(""), "nothing was written");
}

#[tokio::test]
async fn a_halted_place_is_only_taken_by_a_member_that_joined_later() {
    let world = World::new().await;
    let since = marked(&world, StopKind::Halted).await;

    let mut earlier = world.wish("B");
    earlier.joined = since;
    assert!(matches!(world.broker.acquire(&earlier).await.unwrap(), Acquired::Stopped(stop) if stop.since == since));
    let mut later = world.wish("C");
    later.joined = since + 1;
    let Acquired::Owned(owned) = world.broker.acquire(&later).await.unwrap() else { panic!("C joined later") };

    assert_eq!(owned.front.map(|front| (front.id, front.fails, front.crashes)), Some((id(3), 0, 0)));
    assert_eq!(world.fence("state").as_deref(), Some("ok"));
}

#[tokio::test]
async fn a_mark_counts_no_more_when_the_position_has_passed_its_event() {
    for kind in [StopKind::Halted, StopKind::Quarantined] {
        let world = World::new().await;
        marked(&world, kind).await;
        let _: Value = world.does("HSET F cursor 3-0");
        let _: Value = world.does("XGROUP SETID P billing 3-0");

        assert_eq!(world.acquire("B").await.owned.position, id(3), "{kind:?}");
        assert_eq!(world.fence("qid").as_deref(), Some(""));
    }
}

// --- what foreign hands can break -----------------------------------------------------------------------------------

#[tokio::test]
async fn keys_of_a_wrong_type_are_named_and_nothing_is_written() {
    for key in ["P", "F", "D", "G"] {
        let world = World::new().await;
        let _: Value = world.does(&format!("SET {key} x"));

        let error = world.try_acquire("A").await.unwrap_err();

        assert_eq!(code(&error), "WRONGTYPE");
        let kind = match key {
            "P" => "__strm:",
            "F" => "__own:",
            "D" => "__done:",
            _ => "__grps:",
        };
        assert!(error.to_string().contains(kind), "{error}");
        let others = ["P", "F", "D", "G"].iter().filter(|other| **other != key);
        assert!(others.map(|other| world.does::<u64>(&format!("EXISTS {other}"))).all(|n| n == 0), "{key}");
    }
}

#[tokio::test]
async fn broken_fields_of_a_fence_are_named() {
    for (field, value) in [
        ("epoch", "99999999999999999999"),
        ("epoch", "abc"),
        ("until", "soon"),
        ("ttl", "-1"),
        ("er", "1.5"),
        ("cursor", "nowhere"),
        ("seen", "1"),
        ("head", "x-y"),
        ("fails", "many"),
        ("token", "A"),
    ] {
        let world = World::new().await;
        world.acquire("A").await;
        let _: Value = world.does(&format!("HSET F {field} {value}"));

        let error = world.try_acquire("B").await.unwrap_err();

        assert_eq!(code(&error), "BADFENCE", "{field} {value}");
        assert!(error.to_string().contains(field) && error.to_string().contains("__own:"), "{error}");
    }
}

#[tokio::test]
async fn a_fence_without_all_its_fields_is_refused() {
    for field in ["epoch", "token", "until"] {
        let world = World::new().await;
        world.acquire("A").await;
        let _: Value = world.does(&format!("HDEL F {field}"));

        assert_eq!(code(&world.try_acquire("B").await.unwrap_err()), "BADFENCE", "{field}");
    }
}

#[tokio::test]
async fn junk_in_a_done_set_is_thrown_away() {
    let world = World::new().await;
    world.add(1..=3);
    let _: Value = world.does("SADD D junk 9 -0 2-0");

    assert_eq!(world.acquire("A").await.owned.done, ids([2]));
    assert_eq!(world.does::<u64>("SCARD D"), 1);
}

#[tokio::test]
async fn a_lease_lasts_as_long_as_it_was_asked_for() {
    let world = World::new().await;
    let mut wish = world.wish("A");
    wish.ttl = Duration::from_millis(1);
    world.broker.acquire(&wish).await.unwrap();

    crate::support::eventually("the lease of a millisecond is over", async || {
        matches!(world.try_acquire("B").await.unwrap(), Acquired::Owned(_))
    })
    .await;
}
