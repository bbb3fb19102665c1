//! The store that is a Redis or Valkey server.
//!
//! Commands and scripts go over one connection that all share ([`connection`]), reading over a few of their own
//! ([`reader`]). What must be one atomic step is one script in `scripts/`; all keys of one place lie in one cluster
//! slot ([`keys`]). So far it speaks to a single server.

mod asking;
mod connection;
mod durable;
mod erase;
mod keys;
mod leadership;
mod letters;
mod ownership;
pub(crate) mod reader;
pub(crate) mod records;
mod reply;
mod roster;
mod runs;
mod scripts;
mod server;
mod streams;
mod survey;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use redis::Value;
use tokio::sync::watch;

use self::connection::{Connection, Patience};
use self::durable::Durable;
use self::keys::Keys;
use self::reader::{Reader, Unblock};
use self::target::Target;
use super::{
    Acquire, Acquired, Appended, Begun, Bidden, Broker, BrokerError, Claim, Claimed, Commit, Committed, Fence,
    Forgotten, Generation, Group, Intervention, JobEntry, JobStop, LeaderEntry, Mark, NewEntry, OpenRun,
    PartitionSurvey, Place, Renew, Renewed, Retried, Roll, ServerFacts, Source, Standing, Stop, StreamFacts, StreamRef,
    Swapped, Term, Trimmed, WorkerEntry,
};
use crate::clock::UnixMs;
use crate::event::{Entry, EventId, Fields, Partition};
use crate::settings::{Durability, RedisUrl};

/// How to speak to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisOptions {
    /// How long a connection may take to stand and be greeted. Default: 1.5 s.
    pub connect_timeout: Duration,
    /// How long an answer may take. Past it nobody knows whether the question was heard. Together with the time to
    /// connect this is how long a black hole can hold us up. Default: 3 s.
    pub answer_timeout: Duration,
    /// Connections that wait for events. Default: 16.
    pub pool_size: u32,
    /// How long one blocking read may last. Default: 2 s.
    pub read_timeout: Duration,
    /// When an append counts as acknowledged. Default: when the server has answered.
    pub durability: Durability,
    /// How long an append may wait for the rest of its durability. Default: 2 s.
    pub durable_within: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_millis(1500),
            answer_timeout: Duration::from_secs(3),
            pool_size: 16,
            read_timeout: Duration::from_secs(2),
            durability: Durability::Acked,
            durable_within: Duration::from_secs(2),
        }
    }
}

/// One app's keys on one server.
pub struct Redis {
    connection: Arc<Connection>,
    /// The way of appends that must be safer than acknowledged.
    durable: Option<Durable>,
    reader: Reader,
    /// The reading connections' reconnects up to which the server is known to be the same.
    verified: AtomicU64,
    keys: Keys,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("connection", &self.connection).field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects, trying once. Later it reconnects by itself, with each question that finds no connection.
    ///
    /// `app` is part of every key, `prefix` stands before all.
    pub async fn connect(url: &RedisUrl, app: &str, prefix: &str, options: RedisOptions) -> Result<Self, BrokerError> {
        let patience = Patience { connect: options.connect_timeout, answer: options.answer_timeout };
        let connection = Arc::new(Connection::open(Target::read(url)?, patience).await?);
        let durable = Durable::open(connection.target(), patience, options.durability, options.durable_within).await?;
        let Target { info, address } = connection.target().clone();
        let pool_size = options.pool_size.max(1) as usize;
        let unblock: Arc<dyn Unblock> = connection.clone();
        let reader = Reader::new(info, address, pool_size, options.read_timeout, unblock);
        Ok(Self { connection, durable, reader, verified: AtomicU64::new(0), keys: Keys::new(prefix, app) })
    }

    /// Err: what was read may not follow what was read before.
    async fn verify_before_read(&self, reconnects: u64) -> Result<(), BrokerError> {
        let changes = self.connection.changes();
        self.connection.verify().await?;
        self.verified.store(reconnects, Ordering::SeqCst);
        match changes.has_changed().unwrap_or(true) {
            true => Err(BrokerError::Unclear { address: self.address(), doing: "reading events" }),
            false => Ok(()),
        }
    }

    fn key_of(&self, source: &Source) -> Arc<str> {
        match source {
            Source::Partition(stream, partition) => self.keys.partition(stream, *partition).into(),
            Source::Bell(group) => self.keys.bell(group).into(),
        }
    }
}

/// One partition of a stream for the processor of that name.
fn place(stream: &StreamRef, partition: Partition, processor: &str) -> Place {
    Place { group: Group { stream: stream.clone(), processor: processor.into() }, partition }
}

#[async_trait]
impl Unblock for Connection {
    async fn unblock(&self, client_id: i64) -> Result<bool, BrokerError> {
        let mut question = redis::cmd("CLIENT");
        question.arg("UNBLOCK").arg(client_id);
        Ok(matches!(self.ask("waking a read", &question).await?, Value::Int(1)))
    }
}

#[async_trait]
impl Broker for Redis {
    fn address(&self) -> String {
        self.connection.target().address.clone()
    }

    async fn server(&self) -> Result<ServerFacts, BrokerError> {
        server::server(&self.connection).await
    }

    fn server_changes(&self) -> watch::Receiver<u64> {
        self.connection.changes()
    }

    async fn declare(&self, facts: &StreamFacts) -> Result<StreamFacts, BrokerError> {
        streams::declare(self, facts).await
    }

    async fn stream(&self, name: &str) -> Result<Option<StreamFacts>, BrokerError> {
        streams::stream(self, name).await
    }

    async fn streams(&self) -> Result<Vec<String>, BrokerError> {
        streams::streams(self).await
    }

    async fn append(&self, stream: &StreamRef, entries: Vec<NewEntry>) -> Result<Appended, BrokerError> {
        streams::append(self, stream, entries).await
    }

    async fn read(
        &self,
        source: &Source,
        after: EventId,
        count: usize,
        flowing: bool,
    ) -> Result<Vec<Entry>, BrokerError> {
        let entries = self.reader.read(&self.key_of(source), after, count, flowing).await?;
        // A reading connection that was made anew may have met another server before the commands did, and so may a
        // new one while theirs is lost. What was read there must not pass for a continuation of what was read before.
        let reconnects = *self.reader.reconnects().borrow();
        if self.verified.load(Ordering::SeqCst) != reconnects || !self.connection.stands() {
            // On the heap: it is rare, and every partition that waits for events would have room for it.
            Box::pin(self.verify_before_read(reconnects)).await?;
        }
        Ok(entries)
    }

    async fn range(
        &self,
        stream: &StreamRef,
        partition: Partition,
        from: EventId,
        to: EventId,
        count: usize,
        backwards: bool,
    ) -> Result<Vec<Entry>, BrokerError> {
        streams::range(self, stream, partition, (from, to), count, backwards).await
    }

    async fn trim(&self, stream: &StreamRef, partition: Partition) -> Result<Trimmed, BrokerError> {
        streams::trim(self, stream, partition).await
    }

    async fn drop_oldest(&self, stream: &StreamRef, partition: Partition, keep: u64) -> Result<u64, BrokerError> {
        streams::drop_oldest(self, stream, partition, keep).await
    }

    async fn survey(&self, stream: &StreamRef) -> Result<Vec<PartitionSurvey>, BrokerError> {
        survey::survey(self, stream).await
    }

    async fn register(&self, group: &Group) -> Result<(), BrokerError> {
        ownership::register(self, group).await
    }

    async fn acquire(&self, wish: &Acquire) -> Result<Acquired, BrokerError> {
        ownership::acquire(self, wish).await
    }

    async fn commit(&self, commits: &[Commit]) -> Vec<Result<Committed, BrokerError>> {
        ownership::commit(self, commits).await
    }

    async fn renew(&self, renewals: &[Renew]) -> Vec<Result<Renewed, BrokerError>> {
        ownership::renew(self, renewals).await
    }

    async fn release(&self, place: &Place, fence: &Fence, mark: Option<&Mark>) -> Result<bool, BrokerError> {
        ownership::release(self, place, fence, mark).await
    }

    async fn intervene(&self, place: &Place, change: &Intervention) -> Result<EventId, BrokerError> {
        ownership::intervene(self, place, change).await
    }

    async fn forget(&self, group: &Group) -> Result<Forgotten, BrokerError> {
        ownership::forget(self, group).await
    }

    async fn beat(&self, group: &Group, member: &str, ttl: Duration, known: Option<u64>) -> Result<Roll, BrokerError> {
        roster::beat(self, group, member, ttl, known).await
    }

    async fn swap(
        &self,
        group: &Group,
        expected: u64,
        plan: &str,
        reap: &[String],
        reason: &str,
    ) -> Result<Swapped, BrokerError> {
        roster::swap(self, group, expected, plan, reap, reason).await
    }

    async fn leave(&self, group: &Group, member: &str) -> Result<(), BrokerError> {
        roster::leave(self, group, member).await
    }

    async fn note_stopped(&self, group: &Group, partition: Partition, stop: Option<&Stop>) -> Result<(), BrokerError> {
        roster::note_stopped(self, group, partition, stop).await
    }

    async fn announce(
        &self,
        worker: &str,
        standing: Standing,
        ttl: Duration,
        about: &str,
    ) -> Result<UnixMs, BrokerError> {
        roster::announce(self, worker, standing, ttl, about).await
    }

    async fn depart(&self, worker: &str) -> Result<(), BrokerError> {
        roster::depart(self, worker).await
    }

    async fn workers(&self) -> Result<Vec<WorkerEntry>, BrokerError> {
        roster::workers(self).await
    }

    async fn retry_letters(
        &self,
        stream: &StreamRef,
        partition: Partition,
        letters: &[EventId],
    ) -> Result<Vec<Retried>, BrokerError> {
        letters::retry(self, stream, partition, letters).await
    }

    async fn drop_letters(
        &self,
        stream: &StreamRef,
        partition: Partition,
        letters: &[EventId],
    ) -> Result<u64, BrokerError> {
        letters::drop_letters(self, stream, partition, letters).await
    }

    async fn enroll(&self, worker: &str, ttl: Duration, version: &str) -> Result<Generation, BrokerError> {
        leadership::enroll(self, worker, ttl, version).await
    }

    async fn bid(&self, worker: &str, ttl: Duration) -> Result<Bidden, BrokerError> {
        leadership::bid(self, worker, ttl).await
    }

    async fn resign(&self, worker: &str, term: Term) -> Result<bool, BrokerError> {
        leadership::resign(self, worker, term).await
    }

    async fn leader(&self) -> Result<Option<LeaderEntry>, BrokerError> {
        leadership::leader(self).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, BrokerError> {
        leadership::claim(self, claim).await
    }

    async fn close(&self, claim: &Claim) -> Result<bool, BrokerError> {
        leadership::close(self, claim).await
    }

    async fn jobs(&self) -> Result<Vec<JobEntry>, BrokerError> {
        leadership::jobs(self).await
    }

    async fn stop_job(&self, job: &str, stop: Option<&JobStop>) -> Result<bool, BrokerError> {
        leadership::stop_job(self, job, stop).await
    }

    async fn begin_run(
        &self,
        stream: &StreamRef,
        partition: Partition,
        run: &OpenRun,
        event: &Fields,
        limit: u64,
    ) -> Result<Begun, BrokerError> {
        runs::begin_run(self, stream, partition, run, event, limit).await
    }

    async fn end_run(
        &self,
        stream: &StreamRef,
        partition: Partition,
        run: &OpenRun,
        event: &Fields,
    ) -> Result<bool, BrokerError> {
        runs::end_run(self, stream, partition, run, event).await
    }

    async fn open_runs(&self, stream: &StreamRef) -> Result<Vec<(Partition, OpenRun)>, BrokerError> {
        runs::open_runs(self, stream).await
    }

    async fn erase(&self) -> Result<u64, BrokerError> {
        erase::erase(self).await
    }
}
