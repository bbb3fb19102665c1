//! Connections: refused, lost, answered by nobody, and come back to another server.

use std::time::Duration;

use redis::Value;
use runnel::broker::redis::{Redis, RedisOptions};
use runnel::broker::{Broker, BrokerError, Committed, NewEntry};
use runnel::event::Fields;
use runnel::settings::RedisUrl;
use runnel::{EventId, Partition};
use tokio::net::TcpListener;

use crate::support::{Options, Server, eventually, free_port};
use crate::world::{World, code, facts, options};

fn quick() -> RedisOptions {
    let mut options = options();
    (options.connect_timeout, options.answer_timeout) = (Duration::from_millis(200), Duration::from_millis(200));
    options
}

async fn connect(url: impl Into<String>) -> Result<Redis, BrokerError> {
    Redis::connect(&RedisUrl::new(url), "shop", "", quick()).await
}

fn with_causes(error: &BrokerError) -> String {
    let source = std::error::Error::source(error).map_or_else(String::new, |source| source.to_string());
    format!("{error}: {source} {error:?}")
}

#[tokio::test]
async fn a_refused_connection_names_the_address_and_the_reason() {
    let port = free_port();

    let error = connect(format!("redis://:canary@127.0.0.1:{port}")).await.unwrap_err();

    assert!(matches!(error, BrokerError::Unavailable { .. }) && error.is_transient() && error.is_certain());
    let said = with_causes(&error);
    assert!(
        said.contains(&format!("127.0.0.1:{port}")) && said.contains("refused") && !said.contains("canary"),
        "{said}"
    );
    let error = connect("unix:///nowhere/at/all.sock").await.unwrap_err();
    assert!(with_causes(&error).contains("unix:///nowhere/at/all.sock"), "{error}");
}

#[tokio::test]
async fn refusals_to_let_us_in_keep_their_code_and_show_no_secret() {
    let server = Server::start(Options::redis().password("right-canary").port());
    let _: Value =
        redis::cmd("ACL").arg("SETUSER").arg("ann").arg("on").arg(">s").arg("+ping").query(&mut server.raw()).unwrap();
    let port = server.port();

    let none = connect(format!("redis://127.0.0.1:{port}")).await.unwrap_err();
    let wrong = connect(format!("redis://:wrong-canary@127.0.0.1:{port}")).await.unwrap_err();
    let user = connect(format!("redis://bob:wrong-canary@127.0.0.1:{port}")).await.unwrap_err();
    let ann = connect(format!("redis://ann:s@127.0.0.1:{port}")).await.unwrap();
    let may_not = ann.declare(&facts("orders")).await.unwrap_err();

    assert_eq!(
        (code(&none), code(&wrong), code(&user), code(&may_not)),
        ("NOAUTH", "WRONGPASS", "WRONGPASS", "NOPERM")
    );
    for error in [none, wrong, user, may_not] {
        assert!(!error.is_transient() && !with_causes(&error).contains("canary"), "{error:?}");
    }
    assert!(!format!("{:?}", connect(server.url()).await.unwrap()).contains("canary"));
}

#[tokio::test]
async fn urls_lead_to_the_database_they_name() {
    let server = Server::start(Options::redis().password("p@s/s#?%:").port());
    let everywhere = [
        format!("unix://{}?db=3&pass=p%40s/s%23?%25:", server.socket().display()),
        format!("redis://:p@s/s#?%:@127.0.0.1:{}/3", server.port()),
        format!("redis://default:p%40s%2Fs%23%3F%25%3A@127.0.0.1:{}/3", server.port()),
    ];
    for (n, url) in (1..).zip(everywhere) {
        let broker = connect(url).await.unwrap();
        broker.declare(&facts(&format!("s{n}"))).await.unwrap();
        assert_eq!(broker.streams().await.unwrap().len(), n);
    }
    let error = connect(format!("redis://:p@s/s#?%:@127.0.0.1:{}/99", server.port())).await.unwrap_err();
    assert_eq!(code(&error), "ERR");
}

#[tokio::test]
async fn a_restarted_server_is_noticed_and_reached_again() {
    let mut server = Server::start(Options::redis().durable());
    let world = World::on(&server).await;
    world.add(1..=3);
    let owner = world.acquire("A").await;
    let mut changes = world.broker.server_changes();
    changes.mark_unchanged();

    server.restart();

    eventually("the commit is applied", async || {
        matches!(owner.try_send(owner.commits(1, 2, 2)).await, Ok(Committed::Applied))
    })
    .await;
    assert!(changes.has_changed().unwrap());
}

#[tokio::test]
async fn a_cut_connection_to_the_same_server_is_no_change() {
    let server = Server::redis();
    let world = World::on(&server).await;
    let mut changes = world.broker.server_changes();
    changes.mark_unchanged();

    let _: Value = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").query(&mut server.raw()).unwrap();

    eventually("it answers again", async || world.broker.streams().await.is_ok()).await;
    assert!(!changes.has_changed().unwrap());
}

#[tokio::test]
async fn a_server_that_does_not_say_who_it_is_counts_as_changed_after_each_reconnect() {
    let server = Server::redis();
    let mut acl = redis::cmd("ACL");
    acl.arg("SETUSER").arg("ann").arg("on").arg(">s").arg("~*").arg("+@all").arg("-info").arg("-config");
    let _: Value = acl.query(&mut server.raw()).unwrap();
    let broker = connect(format!("unix://{}?user=ann&pass=s", server.socket().display())).await.unwrap();
    let changes = broker.server_changes();

    let _: Value = redis::cmd("CLIENT").arg("KILL").arg("USER").arg("ann").query(&mut server.raw()).unwrap();

    eventually("it answers again", async || broker.streams().await.is_ok()).await;
    assert!(changes.has_changed().unwrap());
    assert_eq!(code(&broker.server().await.unwrap_err()), "NOPERM");
}

#[tokio::test]
async fn a_server_that_became_a_replica_is_a_changed_one() {
    let server = Server::redis();
    let world = World::on(&server).await;
    let owner = world.acquire("A").await;
    let mut changes = world.broker.server_changes();
    changes.mark_unchanged();
    let port = free_port();

    let _: Value = redis::cmd("REPLICAOF").arg("127.0.0.1").arg(port).query(&mut server.raw()).unwrap();

    let error = owner.try_send(owner.commits(1, 0, 0)).await.unwrap_err();
    assert_eq!(code(&error), "READONLY");
    assert!(error.is_transient() && changes.has_changed().unwrap());
    assert!(!world.broker.server().await.unwrap().is_primary);
}

#[tokio::test]
async fn nothing_is_sent_on_a_connection_that_is_known_to_be_gone() {
    let mut server = Server::redis();
    let world = World::on(&server).await;
    server.kill();
    eventually("the end of the connection was seen", async || {
        matches!(world.broker.streams().await, Err(BrokerError::Unavailable { .. }))
    })
    .await;

    let entry = NewEntry { partition: Partition(0), id: None, fields: Fields::from_pairs([("data", "x")]) };
    let error = world.broker.append(&world.place.group.stream, vec![entry]).await.unwrap_err();

    assert!(error.is_certain(), "{error:?}");
}

#[tokio::test]
async fn a_paused_server_is_unclear_in_time_and_reached_again() {
    let server = Server::redis();
    let broker = connect(server.url()).await.unwrap();
    let changes = broker.server_changes();

    server.pause();
    let asked = runnel::clock::now();
    let error = broker.streams().await.unwrap_err();
    let waited = runnel::clock::now().since(asked);
    server.resume();

    assert!(matches!(error, BrokerError::Unclear { .. }) && !error.is_certain(), "{error:?}");
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    eventually("it answers again", async || broker.streams().await.is_ok()).await;
    assert!(!changes.has_changed().unwrap(), "it is the same server");
}

#[tokio::test]
async fn a_black_hole_is_left_behind_when_a_server_is_there_again() {
    let (listener, server) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Server::start(Options::redis().port()));
    let address = listener.local_addr().unwrap();
    let hole = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (swallows, port) = (hole.clone(), server.port());
    // Every connection is passed on to the server, until the hole opens: then bytes go in and nothing comes out.
    let proxy = async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (mut outer, _) = listener.accept().await.unwrap();
            let swallows = swallows.clone();
            connections.spawn(async move {
                let mut inner = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                pass_on(&mut outer, &mut inner, &swallows).await;
            });
        }
    };
    let set = |open| hole.store(open, std::sync::atomic::Ordering::SeqCst);
    let test = async {
        let broker = connect(format!("redis://{address}")).await.unwrap();
        set(true);
        assert!(matches!(broker.streams().await, Err(BrokerError::Unclear { .. })));
        assert!(matches!(broker.streams().await, Err(BrokerError::Unavailable { .. })), "the probe is not answered");
        set(false);
        eventually("it answers again", async || broker.streams().await.is_ok()).await;
    };
    tokio::select! { () = test => {}, () = proxy => {} }
}

async fn pass_on(
    outer: &mut tokio::net::TcpStream,
    inner: &mut tokio::net::TcpStream,
    swallows: &std::sync::atomic::AtomicBool,
) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut question, mut answer) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            n = outer.read(&mut question) => match n {
                Ok(n) if n > 0 => inner.write_all(&question[..n]).await.unwrap(),
                _ => return,
            },
            n = inner.read(&mut answer) => match n {
                Ok(n) if n > 0 && !swallows.load(std::sync::atomic::Ordering::SeqCst) => {
                    if outer.write_all(&answer[..n]).await.is_err() {
                        return;
                    }
                }
                Ok(n) if n > 0 => {}
                _ => return,
            },
        }
    }
}

#[tokio::test]
async fn many_callers_share_one_attempt_to_reach_a_server_that_is_down() {
    let mut server = Server::redis();
    let broker = std::sync::Arc::new(connect(server.url()).await.unwrap());
    server.kill();
    let asked = runnel::clock::now();

    let all = futures::future::join_all((0..200).map(|_| broker.streams())).await;

    assert!(all.iter().all(Result::is_err));
    let waited = runnel::clock::now().since(asked);
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    server.launch();
    eventually("it answers again", async || broker.streams().await.is_ok()).await;
}

#[tokio::test]
async fn reading_goes_on_after_a_restart_and_tells_of_it_first() {
    let mut server = Server::start(Options::redis().durable());
    let world = World::on(&server).await;
    world.add(1..=1);
    let stream = world.place.group.stream.clone();
    let source = runnel::broker::Source::Partition(stream, Partition(0));
    world.broker.read(&source, EventId::ZERO, 1, true).await.unwrap();
    let mut changes = world.broker.server_changes();
    changes.mark_unchanged();

    server.restart();
    world.add(2..=2);

    eventually("the second event is read", async || {
        let read = world.broker.read(&source, EventId::new(1, 0), 1, false).await;
        assert!(read.is_err() || changes.has_changed().unwrap(), "entries of another server came unannounced");
        read.is_ok()
    })
    .await;
}
