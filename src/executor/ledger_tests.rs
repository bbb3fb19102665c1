use super::*;
use crate::broker::{Group, StreamFacts};
use crate::event::Partition;

fn ledger() -> Ledger {
    let owned = Owned {
        epoch: crate::broker::Epoch(7),
        position: EventId::ZERO,
        last: EventId::ZERO,
        n: 0,
        entries_read: Some(0),
        unclean: false,
        seen: EventId::ZERO,
        front: None,
        done: Vec::new(),
        notes: Vec::new(),
    };
    let group = Group { stream: StreamFacts::orders(1).into(), processor: "billing".into() };
    let fence = Fence { nonce: "nonce".into(), epoch: owned.epoch };
    Ledger::new(Place { group, partition: Partition(0) }, fence, 0, 10_000, &owned)
}

/// Settles an event and answers how many entries its commit says were read.
fn commits(ledger: &Ledger, id: u64) -> Option<u64> {
    ledger.started(EventId::new(id, 0));
    ledger.settled(EventId::new(id, 0), 1, true);
    let commit = ledger.take().unwrap();
    ledger.applied();
    commit.entries_read
}

#[test]
fn a_renewal_that_a_commit_has_overtaken_does_not_count_back() {
    let ledger = ledger();

    ledger.renewing();
    assert_eq!(commits(&ledger, 1), Some(1));
    ledger.repaired(Some(0));

    assert_eq!(commits(&ledger, 2), Some(2));
}

#[test]
fn a_renewal_at_rest_repairs_the_count() {
    let ledger = ledger();
    commits(&ledger, 1);

    ledger.renewing();
    ledger.repaired(Some(5));

    assert_eq!(commits(&ledger, 2), Some(6));
}

#[test]
fn a_batch_with_more_letters_than_one_commit_takes_is_settled_in_several() {
    let ledger = ledger();
    let ids: Vec<_> = (1..=600).map(|n| EventId::new(n, 0)).collect();
    let letter = |id: &EventId| {
        let fields = crate::event::Fields::default();
        (*id, crate::broker::NewLetter { id: *id, about: Default::default(), fields })
    };

    ledger.started(ids[599]);
    ledger.given_up(ids[599], Piece::of(&ids, ids.iter().map(letter).collect()), false);
    assert!(!ledger.may_start(), "the rest comes before anything else");
    let first = ledger.take().unwrap();
    assert_eq!(ledger.applied(), Call::Now);
    let second = ledger.take().unwrap();

    assert_eq!((first.position, first.letters.len(), first.entries_read), (ids[499], 500, Some(500)));
    assert_eq!((second.position, second.letters.len(), second.entries_read), (ids[599], 100, Some(600)));
    assert_eq!(ledger.applied(), Call::Nothing);
}
