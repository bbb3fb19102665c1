//! Every step that can be taken from a state of the world.

use std::fmt;

use crate::rules::{Numbering, Rules};
use crate::world::{Commit, Events, Promise, Worker, World};

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Acquires(u8),
    Crashes(u8),
    CopyArrives(u8),
    CopyVanishes(u8),
    Reads(u8, u8),
    Starts(u8, u8),
    Finishes(u8, u8),
    Fails(u8, u8),
    Sends(u8),
    Applied(u8),
    AppliedReplyLost(u8),
    Refused(u8, Answer),
    Append,
    ReplicaCatchesUp,
    FailOver,
    ForeignRead,
}

/// The store's answer to a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Applied,
    Fenced,
    Gap,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Acquires(w) => write!(f, "w{w} acquires"),
            Self::Crashes(w) => write!(f, "w{w} crashes"),
            Self::CopyArrives(w) => write!(f, "a late copy of w{w}'s commit arrives"),
            Self::CopyVanishes(w) => write!(f, "the late copy of w{w}'s commit vanishes"),
            Self::Reads(w, e) => write!(f, "w{w} reads e{e}"),
            Self::Starts(w, e) => write!(f, "w{w} starts e{e}"),
            Self::Finishes(w, e) => write!(f, "w{w} finishes e{e}"),
            Self::Fails(w, e) => write!(f, "e{e} fails at w{w}"),
            Self::Sends(w) => write!(f, "w{w} sends a commit"),
            Self::Applied(w) => write!(f, "w{w}'s commit is applied"),
            Self::AppliedReplyLost(w) => write!(f, "w{w}'s commit is applied, the reply is lost"),
            Self::Refused(w, answer) => write!(f, "w{w}'s commit is answered {answer:?}"),
            Self::Append => write!(f, "an event is appended"),
            Self::ReplicaCatchesUp => write!(f, "the replica catches up"),
            Self::FailOver => write!(f, "the replica takes over"),
            Self::ForeignRead => write!(f, "somebody else reads in the group"),
        }
    }
}

impl Rules {
    /// The world in the beginning.
    pub fn beginning(&self) -> World {
        let mut world = World::default();
        if !self.lossy_tail {
            world.next_event = self.events;
            world.store.entries = Events::before(self.events);
            world.replica = world.store;
        }
        world
    }

    /// Whether there is nothing left to do.
    pub fn is_over(&self, world: &World) -> bool {
        let store = &world.store;
        let all_sent = world.next_event == self.events;
        all_sent && store.position >= store.entries.end() && store.entries.without(store.settled()).is_empty()
    }

    /// Tells `to` every step from here, and the world after it.
    pub fn steps(&self, world: &World, to: &mut impl FnMut(Step, World)) {
        for worker in 0..self.workers {
            self.come_and_go(world, worker, to);
            if world.workers[worker as usize].epoch > 0 {
                self.read(world, worker, to);
                self.run(world, worker, to);
                self.commit(world, worker, to);
            }
        }
        self.fate(world, to);
    }

    /// Acquisitions at any moment: leases can end at any time, so time is no part of this world.
    fn come_and_go(&self, world: &World, w: u8, to: &mut impl FnMut(Step, World)) {
        let worker = world.workers[w as usize];
        if (!world.owns(w) || worker.unsettled) && world.acquisitions < self.acquisitions {
            to(Step::Acquires(w), self.acquired(world, w));
        }
        if worker.epoch > 0 {
            let mut after = *world;
            after.workers[w as usize] = self.gone(worker);
            to(Step::Crashes(w), after);
        }
        if let Some(copy) = worker.delayed {
            let mut without = *world;
            without.workers[w as usize].delayed = None;
            to(Step::CopyVanishes(w), without);
            self.execute(&mut without, w, copy);
            to(Step::CopyArrives(w), without);
        }
    }

    fn acquired(&self, world: &World, w: u8) -> World {
        let mut after = *world;
        after.acquisitions += 1;
        let store = &mut after.store;
        if store.foreign && self.distrusts_foreign {
            store.position = store.position.min(store.copy);
        }
        store.foreign = false;
        store.copy = store.position;
        store.done = store.done.without(Events::before(store.position));
        (store.owner, store.epoch, store.number) = (Some(w), after.acquisitions, 0);
        let worker = &mut after.workers[w as usize];
        *worker = Worker {
            epoch: store.epoch,
            position: store.position,
            read: store.position,
            done: if self.loads_done { store.done } else { Events::NONE },
            ..self.gone(*worker)
        };
        after
    }

    /// Reading after the own reading position has no side effects. Lost entries are never seen.
    fn read(&self, world: &World, w: u8, to: &mut impl FnMut(Step, World)) {
        let worker = world.workers[w as usize];
        let ahead = Events::before(worker.read).without(worker.known()).len();
        let entry = (worker.read..world.next_event).find(|&e| world.store.entries.contains(e));
        let Some(entry) = entry.filter(|_| !worker.unsettled && ahead < self.prefetch) else { return };
        let mut after = *world;
        let reader = &mut after.workers[w as usize];
        let missing = Events::before(entry).without(Events::before(worker.read));
        (reader.read, reader.done) = (entry + 1, reader.done.and(missing));
        to(Step::Reads(w, entry), after);
    }

    /// One event of a key at a time, in order.
    fn run(&self, world: &World, w: u8, to: &mut impl FnMut(Step, World)) {
        let worker = world.workers[w as usize];
        for event in 0..worker.read {
            let earlier = self.of_key(event).only(Events::before(event));
            let key_is_busy = !worker.running.only(self.of_key(event)).is_empty();
            let is_next = earlier.without(worker.known()).is_empty();
            if !worker.known().contains(event) && !key_is_busy && is_next {
                let mut after = *world;
                if !earlier.only(world.store.entries).without(world.finished).is_empty() {
                    after.broken.note(Promise::InOrder);
                }
                let runner = &mut after.workers[w as usize];
                runner.running = runner.running.and(Events::one(event));
                to(Step::Starts(w, event), after);
            }
            if worker.running.contains(event) {
                self.end_run(world, w, event, to);
            }
        }
    }

    fn end_run(&self, world: &World, w: u8, event: u8, to: &mut impl FnMut(Step, World)) {
        let mut after = *world;
        let runner = &mut after.workers[w as usize];
        runner.running = runner.running.without(Events::one(event));
        if self.failing && event == 1 {
            to(Step::Fails(w, event), after);
        }
        let runner = &mut after.workers[w as usize];
        runner.finished = runner.finished.and(Events::one(event));
        after.finished = after.finished.and(Events::one(event));
        if !self.effects_in_commit {
            cause_effects(&mut after, Events::one(event));
        }
        to(Step::Finishes(w, event), after);
    }

    /// One commit in flight; it is repeated until it is answered.
    fn commit(&self, world: &World, w: u8, to: &mut impl FnMut(Step, World)) {
        let worker = world.workers[w as usize];
        let at_done = worker.position < worker.read && worker.done.contains(worker.position);
        let has_news = !worker.finished.is_empty() || (self.moves_without_new_work && at_done);
        match worker.in_flight {
            None if has_news && !worker.unsettled => {
                let mut after = *world;
                after.workers[w as usize].in_flight = Some(self.next_commit(&worker));
                to(Step::Sends(w), after);
            }
            Some(commit) if !worker.unsettled => self.answer(world, w, commit, to),
            _ => {}
        }
    }

    fn next_commit(&self, worker: &Worker) -> Commit {
        let position = match self.position_waits {
            true => (worker.position..worker.read).find(|&e| !worker.known().contains(e)).unwrap_or(worker.read),
            false => worker.finished.end(),
        };
        let Worker { epoch, number, finished, .. } = *worker;
        Commit { epoch, number: number + 1, position: position.max(worker.position), settles: finished }
    }

    fn answer(&self, world: &World, w: u8, commit: Commit, to: &mut impl FnMut(Step, World)) {
        let mut after = *world;
        let answer = self.execute(&mut after, w, commit);
        if answer != Answer::Applied {
            after.workers[w as usize] = Worker::default();
            return to(Step::Refused(w, answer), after);
        }
        if after != *world {
            to(Step::AppliedReplyLost(w), after);
        }
        let worker = &mut after.workers[w as usize];
        worker.number = commit.number;
        worker.position = commit.position;
        worker.finished = worker.finished.without(commit.settles);
        worker.done = worker.done.and(commit.settles).without(Events::before(commit.position));
        worker.in_flight = None;
        worker.delayed = self.late_copies.then_some(commit);
        to(Step::Applied(w), after);
    }

    /// What the commit script does, in one step.
    fn execute(&self, world: &mut World, w: u8, commit: Commit) -> Answer {
        let is_owner = world.store.owner == Some(w) && world.store.epoch == commit.epoch;
        if !is_owner {
            if self.fenced {
                return Answer::Fenced;
            }
            world.broken.note(Promise::OnlyTheOwnerCommits);
        }
        let store = &mut world.store;
        let mut position = commit.position;
        match self.numbering {
            Numbering::Strict if commit.number == store.number => return Answer::Applied,
            Numbering::Strict if commit.number != store.number + 1 => return Answer::Gap,
            Numbering::NoGap if commit.number <= store.number => return Answer::Applied,
            Numbering::None => position = position.max(store.position),
            Numbering::Strict | Numbering::NoGap => {}
        }
        store.done = store.done.and(commit.settles).without(Events::before(position));
        (store.position, store.copy, store.number) = (position, position, commit.number);
        if self.effects_in_commit {
            cause_effects(world, commit.settles);
        }
        Answer::Applied
    }

    /// What happens to the store.
    fn fate(&self, world: &World, to: &mut impl FnMut(Step, World)) {
        if self.lossy_tail && world.next_event < self.events {
            let mut after = *world;
            after.store.entries = after.store.entries.and(Events::one(world.next_event));
            after.next_event += 1;
            to(Step::Append, after);
        }
        if self.failovers > 0 && world.replica != world.store {
            to(Step::ReplicaCatchesUp, World { replica: world.store, ..*world });
            if world.failovers < self.failovers {
                to(Step::FailOver, self.failed_over(world));
            }
        }
        if self.foreign_reader && world.store.position < world.next_event {
            let mut after = *world;
            after.store.position += 1;
            after.store.foreign = true;
            to(Step::ForeignRead, after);
        }
    }

    fn failed_over(&self, world: &World) -> World {
        let mut after = World { store: world.replica, failovers: world.failovers + 1, ..*world };
        let entries = after.store.entries;
        if self.lossy_tail && self.reused_ids {
            // What gets a lost event's id is another event.
            after.next_event = entries.end();
            after.finished = after.finished.only(entries);
        }
        if self.reacquires {
            for worker in after.workers.iter_mut() {
                worker.delayed = None;
                worker.unsettled = worker.epoch > 0;
                if self.reused_ids {
                    worker.running = worker.running.only(entries);
                    worker.finished = worker.finished.only(entries);
                    worker.read = worker.read.min(after.next_event);
                }
            }
        }
        after
    }

    /// The worker without all it knew.
    fn gone(&self, mut worker: Worker) -> Worker {
        worker.forget();
        if !self.late_copies {
            worker.delayed = None;
        }
        worker
    }

    fn of_key(&self, event: u8) -> Events {
        let same_key = (0..self.events).filter(|e| e % self.keys == event % self.keys);
        same_key.fold(Events::NONE, |key, e| key.and(Events::one(e)))
    }
}

fn cause_effects(world: &mut World, events: Events) {
    if !world.store.effects.only(events).is_empty() {
        world.broken.note(Promise::EffectsOnce);
    }
    world.store.effects = world.store.effects.and(events);
}
