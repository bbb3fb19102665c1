//! Lost connections, and servers that refuse, restart or talk nonsense.

use super::*;
use crate::broker::redis::reader::server::Scripted;

#[tokio::test]
async fn a_killed_connection_is_made_anew_and_reported() {
    let server = Server::start().await;
    let mut commands = server.commands("").await;
    let key: Arc<str> = "k".into();
    let reader = server.reader(1, LONG);
    let mut reconnects = reader.reconnects();
    let read = reader.read(&key, EventId::ZERO, 10, false);

    let kill = async {
        until_blocked(&mut commands, 1).await;
        let line = readers(&mut commands).await.remove(0);
        let id = line.split_whitespace().find_map(|part| part.strip_prefix("id=")).unwrap();
        let _: i64 = redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).query_async(&mut commands).await.unwrap();
        reconnects.changed().await.unwrap();
        add(&mut commands, &key, "after").await;
    };
    let (entries, ()) = in_time(async { tokio::join!(read, kill) }).await;

    assert_eq!(values(&entries.unwrap()), ["after"]);
    assert_eq!(*reader.reconnects().borrow(), 1);
    assert_eq!(reader.connections(), 1);
}

#[tokio::test]
async fn reads_wait_through_a_restart_of_the_server() {
    let mut server = Server::start().await;
    let mut commands = server.commands("").await;
    let keys = keys(2);
    let reader = server.reader(1, LONG);
    let blocked = reader.read(&keys[0], EventId::ZERO, 10, false);

    let restart = async {
        until_blocked(&mut commands, 1).await;
        server.stop();
        // Asked while nobody is there to answer.
        let flowing = reader.read(&keys[1], EventId::ZERO, 10, true);
        let back = async {
            while reader.connections() > 0 {
                tokio::task::yield_now().await;
            }
            server.start_again().await;
            let mut commands = server.commands("").await;
            add(&mut commands, "k0", "0").await;
            add(&mut commands, "k1", "1").await;
        };
        tokio::join!(flowing, back).0
    };
    let (blocked, flowing) = in_time(async { tokio::join!(blocked, restart) }).await;

    assert_eq!(values(&blocked.unwrap()), ["0"]);
    assert_eq!(values(&flowing.unwrap()), ["1"]);
    assert!(*reader.reconnects().borrow() >= 1);
}

#[tokio::test]
async fn a_wrong_password_is_told_to_every_reader() {
    let server = Server::with(&["--requirepass", "right"]).await;
    let keys = keys(2);
    for (more, code) in [("?pass=wrong", "WRONGPASS"), ("", "NOAUTH"), ("?pass=wrong&protocol=resp3", "WRONGPASS")] {
        let reader = server.reader_as(more, 1, LONG);

        let reads = join_all(keys.iter().map(|key| reader.read(key, EventId::ZERO, 10, &**key == "k1")));

        for refused in in_time(reads).await {
            let refused = refused.unwrap_err();
            assert!(matches!(&refused, BrokerError::Refused { code: c, .. } if c == code), "{refused}");
        }
        assert_eq!(reader.connections(), 0);
    }
}

const ONE: &str = "*1\r\n*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$4\r\ndata\r\n$3\r\none\r\n";

/// What a read of key `k` answers, and how often the reader reported a reconnect, with a server that plays this.
async fn scripted(connections: &[&[&str]]) -> (Vec<String>, u64) {
    let server = Scripted::new();
    let reader = server.reader(Duration::from_millis(10));
    let key = "k".into();
    let entries = tokio::select! {
        entries = in_time(reader.read(&key, EventId::ZERO, 10, false)) => entries.unwrap(),
        never = server.play(connections) => match never {},
    };
    let reconnects = *reader.reconnects().borrow();
    (values(&entries), reconnects)
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_made_anew() {
    assert_eq!(scripted(&[&[], &[ONE]]).await, (vec!["one".into()], 1));
    let half = &ONE[..30];
    assert_eq!(scripted(&[&[half], &[ONE]]).await, (vec!["one".into()], 1));
}

#[tokio::test]
async fn a_reply_that_cannot_be_read_costs_the_connection_and_nothing_else() {
    let foreign = ONE.replace("\r\nk\r\n", "\r\nx\r\n");
    for nonsense in ["hello", "*1\r\n*2\r\n:1\r\n", "+OK\r\n", &foreign] {
        assert_eq!(scripted(&[&[nonsense], &[ONE]]).await, (vec!["one".into()], 1), "{nonsense:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_ready_is_asked_again() {
    for refusal in ["-LOADING Redis is loading\r\n", "-NOAUTH Authentication required.\r\n"] {
        assert_eq!(scripted(&[&[refusal], &[ONE]]).await, (vec!["one".into()], 1), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_read_ended_by_the_server_is_repeated_and_reported() {
    let unblocked = "-UNBLOCKED force unblock from blocking operation\r\n";
    assert_eq!(scripted(&[&[unblocked, "*-1\r\n", ONE]]).await, (vec!["one".into()], 1));
}

#[tokio::test]
async fn a_reply_that_no_buffer_can_hold_is_told_to_its_reader() {
    let server = Scripted::new();
    let reader = server.reader(Duration::from_millis(10));
    let key = "k".into();
    let refused = tokio::select! {
        refused = in_time(reader.read(&key, EventId::ZERO, 10, false)) => refused.unwrap_err(),
        never = server.play(&[&["*1\r\n*2\r\n$4294967290\r\n"]]) => match never {},
    };
    assert!(matches!(&refused, BrokerError::Unexpected { detail, .. } if detail.contains("4 GiB")), "{refused}");
}
