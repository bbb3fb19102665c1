//! The words of ownership: who may settle the events of one partition for one processor.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixMs;
use crate::event::{EventId, Partition};

use super::facts::StreamRef;
use super::letters::NewLetter;

/// One processor of one stream: what members gather around.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// The stream it reads.
    pub stream: StreamRef,
    /// The processor's name, and that of its consumer group.
    pub processor: Arc<str>,
}

/// What is owned: one partition for one processor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Stream and processor.
    pub group: Group,
    /// The partition.
    pub partition: Partition,
}

/// Rises at each change of owner of a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What an owner shows at each step to prove that it still is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Made fresh for every acquisition; never used again after a release.
    pub nonce: Arc<str>,
    /// The epoch that acquisition was given.
    pub epoch: Epoch,
}

/// Where a processor begins in a partition in which it never had a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Start {
    /// At the first event there is.
    Beginning,
    /// After the last event there is.
    End,
    /// After this id.
    After(EventId),
}

/// A wish to own a place.
#[derive(Clone, Debug)]
pub struct Acquire {
    /// The place.
    pub place: Place,
    /// Fresh; the same one again asks what became of an earlier try.
    pub nonce: Arc<str>,
    /// Our worker's name, for others to read.
    pub worker: Arc<str>,
    /// For how long, unless renewed.
    pub ttl: Duration,
    /// Where to begin if there never was a position.
    pub start: Start,
    /// Server time at which our member joined: a halted place is only taken by one that joined after the mark.
    pub joined: UnixMs,
}

/// The answer to [`Acquire`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// It is ours.
    Owned(Box<Owned>),
    /// Somebody else owns it.
    Held {
        /// Their worker's name.
        by: String,
        /// Their lease ends then, unless renewed.
        wait: Duration,
    },
    /// It is stopped, and we may not lift that.
    Stopped(Stop),
    /// This nonce was released before: a late duplicate.
    Spent,
}

/// A place that is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The epoch of this ownership.
    pub epoch: Epoch,
    /// Everything up to here is settled.
    pub position: EventId,
    /// The last id in the partition now.
    pub last: EventId,
    /// The number of the last commit applied in this ownership: 0 when it is fresh.
    pub n: u64,
    /// Entries ever read up to the position, if known: for lag.
    pub entries_read: Option<u64>,
    /// The owner before did not release: it crashed or lost its lease.
    pub unclean: bool,
    /// The highest id the owner before said it had started.
    pub seen: EventId,
    /// The event in front, if somebody marked it, with its tries.
    pub front: Option<Front>,
    /// Ids above the position that are settled.
    pub done: Vec<EventId>,
    /// What was repaired or found on the way.
    pub notes: Vec<Note>,
}

/// Tries of the event in front. They survive crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Front {
    /// The event.
    pub id: EventId,
    /// How often its handling failed.
    pub fails: u32,
    /// How often its owner vanished while handling it.
    pub crashes: u32,
}

/// Something found while taking or renewing a place. Each is logged and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The consumer group was missing: made again at our own copy of the position.
    GroupRecreated,
    /// There was no group and no position: begun at the configured start. The normal case for a new processor.
    Begun,
    /// Consumers of XREADGROUP used the group before: their pending entries will be processed, their acknowledged ones not again.
    Migrated {
        /// Entries that were pending.
        pending: u64,
        /// Acknowledged entries above the lowest pending one.
        done: u64,
    },
    /// As above, but the acknowledged ones were too many to remember: they are processed again.
    MigratedWithRepeats,
    /// Foreign consumers read in our group: their effect was undone, we go on from our own copy of the position.
    ForeignConsumers,
    /// An operator moved the group back: honoured.
    MovedBack {
        /// From here.
        from: EventId,
        /// To here.
        to: EventId,
    },
    /// Somebody moved the group forward: ignored, skipping needs `processor reset`.
    ForwardMoveIgnored {
        /// Where they moved it.
        to: EventId,
    },
    /// The position lay beyond the end of the stream: Redis lost writes. Pulled back to the end.
    TailLost {
        /// From here.
        from: EventId,
        /// To here.
        to: EventId,
    },
    /// Entries were trimmed or deleted unread.
    Gap {
        /// How many.
        entries: u64,
    },
    /// Entries were read beyond the end of the stream as it is now: the reading position must not be trusted.
    ReadPositionAhead,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::GroupRecreated => f.write_str(
                "the consumer group was missing: it is made again where this processor was, and nothing is skipped",
            ),
            Self::Begun => f.write_str("there was neither a group nor a position: begun at the configured start"),
            Self::Migrated { pending, done } => write!(
                f,
                "consumers of XREADGROUP used the group before: their {pending} pending events will be processed, and the {done} \
                 acknowledged ones above the lowest of those not again; make sure that these consumers have stopped"
            ),
            Self::MigratedWithRepeats => f.write_str(
                "consumers of XREADGROUP used the group before and left a pending event far behind: everything after it will be \
                 processed again, because too many acknowledged events lie above it",
            ),
            Self::ForeignConsumers => f.write_str(
                "somebody else reads with XREADGROUP in this group: that is undone, and work goes on where it was; let them read \
                 in a group of their own",
            ),
            Self::MovedBack { from, to } => write!(
                f,
                "the group was moved back from {from} to {to} by hand: the events after {to} will be processed again"
            ),
            Self::ForwardMoveIgnored { to } => write!(
                f,
                "the group was moved forward to {to} by hand, which is ignored: nothing is skipped; to skip, use `processor \
                 reset`"
            ),
            Self::TailLost { from, to } => write!(
                f,
                "the position {from} lay beyond the end of the stream: the server has lost its last events (a fail-over or a \
                 restart?); work goes on after {to}"
            ),
            Self::Gap { entries } => write!(
                f,
                "{entries} events were deleted or trimmed by hand before they were processed: they are lost, and work goes on \
                 after them"
            ),
            Self::ReadPositionAhead => f.write_str(
                "events were read that the stream no longer has: the server has lost its last events (a fail-over or a restart?); \
                 the partition is acquired again",
            ),
        }
    }
}

/// Why a place is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopKind {
    /// By an operator.
    Paused,
    /// By the policy HALT.
    Halted,
    /// By the policy QUARANTINE.
    Quarantined,
}

/// A stopped place, as it is told to others.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stop {
    /// Why.
    pub kind: StopKind,
    /// At which event; the position lies before it.
    pub at: EventId,
    /// The error that stopped it; empty for a pause.
    pub error: String,
    /// Server time of the mark; 0 where the caller does not set it.
    pub since: UnixMs,
}

/// A mark left with a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Why.
    pub kind: StopKind,
    /// At which event.
    pub at: EventId,
    /// The error, as text for people.
    pub error: String,
}

/// Moves the position of a place.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The place.
    pub place: Place,
    /// Our proof.
    pub fence: Fence,
    /// One more than the last one; a resend has the same.
    pub n: u64,
    /// Everything up to here is settled. May equal the position before.
    pub position: EventId,
    /// Entries ever read up to there, if known.
    pub entries_read: Option<u64>,
    /// The highest id started so far.
    pub seen: EventId,
    /// What to say of the event in front.
    pub front: FrontMark,
    /// Ids above the position to remember as settled.
    pub done: Vec<EventId>,
    /// Ids to forget: the position has passed them.
    pub passed: Vec<EventId>,
    /// Events given up with this commit: stored in the same step.
    pub letters: Vec<NewLetter>,
    /// Letters that the partition may hold.
    pub letters_limit: u64,
}

/// What a commit says of the event in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrontMark {
    /// Nothing new.
    Keep,
    /// No event is marked any more.
    Clear,
    /// This event is about to start, having failed so often. Its crashes are kept if it was marked before.
    Set {
        /// The event.
        id: EventId,
        /// Failures so far.
        fails: u32,
    },
}

/// The answer to a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Done, now or by an earlier send of the same commit.
    Applied,
    /// The place has another owner, or none.
    Fenced {
        /// Their nonce, if there is one.
        by: String,
    },
    /// Another number was expected: Redis was rolled back. Acquire again.
    Gap {
        /// The last number Redis knows.
        have: u64,
    },
    /// Group or stream are gone. Acquire again.
    GroupMissing,
    /// There is no room for the letters: nothing was done. The same commit may be sent again when there is.
    LettersFull {
        /// Letters in the partition now.
        have: u64,
    },
}

/// Prolongs a lease.
#[derive(Clone, Debug)]
pub struct Renew {
    /// The place.
    pub place: Place,
    /// Our proof.
    pub fence: Fence,
    /// From now.
    pub ttl: Duration,
    /// The highest id read.
    pub read: EventId,
}

/// The answer to a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// Ours for another ttl.
    Ours {
        /// The last id in the partition.
        last: EventId,
        /// Entries after the position, if Redis knows.
        lag: Option<u64>,
        /// Entries ever read up to the position, if known; may have been repaired.
        entries_read: Option<u64>,
        /// What was found. Anything but [`Note::Gap`] means: acquire again.
        notes: Vec<Note>,
    },
    /// The place has another owner, or none.
    Fenced {
        /// Their nonce, if there is one.
        by: String,
    },
    /// Group or stream are gone. Acquire again.
    GroupMissing,
}

/// A fence as it lies in Redis, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceFacts {
    /// The owner's worker; none if it is free.
    pub worker: Option<String>,
    /// The epoch of the last ownership.
    pub epoch: Epoch,
    /// Server time at which the lease ends, unless renewed.
    pub until: UnixMs,
    /// Our own copy of the position.
    pub position: EventId,
    /// The highest id started.
    pub seen: EventId,
    /// The event in front, if marked.
    pub front: Option<Front>,
    /// Whether and why it is stopped.
    pub stop: Option<Stop>,
    /// Ids settled above the position.
    pub done: u64,
}
