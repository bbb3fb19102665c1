//! Who is alive and which plan holds. Advice only: a wrong roster costs time, never safety.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::broker::{Group, MemberEntry, Roll, Standing, Stop, Swapped, WorkerEntry};
use crate::clock::UnixMs;
use crate::event::{Fields, Partition};

use super::history::Step;
use super::log::Log;
use super::store::{Inbox, ServerTime, Store};

/// Rings of the bell that are kept.
const RINGS_KEPT: u64 = 256;

/// Every worker that said it is alive, by name.
pub(super) type Workers = BTreeMap<String, Worker>;

#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) dead_after: UnixMs,
    pub(super) ttl: Duration,
    pub(super) about: String,
    pub(super) standing: Standing,
}

/// The members of one processor and the plan they follow.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    generation: u64,
    plan: String,
    members: BTreeMap<String, Member>,
    stopped: BTreeMap<Partition, Stop>,
    bell: Log,
}

#[derive(Clone, Debug)]
struct Member {
    since: UnixMs,
    dead_after: UnixMs,
    ttl: Duration,
}

impl Roster {
    pub(super) fn bell(&self) -> &Log {
        &self.bell
    }

    fn ring(&mut self, reason: &str, now: ServerTime) {
        let generation = self.generation.to_string();
        let fields = Fields::from_pairs([("gen", generation.as_str()), ("reason", reason)]);
        self.bell.append(None, fields, now.ms()).expect("its ids are the clock's, which never come to an end");
        self.bell.keep_newest(RINGS_KEPT);
    }
}

impl Store {
    fn ring(&mut self, group: &Group, reason: &str, now: ServerTime) {
        self.roster(group).ring(reason, now);
        self.arrivals.push(Inbox::Bell(group.stream.name.clone(), group.processor.to_string()));
    }

    fn roster(&mut self, group: &Group) -> &mut Roster {
        self.stream_data(&group.stream.name).rosters.entry(group.processor.to_string()).or_default()
    }

    pub(super) fn beat(
        &mut self,
        group: &Group,
        member: &str,
        ttl: Duration,
        known: Option<u64>,
        now: ServerTime,
    ) -> Roll {
        let roster = self.roster(group);
        let fresh = Member { since: now.ms(), dead_after: 0, ttl };
        let mine = roster.members.entry(member.to_owned()).or_insert(fresh);
        (mine.ttl, mine.dead_after) = (ttl, now.plus(ttl));
        let since = mine.since;
        let listed = |(name, member): (&String, &mut Member)| {
            // The server's clock may have gone back: nobody is known to be alive for longer than its time to live.
            member.dead_after = member.dead_after.min(now.plus(member.ttl));
            MemberEntry { name: name.clone(), dead_after: member.dead_after, since: member.since }
        };
        Roll {
            now: now.ms(),
            since,
            members: roster.members.iter_mut().map(listed).collect(),
            generation: roster.generation,
            plan: (known != Some(roster.generation)).then(|| roster.plan.clone()),
            stopped: roster.stopped.iter().map(|(partition, stop)| (*partition, stop.clone())).collect(),
        }
    }

    pub(super) fn swap(
        &mut self,
        group: &Group,
        expected: u64,
        plan: &str,
        (reap, reason): (&[String], &str),
        now: ServerTime,
    ) -> Swapped {
        let roster = self.roster(group);
        if roster.generation != expected {
            return Swapped::Outrun { generation: roster.generation, plan: roster.plan.clone() };
        }
        roster.generation += 1;
        roster.plan = plan.to_owned();
        // One that was dead when the plan was made may have come back since.
        roster.members.retain(|name, member| member.dead_after > now.ms() || !reap.contains(name));
        let generation = roster.generation;
        self.ring(group, reason, now);
        self.history.record(|| Step::Planned {
            stream: group.stream.name.clone(),
            processor: group.processor.to_string(),
            expected,
            generation,
            plan: plan.to_owned(),
            at: now.ms(),
        });
        Swapped::Installed(generation)
    }

    pub(super) fn leave(&mut self, group: &Group, member: &str, now: ServerTime) {
        self.roster(group).members.remove(member);
        self.ring(group, "left", now);
    }

    pub(super) fn note_stopped(&mut self, group: &Group, partition: Partition, stop: Option<&Stop>, now: ServerTime) {
        let roster = self.roster(group);
        match stop {
            Some(stop) => {
                let since = if stop.since == 0 { now.ms() } else { stop.since };
                roster.stopped.insert(partition, Stop { since, ..stop.clone() });
            }
            None => drop(roster.stopped.remove(&partition)),
        }
        self.ring(group, "stopped", now);
    }

    pub(super) fn announce(
        &mut self,
        worker: &str,
        standing: Standing,
        ttl: Duration,
        about: &str,
        now: ServerTime,
    ) -> UnixMs {
        self.bring_workers_up_to_date(now);
        let worker_now = Worker { dead_after: now.plus(ttl), ttl, about: about.to_owned(), standing };
        self.workers.insert(worker.to_owned(), worker_now);
        now.ms()
    }

    /// Nobody is alive for longer than its time to live: where the server's clock went back, this is written down, or
    /// each look would find the whole of it left.
    pub(super) fn bring_workers_up_to_date(&mut self, now: ServerTime) {
        for worker in self.workers.values_mut() {
            worker.dead_after = worker.dead_after.min(now.plus(worker.ttl));
        }
    }

    pub(super) fn depart(&mut self, worker: &str) {
        self.workers.remove(worker);
    }

    pub(super) fn workers_alive(&self, now: ServerTime) -> Vec<WorkerEntry> {
        let alive = self.workers.iter().filter(|(_, worker)| worker.dead_after > now.ms());
        let entry = |(name, worker): (&String, &Worker)| WorkerEntry {
            name: name.clone(),
            dead_after: worker.dead_after.min(now.plus(worker.ttl)),
            about: worker.about.clone(),
        };
        alive.map(entry).collect()
    }
}
