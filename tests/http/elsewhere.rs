//! Lines that another worker has: asked for where a live worker says that it is, and nowhere else.

use std::time::Duration;

use runnel::broker::redis::{Redis, RedisOptions};
use runnel::broker::{Broker, Standing};
use runnel::runs::{Status, Stores, WorkerRef};
use runnel::settings::RedisUrl;
use tokio::net::{TcpListener, TcpStream};

use crate::asking::{Shop, begin};
use crate::lines::{COMPLETE, log};
use crate::support::{Server, in_time};

const TOKEN: &str = "canary-canary-canary";

/// A fleet whose workers say what a test has them say.
struct Fleet {
    server: Server,
    broker: Redis,
    stores: Stores,
}

impl Fleet {
    async fn open() -> Self {
        let server = Server::redis();
        let url = RedisUrl::new(server.url());
        let broker = Redis::connect(&url, "shop", "", RedisOptions::default()).await.unwrap();
        Self { server, broker, stores: Stores::memory() }
    }

    /// One that answers.
    async fn answering(&self) -> Shop {
        let url = self.server.url();
        Shop::with(self.stores.clone(), |app| app.redis(url).setting("http_token", TOKEN)).await
    }

    /// A worker is alive, and answers there.
    async fn announces(&self, worker: &str, url: Option<&str>) {
        let about = serde_json::json!({ "host": host(), "http": url }).to_string();
        self.broker.announce(worker, Standing::Member, Duration::from_secs(60), &about).await.unwrap();
    }
}

/// A place that is none of the fleet's.
struct Foreign(TcpListener);

impl Foreign {
    async fn open() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// Panics if anybody has come, be it without a word: the first to come is this test.
    async fn was_never_asked(self) {
        let own = TcpStream::connect(self.0.local_addr().unwrap()).await.unwrap();
        let (_, first) = in_time(self.0.accept()).await.unwrap();
        assert_eq!(first, own.local_addr().unwrap());
    }
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn bearer() -> [(&'static str, &'static str); 1] {
    [("Authorization", "Bearer canary-canary-canary")]
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_fetched_from_the_worker_that_has_them() {
    let fleet = Fleet::open().await;
    let (there, here) = (fleet.answering().await, fleet.answering().await);
    let url = format!("http://{}", there.at);
    fleet.announces("w1", Some(&url)).await;
    let worker = WorkerRef { id: "w1".into(), host: host(), log_url: Some(url) };
    there.run_of("a1", Status::Processing, worker.clone()).await;
    there.run_of("pruned", Status::Success, worker.clone()).await;
    // Its own word counts, whatever a document says; and the next worker at a place has the lines of the last one.
    there
        .run_of("moved", Status::Success, WorkerRef { log_url: Some("http://127.0.0.1:1".into()), ..worker.clone() })
        .await;
    there.run_of("inherited", Status::Success, WorkerRef { id: "w0".into(), ..worker }).await;
    for run in ["a1", "moved", "inherited"] {
        there.begin(run).await;
        there.print(run, &["zero", "one"]).await;
    }

    let follow = [bearer()[0], ("Last-Event-ID", "0")];
    let mut following = begin(here.at, "GET", "/api/job_runs/a1/logs/stdout?follow=true", &follow).await;
    following.until("one").await;
    let mut texts = Vec::new();
    for run in ["a1", "moved", "inherited"] {
        let plain = [bearer()[0], ("Accept", "text/plain")];
        texts.push(here.get_with(&format!("/api/job_runs/{run}/logs/stdout"), &plain).await.body);
    }
    there.end("a1").await;
    let pruned = here.get_with("/api/job_runs/pruned/logs/stdout", &bearer()).await;

    assert_eq!(following.rest().await.body, [log(1, "one"), COMPLETE.into()].concat());
    assert_eq!(texts, ["zero\none\n"; 3]);
    assert_eq!(here.get_with("/api/job_runs/a1/metadata", &bearer()).await.json()["status"], "SUCCESS");
    assert_eq!((pruned.status, &pruned.json()["error"]), (410, &"log_pruned".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_no_live_worker_announces_is_not_asked_and_gets_no_token() {
    let fleet = Fleet::open().await;
    let (here, foreign) = (fleet.answering().await, Foreign::open().await);
    fleet.announces("mute", None).await;
    fleet.announces("other", Some("http://127.0.0.1:1")).await;
    for (run, owner, why) in
        [("a1", "mute", "answers no HTTP"), ("a2", "gone", "not alive"), ("a3", "other", "does not answer")]
    {
        let worker = WorkerRef { id: owner.into(), host: host(), log_url: Some(foreign.url()) };
        here.run_of(run, Status::Success, worker).await;
        for what in ["logs/stdout", "logs/stderr?follow=true", "metadata"] {
            let answer = here.get_with(&format!("/api/job_runs/{run}/{what}"), &bearer()).await;
            let said = answer.json();
            assert_eq!(
                (answer.status, &said["error"]),
                (503, &"worker_unreachable".into()),
                "{run} {what}: {answer:?}"
            );
            assert!(said["message"].as_str().unwrap().contains(why), "{run} {what}: {answer:?}");
        }
    }
    foreign.was_never_asked().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_told_though_its_worker_is_gone() {
    let fleet = Fleet::open().await;
    let (here, foreign) = (fleet.answering().await, Foreign::open().await);
    let worker = WorkerRef { id: "gone".into(), host: host(), log_url: Some(foreign.url()) };
    here.run_of("a1", Status::Success, worker).await;
    here.begin("a1").await;
    here.print("a1", &["zero"]).await;
    here.end("a1").await;

    let told = here.get_with("/api/job_runs/a1/logs/stdout", &bearer()).await;

    assert_eq!((told.status, told.body), (200, log(0, "zero") + COMPLETE));
    foreign.was_never_asked().await;
}
