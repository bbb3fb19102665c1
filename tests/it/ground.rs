//! Where a scenario takes place: a server, a prefix for its keys, and hands that reach around the library.
//!
//! The app is always `shop`, its stream `orders`, its processor `billing`.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use redis::{FromRedisValue, RedisResult, ToRedisArgs};
use runnel::broker::redis::{Redis, RedisOptions};
use runnel::broker::{Broker, FenceFacts, Group, Place};
use runnel::prelude::*;
use runnel::settings::RedisUrl;

use crate::support::{Options, Server, eventually, eventually_some};

/// What the scenarios send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) customer: String,
    pub(crate) n: u32,
}

pub(crate) fn order(customer: &str, n: u32) -> Order {
    Order { customer: customer.into(), n }
}

/// The stream of the scenarios.
pub(crate) fn orders(partitions: u32) -> Stream<Order> {
    Stream::new("orders", |order: &Order| (&order.customer).into()).partitions(partitions)
}

/// Which server a scenario runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Product {
    Redis,
    Valkey,
}

impl Product {
    pub(crate) fn options(self) -> Options {
        match self {
            Self::Redis => Options::redis(),
            Self::Valkey => Options::valkey(),
        }
    }

    /// The server that all scenarios share which do nothing to the server itself.
    fn shared(self) -> &'static Server {
        static REDIS: OnceLock<Server> = OnceLock::new();
        static VALKEY: OnceLock<Server> = OnceLock::new();
        match self {
            Self::Redis => REDIS.get_or_init(Server::redis),
            Self::Valkey => VALKEY.get_or_init(Server::valkey),
        }
    }
}

/// A server, or a part of one, with nothing of ours on it.
pub(crate) struct Ground {
    pub(crate) url: String,
    pub(crate) prefix: String,
    alone: Option<Server>,
}

impl Ground {
    /// On the shared server, with keys of its own.
    pub(crate) fn shared(product: Product) -> Self {
        static GROUNDS: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("g{}-", GROUNDS.fetch_add(1, Ordering::Relaxed));
        Self { url: product.shared().url(), prefix, alone: None }
    }

    /// On a server of its own.
    pub(crate) fn alone(options: Options) -> Self {
        let server = Server::start(options);
        Self { url: server.url(), prefix: String::new(), alone: Some(server) }
    }

    /// On somebody else's server, as whoever the URL says.
    pub(crate) fn at(url: String) -> Self {
        Self { url, prefix: String::new(), alone: None }
    }

    /// The server of its own.
    pub(crate) fn server(&mut self) -> &mut Server {
        self.alone.as_mut().expect("only a scenario with a server of its own does something to it")
    }

    /// The app, with nothing in it, told of this place.
    pub(crate) fn app(&self) -> App {
        App::bare("shop").redis(&self.url).setting("key_prefix", &self.prefix)
    }

    /// The app with a short lease: whatever is found when it is renewed is found soon.
    pub(crate) fn quick_app(&self) -> App {
        self.app().setting("default_lock_expiry", "1500ms")
    }

    /// Runs a command past the library. `P/0` in it is the key of partition 0, `OWN/0` that of its fence, `DONE/0` and
    /// `GRPS/0` those of its sets, `META` that of the stream's facts, `MEMB`, `BEAT` and `CTRL` those of the roster.
    pub(crate) fn does<T: FromRedisValue>(&self, command: &str) -> T {
        self.tries(command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    pub(crate) fn tries<T: FromRedisValue>(&self, command: &str) -> RedisResult<T> {
        let mut words = command.split_whitespace().map(|word| self.key(word));
        let mut command = redis::cmd(&words.next().expect("a command has a name"));
        words.for_each(|word| _ = command.arg(word));
        command.query(&mut self.raw())
    }

    /// Appends a raw entry to a partition.
    pub(crate) fn xadd(&self, partition: u32, id: &str, fields: &[(&[u8], &[u8])]) -> EventId {
        self.xadd_to(&self.key(&format!("P/{partition}")), id, fields)
    }

    /// Appends a raw entry to any key.
    pub(crate) fn xadd_to(&self, key: &str, id: &str, fields: &[(&[u8], impl ToRedisArgs)]) -> EventId {
        let mut command = redis::cmd("XADD");
        command.arg(key).arg(id);
        fields.iter().for_each(|(name, value)| _ = command.arg(name).arg(value));
        let id: String = command.query(&mut self.raw()).unwrap();
        id.parse().unwrap()
    }

    pub(crate) fn raw(&self) -> redis::Connection {
        redis::Client::open(self.url.as_str()).unwrap().get_connection().unwrap()
    }

    /// The key that a word of [`Self::does`] stands for; other words stand for themselves.
    pub(crate) fn key(&self, word: &str) -> String {
        let prefix = &self.prefix;
        let (kind, partition) = word.split_once('/').unwrap_or((word, ""));
        let of_partition = |kind: &str| format!("{prefix}__{kind}:{{shop.orders.{partition}}}.{partition}");
        match kind {
            "P" => of_partition("strm"),
            "OWN" => format!("{}.billing", of_partition("own")),
            "DONE" => format!("{}.billing", of_partition("done")),
            "GRPS" => of_partition("grps"),
            "META" => format!("{prefix}__meta:shop.orders"),
            "MEMB" => format!("{prefix}__memb:{{shop.orders.billing}}"),
            "BEAT" => format!("{prefix}__beat:{{shop.orders.billing}}"),
            "CTRL" => format!("{prefix}__ctrl:{{shop.orders.billing}}"),
            _ => word.to_owned(),
        }
    }

    /// The store as the library's own tools see it.
    pub(crate) async fn broker(&self) -> Redis {
        Redis::connect(&RedisUrl::new(&self.url), "shop", &self.prefix, RedisOptions::default()).await.unwrap()
    }

    /// A partition of `orders` as the processor `billing` has it.
    pub(crate) async fn place(&self, partition: u32) -> Place {
        let broker = self.broker().await;
        let declared = async || broker.stream("orders").await.unwrap();
        let stream = eventually_some("the stream is declared", declared).await;
        Place { group: Group { stream: stream.into(), processor: "billing".into() }, partition: Partition(partition) }
    }

    /// The fence of `billing` in a partition, and how far its group is.
    pub(crate) async fn billing_in(&self, partition: u32) -> (Option<FenceFacts>, Option<EventId>) {
        let place = self.place(partition).await;
        let survey = self.broker().await.survey(&place.group.stream).await.unwrap();
        let groups = survey.into_iter().find(|found| found.partition == place.partition).unwrap().groups;
        let billing = groups.into_iter().find(|group| group.name == "billing");
        billing.map_or((None, None), |group| (group.fence, group.position))
    }

    /// Waits until `billing` has settled everything up to this event.
    pub(crate) async fn settled(&self, partition: u32, id: EventId) {
        let what = format!("`billing` settles partition {partition} up to {id}");
        eventually(&what, async || self.billing_in(partition).await.1.is_some_and(|position| position >= id)).await;
    }

    /// Waits until some worker owns the partition.
    pub(crate) async fn owned(&self, partition: u32) {
        let what = format!("partition {partition} has an owner");
        eventually(&what, async || {
            let owner: Option<String> = self.does(&format!("HGET OWN/{partition} owner"));
            let clean: Option<String> = self.does(&format!("HGET OWN/{partition} clean"));
            owner.is_some_and(|owner| !owner.is_empty()) && clean.as_deref() == Some("0")
        })
        .await;
    }

    /// Runs the package's own program on this place, and answers what it printed.
    pub(crate) fn runnel(&self, arguments: &[&str]) -> String {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_runnel"));
        let place = ["--app", "shop", "--redis-url", &self.url, "--key-prefix", &self.prefix];
        let ran = command.args(place).args(arguments).output().unwrap();
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }

    /// How often anything but the time was asked so far, by clients and scripts.
    pub(crate) fn commands(&self) -> u64 {
        let info: redis::InfoDict = self.does("INFO stats");
        info.get::<u64>("total_commands_processed").unwrap() - self.calls_of("time")
    }

    /// Pauses the processor in all partitions, and waits until its workers have let go of them.
    pub(crate) async fn pause(&self) {
        self.runnel(&["processor", "pause", "billing"]);
        eventually("the plan gives no partition to anybody", async || {
            self.does::<Option<String>>("HGET MEMB plan").as_deref() == Some("{}")
        })
        .await;
        // The worker that hears of the plan closes its partitions at once; there is no trace of that outside of it.
        self.a_while(Duration::from_millis(300)).await;
    }

    /// How often this command was run so far.
    pub(crate) fn calls_of(&self, command: &str) -> u64 {
        let info: String = self.does("INFO commandstats");
        let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    }

    /// Waits until the clock of the server shows so much more.
    pub(crate) async fn a_while(&self, time: Duration) {
        let mut connection = self.raw();
        let mut micros = || {
            let (seconds, micros): (u64, u64) = redis::cmd("TIME").query(&mut connection).unwrap();
            seconds * 1_000_000 + micros
        };
        let until = micros() + time.as_micros() as u64;
        eventually("the server's clock goes on", async || micros() >= until).await;
    }
}
