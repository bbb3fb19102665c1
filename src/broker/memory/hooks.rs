//! What tests and simulations do to a server behind everybody's back: fail-overs, foreign clients, careless operators,
//! a clock that jumps; and what their checkers look at.
//!
//! A [`Place`] names a consumer group here, also a foreign one.

use crate::broker::{Place, StreamRef};
use crate::event::{EventId, Partition};

use super::Memory;
use super::history::{PartitionSnapshot, Snapshot, Step};
use super::log::{ConsumerGroup, Log};
use super::store::Store;

/// A server's data at one time, as a replica may have it.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    store: Store,
    steps: usize,
}

#[doc(hidden)]
impl Memory {
    /// Makes the server's clock jump by so many milliseconds, back if negative.
    pub fn jump(&self, by_ms: i64) {
        self.world.jump(by_ms);
    }

    /// Restarts the server without loss. Handles hear of it, and what is on its way is lost.
    pub fn restart(&self) {
        self.world.change_server(|_, _| ());
    }

    /// What a replica that is up to date has now.
    pub fn checkpoint(&self) -> Checkpoint {
        self.world.step(|store, _| {
            let history = std::mem::take(&mut store.history);
            let checkpoint = Checkpoint { store: store.clone(), steps: history.steps().len() };
            store.history = history;
            checkpoint
        })
    }

    /// Fails over to a replica that has this: every write since is lost.
    pub fn roll_back(&self, to: &Checkpoint) {
        self.world.change_server(|store, now| {
            let mut history = std::mem::take(&mut store.history);
            history.record(|| Step::RolledBack { steps: to.steps, at: now.ms() });
            *store = Store { history, ..to.store.clone() };
        });
    }

    /// Fails over to a replica that lacks the newest entries of one partition. Answers which.
    pub fn lose_tail(&self, stream: &StreamRef, partition: Partition, count: usize) -> Vec<EventId> {
        self.world.change_server(|store, now| {
            let log = store.partition(&stream.name, partition).log.as_mut();
            let ids = log.map_or_else(Vec::new, |log| log.lose_newest(count));
            let (stream, lost) = (stream.name.clone(), ids.clone());
            store.history.record(|| Step::TailLost { stream, partition, ids, at: now.ms() });
            lost
        })
    }

    /// Deletes everything (FLUSHALL). Nobody is told.
    pub fn flush_all(&self) {
        self.world.step(|store, now| {
            store.erase(now);
        });
    }

    /// Deletes a partition's stream with its groups (DEL). Fences stay.
    pub fn delete_stream(&self, stream: &StreamRef, partition: Partition) {
        self.world.step(|store, _| store.partition(&stream.name, partition).log = None);
    }

    /// Deletes one entry (XDEL).
    pub fn delete_entry(&self, stream: &StreamRef, partition: Partition, id: EventId) -> bool {
        self.world
            .step(|store, _| store.partition(&stream.name, partition).log.as_mut().is_some_and(|log| log.delete(id)))
    }

    /// Makes a consumer group (XGROUP CREATE .. MKSTREAM).
    pub fn create_group(&self, group: &Place, position: EventId) {
        self.world.step(|store, _| {
            let (data, name) = store.place(group);
            let groups = &mut data.log.get_or_insert_default().groups;
            groups.entry(name.to_owned()).or_insert_with(|| ConsumerGroup::at(position, None));
        });
    }

    /// Deletes a consumer group (XGROUP DESTROY).
    pub fn delete_group(&self, group: &Place) {
        self.with_log(group, |log, name| drop(log.groups.remove(name)));
    }

    /// Moves a consumer group (XGROUP SETID).
    pub fn move_group(&self, group: &Place, position: EventId) {
        self.with_log(group, |log, name| {
            if let Some(group) = log.groups.get_mut(name) {
                group.move_to(position, None);
            }
        });
    }

    /// Reads in a group as somebody else does (XREADGROUP). Answers what they got; it is pending for them now.
    pub fn read_in_group(&self, group: &Place, consumer: &str, count: usize) -> Vec<EventId> {
        self.with_log(group, |log, name| log.read_as_consumer(name, consumer, count)).flatten().unwrap_or_default()
    }

    /// Acknowledges what somebody else read (XACK).
    pub fn acknowledge(&self, group: &Place, ids: &[EventId]) {
        self.with_log(group, |log, name| {
            if let Some(group) = log.groups.get_mut(name) {
                group.pending.retain(|id, _| !ids.contains(id));
            }
        });
    }

    /// Removes a consumer with what is pending for it (XGROUP DELCONSUMER).
    pub fn delete_consumer(&self, group: &Place, consumer: &str) {
        self.with_log(group, |log, name| {
            if let Some(group) = log.groups.get_mut(name) {
                group.consumers.remove(consumer);
                group.pending.retain(|_, owner| owner != consumer);
            }
        });
    }

    /// Deletes a fence.
    pub fn delete_fence(&self, place: &Place) {
        self.world.step(|store, _| {
            let (data, processor) = store.place(place);
            data.fences.remove(processor);
        });
    }

    /// Ends the lease of a place now, as if its time had passed.
    pub fn lapse(&self, place: &Place) {
        self.world.step(|store, _| {
            let (data, processor) = store.place(place);
            if let Some(fence) = data.fences.get_mut(processor) {
                fence.until = 0;
            }
        });
    }

    /// Ends the leader's term now, as if its time had passed.
    pub fn lapse_lead(&self) {
        self.world.step(|store, _| store.fleet.lapse());
    }

    /// Records every step from now on, or no more.
    pub fn record_history(&self, recording: bool) {
        self.world.step(|store, _| store.history.set_recording(recording));
    }

    /// The steps that were recorded, in order.
    pub fn history(&self) -> Vec<Step> {
        self.world.step(|store, _| store.history.steps().to_vec())
    }

    /// How many steps were recorded.
    pub fn steps_recorded(&self) -> usize {
        self.world.step(|store, _| store.history.steps().len())
    }

    /// What the server holds now.
    pub fn snapshot(&self) -> Snapshot {
        self.world.step(|store, now| {
            let streams = store.streams.iter();
            let all =
                streams.flat_map(|(name, data)| data.partitions.iter().map(move |(number, data)| (name, number, data)));
            let partitions = all.map(|(stream, partition, data)| {
                let log = data.log.as_ref();
                let done = |name: &str| data.done.get(name).map_or_else(Vec::new, |ids| ids.iter().copied().collect());
                let fence = |name: &String| Some((name.clone(), data.fence_facts(name)?, done(name)));
                PartitionSnapshot {
                    stream: stream.clone(),
                    partition: *partition,
                    entries: log.map_or_else(Vec::new, |log| log.entries.clone().into_iter().collect()),
                    added: log.map_or(0, |log| log.added),
                    last: log.map_or(EventId::ZERO, |log| log.last),
                    groups: log
                        .into_iter()
                        .flat_map(|log| &log.groups)
                        .map(|(name, g)| (name.clone(), g.position))
                        .collect(),
                    fences: data.fences.keys().filter_map(fence).collect(),
                }
            });
            Snapshot { now: now.ms(), partitions: partitions.collect() }
        })
    }

    /// What a command does to a stream that exists, and to none otherwise.
    fn with_log<T>(&self, group: &Place, change: impl FnOnce(&mut Log, &str) -> T) -> Option<T> {
        self.world.step(|store, _| {
            let (data, name) = store.place(group);
            data.log.as_mut().map(|log| change(log, name))
        })
    }
}
