//! The words of the fleet: who leads, and which instants of its jobs are taken.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixMs;

/// Rises at each change of leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

impl std::fmt::Display for Term {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A time in which the fleet runs one version of its app. It begins when a worker joins an empty fleet, or one that
/// runs another version; tasks of the leader run to success once in each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    /// Rises by one with each; 0 before the first.
    pub number: u64,
    /// The app's version, as the worker that began it says; may be empty.
    pub version: String,
}

/// The answer to a bid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bidden {
    /// The bidder leads, for another time to live.
    Leader {
        /// Its term: the same as long as it leads without a break.
        term: Term,
        /// Server time.
        now: UnixMs,
        /// The fleet's generation.
        generation: Generation,
    },
    /// Somebody else leads.
    Follower {
        /// Their worker's name.
        by: String,
        /// Their term.
        term: Term,
        /// It ends then, unless prolonged.
        wait: Duration,
        /// Server time.
        now: UnixMs,
    },
}

/// Who leads, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderEntry {
    /// The worker's name.
    pub worker: String,
    /// Its term.
    pub term: Term,
    /// Server time at which the term ends, unless prolonged.
    pub until: UnixMs,
    /// The fleet's generation.
    pub generation: Generation,
}

/// A wish to run one instant of a job for the whole fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The claiming worker's name.
    pub worker: Arc<str>,
    /// Its term.
    pub term: Term,
    /// The job's name.
    pub job: Arc<str>,
    /// The instant (Unix ms); of a task, the number of the generation.
    pub instant: UnixMs,
    /// What the claim means.
    pub kind: ClaimKind,
}

/// What a claim means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimKind {
    /// Nothing is run: instants are counted from here on, if they were not before.
    Base,
    /// Run at most once: whatever becomes of the run, nobody else gets this instant.
    Once,
    /// Run at least once: a later term gets it again, unless it was closed.
    Open,
}

/// The answer to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is ours: run it.
    Ours {
        /// It was claimed by an earlier term, which did not close it.
        again: bool,
    },
    /// It was claimed before, or a later instant was.
    Taken,
    /// The claimer does not lead (any more), or not in this term.
    Deposed,
}

/// What the store knows of a fleet job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobEntry {
    /// Its name.
    pub name: String,
    /// Instants up to here are taken.
    pub last: Option<UnixMs>,
    /// The last instant that was claimed to be run.
    pub fired: Option<UnixMs>,
    /// Claims of [`ClaimKind::Open`] that are not closed, with the term that made them, oldest first.
    pub open: Vec<(UnixMs, Term)>,
    /// Why it is stopped, if it is.
    pub stop: Option<JobStop>,
}

/// A job whose schedule its policy has stopped, until an operator resumes it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JobStop {
    /// The error that stopped it.
    pub error: String,
    /// Server time; 0 where the caller does not set it.
    pub since: UnixMs,
}
