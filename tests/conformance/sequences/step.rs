//! One step of a sequence, as data: the same for every store.

use runnel::broker::{FrontMark, Intervention, Place, Start, Stop, StopKind, StreamRef};
use runnel::event::{EventId, Partition};

use super::fleet::FleetStep;
use crate::hands::Hands;

/// A place by its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) processor: &'static str,
    pub(super) partition: u32,
    /// Whether it consumes the dead letters, and not the events.
    pub(super) letters: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Append(Vec<(u32, EventId)>),
    Read {
        partition: u32,
        after: EventId,
        count: usize,
    },
    Range {
        partition: u32,
        from: EventId,
        to: EventId,
        count: usize,
        backwards: bool,
    },
    Trim {
        partition: u32,
        letters: bool,
    },
    Retry {
        partition: u32,
        letters: Vec<EventId>,
    },
    DropLetters {
        partition: u32,
        letters: Vec<EventId>,
    },
    DropOldest {
        partition: u32,
        keep: u64,
    },
    Acquire {
        at: At,
        nonce: String,
        start: Start,
        joined: u64,
    },
    Commit {
        at: At,
        nonce: String,
        n: u64,
        position: EventId,
        entries_read: Option<u64>,
        seen: EventId,
        front: FrontMark,
        done: Vec<EventId>,
        passed: Vec<EventId>,
        given_up: Vec<EventId>,
    },
    Renew {
        at: At,
        nonce: String,
        read: EventId,
    },
    Release {
        at: At,
        nonce: String,
        mark: Option<(StopKind, EventId)>,
    },
    Intervene {
        at: At,
        change: Intervention,
    },
    Register(&'static str),
    Forget(&'static str),
    Beat {
        processor: &'static str,
        member: &'static str,
        known: Option<u64>,
    },
    Swap {
        processor: &'static str,
        expected: u64,
        reap: Vec<String>,
    },
    Leave {
        processor: &'static str,
        member: &'static str,
    },
    NoteStopped {
        processor: &'static str,
        partition: u32,
        stop: Option<Stop>,
    },
    Fleet(FleetStep),
    Foreign(Foreign),
}

/// What others do without asking.
#[derive(Clone, Debug)]
pub(super) enum Foreign {
    Lapse(At),
    CreateGroup(At, EventId),
    DeleteGroup(At),
    MoveGroup(At, EventId),
    /// With the position that the group has.
    ReadInGroup(At, EventId, &'static str, usize),
    Acknowledge(At, Vec<EventId>),
    DeleteConsumer(At, &'static str),
    DeleteFence(At),
    DeleteStream(u32),
    DeleteEntry(u32, EventId),
}

pub(super) fn meddle(hands: &dyn Hands, foreign: &Foreign, place: impl Fn(At) -> Place, stream: &StreamRef) {
    match foreign {
        Foreign::Lapse(at) => hands.lapse(&place(*at)),
        Foreign::CreateGroup(at, position) => hands.create_group(&place(*at), *position),
        Foreign::DeleteGroup(at) => hands.delete_group(&place(*at)),
        Foreign::MoveGroup(at, position) => hands.move_group(&place(*at), *position),
        Foreign::ReadInGroup(at, _, consumer, count) => hands.read_in_group(&place(*at), consumer, *count),
        Foreign::Acknowledge(at, ids) => hands.acknowledge(&place(*at), ids),
        Foreign::DeleteConsumer(at, consumer) => hands.delete_consumer(&place(*at), consumer),
        Foreign::DeleteFence(at) => hands.delete_fence(&place(*at)),
        Foreign::DeleteStream(partition) => hands.delete_stream(stream, Partition(*partition)),
        Foreign::DeleteEntry(partition, id) => hands.delete_entry(stream, Partition(*partition), *id),
    }
}
