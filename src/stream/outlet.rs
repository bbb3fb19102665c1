//! The way into one stream: place, wait for room, append.
//!
//! Promises: an id that was answered is in Redis; entries of one partition that one caller sends keep their order; what
//! may or may not have arrived is never sent again. A full partition holds back only those who send to it.
//! The size of a partition is a soft limit: what is in flight may exceed it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesOrdered;

use crate::broker::{Appended, Broker, BrokerError, NewEntry, StreamRef, Trimmed};
use crate::clock::{self, Instant};
use crate::error::{Doing, Failure};
use crate::event::{EventId, Fields, Partition};
use crate::route::{Key, Partitioner};
use crate::settings::{OnFull, Settings};

use super::pump::Pump;
use super::{StreamSpec, facts};

/// Entries of one pipeline of `send_all`.
const CHUNK: usize = 128;
/// Its bytes: it is full with the entry that reaches them. Else large records would make pipelines of gigabytes, which
/// no server takes in before our patience ends.
const CHUNK_BYTES: usize = 1 << 20;
/// Pipelines of one `send_all` on their way at once.
const CHUNKS_IN_FLIGHT: usize = 4;

/// Sends entries to one stream.
pub(crate) struct Outlet {
    road: Arc<Road>,
    partitioner: Partitioner,
    on_full: OnFull,
    timeout: Duration,
    size: u64,
    pump: Pump,
}

/// What every append passes: the broker, and how full we believe each partition to be.
pub(super) struct Road {
    pub(super) stream: StreamRef,
    pub(super) broker: Arc<dyn Broker>,
    levels: Vec<Level>,
}

#[derive(Default)]
struct Level {
    /// Entries after the last answered append.
    stored: AtomicU64,
    /// Entries on their way.
    flying: AtomicU64,
    /// One sender at a time looks whether there is room again.
    looking: tokio::sync::Mutex<()>,
}

impl Road {
    fn level(&self, partition: Partition) -> &Level {
        &self.levels[partition.0 as usize]
    }

    /// Appends, and remembers how full the partitions are afterwards.
    pub(super) async fn append(&self, entries: Vec<NewEntry>) -> Result<Appended, BrokerError> {
        let flying = Flying::over(self, &entries);
        let answer = self.broker.append(&self.stream, entries).await;
        drop(flying);
        if let Ok(appended) = &answer {
            for (partition, length) in &appended.lengths {
                self.level(*partition).stored.store(*length, Ordering::Relaxed);
            }
        }
        answer
    }
}

/// Counts entries as on their way until it is dropped, also when the send is.
struct Flying<'a> {
    road: &'a Road,
    partitions: Vec<Partition>,
}

impl<'a> Flying<'a> {
    fn over(road: &'a Road, entries: &[NewEntry]) -> Self {
        let partitions: Vec<_> = entries.iter().map(|e| e.partition).collect();
        partitions.iter().for_each(|p| _ = road.level(*p).flying.fetch_add(1, Ordering::Relaxed));
        Self { road, partitions }
    }
}

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        self.partitions.iter().for_each(|p| _ = self.road.level(*p).flying.fetch_sub(1, Ordering::Relaxed));
    }
}

impl Outlet {
    /// Declares the stream, or finds that this process agrees with what is in Redis.
    pub(super) async fn open(
        spec: &StreamSpec,
        broker: Arc<dyn Broker>,
        settings: &Settings,
    ) -> Result<Arc<Self>, Failure> {
        let ours = facts::declared(spec, settings)?;
        let theirs = broker.declare(&ours).await.doing(|| format!("look up stream `{}`", ours.name))?;
        facts::agree(&ours, &theirs)?;
        if ours.codec != theirs.codec {
            tracing::warn!(stream = %ours.name, ours = %ours.codec, declared = %theirs.codec,
                "this process writes the stream with another codec than the one that declared it");
        }
        let levels = (0..theirs.partitions).map(|_| Level::default()).collect();
        let stream = if spec.holds_letters { theirs.dead_letters() } else { theirs };
        let road = Arc::new(Road { stream: Arc::new(stream), broker, levels });
        Ok(Arc::new(Self {
            pump: Pump::start(road.clone()),
            road,
            partitioner: facts::partitioner(spec, settings)?,
            on_full: spec.on_full.unwrap_or(settings.on_full),
            timeout: spec.send_timeout.unwrap_or(settings.send_timeout),
            size: spec.partition_size.unwrap_or(settings.default_partition_size),
        }))
    }

    pub(crate) fn stream(&self) -> &StreamRef {
        &self.road.stream
    }

    /// The entry for a record of that key.
    pub(crate) fn entry(&self, key: Key, fields: Fields, id: Option<EventId>) -> Result<NewEntry, Failure> {
        let partition = self.partitioner.place(&key, self.stream().partitions).map_err(|error| {
            Failure::Invalid(format!("a record of stream `{}` cannot be placed: {error}", self.stream().name))
        })?;
        if fields.is_empty() {
            return Err(Failure::Invalid(format!(
                "a record of stream `{}` has no fields: Redis keeps no empty entries",
                self.stream().name
            )));
        }
        if let Some((name, _)) = fields.iter().find(|(name, _)| name.starts_with(b"__")) {
            return Err(Failure::Invalid(format!(
                "a record of stream `{}` has a field `{}`: names that begin with `__` are runnel's own",
                self.stream().name,
                name.escape_ascii()
            )));
        }
        Ok(NewEntry { partition, id, fields })
    }

    /// Appends one entry, in a pipeline with whatever else is being sent.
    pub(crate) async fn send(&self, entry: NewEntry) -> Result<EventId, Failure> {
        let deadline = clock::now() + self.timeout;
        let mut patience = Patience::until(deadline);
        loop {
            self.wait_for_room(entry.partition, deadline).await?;
            match self.pump.send(entry.clone()).await {
                Ok(id) => return Ok(id),
                Err(error) => patience.after(error).await.doing(|| self.doing())?,
            }
        }
    }

    /// Appends entries in their order, in pipelines.
    pub(crate) async fn send_all(&self, entries: Vec<NewEntry>) -> Result<Vec<EventId>, Failure> {
        let total = entries.len();
        let mut ids = Vec::with_capacity(total);
        let mut waiting = entries.into_iter();
        let mut flying = FuturesOrdered::new();
        loop {
            while flying.len() < CHUNKS_IN_FLIGHT {
                let chunk = next_chunk(&mut waiting);
                if chunk.is_empty() {
                    break;
                }
                let mut sent = Box::pin(self.send_chunk(chunk));
                // Polled here, so that pipelines reach the connection in the order of the entries.
                match futures::poll!(&mut sent) {
                    std::task::Poll::Ready(done) => {
                        flying.push_back(futures::future::Either::Left(std::future::ready(done)))
                    }
                    std::task::Poll::Pending => flying.push_back(futures::future::Either::Right(sent)),
                }
            }
            match flying.next().await {
                Some(done) => {
                    ids.extend(done.map_err(|failure| partly(failure, ids.len(), total, &self.stream().name))?)
                }
                None => return Ok(ids),
            }
        }
    }

    /// One pipeline. What was certainly not appended is tried again, as long as that keeps the order.
    async fn send_chunk(&self, chunk: Vec<NewEntry>) -> Result<Vec<EventId>, Failure> {
        let deadline = clock::now() + self.timeout;
        let mut patience = Patience::until(deadline);
        let mut ids: Vec<Option<EventId>> = vec![None; chunk.len()];
        loop {
            let open: Vec<usize> = (0..chunk.len()).filter(|&i| ids[i].is_none()).collect();
            let partitions: BTreeSet<Partition> = open.iter().map(|&i| chunk[i].partition).collect();
            for partition in partitions {
                self.wait_for_room(partition, deadline).await?;
            }
            let answer = self.road.append(open.iter().map(|&i| chunk[i].clone()).collect()).await;
            let refused = match answer {
                Err(error) => Refusal::Open(error),
                Ok(appended) => settle(&open, appended, &chunk, &mut ids),
            };
            match refused {
                Refusal::None => return Ok(ids.into_iter().flatten().collect()),
                Refusal::Open(error) => patience.after(error).await.doing(|| self.doing())?,
                Refusal::Final(error) => return Err(error).doing(|| self.doing()),
            }
        }
    }

    fn doing(&self) -> String {
        format!("send to stream `{}`", self.stream().name)
    }

    async fn wait_for_room(&self, partition: Partition, deadline: Instant) -> Result<(), Failure> {
        let level = self.road.level(partition);
        let is_full = || level.stored.load(Ordering::Relaxed) + level.flying.load(Ordering::Relaxed) >= self.size;
        if !is_full() {
            return Ok(());
        }
        let _one_at_a_time = level.looking.lock().await;
        let mut pause = Duration::from_millis(2);
        while is_full() {
            if self.make_room(partition).await? {
                continue;
            }
            if self.on_full == OnFull::Fail || clock::now() >= deadline {
                return Err(self.full(partition).await);
            }
            clock::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Trims what is settled, or drops the oldest if that was asked for. Answers whether there may be room now.
    async fn make_room(&self, partition: Partition) -> Result<bool, Failure> {
        let broker = &self.road.broker;
        let level = self.road.level(partition);
        let cut = match self.on_full {
            OnFull::DropOldest => {
                broker.drop_oldest(self.stream(), partition, self.size.saturating_sub(CHUNK as u64)).await
            }
            OnFull::Wait | OnFull::Fail => broker.trim(self.stream(), partition).await.map(|trimmed| match trimmed {
                Trimmed::Cut { entries, .. } => entries,
                Trimmed::Held { .. } => 0,
            }),
        };
        match cut {
            Ok(cut) => {
                let _ =
                    level.stored.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(n.saturating_sub(cut)));
                Ok(cut > 0)
            }
            Err(error) if error.is_transient() => Ok(false),
            Err(error) => Err(error).doing(|| format!("make room in stream `{}`", self.stream().name)),
        }
    }

    /// Says who holds the partition back.
    async fn full(&self, partition: Partition) -> Failure {
        let name = &self.stream().name;
        let survey = self.road.broker.survey(self.stream()).await.unwrap_or_default();
        let groups = survey.into_iter().find(|p| p.partition == partition).map(|p| p.groups).unwrap_or_default();
        let slowest = groups.iter().min_by_key(|g| g.position.unwrap_or_default());
        let advice = match slowest {
            None => "no processor has ever read it: start a worker, or make the stream larger with partition_size"
                .to_owned(),
            Some(group) => {
                let stop = group.fence.as_ref().and_then(|f| f.stop.as_ref());
                let state =
                    stop.map_or_else(String::new, |s| format!(", {:?} at event {}", s.kind, s.at).to_lowercase());
                format!(
                    "processor `{}` holds it back{state}: start or repair its workers, `processor forget {}` if it is gone for good, \
                     or make the stream larger with partition_size",
                    group.name, group.name
                )
            }
        };
        let waited = if self.on_full == OnFull::Fail { String::new() } else { format!(" for {:?}", self.timeout) };
        Failure::Full(format!(
            "partition {partition} of stream `{name}` is full ({} events){waited}; {advice}",
            self.size
        ))
    }
}

/// The next entries that go in one pipeline; none when there are no more.
fn next_chunk(waiting: &mut impl Iterator<Item = NewEntry>) -> Vec<NewEntry> {
    let mut chunk = Vec::new();
    let mut bytes = 0;
    while chunk.len() < CHUNK && bytes < CHUNK_BYTES {
        let Some(entry) = waiting.next() else { break };
        bytes += entry.fields.size();
        chunk.push(entry);
    }
    chunk
}

/// Why entries of a pipeline are left.
enum Refusal {
    None,
    /// They may be sent again, if waiting can help.
    Open(BrokerError),
    /// A later entry of their partition is in: sending them again would put them behind it.
    Final(BrokerError),
}

/// Takes over the ids of a pipeline.
fn settle(open: &[usize], appended: Appended, chunk: &[NewEntry], ids: &mut [Option<EventId>]) -> Refusal {
    let mut refused: Option<BrokerError> = None;
    let mut passed_over = BTreeSet::new();
    let mut order_broken = false;
    for (&i, answer) in open.iter().zip(appended.ids) {
        match answer {
            Ok(id) => {
                ids[i] = Some(id);
                order_broken |= passed_over.contains(&chunk[i].partition);
            }
            Err(error) => {
                passed_over.insert(chunk[i].partition);
                // The first reason that cannot be waited out wins.
                if refused.as_ref().is_none_or(BrokerError::is_transient) {
                    refused = Some(error);
                }
            }
        }
    }
    match refused {
        None => Refusal::None,
        Some(error) if order_broken => Refusal::Final(error),
        Some(error) => Refusal::Open(error),
    }
}

/// Tells how much of a batch is certainly in.
fn partly(failure: Failure, sent: usize, total: usize, stream: &str) -> Failure {
    match failure {
        Failure::Broker { source, .. } => Failure::Broker {
            doing: format!(
                "send all of a batch to stream `{stream}` (at least the first {sent} of {total} records are in)"
            ),
            source,
        },
        other => other,
    }
}

/// Waits out what waiting can help with, until the deadline.
struct Patience {
    deadline: Instant,
    pause: Duration,
}

impl Patience {
    fn until(deadline: Instant) -> Self {
        Self { deadline, pause: Duration::from_millis(10) }
    }

    /// Gives the error back if it must not or need not be tried again.
    async fn after(&mut self, error: BrokerError) -> Result<(), BrokerError> {
        if !error.is_transient() || !error.is_certain() || clock::now() + self.pause >= self.deadline {
            return Err(error);
        }
        clock::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(Duration::from_millis(500));
        Ok(())
    }
}
