//! Streams: facts, events, surveys, and erasing an app.

use std::time::Duration;

use redis::Value;
use runnel::broker::redis::Redis;
use runnel::broker::{Broker, BrokerError, FrontMark, KeyLayout, Mark, NewEntry, Source, Standing, StopKind};
use runnel::event::Fields;
use runnel::settings::RedisUrl;
use runnel::{EventId, Partition};

use crate::support::{Options, Server, in_time};
use crate::world::{World, code, facts, id, ids, options, shared};

fn entry(partition: u32, at: Option<u64>, value: &str) -> NewEntry {
    NewEntry { partition: Partition(partition), id: at.map(id), fields: Fields::from_pairs([("data", value)]) }
}

#[tokio::test]
async fn the_first_declaration_of_a_stream_holds() {
    let world = World::new().await;
    let mut first = facts("orders");
    first.keys = KeyLayout::Python;

    let kept = world.broker.declare(&first).await.unwrap();
    let mut other = facts("orders");
    other.partitions = 7;
    let again = world.broker.declare(&other).await.unwrap();

    assert!(kept.created > 0);
    assert_eq!((kept.keys, kept.partitions, &again), (KeyLayout::Python, 1, &kept));
    assert_eq!(world.broker.stream("orders").await.unwrap(), Some(kept));
    assert_eq!(world.broker.stream("nothing").await.unwrap(), None);
}

#[tokio::test]
async fn streams_are_listed_in_order_once_they_have_facts() {
    let world = World::new().await;
    for name in ["orders", "returns", "customers"] {
        world.broker.declare(&facts(name)).await.unwrap();
    }
    assert_eq!(world.broker.streams().await.unwrap(), ["customers", "orders", "returns"]);

    let _: Value = world.does("DEL META/returns");
    assert_eq!(world.broker.streams().await.unwrap(), ["customers", "orders"]);
}

#[tokio::test]
async fn facts_that_cannot_be_read_are_named() {
    for broken in ["HSET META/orders partitions many", "HDEL META/orders codec", "HSET META/orders keys new"] {
        let world = World::new().await;
        world.broker.declare(&facts("orders")).await.unwrap();
        let _: Value = world.does(broken);

        let error = world.broker.stream("orders").await.unwrap_err();

        assert!(matches!(error, BrokerError::Unexpected { .. }) && error.to_string().contains("__meta:"), "{error}");
    }
    let world = World::new().await;
    let _: Value = world.does("SET META/orders x");
    let error = world.broker.declare(&facts("orders")).await.unwrap_err();
    assert!(code(&error) == "WRONGTYPE" && error.to_string().contains("__meta:"), "{error}");
}

#[tokio::test]
async fn appended_events_get_their_ids_in_order_and_the_lengths_are_told() {
    let world = World::new().await;
    let stream = world.place.group.stream.clone();
    let entries = vec![entry(0, Some(5), "a"), entry(1, Some(1), "b"), entry(0, None, "c"), entry(0, Some(9), "d")];

    let appended = world.broker.append(&stream, entries).await.unwrap();

    let given: Vec<_> = appended.ids.iter().map(|id| id.as_ref().ok().copied()).collect();
    assert_eq!((given[0], given[1]), (Some(id(5)), Some(id(1))));
    assert!(given[2] > given[0]);
    assert_eq!(code(appended.ids[3].as_ref().unwrap_err()), "ERR", "that id lies before the last one");
    assert_eq!(appended.lengths, [(Partition(0), 2), (Partition(1), 1)]);
}

#[tokio::test]
async fn events_come_back_as_they_were_sent() {
    let world = World::new().await;
    let stream = world.place.group.stream.clone();
    let fields = Fields::from_pairs([(&b"a"[..], &b"\xff\x00"[..]), (b"", b""), (b"a", b"twice")]);
    let sent = NewEntry { partition: Partition(0), id: Some(id(1)), fields: fields.clone() };
    world.broker.append(&stream, vec![sent, entry(0, Some(2), "b"), entry(0, Some(3), "c")]).await.unwrap();
    let range = async |from, to, count, backwards| {
        let range = world.broker.range(&stream, Partition(0), id(from), id(to), count, backwards);
        range.await.unwrap().into_iter().map(|entry| (entry.id, entry.fields)).collect::<Vec<_>>()
    };

    assert_eq!(range(0, 1, 10, false).await, [(id(1), fields.clone())]);
    let of = |entries: Vec<(EventId, Fields)>| entries.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(of(range(2, 9, 1, false).await), ids([2]));
    assert_eq!(of(range(1, 3, 2, true).await), ids([3, 2]));
    assert_eq!(of(range(1, 3, 0, false).await), []);
    let read =
        world.broker.read(&Source::Partition(stream.clone(), Partition(0)), EventId::ZERO, 1, true).await.unwrap();
    assert_eq!((read.len(), read[0].id, &read[0].fields), (1, id(1), &fields));
}

#[tokio::test]
async fn a_waiting_read_is_woken_by_what_arrives() {
    let world = World::new().await;
    let stream = world.place.group.stream.clone();
    let source = Source::Partition(stream.clone(), Partition(0));

    let reads = in_time(world.broker.read(&source, EventId::ZERO, 10, false));
    let (read, _) = tokio::join!(reads, world.broker.append(&stream, vec![entry(0, Some(4), "x")]));

    assert_eq!(read.unwrap()[0].id, id(4));
}

#[tokio::test]
async fn the_oldest_are_dropped_processed_or_not() {
    let world = World::new().await;
    world.add(1..=10);
    let stream = &world.place.group.stream;

    assert_eq!(world.broker.drop_oldest(stream, Partition(0), 3).await.unwrap(), 7);
    assert_eq!(world.broker.drop_oldest(stream, Partition(0), 3).await.unwrap(), 0);
    assert_eq!(world.does::<u64>("XLEN P"), 3);
}

#[tokio::test]
async fn a_survey_shows_partitions_that_do_not_exist_as_empty() {
    let world = World::new().await;
    let mut stream = facts("orders");
    stream.partitions = 3;
    world.add(1..=4);

    let survey = world.broker.survey(&stream.into()).await.unwrap();

    let seen: Vec<_> = survey.iter().map(|p| (p.partition.0, p.length, p.first, p.last, p.groups.len())).collect();
    assert_eq!(seen, [(0, 4, Some(id(1)), id(4), 0), (1, 0, None, id(0), 0), (2, 0, None, id(0), 0)]);
}

#[tokio::test]
async fn a_survey_shows_how_far_everybody_is_and_why_not_further() {
    let world = World::new().await;
    world.add(1..=9);
    let owner = world.acquire("A").await;
    let mut commit = owner.commits(1, 2, 2);
    (commit.done, commit.front) = (ids([5]), FrontMark::Set { id: id(3), fails: 4 });
    owner.send(commit).await;
    let _: Value = world.does("SADD G absent");
    let _: Value = world.does("XGROUP CREATE P foreign 0");
    let _: Value = world.does("XREADGROUP GROUP foreign c COUNT 2 STREAMS P >");
    let mark = Mark { kind: StopKind::Halted, at: id(3), error: "out of paper".into() };

    let running = world.broker.survey(&world.place.group.stream).await.unwrap().remove(0).groups;
    world.broker.release(&world.place, &owner.fence, Some(&mark)).await.unwrap();
    let stopped = world.broker.survey(&world.place.group.stream).await.unwrap().remove(0).groups;

    let names: Vec<_> = running.iter().map(|g| (g.name.as_str(), g.registered, g.position, g.pending)).collect();
    assert_eq!(
        names,
        [("absent", true, None, 0), ("billing", true, Some(id(2)), 0), ("foreign", false, Some(id(2)), 2)]
    );
    let fence = running[1].fence.clone().unwrap();
    assert_eq!((fence.worker.as_deref(), fence.epoch, fence.position), (Some("worker-A"), owner.owned.epoch, id(2)));
    assert_eq!(
        (fence.front.map(|front| (front.id, front.fails)), fence.done, running[1].lag),
        (Some((id(3), 4)), 1, Some(7))
    );
    let fence = stopped[1].fence.clone().unwrap();
    let stop = fence.stop.unwrap();
    assert_eq!(
        (fence.worker, stop.kind, stop.at, stop.error.as_str()),
        (None, StopKind::Halted, id(3), "out of paper")
    );
}

#[tokio::test]
async fn a_survey_names_the_key_that_it_cannot_read() {
    for (broken, key) in [("SET F x", "__own:"), ("SET D x", "__done:"), ("HSET F epoch x", "__own:")] {
        let world = World::new().await;
        world.add(1..=1);
        world.acquire("A").await;
        let _: Value = world.does(&format!("DEL {}", broken.split(' ').nth(1).unwrap()));
        let _: Value = world.does(broken);

        let error = world.broker.survey(&world.place.group.stream).await.unwrap_err();

        assert!(error.to_string().contains(key), "{broken}: {error}");
    }
}

#[tokio::test]
async fn erasing_an_app_leaves_others_alone() {
    let server = Server::start(Options::redis());
    let url = RedisUrl::new(server.url());
    let of = async |app: &str, prefix: &str| Redis::connect(&url, app, prefix, options()).await.unwrap();
    let (mine, other, outside) = (of("shop", "p[*]:").await, of("shopping", "p[*]:").await, of("shop", "q:").await);
    for (layout, name) in [(KeyLayout::Runnel, "orders"), (KeyLayout::Python, "returns")] {
        for broker in [&mine, &other, &outside] {
            let mut stream = facts(name);
            stream.keys = layout;
            broker.declare(&stream).await.unwrap();
            broker.append(&stream.into(), vec![entry(0, None, "x")]).await.unwrap();
            broker.announce("w", Standing::Member, Duration::from_secs(1), "{}").await.unwrap();
        }
    }
    let before: u64 = redis::cmd("DBSIZE").query(&mut server.raw()).unwrap();

    let erased = mine.erase().await.unwrap();

    let after: u64 = redis::cmd("DBSIZE").query(&mut server.raw()).unwrap();
    assert_eq!((before, erased, after), (21, 7, 14));
    assert!(mine.streams().await.unwrap().is_empty());
    assert_eq!(other.streams().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_server_says_what_it_is() {
    let world = World::new().await;

    let server = world.broker.server().await.unwrap();

    assert!(server.product == "redis" && server.version >= (7, 0, 0) && server.is_primary, "{server:?}");
    assert_eq!((server.eviction.as_str(), server.persistence.as_str(), server.replicas), ("noeviction", "nothing", 0));
    assert!(server.now > 1_600_000_000_000 && !server.run_id.is_empty());
    assert_eq!(world.broker.address(), format!("unix://{}", shared().socket().display()));
}
