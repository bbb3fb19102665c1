//! Everything that decides: pure machines, no IO, no clock, no async.
//!
//! A machine is told replies and times, never intentions, and answers with data. Its shell in a room above waits,
//! reads a fact, tells it, and does what it says. `now` is always an argument, so that every decision can be tested in
//! text and replayed.

pub(crate) mod assignment;
pub(crate) mod batch;
pub(crate) mod caution;
pub(crate) mod demand;
pub(crate) mod heartbeat;
pub(crate) mod lease;
pub(crate) mod ownership;
pub(crate) mod plan;
pub(crate) mod roster;
pub(crate) mod schedule;
pub(crate) mod settlement;
pub(crate) mod verdict;

#[cfg(test)]
mod scenario;
