//! Judges a run. It shares no code with the engine: it believes the facts, and keeps books of its own.
//!
//! - C1 each ownership has an epoch above all before it and is taken from nobody whose lease runs; what is committed
//!   and released is the present owner's, numbered without a gap.
//! - C2 every acknowledged event is finished or given up, except what the store itself has lost.
//! - C3 an event is started for the first time only when everything before it is finished or given up, and within an
//!   ownership starts rise, except tries of the same unit. Keys lie in one partition, so their order follows.
//! - C4 a commit covers only what its owner has finished or given up.
//! - C5 in a calm run nothing is finished twice, and no place changes hands without a release.
//! - C6 a commit stores a letter for each event that it passes and that its owner gave up as a dead letter, and for no
//!   other: so there is one of each.
//! - C9 nothing is trimmed that some processor has not settled. Plans are replaced one after the other.
//! - C8 and C11, of jobs and of what is written down of runs: see [`fleet`].

use std::collections::{BTreeMap, BTreeSet};

use runnel::EventId;

use super::books::Books;
use super::facts::{Fact, Hand, Place, Story};
use super::fleet;

/// What is wrong with a story; nothing, if it is true to the promises.
pub fn check(story: &Story) -> Vec<String> {
    let mut checker = Checker {
        story,
        books: Books::new(story),
        steps: Vec::new(),
        taken: 0,
        undone: BTreeSet::new(),
        has_undone: false,
        units: BTreeMap::new(),
        started: BTreeMap::new(),
        interrupted: BTreeSet::new(),
        twins: BTreeSet::new(),
        owned: BTreeSet::new(),
        finished: BTreeMap::new(),
        letters: BTreeMap::new(),
        problems: Vec::new(),
    };
    for fact in &story.facts {
        checker.take(fact);
    }
    checker.end();
    checker.problems.extend(fleet::check(story));
    checker.problems
}

struct Checker<'a> {
    story: &'a Story,
    /// What the store must hold by now.
    books: Books,
    /// The steps that hold, each with its number.
    steps: Vec<(usize, &'a Fact)>,
    /// How many steps there were.
    taken: usize,
    /// Events that the store has lost.
    undone: BTreeSet<u64>,
    has_undone: bool,
    /// The unit that each owner works on, or worked on last.
    units: BTreeMap<&'a Hand, Unit<'a>>,
    started: BTreeMap<&'a Place, BTreeSet<u64>>,
    /// Places whose owner an operator has driven out in the middle of its work.
    interrupted: BTreeSet<&'a Place>,
    /// Ownerships that came twice: a fail-over has lost the first, and the server's clock had gone back.
    twins: BTreeSet<Hand>,
    owned: BTreeSet<Hand>,
    finished: BTreeMap<&'a Place, BTreeSet<u64>>,
    /// Letters whose commit comes next.
    letters: BTreeMap<&'a Place, Vec<EventId>>,
    problems: Vec<String>,
}

struct Unit<'a> {
    ids: &'a [EventId],
    seqs: &'a [u64],
    state: State,
    finished: BTreeSet<u64>,
    /// Those of them that were given up as dead letters.
    kept: BTreeSet<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Failed,
    Over,
}

impl<'a> Checker<'a> {
    fn take(&mut self, fact: &'a Fact) {
        match fact {
            Fact::Started { hand, ids, seqs } => self.started(hand, ids, seqs),
            Fact::Finished { hand, ids } => self.finished(hand, ids),
            Fact::Failed { hand, ids } => self.failed(hand, ids),
            Fact::GivenUp { hand, ids, are_kept } => self.given_up(hand, ids, *are_kept),
            step => self.step(step),
        }
    }

    // --- what workers did ----------------------------------------------------------------------------------------

    fn started(&mut self, hand: &'a Hand, ids: &'a [EventId], seqs: &'a [u64]) {
        let (worker, place, epoch) = hand;
        let who = || format!("{worker} in epoch {epoch} of {}/{}", place.0, place.1);
        let (Some(first), true) = (ids.first(), ids.len() == seqs.len()) else {
            return self.problems.push(format!("C3 {}: {} ids were {} events", who(), ids.len(), seqs.len()));
        };
        if !ids.is_sorted() {
            self.problems.push(format!("C3 {}: a unit is not in order: {ids:?}", who()));
        }
        let (mut finished, mut kept) = (BTreeSet::new(), BTreeSet::new());
        if let Some(before) = self.units.remove(hand) {
            let rises = before.ids.last().is_some_and(|last| last < first);
            let again = before.state == State::Failed && before.ids.first() == Some(first);
            if !rises && !again && !self.twins.contains(hand) {
                self.problems.push(format!("C3 {}: {first} was started after {:?}", who(), before.ids));
            }
            (finished, kept) = (before.finished, before.kept);
        }
        for (&id, &seq) in ids.iter().zip(seqs) {
            let found = self.books.event_at(place.1, id);
            if found != Some(seq) && !self.has_undone {
                self.problems.push(format!("C3 {}: {id} was event {seq}, and it is {found:?} in the store", who()));
            }
            if self.books.is_settled_before(place, id) {
                self.problems.push(format!("C5 {}: {id} was settled before our time, and is started", who()));
            }
            let is_first = self.started.entry(place).or_default().insert(seq);
            // Only what the store still has must be in order there: the rest is lost.
            if is_first && found == Some(seq) {
                self.in_turn(hand, id, seqs);
            } else if !is_first && self.repeats_nothing(place) && self.is_finished(place, seq) {
                self.problems.push(format!("C5 {}: event {seq} ({id}) is started again in a calm run", who()));
            }
        }
        self.units.insert(hand, Unit { ids, seqs, state: State::Running, finished, kept });
    }

    /// C3: everything before it is finished by somebody, or runs with it.
    fn in_turn(&mut self, (worker, place, epoch): &Hand, id: EventId, with: &[u64]) {
        let left: Vec<_> = self
            .books
            .events_before(place.1, id)
            .filter(|(before, seq)| {
                !with.contains(seq) && !self.is_finished(place, *seq) && !self.books.is_excused(place, *before)
            })
            .map(|(before, _)| before)
            .collect();
        if let Some(first) = left.first() {
            self.problems.push(format!(
                "C3 {worker} in epoch {epoch} of {}/{}: {id} is started first while {first} and {} others before it are not finished",
                place.0, place.1, left.len() - 1
            ));
        }
    }

    fn repeats_nothing(&self, place: &Place) -> bool {
        self.story.is_calm && !self.interrupted.contains(place)
    }

    fn is_finished(&self, place: &Place, seq: u64) -> bool {
        self.finished.get(place).is_some_and(|seqs| seqs.contains(&seq))
    }

    fn finished(&mut self, hand: &'a Hand, ids: &'a [EventId]) {
        let (worker, place, epoch) = hand;
        let unit = self.units.get_mut(hand);
        let Some(unit) = unit.filter(|unit| unit.ids == ids && unit.state == State::Running) else {
            if self.twins.contains(hand) {
                return;
            }
            return self.problems.push(format!("C4 {worker} in epoch {epoch} of {place:?}: {ids:?} ended unstarted"));
        };
        unit.state = State::Over;
        unit.finished.extend(unit.seqs);
        let repeats_nothing = self.story.is_calm && !self.interrupted.contains(place);
        let all = self.finished.entry(place).or_default();
        for seq in unit.seqs {
            if !all.insert(*seq) && repeats_nothing {
                self.problems.push(format!("C5 {worker} in epoch {epoch} of {place:?}: event {seq} is finished twice"));
            }
        }
    }

    fn failed(&mut self, hand: &'a Hand, ids: &'a [EventId]) {
        // One that has killed enough workers fails without being started.
        let none = BTreeSet::new;
        let fresh = || Unit { ids, seqs: &[], state: State::Running, finished: none(), kept: none() };
        let unit = self.units.entry(hand).or_insert_with(fresh);
        if unit.ids != ids {
            unit.ids = ids;
            unit.seqs = &[];
        }
        unit.state = State::Failed;
    }

    fn given_up(&mut self, hand: &'a Hand, ids: &'a [EventId], are_kept: bool) {
        let place = &hand.1;
        let unit = self.units.get_mut(hand);
        let Some(unit) = unit.filter(|unit| unit.ids == ids && unit.state == State::Failed) else {
            if self.twins.contains(hand) {
                return;
            }
            return self.problems.push(format!("C4 {hand:?}: {ids:?} are given up without having failed"));
        };
        unit.state = State::Over;
        let seqs: Vec<u64> = match unit.seqs {
            [] => ids.iter().filter_map(|id| self.books.event_at(place.1, *id)).collect(),
            seqs => seqs.to_vec(),
        };
        unit.finished.extend(&seqs);
        if are_kept {
            unit.kept.extend(&seqs);
        }
        self.finished.entry(place).or_default().extend(&seqs);
    }

    // --- what the store did --------------------------------------------------------------------------------------

    fn step(&mut self, step: &'a Fact) {
        match step {
            Fact::Owned { place, worker, epoch, .. } => {
                let hand = (worker.clone(), place.clone(), *epoch);
                if !self.owned.insert(hand.clone()) && self.has_undone {
                    self.twins.insert(hand);
                }
            }
            Fact::Lettered { place, ids } => self.letters.entry(place).or_default().extend(ids),
            Fact::Committed { place, nonce, epoch, position, .. } => {
                self.covers(place, nonce, *epoch, *position);
                self.keeps(place, nonce, *epoch, *position);
            }
            Fact::Intervened { place, position, .. } => {
                if self.books.is_owned(place) {
                    self.interrupted.insert(place);
                }
                self.skips(place, *position);
            }
            Fact::TailLost { partition, ids } => {
                self.has_undone = true;
                self.undone.extend(ids.iter().filter_map(|id| self.books.event_at(*partition, *id)));
            }
            Fact::RolledBack { steps } => self.roll_back(*steps),
            _ => {}
        }
        self.books.take(step, &mut self.problems);
        self.steps.push((self.taken, step));
        self.taken += 1;
    }

    /// C4: what this commit passes is finished by the one who commits.
    fn covers(&mut self, place: &'a Place, nonce: &str, epoch: u64, position: EventId) {
        // Whoever commits without owning is found by the books.
        let Some(worker) = self.books.worker_of(place, nonce) else { return };
        let hand = (worker.to_owned(), place.clone(), epoch);
        let finished = self.units.get(&hand).map(|unit| &unit.finished);
        let before_us = self.story.has_strangers;
        let unfinished = self.books.ahead(place, position).find(|(id, seq)| {
            let is_finished = finished.is_some_and(|seqs| seqs.contains(seq));
            let was_finished = before_us && self.is_finished(place, *seq);
            !(is_finished || was_finished || self.books.is_excused(place, *id))
        });
        if let Some((id, seq)) = unfinished {
            let from = self.books.position(place);
            self.problems.push(format!(
                "C4 {worker} in epoch {epoch} of {place:?} commits from {from} to {position}: {id}, event {seq}, is not finished there"
            ));
        }
    }

    /// C6: the letters of this commit are those of the events that it passes and that are given up as such.
    fn keeps(&mut self, place: &'a Place, nonce: &str, epoch: u64, position: EventId) {
        let letters = self.letters.remove(place).unwrap_or_default();
        let Some(worker) = self.books.worker_of(place, nonce) else { return };
        let hand = (worker.to_owned(), place.clone(), epoch);
        if self.twins.contains(&hand) {
            return;
        }
        let kept = self.units.get(&hand).map(|unit| &unit.kept);
        let is_kept = |seq| kept.is_some_and(|kept| kept.contains(&seq));
        let expected: Vec<_> =
            self.books.ahead(place, position).filter(|(_, seq)| is_kept(*seq)).map(|(id, _)| id).collect();
        if letters != expected {
            self.problems.push(format!(
                "C6 {worker} in epoch {epoch} of {place:?} commits to {position} with letters of {letters:?}, and has given up {expected:?}"
            ));
        }
    }

    /// An operator moves the position: what it passes is nobody's work any more.
    fn skips(&mut self, place: &'a Place, position: EventId) {
        let passed: Vec<_> = self.books.ahead(place, position).collect();
        let unfinished =
            passed.iter().filter(|(id, seq)| !self.is_finished(place, *seq) && !self.books.is_excused(place, *id));
        if unfinished.count() > 1 {
            self.problems.push(format!("C4 {place:?}: an operator skips {passed:?}, and asked for one"));
        }
        passed.iter().for_each(|(id, _)| self.books.skip(place, *id));
    }

    /// The store is what it was then.
    fn roll_back(&mut self, steps: usize) {
        self.has_undone = true;
        let lost: BTreeSet<u64> = self.books.events().map(|(_, _, seq)| seq).collect();
        self.steps.retain(|(number, _)| *number < steps);
        self.books = Books::new(self.story);
        for (_, step) in &self.steps {
            if let Fact::Intervened { place, position, .. } = step {
                let passed: Vec<_> = self.books.ahead(place, *position).collect();
                passed.iter().for_each(|(id, _)| self.books.skip(place, *id));
            }
            // What was wrong with it was said when it happened.
            self.books.take(step, &mut Vec::new());
        }
        let kept: BTreeSet<u64> = self.books.events().map(|(_, _, seq)| seq).collect();
        self.undone.extend(lost.difference(&kept));
    }

    // --- in the end ----------------------------------------------------------------------------------------------

    fn end(&mut self) {
        let story = self.story;
        let kept: BTreeMap<u64, EventId> = self.books.events().map(|(_, id, seq)| (seq, id)).collect();
        for (seq, id) in &story.acked {
            if !self.undone.contains(seq) && kept.get(seq) != Some(id) {
                self.problems.push(format!("C2 event {seq} was acknowledged as {id}, and is {:?}", kept.get(seq)));
            }
        }
        let events: Vec<_> = self.books.events().collect();
        if kept.len() != events.len() {
            self.problems.push(format!("C2 {} events were sent {} times", kept.len(), events.len()));
        }
        for processor in &story.processors {
            for (partition, id, seq) in &events {
                let place = (processor.clone(), *partition);
                if !self.is_finished(&place, *seq) && !self.books.is_excused(&place, *id) {
                    self.problems.push(format!(
                        "C2 event {seq} ({id} of partition {partition}) was never finished by `{processor}`"
                    ));
                }
                if *id > self.books.position(&place) {
                    self.problems.push(format!(
                        "C2 event {seq} ({id} of partition {partition}) was never committed by `{processor}`"
                    ));
                }
            }
        }
        self.problems.extend(self.books.owned().map(|place| format!("C10 {place:?} was never released")));
    }
}
