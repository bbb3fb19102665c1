//! The words of membership: who is alive, and who should own what.

use crate::clock::UnixMs;
use crate::event::Partition;

use super::fence::Stop;

/// A member of a processor's group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberEntry {
    /// Its name: that of its worker.
    pub name: String,
    /// Server time after which it counts as dead.
    pub dead_after: UnixMs,
    /// Server time of its first beat.
    pub since: UnixMs,
}

/// What a member learns when it beats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roll {
    /// Server time.
    pub now: UnixMs,
    /// Server time of this member's first beat.
    pub since: UnixMs,
    /// Everybody on the roster, the dead included, by name.
    pub members: Vec<MemberEntry>,
    /// The plan's generation; 0 before the first.
    pub generation: u64,
    /// The plan's text, unless the caller knows this generation; empty before the first.
    pub plan: Option<String>,
    /// Places that are stopped, as far as they were told, by partition.
    pub stopped: Vec<(Partition, Stop)>,
}

/// The answer to [`super::Broker::swap`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// Installed, as this generation.
    Installed(u64),
    /// Somebody else was first: this generation, with this plan, holds.
    Outrun {
        /// The generation that holds.
        generation: u64,
        /// Its plan.
        plan: String,
    },
}

/// As what somebody is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// A worker of the fleet.
    Member,
    /// Runs one job, and is gone after that: a fleet of guests is empty.
    Guest,
}

/// A worker that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerEntry {
    /// Its name.
    pub name: String,
    /// Server time after which it counts as dead.
    pub dead_after: UnixMs,
    /// What it says of itself (JSON).
    pub about: String,
}
