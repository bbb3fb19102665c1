//! Draws the next step: mostly one that means something now, sometimes one that is stale or absurd.

use std::collections::BTreeMap;

use runnel::broker::{FrontMark, Intervention, PartitionSurvey, Start, Stop, StopKind};
use runnel::event::EventId;

use super::fleet::FleetDraw;
use super::step::{At, Foreign, Step};
use crate::case::LATER;

const PROCESSORS: [&str; 2] = ["billing", "printing"];
const MEMBERS: [&str; 3] = ["ann", "bob", "cas"];
const CONSUMERS: [&str; 2] = ["x", "y"];
/// Few, so that steps meet each other.
pub(super) const PARTITIONS: u32 = 2;

/// What there is when a step is drawn.
pub(super) struct Seen {
    pub(super) events: Vec<PartitionSurvey>,
    pub(super) letters: Vec<PartitionSurvey>,
    pub(super) letter_ids: Vec<Vec<EventId>>,
}

pub(super) struct Draw {
    chance: fastrand::Rng,
    nonces: u32,
    /// The nonces that were used at each place, the last one last, and the number of its last commit.
    used: BTreeMap<At, Vec<(String, u64)>>,
    generation: u64,
    fleet: FleetDraw,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            chance: fastrand::Rng::with_seed(seed),
            nonces: 0,
            used: BTreeMap::new(),
            generation: 0,
            fleet: FleetDraw::default(),
        }
    }

    pub(super) fn step(&mut self, seen: &Seen) -> Step {
        let partition = self.chance.u32(0..PARTITIONS);
        let letters = self.sometimes(5);
        let at = At { processor: self.one_of(&PROCESSORS), partition, letters };
        let events = &seen.events[partition as usize];
        let here = if letters { &seen.letters[partition as usize] } else { events };
        match self.chance.u32(0..125) {
            100.. => Step::Fleet(self.fleet.step(&mut self.chance)),
            0..12 => self.append(&seen.events),
            12..15 => self.letters_back(events, &seen.letter_ids[partition as usize]),
            15..18 => self.read(events),
            18..20 => self.range(events),
            20..24 => Step::Trim { partition, letters },
            24..25 => Step::DropOldest { partition, keep: self.chance.u64(0..8) },
            25..40 => self.acquire(at, here),
            40..58 => self.commit(at, here),
            58..64 => Step::Renew { at, nonce: self.nonce(at).0, read: self.around(here) },
            64..69 => self.release(at, here),
            69..73 => Step::Intervene { at, change: self.change(at, here) },
            73..74 => Step::Forget(at.processor),
            74..75 => Step::Register(at.processor),
            75..82 => self.membership(at),
            _ => Step::Foreign(self.foreign(at, here)),
        }
    }

    /// Takes note of an answer that later steps build on.
    pub(super) fn learn(&mut self, step: &Step, answer: &str) {
        match step {
            Step::Acquire { at, nonce, .. } if answer.contains("epoch rose: true") => {
                self.used.entry(*at).or_default().push((nonce.clone(), 0));
            }
            Step::Commit { at, nonce, n, .. } if answer.contains("Applied") => {
                for (_, last) in self.used.entry(*at).or_default().iter_mut().filter(|(used, _)| used == nonce) {
                    *last = *n;
                }
            }
            Step::Swap { .. } if answer.contains("Installed") => self.generation += 1,
            Step::Forget(_) => self.generation = 0,
            Step::Fleet(step) => self.fleet.learn(step, answer),
            _ => {}
        }
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.chance.usize(..all.len())]
    }

    fn sometimes(&mut self, one_in: u32) -> bool {
        self.chance.u32(0..one_in) == 0
    }

    /// An id at, before or a little beyond what lies there.
    fn around(&mut self, here: &PartitionSurvey) -> EventId {
        let last = here.last.ms;
        let lowest = here.first.map_or(last, |first| first.ms).saturating_sub(2);
        let highest = if self.sometimes(10) { last + 3 } else { last };
        // Letters differ from each other in nothing else.
        if here.last.seq > 0 && self.chance.bool() {
            return EventId::new(last, self.chance.u64(0..=here.last.seq));
        }
        EventId::new(self.chance.u64(lowest..=highest.max(lowest)), 0)
    }

    fn letters_back(&mut self, events: &PartitionSurvey, there: &[EventId]) -> Step {
        let partition = events.partition.0;
        let mut letters: Vec<EventId> =
            (0..self.chance.usize(0..4)).filter_map(|_| self.chance.choice(there).copied()).collect();
        // The first one is no letter, and was meant by chance too often otherwise.
        letters.retain(|letter| letter.seq > 0 || self.sometimes(6));
        if self.sometimes(4) {
            letters.push(EventId::new(LATER, self.chance.u64(1..30)));
        }
        // Where the clocks of the two would give the ids, they could not be compared.
        if events.last.ms >= LATER && !self.sometimes(4) {
            Step::Retry { partition, letters }
        } else {
            letters.retain(|letter| letter.seq > 0);
            Step::DropLetters { partition, letters }
        }
    }

    fn several(&mut self, here: &PartitionSurvey) -> Vec<EventId> {
        let count = self.chance.usize(0..4);
        (0..count).map(|_| self.around(here)).filter(|id| *id > EventId::ZERO).collect()
    }

    /// The nonce that owns a place as far as we know, sometimes an older one or one that nobody ever used.
    fn nonce(&mut self, at: At) -> (String, u64) {
        let used = self.used.get(&at).map_or(&[][..], Vec::as_slice);
        match used {
            [] => ("stranger".into(), 0),
            [.., last] if self.chance.u32(0..8) > 0 => last.clone(),
            all => all[self.chance.usize(..all.len())].clone(),
        }
    }

    fn append(&mut self, survey: &[PartitionSurvey]) -> Step {
        // Beyond every clock: so an id that a server gives is the same everywhere.
        let mut next: Vec<u64> = survey.iter().map(|partition| partition.last.ms.max(LATER)).collect();
        let mut entries = Vec::new();
        for _ in 0..self.chance.u32(1..5) {
            let partition = self.chance.u32(0..PARTITIONS);
            let last = &mut next[partition as usize];
            if self.sometimes(12) {
                entries.push((partition, EventId::new(self.chance.u64(0..=*last), 0)));
            } else {
                *last += self.chance.u64(1..3);
                entries.push((partition, EventId::new(*last, 0)));
            }
        }
        Step::Append(entries)
    }

    fn read(&mut self, here: &PartitionSurvey) -> Step {
        Step::Read { partition: here.partition.0, after: self.around(here), count: self.chance.usize(1..6) }
    }

    fn range(&mut self, here: &PartitionSurvey) -> Step {
        let (from, to) = (self.around(here), self.around(here));
        let (count, backwards) = (self.chance.usize(0..6), self.chance.bool());
        Step::Range { partition: here.partition.0, from, to, count, backwards }
    }

    fn acquire(&mut self, at: At, here: &PartitionSurvey) -> Step {
        let nonce = if self.sometimes(4) {
            self.nonce(at).0
        } else {
            self.nonces += 1;
            format!("nonce{}", self.nonces)
        };
        let start = match self.chance.u32(0..4) {
            0 => Start::End,
            1 => Start::After(self.around(here)),
            _ => Start::Beginning,
        };
        let joined = if self.chance.bool() { LATER } else { 0 };
        Step::Acquire { at, nonce, start, joined }
    }

    fn commit(&mut self, at: At, here: &PartitionSurvey) -> Step {
        let (nonce, last) = self.nonce(at);
        let n = match self.chance.u32(0..10) {
            0 => last,
            1 => last + 2,
            _ => last + 1,
        };
        let position = self.around(here);
        // Where Redis is told more than was ever added, it answers a lag below zero.
        let entries_read = (!self.sometimes(5)).then(|| self.chance.u64(0..=here.added));
        let front = match self.chance.u32(0..4) {
            0 => FrontMark::Clear,
            1 => FrontMark::Set { id: EventId::new(position.ms + 1, 0), fails: self.chance.u32(0..4) },
            _ => FrontMark::Keep,
        };
        let done = self.several(here);
        let passed = self.several(here);
        let given_up = if self.sometimes(3) && !at.letters { self.several(here) } else { vec![] };
        Step::Commit { at, nonce, n, position, entries_read, seen: self.around(here), front, done, passed, given_up }
    }

    fn release(&mut self, at: At, here: &PartitionSurvey) -> Step {
        let mark = if self.chance.bool() {
            let kind = self.one_of(&[StopKind::Halted, StopKind::Quarantined, StopKind::Paused]);
            Some((kind, self.around(here)))
        } else {
            None
        };
        Step::Release { at, nonce: self.nonce(at).0, mark }
    }

    fn change(&mut self, at: At, here: &PartitionSurvey) -> Intervention {
        match self.chance.u32(0..12) {
            8..12 => {
                let fence =
                    here.groups.iter().find(|group| group.name == at.processor).and_then(|group| group.fence.clone());
                let marked = fence.as_ref().and_then(|fence| fence.stop.as_ref()).map(|stop| stop.at);
                let next = || Some(EventId::new(fence.as_ref()?.position.ms.max(LATER) + 1, 0));
                let id = marked.filter(|_| self.chance.bool()).or_else(next).unwrap_or_else(|| self.around(here));
                Intervention::DeadLetter { id, about: "by hand".into(), limit: 8 }
            }
            0 => Intervention::Reset(Start::Beginning),
            1 => Intervention::Reset(Start::End),
            2 => Intervention::Reset(Start::After(self.around(here))),
            3 => Intervention::Pause,
            4 | 5 => Intervention::Skip,
            _ => Intervention::Resume,
        }
    }

    fn membership(&mut self, At { processor, partition, .. }: At) -> Step {
        let member = self.one_of(&MEMBERS);
        match self.chance.u32(0..8) {
            0 => Step::Leave { processor, member },
            1 => Step::Swap { processor, expected: self.generation, reap: vec![member.into()] },
            2 => Step::Swap { processor, expected: self.chance.u64(0..3), reap: vec![] },
            3 => {
                let at = EventId::new(self.chance.u64(0..9), 0);
                let stop = Stop { kind: StopKind::Halted, at, error: "no paper left".into(), since: 0 };
                let stop = self.chance.bool().then_some(stop);
                Step::NoteStopped { processor, partition, stop }
            }
            _ => {
                let known = self.chance.bool().then_some(self.generation);
                Step::Beat { processor, member, known }
            }
        }
    }

    fn foreign(&mut self, at: At, here: &PartitionSurvey) -> Foreign {
        let consumer = self.one_of(&CONSUMERS);
        let theirs = At { processor: self.one_of(&["billing", "reports", "reports"]), ..at };
        match self.chance.u32(0..40) {
            0..18 => Foreign::Lapse(at),
            18..22 => {
                let group = here.groups.iter().find(|group| group.name == theirs.processor);
                let position = group.and_then(|group| group.position).unwrap_or(EventId::ZERO);
                Foreign::ReadInGroup(theirs, position, consumer, self.chance.usize(1..5))
            }
            22..26 => Foreign::Acknowledge(theirs, self.several(here)),
            26..28 => Foreign::DeleteConsumer(theirs, consumer),
            28..31 => Foreign::CreateGroup(theirs, self.around(here)),
            31..33 => Foreign::DeleteGroup(theirs),
            33..36 => Foreign::MoveGroup(at, self.around(here)),
            36 => Foreign::DeleteFence(at),
            // What lies in the partition of the events, also where a consumer of letters is drawn.
            37 => Foreign::DeleteStream(at.partition),
            _ => Foreign::DeleteEntry(at.partition, self.around(here)),
        }
    }
}
