//! A store that lives in this process: every operation of [`Broker`](super::Broker) with the same answers as on Redis.
//!
//! It is what `memory://` and `--dev` run on, what users test their apps with, and the world in which whole workers are
//! simulated. A [`Memory`] is one app's server; each worker has a [`MemoryBroker`] of its own from
//! [`Memory::connect`], whose link to the server can be given faults and be cut. The conformance suite holds it
//! against a real server, operation by operation.
//!
//! It promises the answers of Redis, an order of its own for everything, and the same run for the same seed and clock.
//! It keeps nothing: with the process, everything is gone.
//!
//! [`store`] is the state with its streams, [`log`] one Redis stream; [`acquire`], [`ownership`], [`operator`],
//! [`letters`], [`membership`], [`leadership`] and [`runs`] are the steps of the protocol, as plain functions of state
//! and time. [`world`] puts them behind a lock and a clock, [`link`] and [`faults`] between it and a worker, [`hooks`]
//! into the hands of tests.

use std::sync::Arc;

use crate::clock::{self, UnixMs};

mod acquire;
mod faults;
mod handle;
mod history;
mod hooks;
mod journey;
mod leadership;
mod letters;
mod link;
mod log;
mod membership;
mod operator;
mod ownership;
mod runs;
mod store;
#[cfg(test)]
mod tests;
mod world;

pub use faults::{Fault, Faults, Operation};
pub use handle::MemoryBroker;
pub use history::Step;
#[doc(hidden)]
pub use history::{PartitionSnapshot, Snapshot};
#[doc(hidden)]
pub use hooks::Checkpoint;

use world::World;

/// How it calls itself in messages.
const ADDRESS: &str = "memory://";

/// A server in this process, with the data of one app. Cloning it gives another hold of the same server.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    world: Arc<World>,
}

impl Memory {
    /// An empty server whose clock begins at the same time in every run: what tests want.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty server whose clock shows the time of day: what people want to see.
    pub fn with_wall_clock() -> Self {
        Self::with_clock_at(clock::wall())
    }

    /// An empty server whose clock begins at that time.
    pub fn with_clock_at(time: UnixMs) -> Self {
        Self { world: Arc::new(World::with_clock_at(time)) }
    }

    /// A connection for one worker or producer.
    pub fn connect(&self) -> MemoryBroker {
        MemoryBroker::to(&self.world)
    }
}
