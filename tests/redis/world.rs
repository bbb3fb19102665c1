//! One place on a real server, and hands that reach around the broker.

use std::ops::RangeInclusive;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::{FromRedisValue, RedisResult, Value};
use runnel::broker::redis::{Redis, RedisOptions};
use runnel::broker::{
    Acquire, Acquired, Broker, BrokerError, Commit, Committed, Fence, FrontMark, Group, KeyLayout, LAYOUT_VERSION,
    Owned, Place, Renew, Renewed, Start, StreamFacts,
};
use runnel::settings::RedisUrl;
use runnel::{EventId, Partition};

use crate::support::{Options, Server};

/// The lease of every owner here, unless a test needs another.
pub(crate) const TTL: Duration = Duration::from_secs(10);

/// The server that all tests share which do nothing to the server itself.
pub(crate) fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(Options::redis().port()))
}

/// The id with that many milliseconds.
pub(crate) fn id(ms: u64) -> EventId {
    EventId::new(ms, 0)
}

pub(crate) fn ids(ms: impl IntoIterator<Item = u64>) -> Vec<EventId> {
    ms.into_iter().map(id).collect()
}

/// A stream of one partition with a processor `billing`, under a prefix of its own.
pub(crate) struct World {
    pub(crate) broker: Redis,
    pub(crate) place: Place,
    url: String,
    prefix: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(shared()).await
    }

    pub(crate) async fn on(server: &Server) -> Self {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("w{}:", WORLDS.fetch_add(1, Ordering::Relaxed));
        let broker = Redis::connect(&RedisUrl::new(server.url()), "shop", &prefix, options()).await.unwrap();
        let place = Place { group: group("orders", "billing"), partition: Partition(0) };
        Self { broker, place, url: server.url(), prefix }
    }

    /// Runs a command past the broker: `P`, `F`, `D` and `G` in it are the keys of the partition's stream, fence,
    /// done set and set of groups, `L` that of its dead letters, `M`, `B` and `C` those of the roster's members, beats and bell, `META/name`
    /// those of a stream's facts, `LIVE`, `LEAD` and `CRON` those of the app's fleet, `OPEN` and
    /// `OVER` those of the partition's runs.
    pub(crate) fn does<T: FromRedisValue>(&self, command: &str) -> T {
        self.tries(command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    pub(crate) fn tries<T: FromRedisValue>(&self, command: &str) -> RedisResult<T> {
        let mut words = command.split_whitespace().map(|word| self.word(word));
        let mut command = redis::cmd(&words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        let client = redis::Client::open(self.url.as_str()).unwrap();
        command.query(&mut client.get_connection().unwrap())
    }

    /// What a word of a command stands for.
    fn word(&self, word: &str) -> String {
        let prefix = &self.prefix;
        match word {
            "P" => format!("{prefix}__strm:{{shop.orders.0}}.0"),
            "F" => format!("{prefix}__own:{{shop.orders.0}}.0.billing"),
            "D" => format!("{prefix}__done:{{shop.orders.0}}.0.billing"),
            "G" => format!("{prefix}__grps:{{shop.orders.0}}.0"),
            "L" => format!("{prefix}__dead:{{shop.orders.0}}.0"),
            "PYTHON-L" => format!("{prefix}__dead:{{{prefix}__strm:shop.shop.orders.0}}.0"),
            "M" => format!("{prefix}__memb:{{shop.orders.billing}}"),
            "B" => format!("{prefix}__beat:{{shop.orders.billing}}"),
            "C" => format!("{prefix}__ctrl:{{shop.orders.billing}}"),
            "OPEN" => format!("{prefix}__open:{{shop.orders.0}}.0"),
            "OVER" => format!("{prefix}__over:{{shop.orders.0}}.0"),
            "LIVE" => format!("{prefix}__live:{{shop}}"),
            "LEAD" => format!("{prefix}__lead:{{shop}}"),
            "CRON" => format!("{prefix}__cron:{{shop}}"),
            word => match word.strip_prefix("META/") {
                Some(name) => format!("{prefix}__meta:shop.{name}"),
                None => word.to_owned(),
            },
        }
    }

    /// Runs a script on the key that a word of [`Self::does`] means.
    pub(crate) fn evals(&self, script: &str, key: &str) {
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(1).arg(self.word(key));
        let client = redis::Client::open(self.url.as_str()).unwrap();
        let _: Value = command.query(&mut client.get_connection().unwrap()).unwrap();
    }

    /// Adds events with these milliseconds.
    pub(crate) fn add(&self, ms: RangeInclusive<u64>) {
        for ms in ms {
            let _: Value = self.does(&format!("XADD P {ms}-0 data {ms}"));
        }
    }

    /// Adds many events, from 1 on, in one go.
    pub(crate) fn fill(&self, count: u64) {
        let mut pipeline = redis::pipe();
        let key = format!("{}__strm:{{shop.orders.0}}.0", self.prefix);
        for ms in 1..=count {
            pipeline.cmd("XADD").arg(&key).arg(format!("{ms}-0")).arg("data").arg(ms).ignore();
        }
        let client = redis::Client::open(self.url.as_str()).unwrap();
        let () = pipeline.query(&mut client.get_connection().unwrap()).unwrap();
    }

    pub(crate) fn fence(&self, field: &str) -> Option<String> {
        self.does(&format!("HGET F {field}"))
    }

    /// The group as XINFO shows it: position, lag, consumers.
    pub(crate) fn group(&self) -> (EventId, Option<u64>, u64) {
        let groups: Vec<std::collections::HashMap<String, Value>> = self.does("XINFO GROUPS P");
        let of = |name: &str| groups[0].get(name).cloned().unwrap();
        let position: String = FromRedisValue::from_redis_value(of("last-delivered-id")).unwrap();
        let lag = FromRedisValue::from_redis_value(of("lag")).unwrap();
        (position.parse().unwrap(), lag, FromRedisValue::from_redis_value(of("consumers")).unwrap())
    }

    /// Lets the owner's lease run out.
    pub(crate) fn expire(&self) {
        let _: Value = self.does("HSET F until 0");
    }

    pub(crate) fn wish(&self, nonce: &str) -> Acquire {
        Acquire {
            place: self.place.clone(),
            nonce: nonce.into(),
            worker: format!("worker-{nonce}").into(),
            ttl: TTL,
            start: Start::Beginning,
            joined: 0,
        }
    }

    pub(crate) async fn try_acquire(&self, nonce: &str) -> Result<Acquired, BrokerError> {
        self.broker.acquire(&self.wish(nonce)).await
    }

    pub(crate) async fn acquire(&self, nonce: &str) -> Owner<'_> {
        self.owns(&self.wish(nonce)).await
    }

    pub(crate) async fn owns(&self, wish: &Acquire) -> Owner<'_> {
        let (acquired, nonce) = (self.broker.acquire(wish).await.unwrap(), &wish.nonce);
        let Acquired::Owned(owned) = acquired else { panic!("{nonce} did not get it: {acquired:?}") };
        Owner { world: self, fence: Fence { nonce: nonce.clone(), epoch: owned.epoch }, owned: *owned }
    }

    /// Takes the place over from an owner that vanished.
    pub(crate) async fn take_over(&self, nonce: &str) -> Owner<'_> {
        self.expire();
        self.acquire(nonce).await
    }
}

/// Somebody who acquired the place, and may have lost it since.
pub(crate) struct Owner<'a> {
    world: &'a World,
    pub(crate) fence: Fence,
    pub(crate) owned: Owned,
}

impl Owner<'_> {
    /// A plain commit.
    pub(crate) fn commits(&self, n: u64, position: u64, entries_read: u64) -> Commit {
        Commit {
            place: self.world.place.clone(),
            fence: self.fence.clone(),
            n,
            position: id(position),
            entries_read: Some(entries_read),
            seen: id(position),
            front: FrontMark::Keep,
            done: Vec::new(),
            passed: Vec::new(),
            letters: Vec::new(),
            letters_limit: 10,
        }
    }

    pub(crate) async fn commit(&self, n: u64, position: u64) -> Committed {
        self.send(self.commits(n, position, position)).await
    }

    pub(crate) async fn send(&self, commit: Commit) -> Committed {
        self.try_send(commit).await.unwrap()
    }

    pub(crate) async fn try_send(&self, commit: Commit) -> Result<Committed, BrokerError> {
        self.world.broker.commit(&[commit]).await.pop().unwrap()
    }

    pub(crate) async fn renew(&self, read: u64) -> Renewed {
        let place = self.world.place.clone();
        let renewal = Renew { place, fence: self.fence.clone(), ttl: TTL, read: id(read) };
        self.world.broker.renew(&[renewal]).await.pop().unwrap().unwrap()
    }

    pub(crate) async fn release(&self) -> bool {
        self.world.broker.release(&self.world.place, &self.fence, None).await.unwrap()
    }
}

pub(crate) fn facts(name: &str) -> StreamFacts {
    StreamFacts {
        name: name.into(),
        layout_version: LAYOUT_VERSION,
        partitions: 1,
        slot_groups: 16,
        keys: KeyLayout::Runnel,
        partitioner: "xxh64".into(),
        codec: "json".into(),
        created: 0,
    }
}

pub(crate) fn group(stream: &str, processor: &str) -> Group {
    Group { stream: facts(stream).into(), processor: processor.into() }
}

pub(crate) fn options() -> RedisOptions {
    RedisOptions::default()
}

pub(crate) fn code(error: &BrokerError) -> &str {
    match error {
        BrokerError::Refused { code, .. } => code,
        other => panic!("no refusal: {other:?}"),
    }
}
