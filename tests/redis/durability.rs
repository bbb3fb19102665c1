//! Appends that are acknowledged when replicas or the disk have them: confirmed, not confirmed, never sent twice.

use std::time::Duration;

use redis::Value;
use runnel::broker::redis::{Redis, RedisOptions};
use runnel::broker::{Broker, BrokerError, NewEntry};
use runnel::event::Fields;
use runnel::prelude::*;
use runnel::settings::{Durability, RedisUrl};
use runnel::{EventId, Failure, Partition};

use crate::support::{Options, Server, eventually};
use crate::world::{facts, options};

const KEY: &str = "__strm:{shop.orders.0}.0";

async fn connect(server: &Server, durability: Durability) -> Redis {
    let options = with(options(), durability, Duration::from_millis(300));
    Redis::connect(&RedisUrl::new(server.url()), "shop", "", options).await.unwrap()
}

fn with(mut options: RedisOptions, durability: Durability, within: Duration) -> RedisOptions {
    (options.durability, options.durable_within) = (durability, within);
    options
}

fn entry(id: Option<u64>) -> NewEntry {
    let id = id.map(|ms| EventId::new(ms, 0));
    NewEntry { partition: Partition(0), id, fields: Fields::from_pairs([("data", "1")]) }
}

async fn append(broker: &Redis, ids: impl IntoIterator<Item = Option<u64>>) -> Vec<Result<EventId, BrokerError>> {
    broker.append(&facts("orders").into(), ids.into_iter().map(entry).collect()).await.unwrap().ids
}

fn length(server: &Server) -> u64 {
    redis::cmd("XLEN").arg(KEY).query(&mut server.raw()).unwrap()
}

fn calls(server: &Server, command: &str) -> usize {
    let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut server.raw()).unwrap();
    stats.lines().filter(|line| line.starts_with(&format!("cmdstat_{command}:"))).count()
}

/// A server and a replica of it that follows.
async fn primary_and_replica() -> (Server, Server) {
    let primary = Server::start(Options::redis().port().with("repl-diskless-sync", "no"));
    let replica = Server::redis();
    let follow = redis::cmd("REPLICAOF").arg("127.0.0.1").arg(primary.port()).query(&mut replica.raw());
    let _: Value = follow.unwrap();
    // From disk: after a diskless copy the stream of changes begins up to a second late, though the replica confirms.
    let mut hand = primary.raw();
    eventually("the replica confirms a write", async || {
        let both = redis::pipe().cmd("SET").arg("probe").arg(1).ignore().cmd("WAIT").arg(1).arg(100).query(&mut hand);
        both.is_ok_and(|(confirmed,): (u64,)| confirmed == 1)
    })
    .await;
    (primary, replica)
}

#[tokio::test]
async fn a_replicated_append_is_on_the_replica_when_it_is_acknowledged() {
    let (primary, replica) = primary_and_replica().await;
    let broker = connect(&primary, Durability::Replicated(1)).await;

    for sent in 1..=20 {
        append(&broker, [None]).await.remove(0).unwrap();
        assert_eq!(length(&replica), sent);
    }
}

#[tokio::test]
async fn an_append_that_no_replica_confirms_is_in_the_primary_and_says_so() {
    let (primary, replica) = primary_and_replica().await;
    let broker = connect(&primary, Durability::Replicated(1)).await;
    append(&broker, [Some(7)]).await.remove(0).unwrap();

    replica.pause();
    let answers = append(&broker, [Some(8), Some(3)]).await;
    replica.resume();

    let Err(unconfirmed @ BrokerError::NotDurable { id, .. }) = &answers[0] else { panic!("{answers:?}") };
    assert_eq!(*id, EventId::new(8, 0));
    assert!(!unconfirmed.is_certain() && !unconfirmed.is_transient());
    let text = unconfirmed.to_string();
    assert!(text.contains("asks for 1 replicas, and 0 confirmed within 300ms"), "{text}");
    assert!(matches!(&answers[1], Err(BrokerError::Refused { .. })), "it was not appended at all: {answers:?}");
    assert_eq!(length(&primary), 2);
    append(&broker, [Some(9)]).await.remove(0).unwrap();
}

#[tokio::test]
async fn what_waits_for_replicas_holds_up_nothing_but_appends() {
    let primary = Server::redis();
    let options = with(options(), Durability::Replicated(1), Duration::from_secs(600));
    let broker = Redis::connect(&RedisUrl::new(primary.url()), "shop", "", options).await.unwrap();

    let waiting = append(&broker, [None]);
    let others = async {
        eventually("the append is there", async || length(&primary) == 1).await;
        broker.streams().await.unwrap();
    };

    tokio::select! { answers = waiting => panic!("{answers:?}"), () = others => {} }
}

#[tokio::test]
async fn a_send_that_is_not_safe_enough_is_told_and_not_repeated() {
    #[derive(Serialize, Deserialize)]
    struct Order {
        id: u64,
    }
    let server = Server::redis();
    let orders = Stream::new("orders", |order: &Order| order.id.into()).partitions(1);
    let app = App::bare("shop").redis(server.url()).setting("durability", "replicated(1)");
    let shop = app.connect().await.unwrap();

    let one = shop.stream(&orders).send(Order { id: 1 }).await;
    let many = shop.stream(&orders).send_all([Order { id: 2 }, Order { id: 3 }]).await;

    for failure in [one.map(drop), many.map(drop)] {
        let Err(Failure::Broker { source, .. }) = failure else { panic!("{failure:?}") };
        assert!(matches!(source, BrokerError::NotDurable { .. }), "{source:?}");
    }
    assert_eq!(length(&server), 3);
}

#[tokio::test]
async fn a_fsynced_append_waits_for_the_disk_on_valkey() {
    let mut server = Server::start(Options::valkey().with("appendonly", "yes").with("appendfsync", "everysec"));
    let broker = Redis::connect(
        &RedisUrl::new(server.url()),
        "shop",
        "",
        with(options(), Durability::Fsynced, Duration::from_secs(5)),
    )
    .await
    .unwrap();

    append(&broker, [Some(7)]).await.remove(0).unwrap();

    assert_eq!(calls(&server, "waitaof"), 1);
    server.restart();
    assert_eq!(length(&server), 1);
}

#[tokio::test]
async fn an_append_that_never_reaches_the_disk_says_so_on_valkey() {
    let server = Server::start(Options::valkey().with("appendonly", "yes"));
    let broker = connect(&server, Durability::Fsynced).await;
    server.config("appendonly", "no");

    let answer = append(&broker, [Some(7)]).await.remove(0);

    let Err(unsafe_yet @ BrokerError::NotDurable { .. }) = answer else { panic!("{answer:?}") };
    assert!(unsafe_yet.to_string().contains("`durability` asks for what is on disk"), "{unsafe_yet}");
    assert_eq!(length(&server), 1);
}
