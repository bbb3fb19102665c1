//! What the store must hold after its steps, and whether each step may be taken at all.

use std::collections::{BTreeMap, BTreeSet};

use runnel::EventId;

use super::facts::{Fact, Place, Story};

/// The store as its steps tell it.
pub struct Books {
    processors: Vec<String>,
    settled_before: BTreeSet<(Place, EventId)>,
    is_calm: bool,
    lease_ms: Option<u64>,
    logs: BTreeMap<u32, Log>,
    places: BTreeMap<Place, State>,
    plans: BTreeMap<String, u64>,
}

#[derive(Default)]
struct Log {
    entries: BTreeMap<EventId, u64>,
    trimmed: BTreeMap<EventId, u64>,
}

#[derive(Default)]
struct State {
    position: Option<EventId>,
    epoch: u64,
    owner: Option<Owner>,
    skipped: BTreeSet<EventId>,
}

struct Owner {
    nonce: String,
    worker: String,
    since: u64,
    commits: u64,
}

impl Books {
    pub fn new(story: &Story) -> Self {
        Self {
            processors: story.processors.clone(),
            settled_before: story.settled_before.iter().cloned().collect(),
            is_calm: story.is_calm,
            lease_ms: story.lease_ms,
            logs: BTreeMap::new(),
            places: BTreeMap::new(),
            plans: BTreeMap::new(),
        }
    }

    // --- what it holds -----------------------------------------------------------------------------------------------

    /// The event of that id.
    pub fn event_at(&self, partition: u32, id: EventId) -> Option<u64> {
        let log = self.logs.get(&partition)?;
        log.entries.get(&id).or_else(|| log.trimmed.get(&id)).copied()
    }

    /// Events that are there and come before that one.
    pub fn events_before(&self, partition: u32, id: EventId) -> impl Iterator<Item = (EventId, u64)> + '_ {
        self.logs.get(&partition).into_iter().flat_map(move |log| log.entries.range(..id)).map(|(id, seq)| (*id, *seq))
    }

    /// Events after the position of a place, up to that id.
    pub fn ahead(&self, place: &Place, to: EventId) -> impl Iterator<Item = (EventId, u64)> + '_ {
        let from = self.position(place);
        let log = self.logs.get(&place.1).into_iter();
        log.flat_map(move |log| log.entries.range(..=to)).map(|(id, seq)| (*id, *seq)).filter(move |(id, _)| *id > from)
    }

    /// Every event that was sent and not lost by the store.
    pub fn events(&self) -> impl Iterator<Item = (u32, EventId, u64)> + '_ {
        self.logs.iter().flat_map(|(partition, log)| {
            log.trimmed.iter().chain(&log.entries).map(|(id, seq)| (*partition, *id, *seq))
        })
    }

    /// Up to where a processor has settled a partition.
    pub fn position(&self, place: &Place) -> EventId {
        self.places.get(place).and_then(|state| state.position).unwrap_or_default()
    }

    /// The worker that owns a place under that nonce.
    pub fn worker_of(&self, place: &Place, nonce: &str) -> Option<&str> {
        let owner = self.places.get(place)?.owner.as_ref()?;
        (owner.nonce == nonce).then_some(&*owner.worker)
    }

    /// Places that have an owner.
    pub fn owned(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|(_, state)| state.owner.is_some()).map(|(place, _)| place)
    }

    pub fn is_owned(&self, place: &Place) -> bool {
        self.places.get(place).is_some_and(|state| state.owner.is_some())
    }

    pub fn is_settled_before(&self, place: &Place, id: EventId) -> bool {
        !self.settled_before.is_empty() && self.settled_before.contains(&(place.clone(), id))
    }

    /// Whether this processor need not process it: others did, or an operator has skipped it.
    pub fn is_excused(&self, place: &Place, id: EventId) -> bool {
        self.places.get(place).is_some_and(|state| state.skipped.contains(&id)) || self.is_settled_before(place, id)
    }

    /// An operator has skipped it.
    pub fn skip(&mut self, place: &Place, id: EventId) {
        self.places.entry(place.clone()).or_default().skipped.insert(id);
    }

    // --- its steps ---------------------------------------------------------------------------------------------------

    /// Takes a step down, and what is wrong with it.
    pub fn take(&mut self, step: &Fact, problems: &mut Vec<String>) {
        match step {
            Fact::Appended { partition, id, seq } => {
                let log = self.logs.entry(*partition).or_default();
                let last = log.entries.last_key_value().max(log.trimmed.last_key_value());
                if last.is_some_and(|(last, _)| last >= id) {
                    problems.push(format!("C3 event {seq} got {id} in partition {partition}, after {last:?}"));
                }
                log.entries.insert(*id, *seq);
            }
            Fact::Trimmed { partition, ids } => self.trimmed(*partition, ids, problems),
            Fact::TailLost { partition, ids } => {
                let log = self.logs.entry(*partition).or_default();
                ids.iter().for_each(|id| _ = log.entries.remove(id));
                let last = log.entries.last_key_value().max(log.trimmed.last_key_value());
                let last = last.map_or(EventId::ZERO, |(id, _)| *id);
                let here = self.places.iter_mut().filter(|(place, _)| place.1 == *partition);
                here.for_each(|(_, state)| state.skipped.retain(|id| *id <= last));
            }
            Fact::Owned { place, worker, nonce, epoch, position, at } => {
                let owner = Owner { nonce: nonce.clone(), worker: worker.clone(), since: *at, commits: 0 };
                self.owned_by(place, owner, *epoch, *position, problems);
            }
            Fact::Committed { place, nonce, epoch, n, position } => {
                let state = self.places.entry(place.clone()).or_default();
                let owner = state.owner.as_mut().filter(|owner| owner.nonce == *nonce && state.epoch == *epoch);
                let Some(owner) = owner else {
                    return problems
                        .push(format!("C1 {place:?}: {nonce} commits in epoch {epoch}, and is not the owner"));
                };
                if *n != owner.commits + 1 {
                    problems.push(format!("C1 {place:?}: commit {n} of {nonce} after commit {}", owner.commits));
                }
                if state.position.is_some_and(|before| *position < before) {
                    problems.push(format!("C4 {place:?}: {nonce} commits {position} after {:?}", state.position));
                }
                owner.commits = *n;
                state.position = Some(*position);
            }
            Fact::Released { place, nonce, epoch } => {
                let state = self.places.entry(place.clone()).or_default();
                let is_owner = state.owner.as_ref().is_some_and(|owner| owner.nonce == *nonce) && state.epoch == *epoch;
                if !is_owner {
                    problems.push(format!("C1 {place:?}: {nonce} releases in epoch {epoch}, and is not the owner"));
                }
                state.owner = None;
            }
            Fact::Intervened { place, epoch, position } => {
                let state = self.places.entry(place.clone()).or_default();
                if *epoch <= state.epoch {
                    problems.push(format!("C1 {place:?}: an operator made epoch {epoch} after {}", state.epoch));
                }
                (state.epoch, state.owner, state.position) = (*epoch, None, Some(*position));
            }
            Fact::Planned { processor, expected, generation } => {
                let held = self.plans.insert(processor.clone(), *generation).unwrap_or(0);
                if *expected != held || *generation != held + 1 {
                    problems.push(format!(
                        "C9 plan {generation} of `{processor}` replaces plan {held}, and was made for {expected}"
                    ));
                }
            }
            _ => {}
        }
    }

    fn trimmed(&mut self, partition: u32, ids: &[EventId], problems: &mut Vec<String>) {
        for processor in &self.processors {
            let position = self.position(&(processor.clone(), partition));
            if let Some(id) = ids.iter().find(|id| **id > position) {
                problems.push(format!("C9 {id} of partition {partition} is trimmed, `{processor}` is at {position}"));
            }
        }
        let log = self.logs.entry(partition).or_default();
        for id in ids {
            match log.entries.remove(id) {
                Some(seq) => drop(log.trimmed.insert(*id, seq)),
                None => problems.push(format!("C9 {id} of partition {partition} is trimmed, and is not there")),
            }
        }
    }

    fn owned_by(&mut self, place: &Place, owner: Owner, epoch: u64, position: EventId, problems: &mut Vec<String>) {
        let unfinished = self.ahead(place, position).find(|(id, _)| !self.is_excused(place, *id));
        let state = self.places.entry(place.clone()).or_default();
        let who = || format!("{place:?}: {} in epoch {epoch}", owner.worker);
        if epoch <= state.epoch {
            problems.push(format!("C1 {} comes after epoch {}", who(), state.epoch));
        }
        if let Some(before) = &state.owner {
            let held = owner.since.saturating_sub(before.since);
            if self.is_calm || self.lease_ms.is_some_and(|lease| held < lease) {
                problems.push(format!("C1 {} takes it from {}, who had it for {held} ms", who(), before.worker));
            }
        }
        if let Some((id, _)) = unfinished {
            problems.push(format!("C4 {} begins at {position}: {id} was never committed", who()));
        }
        (state.epoch, state.owner, state.position) = (epoch, Some(owner), Some(position));
    }
}
