//! Which partitions to acquire and to give up, and when to try again.
//!
//! The plan says who should try; the store alone says who may. This machine is told both and names each step once, until
//! its answer is told. It owns nothing itself and knows nothing of what runs: a partition that is being closed finishes,
//! commits and is released in the rooms above, and is named again only after that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::Instant;
use crate::event::Partition;

/// A lease that ends by itself is tried this much after its end. Also the shortest pace of all.
const A_LITTLE: Duration = Duration::from_millis(5);
/// The first look at a partition that another holds comes after this, each next one after twice as long, until the pace
/// is reached: who gives a partition up in good order mostly does so within a moment.
const FIRST_LOOK: Duration = Duration::from_millis(20);
/// A stopped partition is tried this often without a new plan: the word that it goes on again may be lost.
const STOPPED_PACE: Duration = Duration::from_secs(30);
/// The longest wait after store errors, and after losses one upon the other. Under the 2 s within which work must go on
/// after an outage.
const SLOWEST_PACE: Duration = Duration::from_secs(1);
/// Losses further apart than this have nothing to do with each other.
const LOSSES_APART: Duration = Duration::from_secs(30);

/// What to do about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask the store for it.
    Acquire(Partition),
    /// Finish, commit and release it.
    Close(Partition),
}

/// The partitions of one processor in one worker.
#[derive(Clone, Debug)]
pub(crate) struct Ownership {
    sleep: Duration,
    attempts: Option<u32>,
    places: BTreeMap<Partition, Place>,
}

#[derive(Clone, Debug)]
struct Place {
    planned: bool,
    state: State,
    /// Times that another held it, since the last plan.
    tries: u32,
    /// Store errors since the last answer.
    failures: u32,
    /// Losses one upon the other, and the last of them.
    losses: u32,
    lost_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not ours, to be tried then.
    Free { at: Instant },
    /// Not ours: stopped. To be tried then, without haste.
    Stopped { at: Instant },
    /// Not ours, tried often enough for this plan.
    GivenUp,
    /// The store was asked.
    Acquiring,
    /// Ours.
    Owned,
    /// Ours until it is released.
    Closing,
}

impl State {
    fn next_try(self) -> Option<Instant> {
        match self {
            Self::Free { at } | Self::Stopped { at } => Some(at),
            Self::GivenUp | Self::Acquiring | Self::Owned | Self::Closing => None,
        }
    }

    fn is_held(self) -> bool {
        matches!(self, Self::Owned | Self::Closing)
    }

    /// Ours, or perhaps so in a moment.
    fn is_ours(self) -> bool {
        self.is_held() || self == Self::Acquiring
    }
}

impl Place {
    fn new(at: Instant) -> Self {
        Self { planned: false, state: State::Free { at }, tries: 0, failures: 0, losses: 0, lost_at: None }
    }
}

impl Ownership {
    /// Tries for a partition that another holds are `sleep` apart, after a few quicker ones; after so many `attempts`, if
    /// bounded, the next plan is waited for. The quicker ones are not counted.
    pub(crate) fn new(sleep: Duration, attempts: Option<u32>) -> Self {
        Self { sleep: sleep.max(A_LITTLE), attempts, places: BTreeMap::new() }
    }

    /// A new plan says that these are ours. Told once for each plan: it begins every count of tries afresh, except
    /// after store errors and losses, which a plan does not cure.
    pub(crate) fn planned(&mut self, mine: impl IntoIterator<Item = Partition>, now: Instant) {
        let mine: BTreeSet<Partition> = mine.into_iter().collect();
        for &partition in &mine {
            let place = self.places.entry(partition).or_insert_with(|| Place::new(now));
            place.tries = 0;
            let waits_for_a_plan = matches!(place.state, State::Stopped { .. } | State::GivenUp);
            let waits_for_another = matches!(place.state, State::Free { .. }) && place.failures + place.losses == 0;
            if waits_for_a_plan || waits_for_another {
                place.state = State::Free { at: now };
            }
        }
        for (partition, place) in &mut self.places {
            place.planned = mine.contains(partition);
        }
        self.forget_what_is_over();
    }

    /// The store gave it to us.
    pub(crate) fn acquired(&mut self, partition: Partition) {
        let place = self.places.entry(partition).or_insert_with(|| Place::new(Instant::default()));
        place.failures = 0;
        place.tries = 0;
        if place.state != State::Closing {
            place.state = State::Owned;
        }
    }

    /// Another holds it, for `wait` unless it renews.
    pub(crate) fn held(&mut self, partition: Partition, wait: Duration, now: Instant) {
        if let Some(place) = self.places.get_mut(&partition).filter(|place| place.state == State::Acquiring) {
            place.failures = 0;
            place.tries += 1;
            let given_up =
                self.attempts.is_some_and(|most| place.tries >= most.saturating_add(quick_looks(self.sleep)));
            place.state = match given_up {
                true => State::GivenUp,
                false => State::Free { at: now + pace(self.sleep, place.tries).min(wait.saturating_add(A_LITTLE)) },
            };
        }
        self.forget_what_is_over();
    }

    /// It is stopped, and not for us to lift: as the store answered, or as we left it.
    pub(crate) fn stopped(&mut self, partition: Partition, now: Instant) {
        if let Some(place) = self.places.get_mut(&partition).filter(|place| !place.state.is_held()) {
            place.failures = 0;
            place.state = State::Stopped { at: now + STOPPED_PACE };
        }
        self.forget_what_is_over();
    }

    /// The store did not do what it was asked to.
    pub(crate) fn failed(&mut self, partition: Partition, now: Instant) {
        let sleep = self.sleep;
        if let Some(place) = self.places.get_mut(&partition).filter(|place| place.state == State::Acquiring) {
            place.failures += 1;
            place.state = State::Free { at: now + backoff(sleep, place.failures) };
        }
        self.forget_what_is_over();
    }

    /// Its release has begun, by our step or for reasons of its own (a policy stopped it).
    pub(crate) fn closing(&mut self, partition: Partition) {
        if let Some(place) = self.places.get_mut(&partition) {
            place.state = State::Closing;
        }
    }

    /// It is free for others.
    pub(crate) fn released(&mut self, partition: Partition) {
        if let Some(place) = self.places.get_mut(&partition).filter(|place| place.state.is_ours()) {
            place.state = State::Free { at: Instant::default() };
        }
        self.forget_what_is_over();
    }

    /// It is not ours any more: fenced, or its lease ran out. The first loss is tried again at once; losses one upon the
    /// other ever more slowly, so that what takes it from us again and again does not keep everybody busy.
    pub(crate) fn lost(&mut self, partition: Partition, now: Instant) {
        let sleep = self.sleep;
        if let Some(place) = self.places.get_mut(&partition).filter(|place| place.state.is_ours()) {
            let again = place.lost_at.is_some_and(|before| now.since(before) < LOSSES_APART);
            place.losses = if again { place.losses + 1 } else { 0 };
            place.lost_at = Some(now);
            place.state = State::Free { at: now + backoff(sleep, place.losses) };
        }
        self.forget_what_is_over();
    }

    /// What to do now. Each step is named once until its answer is told.
    pub(crate) fn steps(&mut self, now: Instant) -> Vec<Step> {
        let mut closes = Vec::new();
        let mut acquires = Vec::new();
        for (&partition, place) in &mut self.places {
            if place.state == State::Owned && !place.planned {
                place.state = State::Closing;
                closes.push(Step::Close(partition));
            } else if place.planned && place.state.next_try().is_some_and(|at| at <= now) {
                place.state = State::Acquiring;
                acquires.push(Step::Acquire(partition));
            }
        }
        closes.append(&mut acquires);
        closes
    }

    /// When to ask for steps again, if no answer comes before.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.places.values().filter(|place| place.planned).filter_map(|place| place.state.next_try()).min()
    }

    /// What is ours and not being closed.
    #[cfg(test)]
    pub(crate) fn owned(&self) -> impl Iterator<Item = Partition> + '_ {
        self.places.iter().filter(|(_, place)| place.state == State::Owned).map(|(&partition, _)| partition)
    }

    /// Whether the plan is fulfilled: all of it is owned, or stopped, and nothing else is held.
    #[cfg(test)]
    pub(crate) fn is_settled(&self) -> bool {
        self.places.values().all(|place| match place.state {
            State::Owned => place.planned,
            State::Stopped { .. } => true,
            State::Free { .. } | State::GivenUp | State::Acquiring | State::Closing => false,
        })
    }

    fn forget_what_is_over(&mut self) {
        self.places.retain(|_, place| place.planned || place.state.is_ours());
    }
}

/// None for the first time (0), then `sleep`, doubled each time, up to [`SLOWEST_PACE`].
fn backoff(sleep: Duration, times: u32) -> Duration {
    let Some(doublings) = times.checked_sub(1) else { return Duration::ZERO };
    let factor = 2u32.saturating_pow(doublings);
    sleep.saturating_mul(factor).min(SLOWEST_PACE.max(sleep))
}

/// The wait after being told for the `tries`th time that another holds it.
fn pace(sleep: Duration, tries: u32) -> Duration {
    FIRST_LOOK.saturating_mul(2u32.saturating_pow(tries.saturating_sub(1))).min(sleep)
}

/// How many tries come faster than the pace.
fn quick_looks(sleep: Duration) -> u32 {
    (1..).take_while(|&tries| pace(sleep, tries) < sleep).count() as u32
}

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;
