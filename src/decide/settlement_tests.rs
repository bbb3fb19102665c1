use proptest::prelude::*;

use super::*;
use crate::decide::scenario;

fn id(text: &str) -> EventId {
    text.parse().unwrap()
}

fn ids(ids: &[EventId]) -> String {
    ids.iter().map(|id| format!(" {}", id.ms)).collect()
}

fn tell(settlement: &mut Settlement, words: &[&str]) {
    match words {
        ["at", position] => *settlement = Settlement::new(id(position), []),
        ["at", position, "done", done @ ..] => {
            *settlement = Settlement::new(id(position), done.iter().map(|text| id(text)));
        }
        ["start", events @ ..] => events.iter().for_each(|event| settlement.started(id(event))),
        ["skip", events @ ..] => events.iter().for_each(|event| settlement.skipped(id(event))),
        ["settle", event, "of", entries] => settlement.settled(id(event), entries.parse().unwrap()),
        ["settle", events @ ..] => events.iter().for_each(|event| settlement.settled(id(event), 1)),
        ["commit"] => drop(settlement.take()),
        _ => panic!("{words:?}"),
    }
}

fn show(settlement: &mut Settlement) -> String {
    let says = settlement.pending().map_or("nothing to commit".to_owned(), |settled| {
        let Settled { position, entries, done, passed } = settled;
        let of =
            |what, list: &[EventId]| if list.is_empty() { String::new() } else { format!(", {what}{}", ids(list)) };
        format!("to {} with {entries} entries{}{}", position.ms, of("done", &done), of("passed", &passed))
    });
    format!("{says}; {} open", settlement.open())
}

#[test]
fn positions_as_text() {
    let text = include_str!("scenarios/settlement.txt");

    scenario::play(text, || Settlement::new(EventId::ZERO, []), tell, show);
}

/// A store that applies what is committed, and a plain account of what was settled.
struct Account {
    settlement: Settlement,
    position: u64,
    done: BTreeSet<u64>,
    entries: u64,
    settled: BTreeSet<u64>,
    running: Vec<u64>,
}

impl Account {
    fn commit(&mut self) -> Result<(), TestCaseError> {
        let Some(says) = self.settlement.take() else { return Ok(()) };
        prop_assert!(says.position.ms >= self.position, "positions never go back");
        self.position = says.position.ms;
        self.entries += says.entries;
        self.done.extend(says.done.iter().map(|id| id.ms));
        for id in says.passed {
            prop_assert!(self.done.remove(&id.ms), "only what the store knows is forgotten");
        }
        prop_assert!((1..=self.position).all(|id| self.settled.contains(&id)), "beyond an unfinished event");
        let above: BTreeSet<_> = self.settled.range(self.position + 1..).copied().collect();
        prop_assert_eq!(&self.done, &above, "what is settled above the position is remembered, and nothing else");
        Ok(())
    }
}

proptest! {
    #![proptest_config(scenario::cases(300))]

    #[test]
    fn settled_in_any_order_everything_is_committed_once_and_nothing_too_early(
        done in prop::collection::btree_set(1..40u64, 0..10),
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 40),
    ) {
        let settlement = Settlement::new(EventId::ZERO, done.iter().map(|&ms| EventId::new(ms, 0)));
        let (settled, running) = (done.clone(), vec![]);
        let mut account = Account { settlement, position: 0, done, entries: 0, settled, running };
        // Every id is met in order; a window of some is open, and settled in any order.
        for (id, (pick, commit)) in (1..=40).zip(picks) {
            match account.settlement.is_done(EventId::new(id, 0)) {
                true => account.settlement.skipped(EventId::new(id, 0)),
                false => {
                    account.settlement.started(EventId::new(id, 0));
                    account.running.push(id);
                }
            }
            while account.running.len() > 5 || id == 40 && !account.running.is_empty() {
                let at = pick.index(account.running.len());
                let settles = account.running.remove(at);
                account.settlement.settled(EventId::new(settles, 0), 1);
                account.settled.insert(settles);
            }
            if commit {
                account.commit()?;
            }
        }
        account.commit()?;

        prop_assert_eq!((account.position, account.entries), (40, 40));
        prop_assert!(account.done.is_empty());
        prop_assert_eq!(account.settlement.open(), 0);
        prop_assert_eq!(account.settlement.take(), None);
    }
}

#[test]
fn the_window_is_bounded_and_never_closed_for_good() {
    let loaded = (1..=2_000).map(|ms| EventId::new(ms * 10, 0));
    let mut settlement = Settlement::new(EventId::ZERO, loaded);
    assert!(settlement.may_start(), "nothing runs: only a new start can move the position");

    settlement.started(EventId::new(5, 0));
    assert!(!settlement.may_start());

    settlement.settled(EventId::new(5, 0), 1);
    assert!(settlement.may_start());
}
