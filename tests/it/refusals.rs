//! Servers that must not or cannot be used: the message says what was tried, on whose word, why it failed, what to do.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use runnel::prelude::*;

use crate::crew::{Journal, Worker, chain};
use crate::ground::{Ground, Product, order, orders};
use crate::logs::Logs;
use crate::support::{Server, eventually, free_port};

on_both!(
    a_wrong_or_missing_password_is_told_and_never_shown,
    a_replica_is_refused,
    a_server_that_evicts_is_refused,
    a_sender_without_a_right_is_told_which_and_where_the_rules_are,
    a_worker_without_a_right_is_told_which_and_where_the_rules_are,
);

async fn refusal(url: &str) -> String {
    chain(&App::bare("shop").redis(url).connect().await.unwrap_err())
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` in\n{text}");
    }
}

async fn a_wrong_or_missing_password_is_told_and_never_shown(product: Product) {
    let server = Server::start(product.options().port().password("right-canary"));
    let port = server.port();

    for url in [
        format!("redis://:wrong-canary@127.0.0.1:{port}"),
        format!("redis://ada:wrong-canary@127.0.0.1:{port}"),
        format!("redis://127.0.0.1:{port}"),
    ] {
        let text = refusal(&url).await;
        has(
            &text,
            &[
                "does not accept this user and password",
                &format!("127.0.0.1:{port}"),
                "redis_url: code",
                "redis://USER:PASSWORD@HOST:PORT",
            ],
        );
        assert!(!text.contains("canary"), "{text}");
    }
}

async fn a_replica_is_refused(product: Product) {
    let (primary, replica) = (Server::start(product.options().port()), Server::start(product.options().port()));
    let _: () = redis::cmd("REPLICAOF").arg("127.0.0.1").arg(primary.port()).query(&mut replica.raw()).unwrap();

    let text = refusal(&replica.tcp_url()).await;

    has(&text, &["is a read-only replica", &replica.tcp_url(), "give the address of its primary"]);
}

async fn a_server_that_evicts_is_refused(product: Product) {
    let server = Server::start(product.options().with("maxmemory-policy", "allkeys-lru"));

    let text = refusal(&server.url()).await;

    has(&text, &["maxmemory-policy allkeys-lru", "CONFIG SET maxmemory-policy noeviction", "RUNNEL_ALLOW_EVICTION"]);
}

/// The place as a user sees it that may do everything but this.
fn without(ground: &Ground, right: &str) -> Ground {
    let _: () = ground.does(&format!("ACL SETUSER ada on >secret ~* &* +@all {right}"));
    Ground::at(format!("{}?user=ada&pass=secret", ground.url))
}

async fn a_sender_without_a_right_is_told_which_and_where_the_rules_are(product: Product) {
    let ground = Ground::alone(product.options());
    let limited = without(&ground, "-xadd");

    let text = chain(&limited.app().stream(&orders(1)).send(order("ada", 1)).await.unwrap_err());

    has(&text, &["send to stream `orders`", "NOPERM", "xadd", "the command `acl` prints the rules"]);
}

async fn a_worker_without_a_right_is_told_which_and_where_the_rules_are(product: Product) {
    let ground = Ground::alone(product.options());
    let start = ground.app();
    start.stream(&orders(1)).send(order("ada", 1)).await.unwrap();

    // Some are needed later, for partitions; others to join the fleet, before anything is started.
    for right in ["-xread", "-xgroup|setid"] {
        let logs = Logs::hear();
        let limited = without(&ground, right);
        let worker = Worker::start(limited.noting(&orders(1), &Journal::default())).await;
        logs.say(&["NOPERM", "the command `acl` prints the rules"]).await;
        worker.drain().await.unwrap();
        let _: u32 = ground.does("ACL DELUSER ada");
        eventually("the user is gone", async || ground.does::<Vec<String>>("ACL USERS").len() == 1).await;
    }
    for right in ["-hset", "resetkeys ~__meta* ~__list* ~__grps* ~__memb* ~__beat* ~__ctrl*"] {
        let limited = without(&ground, right);
        let worker = Worker::start(limited.noting(&orders(1), &Journal::default())).await;
        let text = chain(&worker.ended().await.unwrap_err());
        has(&text, &["join the fleet", "NOPERM", "the command `acl` prints the rules"]);
        let _: u32 = ground.does("ACL DELUSER ada");
        eventually("the user is gone", async || ground.does::<Vec<String>>("ACL USERS").len() == 1).await;
    }
}

#[tokio::test]
async fn a_refused_connection_says_how_to_get_a_redis() {
    let port = free_port();
    for (url, reason) in
        [(format!("redis://127.0.0.1:{port}"), "refused"), ("unix:///nowhere/redis.sock".to_owned(), "No such file")]
    {
        let text = refusal(&url).await;
        has(&text, &[&url, "redis_url: code", reason, "apt install redis-server", "RUNNEL_REDIS_URL", "`--dev`"]);
    }
}

#[tokio::test]
async fn a_redis_that_is_too_old_is_refused_by_its_version() {
    let old = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", old.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in old.incoming() {
            std::thread::spawn(move || answer_as_redis_6(connection.unwrap()));
        }
    });

    let text = refusal(&url).await;

    has(&text, &["redis 6.2.14", &url, "too old", "Redis 7.0"]);
}

/// Says what a Redis 6.2 says to the few questions that it is asked.
fn answer_as_redis_6(connection: TcpStream) {
    const INFO: &str = "redis_version:6.2.14\r\nrole:master\r\nrun_id:old\r\nmaster_replid:old\r\n";
    let mut answers = connection.try_clone().unwrap();
    let mut questions = BufReader::new(connection);
    while let Some(words) = question(&mut questions) {
        let answer = match words[0].to_ascii_uppercase().as_str() {
            "PING" => "+PONG\r\n".to_owned(),
            "INFO" => format!("${}\r\n{INFO}\r\n", INFO.len()),
            "TIME" => "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n".to_owned(),
            "CONFIG" => "*0\r\n".to_owned(),
            "HELLO" | "CLIENT" => "+OK\r\n".to_owned(),
            _ => "-ERR unknown command\r\n".to_owned(),
        };
        if answers.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The words of one question in the protocol of Redis.
fn question(from: &mut impl BufRead) -> Option<Vec<String>> {
    let count = number(from, '*')?;
    (0..count).map(|_| word(from)).collect()
}

fn number(from: &mut impl BufRead, kind: char) -> Option<usize> {
    let mut line = String::new();
    from.read_line(&mut line).ok()?;
    line.trim_end().strip_prefix(kind)?.parse().ok()
}

fn word(from: &mut impl BufRead) -> Option<String> {
    let length = number(from, '$')?;
    let mut word = vec![0; length + 2];
    from.read_exact(&mut word).ok()?;
    String::from_utf8(word[..length].to_vec()).ok()
}
