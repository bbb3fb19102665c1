use std::future::Future;

use futures::future::join_all;
use redis::aio::MultiplexedConnection;
use tokio::time::timeout;

use super::server::{LONG, Server, readers, until_blocked};
use super::*;

mod measures;
mod outages;

const IN_TIME: Duration = Duration::from_secs(20);

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(IN_TIME, what).await.expect("it happens in time")
}

async fn add(commands: &mut MultiplexedConnection, key: &str, value: impl AsRef<[u8]>) -> EventId {
    let id: String =
        redis::cmd("XADD").arg(key).arg("*").arg("data").arg(value.as_ref()).query_async(commands).await.unwrap();
    id.parse().unwrap()
}

async fn add_user(commands: &mut MultiplexedConnection, rules: &str) {
    let words: Vec<&str> = rules.split(' ').collect();
    let _: () = redis::cmd("ACL").arg("SETUSER").arg(words).query_async(commands).await.unwrap();
}

fn keys(count: usize) -> Vec<Arc<str>> {
    (0..count).map(|n| format!("k{n}").into()).collect()
}

fn values(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|e| String::from_utf8_lossy(e.fields.get("data").unwrap()).into_owned()).collect()
}

#[tokio::test]
async fn what_is_there_already_is_read_at_once_and_cut_at_the_count() {
    let server = Server::start().await;
    let mut commands = server.commands("").await;
    let key: Arc<str> = "k".into();
    let first = add(&mut commands, &key, "1").await;
    add(&mut commands, &key, "2").await;
    add(&mut commands, &key, "3").await;
    let reader = server.reader(2, LONG);

    for flowing in [false, true] {
        let all = in_time(reader.read(&key, EventId::ZERO, 2, flowing)).await.unwrap();
        assert_eq!(values(&all), ["1", "2"]);
        let rest = in_time(reader.read(&key, first, 10, flowing)).await.unwrap();
        assert_eq!(values(&rest), ["2", "3"]);
    }
}

#[tokio::test]
async fn a_partition_that_joins_wakes_the_blocking_read() {
    let server = Server::start().await;
    let mut commands = server.commands("").await;
    let keys = keys(2);
    add(&mut commands, "k1", "there").await;
    let reader = server.reader(1, LONG);
    let silent = reader.read(&keys[0], EventId::ZERO, 10, false);
    tokio::pin!(silent);

    let joined = async {
        until_blocked(&mut commands, 1).await;
        reader.read(&keys[1], EventId::ZERO, 10, false).await
    };
    let joined = tokio::select! {
        joined = in_time(joined) => joined.unwrap(),
        _ = &mut silent => panic!("nothing was sent there"),
    };

    assert_eq!(values(&joined), ["there"]);
    add(&mut commands, "k0", "late").await;
    assert_eq!(values(&in_time(silent).await.unwrap()), ["late"]);
    assert_eq!(*reader.reconnects().borrow(), 0);
}

#[tokio::test]
async fn a_wake_up_that_fails_or_comes_too_early_is_repeated() {
    let server = Server::start().await;
    let mut commands = server.commands("").await;
    let keys = keys(2);
    add(&mut commands, "k1", "there").await;
    let reader = server.reader_woken_late(6, LONG);

    let joined = async {
        until_blocked(&mut commands, 1).await;
        reader.read(&keys[1], EventId::ZERO, 10, false).await
    };
    let joined = tokio::select! {
        joined = in_time(joined) => joined.unwrap(),
        _ = reader.read(&keys[0], EventId::ZERO, 10, false) => panic!("nothing was sent there"),
    };

    assert_eq!(values(&joined), ["there"]);
}

#[tokio::test]
async fn two_hundred_partitions_share_four_connections() {
    let server = Server::start().await;
    let mut commands = server.commands("").await;
    let keys = keys(200);
    let reader = server.reader(4, LONG);

    let reads = join_all(keys.iter().map(|key| reader.read(key, EventId::ZERO, 10, false)));
    let sends = async {
        until_blocked(&mut commands, 4).await;
        for key in &keys {
            add(&mut commands, key, key.as_bytes()).await;
        }
    };
    let (read, ()) = in_time(async { tokio::join!(reads, sends) }).await;

    for (key, entries) in keys.iter().zip(read) {
        assert_eq!(values(&entries.unwrap()), [&**key]);
    }
    assert_eq!(reader.connections(), 4);
}

#[tokio::test]
async fn connections_are_opened_as_needed() {
    let server = Server::start().await;
    let mut commands = server.commands("").await;
    add(&mut commands, "k0", "there").await;
    let reader = server.reader(4, LONG);
    assert_eq!(reader.connections(), 0);

    let keys = keys(64);
    in_time(reader.read(&keys[0], EventId::ZERO, 10, false)).await.unwrap();

    assert_eq!(reader.connections(), 1);
}

#[tokio::test]
async fn a_key_of_another_type_is_refused_and_the_others_go_on() {
    let server = Server::start().await;
    let mut commands = server.commands("").await;
    let _: () = redis::cmd("SET").arg("k1").arg("text").query_async(&mut commands).await.unwrap();
    let keys = keys(3);
    let reader = server.reader(1, LONG);

    for flowing in [false, true] {
        let after = EventId::new(u64::from(flowing), 0);
        let good = join_all([0, 2].map(|n| reader.read(&keys[n], after, 10, flowing)));
        let bad_then_sent = async {
            let bad = reader.read(&keys[1], after, 10, flowing).await;
            for key in ["k0", "k2"] {
                let id = format!("{}-0", after.ms + 1);
                let add = redis::cmd("XADD").arg(key).arg(id).arg("data").arg("good").take();
                let _: String = add.query_async(&mut commands).await.unwrap();
            }
            bad
        };
        let (good, bad) = in_time(async { tokio::join!(good, bad_then_sent) }).await;

        for entries in good {
            assert_eq!(values(&entries.unwrap()), ["good"]);
        }
        let refused = bad.unwrap_err();
        assert!(matches!(&refused, BrokerError::Refused { code, .. } if code == "WRONGTYPE"), "{refused}");
    }
    assert_eq!(*reader.reconnects().borrow(), 0);
}

#[tokio::test]
async fn a_dropped_read_can_be_repeated() {
    let server = Server::start().await;
    let mut commands = server.commands("").await;
    let key: Arc<str> = "k".into();
    let reader = server.reader(1, LONG);
    tokio::select! {
        () = until_blocked(&mut commands, 1) => {}
        _ = reader.read(&key, EventId::ZERO, 10, false) => panic!("nothing was sent"),
    }

    add(&mut commands, &key, "1").await;

    assert_eq!(values(&in_time(reader.read(&key, EventId::ZERO, 10, false)).await.unwrap()), ["1"]);
    let nobody_waits = reader.shared.state().answers.is_empty();
    assert!(nobody_waits);
}

#[tokio::test]
async fn protocol_user_and_database_are_those_of_the_address() {
    let server = Server::with(&["--requirepass", "right"]).await;
    let mut commands = server.commands("?pass=right&db=3").await;
    add_user(&mut commands, "bob on >secret ~k* +xread +client|id +select +hello").await;
    add(&mut commands, "k", "in 3").await;
    let key: Arc<str> = "k".into();
    for who in ["pass=right", "user=bob&pass=secret"] {
        for protocol in ["resp2", "resp3"] {
            let reader = server.reader_as(&format!("?{who}&db=3&protocol={protocol}"), 1, LONG);

            let read = in_time(reader.read(&key, EventId::ZERO, 10, false)).await.unwrap();

            assert_eq!(values(&read), ["in 3"], "{who} {protocol}");
        }
    }
}

#[tokio::test]
async fn a_forbidden_key_is_refused_and_the_others_go_on() {
    let server = Server::start().await;
    let mut commands = server.commands("").await;
    add_user(&mut commands, "bob on >secret ~k* +@all").await;
    add(&mut commands, "k", "1").await;
    let reader = server.reader_as("?user=bob&pass=secret", 1, LONG);
    let (mine, other): (Arc<str>, Arc<str>) = ("k".into(), "other".into());

    let reads = async {
        tokio::join!(reader.read(&other, EventId::ZERO, 10, false), reader.read(&mine, EventId::ZERO, 10, false))
    };
    let (refused, read) = in_time(reads).await;

    assert!(matches!(refused, Err(BrokerError::Refused { code, .. }) if code == "NOPERM"));
    assert_eq!(values(&read.unwrap()), ["1"]);
}

#[tokio::test]
async fn large_values_arrive_whole() {
    let server = Server::with(&["--client-output-buffer-limit", "normal 0 0 0"]).await;
    let mut commands = server.commands("").await;
    let key: Arc<str> = "k".into();
    let large: Vec<u8> = (0..16 * 1024 * 1024u32).map(|n| (n % 251) as u8).collect();
    let last = {
        add(&mut commands, &key, &large).await;
        add(&mut commands, &key, "small").await;
        add(&mut commands, &key, &large).await
    };
    let reader = server.reader(1, LONG);

    for flowing in [true, false] {
        let read = in_time(reader.read(&key, EventId::ZERO, 10, flowing)).await.unwrap();
        assert_eq!(read.len(), 3);
        assert_eq!(read[2].id, last);
        assert!(read[0].fields.get("data") == Some(&large) && read[2].fields.get("data") == Some(&large));
        assert_eq!(read[1].fields.get("data"), Some(&b"small"[..]));
    }
}

#[tokio::test]
async fn a_flowing_partition_hands_over_to_the_blocking_read_when_it_is_drained() {
    let server = Server::start().await;
    let mut commands = server.commands("").await;
    let key: Arc<str> = "k".into();
    let mut pipe = redis::pipe();
    for n in 0..1000 {
        pipe.cmd("XADD").arg("k").arg(format!("{}-0", n + 1)).arg("data").arg(n).ignore();
    }
    let _: () = pipe.query_async(&mut commands).await.unwrap();
    let reader = server.reader(1, LONG);

    let read = async {
        let (mut seen, mut after, mut flowing) = (Vec::new(), EventId::ZERO, false);
        while seen.len() < 1001 {
            let entries = reader.read(&key, after, 100, flowing).await.unwrap();
            (after, flowing) = (entries[entries.len() - 1].id, entries.len() == 100);
            seen.extend(values(&entries));
        }
        seen
    };
    let late = async {
        // 1000 is a multiple of 100: the last full read is followed by a direct one that finds nothing.
        until_blocked(&mut commands, 1).await;
        add(&mut commands, "k", "1000").await;
    };
    let (seen, ()) = in_time(async { tokio::join!(read, late) }).await;

    assert_eq!(seen, (0..=1000).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn everything_ends_with_the_reader() {
    let server = Server::start().await;
    let mut commands = server.commands("").await;
    let key: Arc<str> = "k".into();
    let reader = server.reader(1, LONG);
    tokio::select! {
        () = until_blocked(&mut commands, 1) => {}
        _ = reader.read(&key, EventId::ZERO, 10, false) => panic!("nothing was sent"),
    }

    drop(reader);

    in_time(async { while !readers(&mut commands).await.is_empty() {} }).await;
}

#[tokio::test]
async fn a_connection_over_tcp_reads_too() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::with(&["--port", &port.to_string(), "--bind", "127.0.0.1"]).await;
    let mut commands = server.commands("").await;
    add(&mut commands, "k", "1").await;
    let target = redis::IntoConnectionInfo::into_connection_info(format!("redis://127.0.0.1:{port}")).unwrap();
    let mut reader = server.reader(1, LONG);
    Arc::get_mut(&mut reader.shared).unwrap().target = target;

    let read = in_time(reader.read(&"k".into(), EventId::ZERO, 10, false)).await.unwrap();

    assert_eq!(values(&read), ["1"]);
}
