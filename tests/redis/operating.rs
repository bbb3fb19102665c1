//! What operators do to a place, what trimming leaves, and servers that lost their scripts or their room.

use futures::future::join_all;
use redis::Value;
use runnel::broker::{
    Acquired, Broker, Committed, Fence, Forgotten, FrontMark, Intervention, Mark, Renew, Renewed, Standing, Start,
    StopKind, Trimmed,
};
use runnel::{EventId, Partition};

use crate::support::{Options, Server};
use crate::world::{TTL, World, code, id, ids};

// --- operators ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_reset_fences_out_the_owner_and_moves_anywhere() {
    let world = World::new().await;
    world.add(1..=9);
    for (n, (start, position)) in
        [(Start::After(id(5)), 5), (Start::End, 9), (Start::Beginning, 0), (Start::After(id(7)), 7)]
            .into_iter()
            .enumerate()
    {
        let owner = world.acquire(&format!("A{n}")).await;
        let mut commit = owner.commits(1, 3, 3);
        (commit.done, commit.front) = (ids([8]), FrontMark::Set { id: id(4), fails: 3 });
        owner.send(commit).await;

        let at = world.broker.intervene(&world.place, &Intervention::Reset(start)).await.unwrap();

        assert_eq!(at, id(position));
        assert_eq!(owner.commit(2, 9).await, Committed::Fenced { by: String::new() });
        let next = world.acquire(&format!("B{n}")).await;
        assert_eq!((next.owned.position, next.owned.done.clone(), next.owned.front), (id(position), vec![], None));
        assert_eq!((next.owned.unclean, next.owned.notes.clone()), (false, vec![]));
        next.release().await;
    }
}

#[tokio::test]
async fn a_reset_of_a_processor_that_never_ran_makes_its_group() {
    let world = World::new().await;

    let at = world.broker.intervene(&world.place, &Intervention::Reset(Start::End)).await.unwrap();

    assert_eq!((at, world.group().0), (EventId::ZERO, EventId::ZERO));
    assert!(world.does::<bool>("SISMEMBER G billing"));
}

#[tokio::test]
async fn a_reset_to_the_start_of_a_trimmed_stream_counts_what_is_left_as_lag() {
    let world = World::new().await;
    world.add(1..=9);
    let _: Value = world.does("XTRIM P MINID 6-0");

    world.broker.intervene(&world.place, &Intervention::Reset(Start::Beginning)).await.unwrap();

    assert_eq!(world.group().1, Some(4));
    assert_eq!(world.acquire("A").await.owned.notes, []);
}

async fn stopped_at_3(world: &World, kind: StopKind) {
    world.add(1..=5);
    let owner = world.acquire("A").await;
    let mut commit = owner.commits(1, 2, 2);
    commit.front = FrontMark::Set { id: id(3), fails: 4 };
    owner.send(commit).await;
    let mark = Mark { kind, at: id(3), error: "boom".into() };
    world.broker.release(&world.place, &owner.fence, Some(&mark)).await.unwrap();
}

#[tokio::test]
async fn resuming_tries_the_event_in_front_again_with_its_counts_at_zero() {
    let world = World::new().await;
    stopped_at_3(&world, StopKind::Quarantined).await;

    let at = world.broker.intervene(&world.place, &Intervention::Resume).await.unwrap();

    let owned = world.acquire("B").await.owned;
    assert_eq!((at, owned.position, owned.front), (id(2), id(2), None));
}

#[tokio::test]
async fn skipping_goes_past_the_marked_event() {
    let world = World::new().await;
    stopped_at_3(&world, StopKind::Quarantined).await;

    let at = world.broker.intervene(&world.place, &Intervention::Skip).await.unwrap();

    let owned = world.acquire("B").await.owned;
    assert_eq!((at, owned.position, owned.entries_read, owned.front), (id(3), id(3), Some(3), None));
    assert_eq!(world.group().1, Some(2));
}

#[tokio::test]
async fn skipping_without_a_mark_goes_past_the_next_event() {
    let world = World::new().await;
    world.add(1..=4);
    let owner = world.acquire("A").await;
    let mut commit = owner.commits(1, 2, 2);
    commit.done = ids([3, 9]);
    owner.send(commit).await;
    let skip = async || world.broker.intervene(&world.place, &Intervention::Skip).await.unwrap();

    assert_eq!((skip().await, world.does::<u64>("SCARD D")), (id(3), 1));
    assert_eq!((skip().await, skip().await), (id(4), id(4)), "nothing is left to skip");
}

#[tokio::test]
async fn a_place_nobody_ever_owned_has_nothing_to_lift_or_skip() {
    let world = World::new().await;
    world.add(1..=4);

    for change in [Intervention::Resume, Intervention::Skip] {
        assert_eq!(world.broker.intervene(&world.place, &change).await.unwrap(), id(0));
    }

    assert_eq!(world.does::<u64>("EXISTS F G"), 0);
}

#[tokio::test]
async fn a_paused_place_is_stopped_until_it_is_resumed() {
    let world = World::new().await;
    world.add(1..=5);
    let owner = world.acquire("A").await;
    owner.commit(1, 2).await;

    world.broker.intervene(&world.place, &Intervention::Pause).await.unwrap();

    assert_eq!(owner.commit(2, 3).await, Committed::Fenced { by: String::new() });
    assert!(!owner.release().await);
    let stopped = world.try_acquire("B").await.unwrap();
    assert!(
        matches!(&stopped, Acquired::Stopped(stop) if stop.kind == StopKind::Paused && stop.since > 0),
        "{stopped:?}"
    );
    world.broker.intervene(&world.place, &Intervention::Resume).await.unwrap();
    assert_eq!(world.acquire("C").await.owned.position, id(2));
}

#[tokio::test]
async fn a_place_nobody_ever_owned_can_be_paused() {
    let world = World::new().await;

    world.broker.intervene(&world.place, &Intervention::Pause).await.unwrap();

    assert!(matches!(world.try_acquire("A").await.unwrap(), Acquired::Stopped(_)));
    assert_eq!(world.does::<u64>("EXISTS P"), 0);
}

#[tokio::test]
async fn every_intervention_rings_the_bell_and_takes_the_note_back() {
    let world = World::new().await;
    let group = &world.place.group;
    let changes = [Intervention::Reset(Start::End), Intervention::Resume, Intervention::Skip, Intervention::Pause];
    for (n, change) in (1..).zip(changes) {
        let stop = runnel::broker::Stop { kind: StopKind::Halted, at: id(1), error: String::new(), since: 0 };
        world.broker.note_stopped(group, Partition(0), Some(&stop)).await.unwrap();

        world.broker.intervene(&world.place, &change).await.unwrap();

        assert_eq!(world.does::<u64>("XLEN C"), 2 * n);
        assert_eq!(world.does::<Option<String>>("HGET M s:0"), None);
    }
}

#[tokio::test]
async fn a_forgotten_processor_leaves_nothing_behind() {
    let world = World::new().await;
    world.add(1..=5);
    let owner = world.acquire("A").await;
    let mut commit = owner.commits(1, 2, 2);
    commit.done = ids([4]);
    owner.send(commit).await;
    let group = &world.place.group;
    world.broker.beat(group, "m", crate::world::TTL, None).await.unwrap();
    let forget = async || world.broker.forget(group).await.unwrap();

    assert_eq!(forget().await, Forgotten::Owned { by: "worker-A".into(), partition: Partition(0) });
    assert_eq!(world.group().0, id(2), "a refusal changes nothing");
    owner.release().await;
    assert_eq!(forget().await, Forgotten::Gone { partitions: 1 });

    let left: u64 = world.does("EXISTS F D G M B C");
    let groups: Vec<Value> = world.does("XINFO GROUPS P");
    assert_eq!((left, groups.len(), world.does::<u64>("XLEN P")), (0, 0, 5));
    assert_eq!(forget().await, Forgotten::Gone { partitions: 0 });
}

// --- trimming -------------------------------------------------------------------------------------------------------

async fn trim(world: &World) -> Trimmed {
    world.broker.trim(&world.place.group.stream, Partition(0)).await.unwrap()
}

fn held(trimmed: Trimmed) -> String {
    match trimmed {
        Trimmed::Held { reason } => reason,
        other => panic!("it was not held back: {other:?}"),
    }
}

#[tokio::test]
async fn only_what_every_group_has_settled_is_trimmed() {
    let world = World::new().await;
    world.add(1..=100);
    let owner = world.acquire("A").await;
    owner.commit(1, 50).await;
    let _: Value = world.does("XGROUP CREATE P foreign 30-0");

    assert_eq!(trim(&world).await, Trimmed::Cut { entries: 29, before: id(30) });
    assert_eq!(world.group().1, Some(50));
    let _: Value = world.does("XREADGROUP GROUP foreign c COUNT 30 STREAMS P >");
    assert_eq!(trim(&world).await, Trimmed::Cut { entries: 1, before: id(31) });
}

#[tokio::test]
async fn a_partition_without_readers_keeps_everything() {
    let world = World::new().await;
    assert!(held(trim(&world).await).contains("nothing was ever sent"));
    world.add(1..=5);

    assert!(held(trim(&world).await).contains("no processor"));
}

#[tokio::test]
async fn a_registered_processor_without_a_group_holds_everything_back_by_name() {
    let world = World::new().await;
    world.add(1..=5);
    world.acquire("A").await.commit(1, 5).await;
    let _: Value = world.does("SADD G shipping");

    assert!(held(trim(&world).await).contains("`shipping`"));
    assert_eq!(world.does::<u64>("XLEN P"), 5);
}

#[tokio::test]
async fn a_registered_processor_that_never_ran_holds_everything_back() {
    let world = World::new().await;
    world.add(1..=5);
    world.broker.register(&world.place.group).await.unwrap();

    assert!(held(trim(&world).await).contains("`billing`"));
}

#[tokio::test]
async fn a_foreign_reader_in_our_group_holds_everything_back_by_name() {
    let world = World::new().await;
    world.add(1..=5);
    world.acquire("A").await.commit(1, 2).await;
    let _: Value = world.does("XREADGROUP GROUP billing stranger COUNT 2 NOACK STREAMS P >");

    assert!(held(trim(&world).await).contains("`billing`"));
}

#[tokio::test]
async fn a_group_moved_ahead_by_hand_does_not_let_unsettled_events_go() {
    let world = World::new().await;
    world.add(1..=9);
    world.acquire("A").await.commit(1, 3).await;
    let _: Value = world.does("XGROUP SETID P billing 8-0");

    assert_eq!(trim(&world).await, Trimmed::Cut { entries: 2, before: id(3) });
}

// --- servers that misbehave -----------------------------------------------------------------------------------------

#[tokio::test]
async fn a_server_that_lost_its_scripts_gets_them_again() {
    let world = World::new().await;
    world.add(1..=5);
    let owner = world.acquire("A").await;
    owner.commit(1, 1).await;
    let _: Value = world.does("SCRIPT FLUSH");

    assert_eq!(owner.commit(2, 2).await, Committed::Applied);
    assert!(matches!(owner.renew(2).await, Renewed::Ours { .. }));
}

#[tokio::test]
async fn of_many_that_miss_a_script_at_once_one_brings_its_text() {
    let server = Server::start(Options::redis());
    let world = World::on(&server).await;
    world.add(1..=5);
    let owner = world.acquire("A").await;
    let _: Value = world.does("SCRIPT FLUSH");
    let _: Value = world.does("CONFIG RESETSTAT");

    let renewed = join_all((0..100).map(|_| owner.renew(0))).await;

    assert!(renewed.iter().all(|renewed| matches!(renewed, Renewed::Ours { .. })));
    let stats: String = world.does("INFO commandstats");
    assert!(stats.contains("cmdstat_eval:calls=1,"), "{stats}");
}

#[tokio::test]
async fn more_calls_than_go_at_once_are_answered_in_their_order() {
    let world = World::new().await;
    world.add(1..=5);
    let owner = world.acquire("A").await;
    let renewal = |fence: &Fence| Renew { place: world.place.clone(), fence: fence.clone(), ttl: TTL, read: id(0) };
    let stranger = Fence { nonce: "B".into(), ..owner.fence.clone() };

    let renewals: Vec<Renew> =
        (0..600).map(|n| renewal(if n % 100 == 99 { &stranger } else { &owner.fence })).collect();
    let answers = world.broker.renew(&renewals).await;

    let fenced = answers.iter().enumerate().filter(|(_, answer)| matches!(answer, Ok(Renewed::Fenced { .. })));
    assert_eq!(answers.len(), 600);
    assert_eq!(fenced.map(|(n, _)| n).collect::<Vec<_>>(), [99, 199, 299, 399, 499, 599]);
}

#[tokio::test]
async fn a_full_server_refuses_events_and_lets_work_go_on() {
    let server = Server::start(Options::redis());
    let world = World::on(&server).await;
    world.add(1..=9);
    let owner = world.acquire("A").await;
    server.config("maxmemory", "1mb");

    let entry = runnel::broker::NewEntry {
        partition: Partition(0),
        id: None,
        fields: runnel::event::Fields::from_pairs([("data", "x")]),
    };
    let appended = world.broker.append(&world.place.group.stream, vec![entry]).await.unwrap();
    assert_eq!(code(appended.ids[0].as_ref().unwrap_err()), "OOM");

    let mut commit = owner.commits(1, 4, 4);
    commit.done = ids([6]);
    assert_eq!(owner.send(commit).await, Committed::Applied);
    assert!(matches!(owner.renew(4).await, Renewed::Ours { .. }));
    assert!(owner.release().await);
    let next = world.acquire("B").await;
    assert_eq!(next.owned.position, id(4));
    assert_eq!(trim(&world).await, Trimmed::Cut { entries: 3, before: id(4) });
    let group = &world.place.group;
    world.broker.beat(group, "m", crate::world::TTL, None).await.unwrap();
    world.broker.swap(group, 0, "plan", &[], "join").await.unwrap();
    world.broker.announce("w", Standing::Member, crate::world::TTL, "{}").await.unwrap();
    world.broker.declare(&crate::world::facts("orders")).await.unwrap();
}
