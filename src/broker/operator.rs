//! The words of operators: what people do to a place from outside.

use crate::event::Partition;

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
