//! What happened in one run, as the checker wants to know it: facts in the order in which they happened.
//!
//! Made from the timeline of a [`TestApp`] and from what the simulated functions wrote down themselves. An event is
//! named by its sequence number here, which its sender has put into it: after a fail-over an id can come back for
//! another event.

use std::collections::{BTreeMap, VecDeque};

use runnel::broker::memory::Step;
use runnel::broker::{ClaimKind, Claimed};
use runnel::event::Fields;
use runnel::testing::{Moment, TestApp, What};
use runnel::{EventId, Partition};

/// A partition of a processor.
pub type Place = (String, u32);

/// A unit that somebody works on: the worker, the place and the epoch.
pub type Hand = (String, Place, u64);

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    // What workers did.
    Started {
        hand: Hand,
        ids: Vec<EventId>,
        seqs: Vec<u64>,
    },
    Finished {
        hand: Hand,
        ids: Vec<EventId>,
    },
    Failed {
        hand: Hand,
        ids: Vec<EventId>,
    },
    GivenUp {
        hand: Hand,
        ids: Vec<EventId>,
        /// As dead letters.
        are_kept: bool,
    },
    // What the store did.
    Appended {
        partition: u32,
        id: EventId,
        seq: u64,
    },
    Trimmed {
        partition: u32,
        ids: Vec<EventId>,
    },
    Owned {
        place: Place,
        worker: String,
        nonce: String,
        epoch: u64,
        position: EventId,
        at: u64,
    },
    Committed {
        place: Place,
        nonce: String,
        epoch: u64,
        n: u64,
        position: EventId,
    },
    /// Dead letters were stored with the commit that follows.
    Lettered {
        place: Place,
        ids: Vec<EventId>,
    },
    Released {
        place: Place,
        nonce: String,
        epoch: u64,
    },
    Intervened {
        place: Place,
        epoch: u64,
        position: EventId,
    },
    Planned {
        processor: String,
        expected: u64,
        generation: u64,
    },
    TailLost {
        partition: u32,
        ids: Vec<EventId>,
    },
    RolledBack {
        steps: usize,
    },
    // What the fleet did: instants in milliseconds.
    /// A leader may run an instant, in this term of its.
    Claimed {
        job: String,
        instant: u64,
        term: u64,
    },
    /// It runs it.
    Fired {
        job: String,
        instant: u64,
        term: u64,
    },
    Closed {
        job: String,
        instant: u64,
    },
    RunBegun {
        run_id: String,
    },
    RunEnded {
        run_id: String,
    },
    /// A step without meaning for the checker. It counts all the same.
    Other,
}

/// A unit as its function was given it.
#[derive(Clone, Debug)]
pub struct Heard {
    pub hand: Hand,
    pub seqs: Vec<u64>,
}

/// The facts of a run.
pub fn facts(app: &TestApp, heard: Vec<Heard>) -> Vec<Fact> {
    let mut by_hand: BTreeMap<Hand, VecDeque<Vec<u64>>> = BTreeMap::new();
    for Heard { hand, seqs } in heard {
        by_hand.entry(hand).or_default().push_back(seqs);
    }
    let of_moment = |moment| match moment {
        Moment::Step(step) => Some(of_step(step)),
        Moment::Seen(seen) if &*seen.stream != "orders" => None,
        Moment::Seen(seen) => {
            let place = (seen.processor.to_string(), seen.partition.0);
            let hand: Hand = (seen.worker.to_string(), place, seen.epoch.0);
            let ids = seen.ids;
            match seen.what {
                What::Started { .. } => {
                    // Each start is followed by one call, so they are told in the same order.
                    let seqs = by_hand.get_mut(&hand).and_then(VecDeque::pop_front).unwrap_or_default();
                    Some(Fact::Started { hand, ids, seqs })
                }
                What::Handled => Some(Fact::Finished { hand, ids }),
                What::Failed { .. } => Some(Fact::Failed { hand, ids }),
                What::Ignored => Some(Fact::GivenUp { hand, ids, are_kept: false }),
                What::DeadLettered => Some(Fact::GivenUp { hand, ids, are_kept: true }),
                // Nothing follows from it: what counts is that nobody commits beyond it.
                _ => None,
            }
        }
        Moment::Fired(fired) => match (fired.instant, fired.term, fired.outcome) {
            (Some(instant), Some(term), None) => {
                let instant = instant.timestamp_millis().cast_unsigned();
                Some(Fact::Fired { job: fired.job.to_string(), instant, term })
            }
            _ => None,
        },
        _ => None,
    };
    app.timeline().into_iter().filter_map(of_moment).collect()
}

fn of_step(step: Step) -> Fact {
    let place = |place: runnel::broker::Place| (place.group.processor.to_string(), place.partition.0);
    match step {
        // What workers note of their runs lies in streams of its own, and some processors of theirs read it.
        Step::Appended { stream, .. }
        | Step::Trimmed { stream, .. }
        | Step::TailLost { stream, .. }
        | Step::Planned { stream, .. }
            if stream != "orders" =>
        {
            Fact::Other
        }
        Step::Owned { place, .. }
        | Step::Committed { place, .. }
        | Step::Lettered { place, .. }
        | Step::Released { place, .. }
        | Step::Intervened { place, .. }
            if place.group.stream.name != "orders" =>
        {
            Fact::Other
        }
        Step::Appended { partition: Partition(partition), id, fields, .. } => {
            Fact::Appended { partition, id, seq: seq_of(&fields) }
        }
        Step::Trimmed { partition: Partition(partition), ids, .. } => Fact::Trimmed { partition, ids },
        Step::Owned { place: at_place, worker, nonce, epoch, position, at } => {
            Fact::Owned { place: place(at_place), worker, nonce, epoch: epoch.0, position, at }
        }
        Step::Committed { place: at_place, nonce, epoch, n, position, .. } => {
            Fact::Committed { place: place(at_place), nonce, epoch: epoch.0, n, position }
        }
        Step::Lettered { place: at_place, letters, .. } => {
            Fact::Lettered { place: place(at_place), ids: letters.into_iter().map(|(event, _)| event).collect() }
        }
        Step::Released { place: at_place, nonce, epoch, .. } => {
            Fact::Released { place: place(at_place), nonce, epoch: epoch.0 }
        }
        Step::Intervened { place: at_place, epoch, position, .. } => {
            Fact::Intervened { place: place(at_place), epoch: epoch.0, position }
        }
        Step::Planned { processor, expected, generation, .. } => Fact::Planned { processor, expected, generation },
        Step::TailLost { partition: Partition(partition), ids, .. } => Fact::TailLost { partition, ids },
        Step::RolledBack { steps, .. } => Fact::RolledBack { steps },
        Step::Claimed { job, instant, term, kind, answer: Claimed::Ours { .. }, .. } if kind != ClaimKind::Base => {
            Fact::Claimed { job, instant, term: term.0 }
        }
        Step::Closed { job, instant, .. } => Fact::Closed { job, instant },
        Step::RunBegun { run_id, .. } => Fact::RunBegun { run_id },
        Step::RunEnded { run_id, .. } => Fact::RunEnded { run_id },
        _ => Fact::Other,
    }
}

fn seq_of(fields: &Fields) -> u64 {
    let data = fields.get("data").expect("every event of the simulation has been sent as a record");
    let record: serde_json::Value = serde_json::from_slice(data).expect("it was sent as JSON");
    record["seq"].as_u64().expect("it was sent with a number")
}

/// A run, to be judged.
#[derive(Clone, Debug)]
pub struct Story {
    pub facts: Vec<Fact>,
    /// The sequence numbers whose sends were acknowledged, with the ids that were answered.
    pub acked: Vec<(u64, EventId)>,
    /// Every processor of the run.
    pub processors: Vec<String>,
    /// Events that others had settled before our time; ours must never start them.
    pub settled_before: Vec<(Place, EventId)>,
    /// Others have read in groups that were ours: what some owner of ours had finished may be passed by a later one.
    pub has_strangers: bool,
    /// Nothing went wrong in it but failing events: nobody may lose a place, and nothing may be repeated.
    pub is_calm: bool,
    /// How long a lease lasts at least, in the server's milliseconds; unknown where its clock has jumped.
    pub lease_ms: Option<u64>,
}
