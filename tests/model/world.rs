//! The world of the model: one partition of one stream in one store, a replica of it, and workers.
//!
//! Everything is a small number or a set of a few events, so that a state is some dozen bytes and can be compared
//! exactly. Events are numbered from 0; a *position* p means that events 0 to p - 1 are settled.

/// A set of events.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Events(pub u8);

impl Events {
    pub const NONE: Self = Self(0);

    pub fn before(position: u8) -> Self {
        Self(((1u16 << position) - 1) as u8)
    }

    pub fn one(event: u8) -> Self {
        Self(1 << event)
    }

    pub fn contains(self, event: u8) -> bool {
        self.0 & (1 << event) != 0
    }

    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn len(self) -> u8 {
        self.0.count_ones() as u8
    }

    /// The position right after the last one.
    pub fn end(self) -> u8 {
        8 - self.0.leading_zeros() as u8
    }
}

/// What a worker asks the store to settle.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Commit {
    pub epoch: u8,
    pub number: u8,
    pub position: u8,
    /// Events settled by it. Their effects go with it.
    pub settles: Events,
}

/// What one server knows.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct Store {
    pub entries: Events,
    /// The consumer group's last-delivered id.
    pub position: u8,
    /// Settled above the position.
    pub done: Events,
    /// The fence: who owns the partition, in which epoch, and the number of the last commit in it.
    pub owner: Option<u8>,
    pub epoch: u8,
    pub number: u8,
    /// The fence's own copy of the position.
    pub copy: u8,
    /// Consumers of XREADGROUP have used the group since it was last acquired.
    pub foreign: bool,
    /// Effects that commits carried: dead letters, for example.
    pub effects: Events,
}

impl Store {
    pub fn settled(&self) -> Events {
        Events::before(self.position).and(self.done)
    }
}

/// One worker, between the acquisition of the partition (epoch 0: none) and its loss.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Worker {
    pub epoch: u8,
    /// Commits applied, as it knows.
    pub number: u8,
    /// The position, as it knows.
    pub position: u8,
    /// Done above the position, as it knows.
    pub done: Events,
    /// Everything before this was read.
    pub read: u8,
    pub running: Events,
    /// Finished, and not in an answered commit.
    pub finished: Events,
    /// It noticed that the server changed, and must acquire anew.
    pub unsettled: bool,
    /// The commit that waits for an answer; repeated as often as needed.
    pub in_flight: Option<Commit>,
    /// A commit of which a copy may still be on its way.
    pub delayed: Option<Commit>,
}

impl Worker {
    /// What it need not run.
    pub fn known(&self) -> Events {
        Events::before(self.position).and(self.done).and(self.finished)
    }

    /// Everything it knew is gone; what it sent may still arrive.
    pub fn forget(&mut self) {
        *self = Self { delayed: self.in_flight.or(self.delayed), ..Self::default() };
    }
}

/// What must never happen. The numbers are those of the documentation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Promise {
    /// I1: only the current owner's commit is accepted.
    OnlyTheOwnerCommits,
    /// I2: the first start of an event comes after every earlier one of its key was finished by some owner.
    InOrder,
    /// I3: nothing is committed that was not processed.
    NothingUnprocessed,
    /// I4: everything can still be settled.
    Progress,
    /// I5: effects in the commit happen exactly once per event.
    EffectsOnce,
}

/// The promises that were broken on the way to a state.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct Broken(u8);

impl Broken {
    pub fn note(&mut self, promise: Promise) {
        self.0 |= 1 << promise as u8;
    }

    pub fn includes(self, promise: Promise) -> bool {
        self.0 & (1 << promise as u8) != 0
    }

    pub fn is_any(self) -> bool {
        self.0 != 0
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use Promise::{EffectsOnce, InOrder, NothingUnprocessed, OnlyTheOwnerCommits, Progress};
        let all = [OnlyTheOwnerCommits, InOrder, NothingUnprocessed, Progress, EffectsOnce];
        f.debug_list().entries(all.into_iter().filter(|&promise| self.includes(promise))).finish()
    }
}

pub const MOST_WORKERS: usize = 3;

/// Everything there is.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct World {
    pub store: Store,
    /// What is left of the store after a fail-over: itself at some earlier moment.
    pub replica: Store,
    pub failovers: u8,
    /// The number the next event gets.
    pub next_event: u8,
    pub acquisitions: u8,
    /// Finished by anybody, ever.
    pub finished: Events,
    pub workers: [Worker; MOST_WORKERS],
    pub broken: Broken,
}

impl World {
    pub fn owns(&self, worker: u8) -> bool {
        let Worker { epoch, .. } = self.workers[worker as usize];
        epoch > 0 && self.store.owner == Some(worker) && self.store.epoch == epoch
    }

    /// The same world with interchangeable workers in a fixed order.
    pub fn canonical(mut self) -> Self {
        let mut order = [0u8, 1, 2];
        order.sort_by(|&a, &b| self.workers[b as usize].cmp(&self.workers[a as usize]));
        self.workers = order.map(|worker| self.workers[worker as usize]);
        let renamed = |owner: u8| order.iter().position(|&worker| worker == owner).expect("all are in order") as u8;
        self.store.owner = self.store.owner.map(renamed);
        self.replica.owner = self.replica.owner.map(renamed);
        self
    }
}
