//! The words of operators: what people do to a place from outside.

use bytes::Bytes;

use crate::event::{EventId, Partition};

use super::fence::Start;

/// What an operator can do to a place. Each fences out the owner, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intervention {
    /// Moves the position, anywhere, and lifts every mark.
    Reset(Start),
    /// Lifts a mark; the event in front is tried again, with its counts at zero.
    Resume,
    /// Moves past the event at which the place is stopped, or the next one, and lifts the mark.
    Skip,
    /// Moves past the event at which the place is stopped, or the next one, stores it as a dead letter in the same
    /// step, and lifts the mark. Refused with `CHANGED` when that is another event than this one, `NOEVENT` when there is
    /// none or nobody ever owned the place, `LETTERSFULL` when there is no room.
    DeadLetter {
        /// The event that `about` tells of.
        id: EventId,
        /// What becomes of the event (JSON).
        about: Bytes,
        /// Letters that the partition may hold.
        limit: u64,
    },
    /// Stops the place.
    Pause,
}

/// The answer to [`super::Broker::forget`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// It is gone from so many partitions.
    Gone {
        /// Partitions it was registered in.
        partitions: u32,
    },
    /// A worker still owns one of its partitions.
    Owned {
        /// That worker.
        by: String,
        /// That partition.
        partition: Partition,
    },
}
