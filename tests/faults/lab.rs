//! A server, a stream that is fed evenly, workers to be mistreated, and a watch on every partition.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use redis::Commands;
use runnel::clock::{self, Instant};
use runnel::{App, Connected, Partitioner, Stream};
use serde_json::{Value, json};

use crate::support::{Options, PATIENCE, Process, Server};

pub(crate) const PARTITIONS: u32 = 16;
/// How long a dead worker holds its partitions back here.
pub(crate) const EXPIRY: Duration = Duration::from_secs(2);
const PREFIX: &str = "lab-";

/// How often things are repeated: `RUNNEL_TEST_SCALE`, 1 unless set.
pub(crate) fn scale() -> u32 {
    let told = std::env::var_os("RUNNEL_TEST_SCALE").and_then(|told| told.to_str()?.parse().ok());
    told.unwrap_or(1)
}

/// The built example `flights`.
pub(crate) fn flights() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| example("flights"))
}

/// A built example, which is built now if it is missing.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().nth(2).expect("a test lies in target/<profile>/deps");
    let example = profile.join("examples").join(name);
    if !example.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--example", name, "--target-dir"]).arg(profile.parent().expect("as above"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo can be started");
        assert!(built.success() && example.exists(), "the example `{name}` cannot be built");
    }
    example
}

/// Starts a worker process. Dropping it kills it.
pub(crate) fn start(worker: &Command) -> Process {
    Process::start(worker, Stdio::null(), Stdio::inherit())
}

/// What is known of one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched {
    pub(crate) settled: u64,
    at: Instant,
    /// The longest time without progress since [`Lab::forget_gaps`].
    pub(crate) gap: Duration,
    pub(crate) epoch: u64,
    /// Whether its owner has changed since then.
    pub(crate) moved: bool,
}

pub(crate) struct Lab {
    pub(crate) server: Server,
    pub(crate) app: Connected,
    stream: Stream<Value>,
    tails: Vec<String>,
    next_seq: u64,
    pace: Duration,
    pub(crate) watched: Vec<Watched>,
    /// Workers that own something.
    pub(crate) owners: BTreeSet<String>,
}

/// What the workers have stored of all aircraft.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) events: u64,
    pub(crate) duplicates: u64,
}

impl Lab {
    pub(crate) async fn open(options: Options) -> Self {
        let server = Server::start(options);
        let app = connected(&server.url()).await;
        let stream = Stream::new("flights", |flight: &Value| flight["tail"].as_str().unwrap_or_default().into());
        let now = clock::now();
        let fresh = Watched { settled: 0, at: now, gap: Duration::ZERO, epoch: 0, moved: false };
        Self {
            server,
            app,
            stream: stream.partitions(PARTITIONS),
            tails: one_tail_for_each_partition(),
            next_seq: 1,
            pace: Duration::ZERO,
            watched: vec![fresh; PARTITIONS as usize],
            owners: BTreeSet::new(),
        }
    }

    /// Each event takes so long from now on, in workers that are started.
    pub(crate) fn pace(mut self, time: Duration) -> Self {
        self.pace = time;
        self
    }

    pub(crate) fn worker(&self) -> Process {
        let mut worker = Command::new(flights());
        worker
            .args(["worker", "--processors", "summarise"])
            .env("RUNNEL_REDIS_URL", self.server.url())
            .env("RUNNEL_KEY_PREFIX", PREFIX)
            .env("RUNNEL_DEFAULT_LOCK_EXPIRY", format!("{}ms", EXPIRY.as_millis()))
            .env("RUNNEL_LOG_LEVEL", "error")
            .env("FLIGHTS_PACE_US", self.pace.as_micros().to_string());
        start(&worker)
    }

    /// So many events to each partition.
    pub(crate) async fn feed(&mut self, each: u64) {
        let mut flights = Vec::new();
        for seq in self.next_seq..self.next_seq + each {
            flights.extend(self.tails.iter().map(|tail| flight(seq, tail)));
        }
        self.next_seq += each;
        self.app.stream(&self.stream).send_all(flights).await.expect("the server takes events");
    }

    /// Events fed to all partitions so far.
    pub(crate) fn fed(&self) -> u64 {
        (self.next_seq - 1) * u64::from(PARTITIONS)
    }

    /// One look at every partition. False if the server did not answer.
    pub(crate) async fn look(&mut self) -> bool {
        let Ok(partitions) = self.app.survey("flights").await else { return false };
        let now = clock::now();
        self.owners.clear();
        for (watched, partition) in self.watched.iter_mut().zip(partitions) {
            let Some(group) = partition.groups.iter().find(|group| group.name == "summarise") else { continue };
            let settled = group.lag.map_or(watched.settled, |lag| partition.added.saturating_sub(lag));
            if settled != watched.settled {
                (watched.settled, watched.at) = (settled, now);
            }
            watched.gap = watched.gap.max(now.since(watched.at));
            if let Some(fence) = &group.fence {
                watched.moved |= fence.epoch.0 != watched.epoch && fence.worker.is_some();
                watched.epoch = fence.epoch.0;
                self.owners.extend(fence.worker.clone());
            }
        }
        true
    }

    pub(crate) fn settled(&self) -> u64 {
        self.watched.iter().map(|watched| watched.settled).sum()
    }

    pub(crate) fn forget_gaps(&mut self) {
        let now = clock::now();
        for watched in &mut self.watched {
            (watched.gap, watched.at, watched.moved) = (Duration::ZERO, now, false);
        }
    }

    /// The longest pause of the partitions that moved, or of those that stayed.
    pub(crate) fn longest_gap(&self, moved: bool) -> Duration {
        let those = self.watched.iter().filter(|watched| watched.moved == moved);
        those.map(|watched| watched.gap).max().unwrap_or_default()
    }

    /// Feeds every partition now and again until the fact holds.
    pub(crate) async fn feed_until(&mut self, what: &str, fact: impl Fn(&Self) -> bool) {
        let give_up = clock::now() + PATIENCE;
        loop {
            self.feed(1).await;
            self.look().await;
            if fact(self) {
                return;
            }
            assert!(clock::now() < give_up, "did not come true within {PATIENCE:?}: {what}; {:?}", self.watched);
            clock::sleep(Duration::from_millis(4)).await;
        }
    }

    /// Looks until the fact holds.
    pub(crate) async fn until(&mut self, what: &str, fact: impl Fn(&Self) -> bool) {
        let give_up = clock::now() + PATIENCE * 2;
        loop {
            let answered = self.look().await;
            if answered && fact(self) {
                return;
            }
            assert!(clock::now() < give_up, "did not come true in time: {what}; {:?}", self.watched);
            clock::sleep(Duration::from_millis(4)).await;
        }
    }

    /// Waits until everything that was fed is settled.
    pub(crate) async fn all_settled(&mut self) {
        let fed = self.fed();
        self.until("everything that was fed is settled", |lab| lab.settled() >= fed).await;
    }

    /// Waits until so many workers own everything, and every partition has moved on since.
    pub(crate) async fn shared_by(&mut self, workers: usize) {
        self.feed_until(&format!("{workers} workers share the partitions"), |lab| lab.owners.len() == workers).await;
        let before: Vec<u64> = self.watched.iter().map(|watched| watched.settled).collect();
        let went_on =
            |lab: &Self| lab.watched.iter().zip(&before).all(|(watched, before)| watched.settled > before + 5);
        self.feed_until("every partition goes on", went_on).await;
    }

    /// What the workers have stored.
    pub(crate) fn stored(&self) -> Stored {
        let mut raw = self.server.raw();
        let mut stored = Stored::default();
        for partition in 0..PARTITIONS {
            let shelf: BTreeMap<String, String> =
                raw.hgetall(format!("{PREFIX}summaries:{partition}")).expect("a shelf is a hash");
            for summary in shelf.iter().filter(|(tail, _)| tail.as_str() != "@epoch").map(|(_, summary)| summary) {
                let summary: Value = serde_json::from_str(summary).expect("a summary is JSON");
                stored.events += summary["events"].as_u64().expect("a summary counts its events");
                stored.duplicates += summary["duplicates"].as_u64().expect("a summary counts its duplicates");
            }
        }
        stored
    }

    /// The stream key of a partition.
    pub(crate) fn key(&self, partition: u32) -> String {
        format!("{PREFIX}__strm:{{flights.flights.{}}}.{partition}", partition % 16)
    }

    /// Connects anew, as after an outage that closed the connection.
    pub(crate) async fn reconnect(&mut self) {
        self.app = connected(&self.server.url()).await;
    }
}

async fn connected(url: &str) -> Connected {
    let app = App::bare("flights").redis(url).setting("key_prefix", PREFIX);
    app.connect().await.unwrap_or_else(|failure| panic!("{failure}"))
}

fn one_tail_for_each_partition() -> Vec<String> {
    let mut tails: BTreeMap<u32, String> = BTreeMap::new();
    for n in 0.. {
        let tail = format!("N{n}");
        let partition = Partitioner::Xxh64.place(&(&tail).into(), PARTITIONS).expect("16 partitions are some");
        tails.entry(partition.0).or_insert(tail);
        if tails.len() == PARTITIONS as usize {
            break;
        }
    }
    tails.into_values().collect()
}

fn flight(seq: u64, tail: &str) -> Value {
    json!({
        "seq": seq, "type": "departed", "at": "2013-03-04T09:55:00Z", "tail": tail, "carrier": "US", "flight": 1,
        "origin": "EWR", "dest": "CLT", "scheduled": "2013-03-04T10:00:00Z", "delay": -5,
    })
}
