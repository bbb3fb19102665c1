//! Where the summaries lie, so that the next owner of a partition goes on from where the last one stopped.
//!
//! A shelf for each partition: in Redis a hash beside the events, on `memory://` a map in this process. It remembers the
//! highest epoch that has opened it and refuses everybody below: a worker that was paused while another took over its
//! partition wakes up in the middle of storing, and must not put its old summary over the newer one. Storing may be
//! repeated; while Redis is away it waits.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, RedisError, RedisResult, Script, ScriptInvocation};
use runnel::prelude::*;
use runnel::settings::RedisUrl;
use runnel::{Setup, clock};

use super::aircraft::AircraftSummary;
use super::facts::Fleet;

/// How long it waits for a Redis that is away.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between tries.
const PAUSE: Duration = Duration::from_millis(100);
/// No single answer takes longer, unless Redis is in trouble.
const ANSWER: Duration = Duration::from_secs(5);
/// The field that holds the epoch; no aircraft is called so.
const EPOCH: &str = "@epoch";

/// All shelves of one run.
#[derive(Clone)]
pub(crate) struct Summaries(Arc<Place>);

enum Place {
    Memory(Mutex<BTreeMap<Partition, Held>>),
    Redis(Box<Remote>),
}

/// A shelf in this process.
#[derive(Default)]
struct Held {
    epoch: u64,
    aircraft: BTreeMap<String, AircraftSummary>,
}

/// One partition's shelf, opened by the owner of that epoch.
pub(crate) struct Shelf {
    summaries: Summaries,
    partition: Partition,
    epoch: u64,
}

/// A shelf was opened by a later owner.
#[derive(Debug, thiserror::Error)]
#[error("partition {partition} has a newer owner than epoch {epoch}: nothing is stored")]
struct Stale {
    partition: Partition,
    epoch: u64,
}

static HERE: OnceLock<Summaries> = OnceLock::new();

impl Summaries {
    /// Those of a run.
    pub(crate) fn at(url: &RedisUrl, prefix: &str) -> runnel::Result<Self> {
        let place = match url.scheme() {
            "memory" => Place::Memory(Mutex::default()),
            _ => Place::Redis(Box::new(Remote {
                client: Client::open(url.expose())?,
                prefix: prefix.to_owned(),
                connection: tokio::sync::Mutex::default(),
            })),
        };
        Ok(Self(Arc::new(place)))
    }

    /// Holds them for workers in this process.
    pub(crate) fn hold_here(&self) {
        let _ = HERE.set(self.clone());
    }

    /// Those that are held here, or those that a child process was told of by its environment.
    pub(crate) fn of_this_process(setup: &Setup) -> runnel::Result<Self> {
        if let Some(held) = HERE.get() {
            return Ok(held.clone());
        }
        let url = RedisUrl::new(setup.var("RUNNEL_REDIS_URL")?);
        Self::at(&url, &setup.var("RUNNEL_KEY_PREFIX").unwrap_or_default())
    }

    pub(crate) fn shelf(&self, partition: Partition, epoch: u64) -> Shelf {
        Shelf { summaries: self.clone(), partition, epoch }
    }

    /// Everything that lies in the shelves of so many partitions.
    pub(crate) async fn fleet(&self, partitions: u32) -> runnel::Result<Fleet> {
        let mut fleet = Fleet::default();
        for partition in (0..partitions).map(Partition) {
            let aircraft = match &*self.0 {
                Place::Memory(shelves) => {
                    let shelves = shelves.lock().expect("no code panics while it holds this lock");
                    shelves.get(&partition).map(|held| held.aircraft.clone()).unwrap_or_default()
                }
                Place::Redis(remote) => remote.aircraft(LOOK.key(remote.key(partition))).await?,
            };
            aircraft.into_values().for_each(|summary| fleet.merge(summary));
        }
        Ok(fleet)
    }

    /// Removes the shelves of so many partitions.
    pub(crate) async fn erase(&self, partitions: u32) -> runnel::Result {
        match &*self.0 {
            Place::Memory(shelves) => shelves.lock().expect("no code panics while it holds this lock").clear(),
            Place::Redis(remote) => {
                for partition in (0..partitions).map(Partition) {
                    remote.run::<()>(REMOVE.key(remote.key(partition))).await?;
                }
            }
        }
        Ok(())
    }
}

impl Shelf {
    /// What earlier owners stored. From now on none of them can store any more.
    pub(crate) async fn take_over(&self) -> runnel::Result<Fleet> {
        let aircraft = match &*self.summaries.0 {
            Place::Memory(shelves) => self.with(shelves, |held| held.aircraft.clone())?,
            Place::Redis(remote) => {
                let step = self.step(&TAKE_OVER, remote);
                remote.aircraft(step).await.map_err(|error| self.explained(error))?
            }
        };
        let mut fleet = Fleet::default();
        aircraft.into_values().for_each(|summary| fleet.merge(summary));
        Ok(fleet)
    }

    /// Stores what is now known of one aircraft.
    pub(crate) async fn store(&self, summary: &AircraftSummary) -> runnel::Result {
        match &*self.summaries.0 {
            Place::Memory(shelves) => {
                self.with(shelves, |held| _ = held.aircraft.insert(summary.tail.clone(), summary.clone()))
            }
            Place::Redis(remote) => {
                let mut step = self.step(&STORE, remote);
                step.arg(&summary.tail).arg(serde_json::to_vec(summary)?);
                remote.run(step).await.map_err(|error| self.explained(error))
            }
        }
    }

    fn with<T>(
        &self,
        shelves: &Mutex<BTreeMap<Partition, Held>>,
        step: impl FnOnce(&mut Held) -> T,
    ) -> runnel::Result<T> {
        let mut shelves = shelves.lock().expect("no code panics while it holds this lock");
        let held = shelves.entry(self.partition).or_default();
        if held.epoch > self.epoch {
            return Err(self.stale());
        }
        held.epoch = self.epoch;
        Ok(step(held))
    }

    fn step(&self, script: &'static Script, remote: &Remote) -> ScriptInvocation<'static> {
        let mut step = script.key(remote.key(self.partition));
        step.arg(self.epoch);
        step
    }

    fn stale(&self) -> runnel::Error {
        Stale { partition: self.partition, epoch: self.epoch }.into()
    }

    fn explained(&self, error: RedisError) -> runnel::Error {
        if error.code() == Some("STALE") { self.stale() } else { error.into() }
    }
}

// KEYS[1] a shelf, ARGV[1] the epoch of who opens it. Answers the shelf, which is closed to lower epochs from then on.
static TAKE_OVER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if tonumber(redis.call('HGET', KEYS[1], '@epoch') or 0) > tonumber(ARGV[1]) then
           return redis.error_reply('STALE a later owner has opened it')
         end
         redis.call('HSET', KEYS[1], '@epoch', ARGV[1])
         return redis.call('HGETALL', KEYS[1])",
    )
});

// KEYS[1] a shelf, ARGV[1] the epoch of who stores, ARGV[2] and ARGV[3] an aircraft and its summary.
static STORE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if tonumber(redis.call('HGET', KEYS[1], '@epoch') or 0) > tonumber(ARGV[1]) then
           return redis.error_reply('STALE a later owner has opened it')
         end
         redis.call('HSET', KEYS[1], '@epoch', ARGV[1], ARGV[2], ARGV[3])
         return redis.status_reply('OK')",
    )
});

static LOOK: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('HGETALL', KEYS[1])"));
static REMOVE: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('DEL', KEYS[1])"));

/// The shelves in Redis.
struct Remote {
    client: Client,
    prefix: String,
    connection: tokio::sync::Mutex<Option<MultiplexedConnection>>,
}

impl Remote {
    fn key(&self, partition: Partition) -> String {
        format!("{}summaries:{partition}", self.prefix)
    }

    async fn aircraft(&self, step: ScriptInvocation<'_>) -> RedisResult<BTreeMap<String, AircraftSummary>> {
        let fields: BTreeMap<String, Vec<u8>> = self.run(step).await?;
        let summaries = fields.into_iter().filter(|(tail, _)| tail != EPOCH);
        summaries
            .map(|(tail, stored)| {
                let summary = serde_json::from_slice(&stored).map_err(std::io::Error::other)?;
                Ok((tail, summary))
            })
            .collect()
    }

    /// Runs a step until it is answered. Every step may be repeated: a lost answer does no harm.
    async fn run<T: FromRedisValue>(&self, step: ScriptInvocation<'_>) -> RedisResult<T> {
        let patience = clock::now() + PATIENCE;
        loop {
            let answer = match self.connection().await {
                Ok(mut connection) => step.invoke_async(&mut connection).await,
                Err(error) => Err(error),
            };
            match answer {
                Err(error) if is_away(&error) && clock::now() < patience => {
                    self.connection.lock().await.take();
                    clock::sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = &*kept {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(kept.insert(connection).clone())
    }
}

fn is_away(error: &RedisError) -> bool {
    let is_starting = matches!(error.code(), Some("LOADING" | "BUSY" | "MASTERDOWN" | "READONLY"));
    error.is_io_error() || error.is_timeout() || error.is_connection_dropped() || is_starting
}
