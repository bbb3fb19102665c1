//! Taking a place: who may, where it goes on, and what is repaired on the way.

use redis::Value;
use runnel::EventId;
use runnel::broker::{Acquired, Broker, Committed, Note, Start};

use crate::world::{TTL, World, id, ids};

#[tokio::test]
async fn a_new_processor_begins_at_the_first_event() {
    let world = World::new().await;
    world.add(1..=10);

    let owner = world.acquire("A").await;

    assert_eq!((owner.owned.position, owner.owned.last, owner.owned.entries_read), (id(0), id(10), Some(0)));
    assert_eq!((owner.owned.n, owner.owned.unclean, owner.owned.notes), (0, false, vec![Note::Begun]));
    assert_eq!(world.group(), (id(0), Some(10), 0));
}

#[tokio::test]
async fn a_new_processor_may_begin_at_the_end_or_after_an_id() {
    let (at_end, after, beyond) = (World::new().await, World::new().await, World::new().await);
    for (world, start, position, lag) in [
        (&at_end, Start::End, 3, Some(0)),
        (&after, Start::After(id(2)), 2, Some(1)),
        (&beyond, Start::After(id(9)), 3, Some(0)),
    ] {
        world.add(1..=3);
        let mut wish = world.wish("A");
        wish.start = start;

        let Acquired::Owned(owned) = world.broker.acquire(&wish).await.unwrap() else { panic!("it is free") };

        assert_eq!((owned.position, world.group().0), (id(position), id(position)));
        assert!(world.group().1 == lag || world.group().1.is_none(), "{:?}", world.group());
    }
}

#[tokio::test]
async fn a_partition_nobody_sent_to_can_be_owned() {
    let world = World::new().await;

    let owner = world.acquire("A").await;
    world.add(1..=3);

    assert_eq!((owner.owned.position, owner.owned.entries_read), (EventId::ZERO, Some(0)));
    assert_eq!(owner.commit(1, 3).await, Committed::Applied);
    assert_eq!(world.group(), (id(3), Some(0), 0));
}

#[tokio::test]
async fn only_one_owns_at_a_time() {
    let world = World::new().await;
    let first = world.acquire("A").await;

    let Acquired::Held { by, wait } = world.try_acquire("B").await.unwrap() else { panic!("A holds it") };
    assert_eq!(by, "worker-A");
    assert!(wait > TTL / 2 && wait <= TTL, "{wait:?}");

    let second = world.take_over("B").await;
    assert!(second.owned.unclean && second.owned.epoch > first.owned.epoch);
    assert_eq!(first.commit(1, 0).await, Committed::Fenced { by: "B".into() });
}

#[tokio::test]
async fn asking_again_with_the_same_nonce_gets_the_same_answer() {
    let world = World::new().await;
    world.add(1..=10);
    let first = world.acquire("A").await;
    first.commit(1, 6).await;

    let again = world.acquire("A").await;

    assert_eq!((again.owned.epoch, again.owned.n, again.owned.position), (first.owned.epoch, 1, id(6)));
    assert!(!again.owned.unclean);
    assert_eq!(again.commit(2, 7).await, Committed::Applied);
}

#[tokio::test]
async fn a_late_duplicate_of_a_released_request_owns_nothing() {
    let world = World::new().await;
    let owner = world.acquire("A").await;
    assert!(owner.release().await);

    assert_eq!(world.try_acquire("A").await.unwrap(), Acquired::Spent);

    assert!(!world.acquire("B").await.owned.unclean);
}

#[tokio::test]
async fn epochs_rise_even_when_everything_was_lost() {
    let world = World::new().await;
    let before = world.acquire("A").await.owned.epoch;
    let _: Value = world.does("DEL F P D G");

    assert!(world.acquire("B").await.owned.epoch > before);
}

#[tokio::test]
async fn epochs_rise_when_the_servers_clock_went_back() {
    let world = World::new().await;
    world.acquire("A").await;
    let _: Value = world.does("HSET F epoch 8999999999999999 until 0");

    assert_eq!(world.acquire("B").await.owned.epoch.0, 9_000_000_000_000_000);
}

#[tokio::test]
async fn no_lease_outlives_its_time_when_the_servers_clock_goes_back() {
    let world = World::new().await;
    world.acquire("A").await;
    let _: Value = world.does("HSET F until 99999999999999");

    let Acquired::Held { wait, .. } = world.try_acquire("B").await.unwrap() else { panic!("A holds it") };

    assert!(wait <= TTL, "{wait:?}");
    assert!(world.fence("until").unwrap().parse::<u64>().unwrap() < 99_999_999_999_999);
}

#[tokio::test]
async fn what_was_settled_out_of_order_is_handed_on() {
    let world = World::new().await;
    world.add(1..=12);
    let owner = world.acquire("A").await;
    let mut commit = owner.commits(1, 7, 7);
    commit.done = ids([9, 10, 3]);
    owner.send(commit).await;

    let next = world.take_over("B").await;

    assert_eq!(next.owned.done, ids([9, 10]));
    assert_eq!(world.does::<u64>("SCARD D"), 2, "ids at or below the position are forgotten");
}

// --- groups that others had a hand in -------------------------------------------------------------------------------

#[tokio::test]
async fn pending_events_of_xreadgroup_run_and_acknowledged_ones_do_not_run_again() {
    let world = World::new().await;
    world.add(1..=20);
    let _: Value = world.does("XGROUP CREATE P billing 0");
    let _: Value = world.does("XREADGROUP GROUP billing one COUNT 10 STREAMS P >");
    let _: Value = world.does("XREADGROUP GROUP billing two COUNT 2 STREAMS P >");
    let _: Value = world.does("XACK P billing 1-0 2-0 3-0 5-0 6-0 12-0");

    let owned = world.acquire("A").await.owned;

    assert_eq!((owned.position, owned.entries_read), (id(3), Some(3)));
    assert_eq!(owned.done, ids([5, 6, 12]));
    assert_eq!(owned.notes, [Note::Migrated { pending: 6, done: 3 }]);
    assert_eq!(world.group(), (id(3), Some(17), 0));
}

#[tokio::test]
async fn a_group_whose_consumers_acknowledged_everything_goes_on_behind_it() {
    let world = World::new().await;
    world.add(1..=5);
    let _: Value = world.does("XGROUP CREATE P billing 0");
    let _: Value = world.does("XREADGROUP GROUP billing one COUNT 3 STREAMS P >");
    let _: Value = world.does("XACK P billing 1-0 2-0 3-0");

    let owned = world.acquire("A").await.owned;

    assert_eq!((owned.position, owned.entries_read, world.group().2), (id(3), Some(3), 0));
}

#[tokio::test]
async fn pending_events_that_were_trimmed_are_a_gap() {
    let world = World::new().await;
    world.add(1..=5);
    let _: Value = world.does("XGROUP CREATE P billing 0");
    let _: Value = world.does("XREADGROUP GROUP billing one COUNT 3 STREAMS P >");
    let _: Value = world.does("XTRIM P MINID 3-0");

    let owned = world.acquire("A").await.owned;

    assert_eq!(owned.position, EventId::ZERO);
    assert!(owned.notes.contains(&Note::Gap { entries: 2 }), "{:?}", owned.notes);
}

#[tokio::test]
async fn too_many_acknowledged_events_to_remember_run_again() {
    let world = World::new().await;
    let _: Value = world.does("XGROUP CREATE P billing 0 MKSTREAM");
    world.fill(10_300);
    let _: Value = world.does("XREADGROUP GROUP billing one COUNT 10300 STREAMS P >");
    let _: Value = world.does("XACK P billing 2-0 3-0");

    let owned = world.acquire("A").await.owned;

    assert_eq!((owned.position, owned.done), (EventId::ZERO, Vec::new()));
    assert_eq!(owned.notes, [Note::MigratedWithRepeats]);
}

#[tokio::test]
async fn a_destroyed_group_is_made_again_where_the_fence_says() {
    let world = World::new().await;
    world.add(1..=10);
    let owner = world.acquire("A").await;
    owner.commit(1, 4).await;
    let _: Value = world.does("XGROUP DESTROY P billing");

    let next = world.take_over("B").await;

    assert_eq!((next.owned.position, next.owned.notes), (id(4), vec![Note::GroupRecreated]));
    assert_eq!(world.group(), (id(4), Some(6), 0));
}

#[tokio::test]
async fn events_trimmed_unread_are_a_gap_of_known_size() {
    let world = World::new().await;
    world.add(1..=10);
    let owner = world.acquire("A").await;
    owner.commit(1, 4).await;
    let _: Value = world.does("XTRIM P MINID 8-0");

    let next = world.take_over("B").await;

    assert_eq!((next.owned.position, next.owned.notes), (id(4), vec![Note::Gap { entries: 3 }]));
}

#[tokio::test]
async fn a_stream_that_lost_its_tail_pulls_the_position_back() {
    let world = World::new().await;
    world.add(1..=10);
    let owner = world.acquire("A").await;
    owner.commit(1, 10).await;
    let _: Value = world.does("DEL P");
    world.add(1..=8);

    let next = world.take_over("B").await;

    assert_eq!(next.owned.position, id(8));
    assert_eq!(next.owned.notes, [Note::GroupRecreated, Note::TailLost { from: id(10), to: id(8) }]);
    world.add(9..=9);
    assert_eq!(world.group().1, Some(1));
}

#[tokio::test]
async fn a_group_moved_back_by_hand_is_honoured() {
    let world = World::new().await;
    world.add(1..=9);
    let owner = world.acquire("A").await;
    let mut commit = owner.commits(1, 6, 6);
    commit.done = ids([8]);
    owner.send(commit).await;
    owner.release().await;
    let _: Value = world.does("XGROUP SETID P billing 2-0");

    let next = world.acquire("B").await;

    assert_eq!((next.owned.position, next.owned.entries_read), (id(2), None));
    assert_eq!(next.owned.notes, [Note::MovedBack { from: id(6), to: id(2) }]);
    assert_eq!(next.owned.done, [], "everything after it runs again");
}

#[tokio::test]
async fn a_group_moved_forward_by_hand_skips_nothing() {
    let world = World::new().await;
    world.add(1..=9);
    let owner = world.acquire("A").await;
    owner.commit(1, 5).await;
    owner.release().await;
    let _: Value = world.does("XGROUP SETID P billing 7-0");

    let next = world.acquire("B").await;

    assert_eq!((next.owned.position, next.owned.notes), (id(5), vec![Note::ForwardMoveIgnored { to: id(7) }]));
    assert_eq!(world.group().0, id(5));
}

#[tokio::test]
async fn a_foreign_reader_in_our_group_skips_nothing() {
    let world = World::new().await;
    world.add(1..=9);
    let owner = world.acquire("A").await;
    owner.commit(1, 5).await;
    let _: Value = world.does("XREADGROUP GROUP billing stranger COUNT 2 NOACK STREAMS P >");

    let next = world.take_over("B").await;

    assert_eq!((next.owned.position, next.owned.notes), (id(5), vec![Note::ForeignConsumers]));
    assert_eq!(world.group(), (id(5), Some(4), 0));
}
