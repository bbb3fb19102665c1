//! The state of an app, and what happens to its streams: pure data and synchronous steps.
//!
//! Each step is atomic as one script or command of Redis is, takes the server's time as an argument and knows neither
//! waiting nor faults. Ownership is in [`acquire`](super::acquire) and [`ownership`](super::ownership), membership in
//! [`membership`](super::membership), leadership in [`leadership`](super::leadership). Every map is ordered: the same steps give the same answers in every run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{
    BrokerError, DEAD, Epoch, FenceFacts, Front, Group, GroupSurvey, NewEntry, PartitionSurvey, Source, Stop,
    StreamFacts, StreamRef, Trimmed,
};
use crate::clock::UnixMs;
use crate::event::{Entry, EventId, Partition};

use super::ADDRESS;
use super::history::{History, Step};
use super::leadership::Fleet;
use super::log::Log;
use super::membership::{Roster, Workers};
use super::runs::Over;

/// The server's clock, in microseconds as Redis tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServerTime {
    pub(super) micros: u64,
}

impl ServerTime {
    pub(super) fn ms(self) -> UnixMs {
        self.micros / 1000
    }

    /// The time at which something ends that lasts so long from now.
    pub(super) fn plus(self, time: Duration) -> UnixMs {
        self.ms().saturating_add(whole_ms(time))
    }
}

/// A duration as scripts get it.
pub(super) fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Everything of one app.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) streams: BTreeMap<String, StreamData>,
    pub(super) workers: Workers,
    pub(super) fleet: Fleet,
    pub(super) history: History,
    /// What got new entries since the waiting readers were last woken.
    pub(super) arrivals: Vec<Inbox>,
}

/// What a reader may wait for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Inbox {
    Partition(String, Partition),
    Bell(String, String),
}

impl From<&Source> for Inbox {
    fn from(source: &Source) -> Self {
        match source {
            Source::Partition(stream, partition) => Self::Partition(stream.name.clone(), *partition),
            Source::Bell(group) => Self::Bell(group.stream.name.clone(), group.processor.to_string()),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct StreamData {
    facts: Option<StreamFacts>,
    pub(super) partitions: BTreeMap<Partition, PartitionData>,
    pub(super) rosters: BTreeMap<String, Roster>,
}

/// What lies in the slot of one partition.
#[derive(Clone, Debug, Default)]
pub(super) struct PartitionData {
    /// Absent until something is appended or a group is made.
    pub(super) log: Option<Log>,
    /// Processors that retention must respect.
    pub(super) registered: BTreeSet<String>,
    pub(super) fences: BTreeMap<String, FenceState>,
    pub(super) done: BTreeMap<String, BTreeSet<EventId>>,
    /// Runs that have begun and not ended: run id -> entry. Of the task log only.
    pub(super) open_runs: BTreeMap<Arc<str>, Arc<str>>,
    /// Those that are over: they do not begin again.
    pub(super) over: Over,
}

/// The fence of one processor in one partition.
#[derive(Clone, Debug, Default)]
pub(super) struct FenceState {
    /// The nonce of the owner, if there is one.
    pub(super) owner: Option<Arc<str>>,
    pub(super) worker: String,
    pub(super) epoch: Epoch,
    pub(super) until: UnixMs,
    /// For how long the lease was given; none before the first.
    pub(super) ttl: Option<u64>,
    /// The number of the owner's last commit.
    pub(super) n: u64,
    /// Our own copy of the group's position; none if there never was an owner.
    pub(super) position: Option<EventId>,
    pub(super) entries_read: Option<u64>,
    pub(super) seen: EventId,
    pub(super) front: Option<Front>,
    /// The last owner released, or was fenced out by an operator.
    pub(super) clean: bool,
    /// The owner now took over from one that did not release.
    pub(super) unclean: bool,
    /// The nonce that released last.
    pub(super) released: Option<Arc<str>>,
    pub(super) stop: Option<Stop>,
}

impl Store {
    pub(super) fn stream_data(&mut self, name: &str) -> &mut StreamData {
        if !self.streams.contains_key(name) {
            self.streams.insert(name.to_owned(), StreamData::default());
        }
        self.streams.get_mut(name).expect("it was made above if it was not there")
    }

    pub(super) fn partition(&mut self, stream: &str, partition: Partition) -> &mut PartitionData {
        self.stream_data(stream).partitions.entry(partition).or_default()
    }

    pub(super) fn log(&self, stream: &str, partition: Partition) -> Option<&Log> {
        self.streams.get(stream)?.partitions.get(&partition)?.log.as_ref()
    }

    pub(super) fn register(&mut self, group: &Group) {
        for partition in (0..group.stream.partitions).map(Partition) {
            let data = self.partition(&group.stream.name, partition);
            data.registered.insert(group.processor.to_string());
        }
    }

    pub(super) fn declare(&mut self, facts: &StreamFacts, now: ServerTime) -> Result<StreamFacts, BrokerError> {
        facts.refuse_letters(ADDRESS, "declaring a stream")?;
        let held = &mut self.stream_data(&facts.name).facts;
        Ok(held.get_or_insert_with(|| StreamFacts { created: now.ms(), ..facts.clone() }).clone())
    }

    pub(super) fn facts(&self, name: &str) -> Option<StreamFacts> {
        match name.strip_suffix(DEAD) {
            // Letters have no facts of their own.
            Some(stream) => Some(self.streams.get(stream)?.facts.as_ref()?.dead_letters()),
            None => self.streams.get(name)?.facts.clone(),
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.streams.iter().filter(|(_, data)| data.facts.is_some()).map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn append(
        &mut self,
        stream: &StreamRef,
        entry: NewEntry,
        now: ServerTime,
    ) -> Result<EventId, BrokerError> {
        let fields = entry.fields.clone();
        let data = self.partition(&stream.name, entry.partition);
        let mut fresh = None;
        let log = data.log.as_mut().unwrap_or_else(|| fresh.get_or_insert_default());
        let id = log.append(entry.id, entry.fields, now.ms()).map_err(|message| BrokerError::Refused {
            address: ADDRESS.into(),
            doing: "appending entries",
            code: "ERR".into(),
            message: message.into(),
        })?;
        // A stream begins with its first entry: one that is refused makes none.
        data.log = data.log.take().or(fresh);
        let (stream, partition) = (stream.name.clone(), entry.partition);
        self.arrivals.push(Inbox::Partition(stream.clone(), partition));
        self.history.record(|| Step::Appended { stream, partition, id, fields, at: now.ms() });
        Ok(id)
    }

    pub(super) fn length(&self, stream: &str, partition: Partition) -> u64 {
        self.log(stream, partition).map_or(0, Log::len)
    }

    pub(super) fn read(&self, source: &Source, after: EventId, count: usize) -> Vec<Entry> {
        let log = match source {
            Source::Partition(stream, partition) => self.log(&stream.name, *partition),
            Source::Bell(group) => self
                .streams
                .get(&group.stream.name)
                .and_then(|data| data.rosters.get(&*group.processor))
                .map(Roster::bell),
        };
        log.map_or_else(Vec::new, |log| log.after(after, count))
    }

    pub(super) fn range(
        &self,
        stream: &str,
        partition: Partition,
        (from, to): (EventId, EventId),
        count: usize,
        backwards: bool,
    ) -> Vec<Entry> {
        self.log(stream, partition).map_or_else(Vec::new, |log| log.range(from, to, count, backwards))
    }

    pub(super) fn trim(&mut self, stream: &str, partition: Partition, now: ServerTime) -> Trimmed {
        let data = self.partition(stream, partition);
        let before = match data.settled_by_all() {
            Ok(before) => before,
            Err(reason) => return Trimmed::Held { reason },
        };
        let ids = data.log.as_mut().map_or_else(Vec::new, |log| log.cut_before(before));
        let entries = ids.len() as u64;
        self.history.record(|| Step::Trimmed { stream: stream.into(), partition, ids, at: now.ms() });
        Trimmed::Cut { entries, before }
    }

    pub(super) fn drop_oldest(&mut self, stream: &str, partition: Partition, keep: u64, now: ServerTime) -> u64 {
        let log = self.partition(stream, partition).log.as_mut();
        let ids = log.map_or_else(Vec::new, |log| log.keep_newest(keep));
        let entries = ids.len() as u64;
        self.history.record(|| Step::Dropped { stream: stream.into(), partition, ids, at: now.ms() });
        entries
    }

    pub(super) fn survey(&self, stream: &StreamRef) -> Vec<PartitionSurvey> {
        let empty = PartitionData::default();
        let data = self.streams.get(&stream.name);
        let of = |partition| data.and_then(|data| data.partitions.get(&partition)).unwrap_or(&empty);
        (0..stream.partitions).map(Partition).map(|partition| of(partition).survey(partition)).collect()
    }

    /// Removes everything. Answers how many streams, fences, done sets, registrations, rosters, workers
    /// and books of the fleet that were.
    pub(super) fn erase(&mut self, now: ServerTime) -> u64 {
        let mut gone = self.workers.len() + std::mem::take(&mut self.fleet).keys();
        for data in std::mem::take(&mut self.streams).into_values() {
            gone += usize::from(data.facts.is_some()) + data.rosters.len();
            gone += data.partitions.values().map(PartitionData::keys).sum::<usize>();
        }
        self.workers = Workers::default();
        self.history.record(|| Step::Flushed { at: now.ms() });
        gone as u64
    }
}

impl PartitionData {
    /// The highest id before which every group has settled everything, or who keeps us from knowing it.
    fn settled_by_all(&self) -> Result<EventId, String> {
        let log = self.log.as_ref().ok_or("nothing was ever sent to it, and nobody reads it")?;
        if let Some(name) = self.registered.iter().find(|name| !log.groups.contains_key(*name)) {
            return Err(format!("the consumer group of processor `{name}` is missing"));
        }
        let mut lowest = None;
        for (name, group) in &log.groups {
            let mut position = group.position;
            if self.registered.contains(name) {
                // A cursor group has no consumers: with some, its position says nothing about what was processed.
                if !group.consumers.is_empty() {
                    return Err(format!("foreign consumers read in the group of processor `{name}`"));
                }
                // A group that was moved ahead is not believed: our own copy of the position is.
                let own = self.fences.get(name).and_then(|fence| fence.position);
                position = own.map_or(position, |own| own.min(position));
            }
            position = group.lowest_pending().map_or(position, |pending| pending.min(position));
            lowest = Some(lowest.map_or(position, |low: EventId| low.min(position)));
        }
        lowest.ok_or_else(|| "no processor is registered".into())
    }

    fn survey(&self, partition: Partition) -> PartitionSurvey {
        let log = self.log.as_ref();
        let names: BTreeSet<&String> = log.iter().flat_map(|log| log.groups.keys()).chain(&self.registered).collect();
        PartitionSurvey {
            partition,
            length: log.map_or(0, Log::len),
            added: log.map_or(0, |log| log.added),
            first: log.and_then(|log| log.entries.first_key_value()).map(|(id, _)| *id),
            last: log.map_or(EventId::ZERO, |log| log.last),
            groups: names.into_iter().map(|name| self.survey_group(name)).collect(),
        }
    }

    fn survey_group(&self, name: &str) -> GroupSurvey {
        let group = self.log.as_ref().and_then(|log| log.groups.get(name));
        GroupSurvey {
            name: name.to_owned(),
            registered: self.registered.contains(name),
            position: group.map(|group| group.position),
            lag: self.log.as_ref().zip(group).and_then(|(log, group)| log.lag(group)),
            pending: group.map_or(0, |group| group.pending.len() as u64),
            consumers: group.map_or(0, |group| group.consumers.len() as u64),
            fence: self.fence_facts(name).filter(|_| self.registered.contains(name)),
        }
    }

    pub(super) fn fence_facts(&self, processor: &str) -> Option<FenceFacts> {
        let fence = self.fences.get(processor)?;
        Some(FenceFacts {
            worker: fence.owner.is_some().then(|| fence.worker.clone()),
            epoch: fence.epoch,
            until: fence.until,
            position: fence.position.unwrap_or(EventId::ZERO),
            seen: fence.seen,
            front: fence.front.filter(|front| Some(front.id) > fence.position),
            stop: fence.stop.clone(),
            done: self.done.get(processor).map_or(0, |done| done.len() as u64),
        })
    }

    fn keys(&self) -> usize {
        usize::from(self.log.is_some())
            + usize::from(!self.registered.is_empty())
            + self.fences.len()
            + self.done.len()
            + usize::from(!self.open_runs.is_empty())
            + usize::from(!self.over.is_empty())
    }
}
