//! What can go wrong between one worker and the store: seeded chance, or a script of faults to come.
//!
//! A network loses a question or its answer, delays either, delivers a question after its asker has given up, or twice;
//! and it can be cut. Which of these happens is decided here, and only decided: [`MemoryBroker`](super::MemoryBroker)
//! does it. The same seed and the same order of operations give the same faults.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

/// The operations that can be told apart when faults are scripted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// `server`, `declare`, `stream`, `streams`, `range`, `survey`, `erase`: what has no part in the protocol.
    Look,
    /// `append`
    Append,
    /// `read`
    Read,
    /// `trim` and `drop_oldest`
    Trim,
    /// `acquire`
    Acquire,
    /// `commit`, drawn for each commit of a call
    Commit,
    /// `renew`, drawn for each renewal of a call
    Renew,
    /// `release`
    Release,
    /// `retry_letters`
    Retry,
    /// `drop_letters`
    DropLetters,
    /// `intervene` and `forget`
    Operate,
    /// `beat`
    Beat,
    /// `swap`
    Swap,
    /// `begin_run`, `end_run`
    Run,
    /// `leave`, `note_stopped`, `announce`, `depart`, `workers`
    Tell,
    /// `enroll`
    Enroll,
    /// `bid`
    Bid,
    /// `resign`
    Resign,
    /// `claim`
    Claim,
    /// `close`
    Close,
    /// `leader` and `jobs`
    Jobs,
    /// `stop_job`
    StopJob,
}

impl Operation {
    /// What was asked, as errors say it.
    pub(super) fn doing(self) -> &'static str {
        match self {
            Self::Look => "looking at streams",
            Self::Append => "appending entries",
            Self::Read => "reading entries",
            Self::Trim => "trimming a partition",
            Self::Acquire => "acquiring a partition",
            Self::Commit => "committing positions",
            Self::Renew => "renewing leases",
            Self::Release => "releasing a partition",
            Self::Retry => "retrying dead letters",
            Self::DropLetters => "dropping dead letters",
            Self::Operate => "changing a processor's position",
            Self::Beat => "beating",
            Self::Swap => "installing a plan",
            Self::Run => "logging a run",
            Self::Tell => "telling the others",
            Self::Enroll => "joining the fleet",
            Self::Bid => "bidding to lead",
            Self::Resign => "giving up the lead",
            Self::Claim => "claiming an instant of a job",
            Self::Close => "closing a claim of a job",
            Self::Jobs => "looking at the fleet's jobs",
            Self::StopJob => "stopping a job or letting it go on",
        }
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The question is lost: nothing happens, and the asker cannot know.
    LostRequest,
    /// It is done, but the asker is not told.
    LostReply,
    /// The asker is told nothing, and the store does it this much later. For `read`: as a lost request.
    Late(Duration),
    /// It is done and answered, and done again this much later. For `read`: no fault.
    Twice(Duration),
    /// The store refuses it with this code: `OOM`, `READONLY`.
    Refused(&'static str),
    /// There is no connection to ask on.
    Unavailable,
}

/// How often things go wrong by chance for one handle. The default: never.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Decides everything below.
    pub seed: u64,
    /// The share of [`Fault::LostRequest`], from 0 to 1.
    pub lost_requests: f64,
    /// The share of [`Fault::LostReply`].
    pub lost_replies: f64,
    /// The share of [`Fault::Late`].
    pub late_requests: f64,
    /// The share of [`Fault::Twice`].
    pub duplicates: f64,
    /// How late late ones and duplicates are.
    pub late_by: RangeInclusive<Duration>,
    /// How long a question and, again, its answer are on their way.
    pub delay: RangeInclusive<Duration>,
    /// After how long an asker that hears nothing gives up.
    pub patience: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: 0,
            lost_requests: 0.0,
            lost_replies: 0.0,
            late_requests: 0.0,
            duplicates: 0.0,
            late_by: Duration::ZERO..=Duration::from_secs(30),
            delay: Duration::ZERO..=Duration::ZERO,
            patience: Duration::from_secs(1),
        }
    }
}

/// What happens to one question, or to several that travel together.
#[derive(Debug)]
pub(super) struct Journey {
    pub(super) there: Duration,
    pub(super) back: Duration,
    pub(super) patience: Duration,
    /// One for each question.
    pub(super) faults: Vec<Option<Fault>>,
}

/// Draws what will happen on one handle.
#[derive(Debug)]
pub(super) struct Weather {
    chances: Faults,
    chance: fastrand::Rng,
    script: BTreeMap<Operation, VecDeque<Fault>>,
}

impl Weather {
    pub(super) fn new(chances: Faults) -> Self {
        let chance = fastrand::Rng::with_seed(chances.seed);
        Self { chances, chance, script: BTreeMap::new() }
    }

    pub(super) fn set(&mut self, chances: Faults) {
        self.chance = fastrand::Rng::with_seed(chances.seed);
        self.chances = chances;
    }

    pub(super) fn next(&mut self, operation: Operation, fault: Fault) {
        self.script.entry(operation).or_default().push_back(fault);
    }

    pub(super) fn journey(&mut self, operation: Operation, questions: usize) -> Journey {
        let delay = self.chances.delay.clone();
        let (there, back) = (self.between(&delay), self.between(&delay));
        let faults = (0..questions).map(|_| self.fault(operation)).collect();
        Journey { there, back, patience: self.chances.patience, faults }
    }

    /// Scripted ones first, then by chance.
    fn fault(&mut self, operation: Operation) -> Option<Fault> {
        if let Some(fault) = self.script.get_mut(&operation).and_then(VecDeque::pop_front) {
            return Some(fault);
        }
        let Faults { lost_requests, lost_replies, late_requests, duplicates, .. } = self.chances;
        if lost_requests + lost_replies + late_requests + duplicates <= 0.0 {
            return None;
        }
        let by = self.between(&self.chances.late_by.clone());
        let shares = [
            (lost_requests, Fault::LostRequest),
            (lost_replies, Fault::LostReply),
            (late_requests, Fault::Late(by)),
            (duplicates, Fault::Twice(by)),
        ];
        let mut drawn = self.chance.f64();
        for (share, fault) in shares {
            if drawn < share {
                return Some(fault);
            }
            drawn -= share;
        }
        None
    }

    fn between(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let micros = |time: &Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (least, most) = (micros(range.start()), micros(range.end()));
        if most <= least {
            return *range.start();
        }
        Duration::from_micros(self.chance.u64(least..=most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64) -> Vec<Option<Fault>> {
        let chances = Faults { seed, lost_requests: 0.1, lost_replies: 0.1, duplicates: 0.1, ..Faults::default() };
        let mut weather = Weather::new(chances);
        (0..1000).flat_map(|_| weather.journey(Operation::Commit, 1).faults).collect()
    }

    #[test]
    fn a_seed_gives_the_same_faults_every_time() {
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }

    #[test]
    fn faults_come_about_as_often_as_asked_for() {
        let faults = drawn(7);
        for kind in [Fault::LostRequest, Fault::LostReply] {
            let count = faults.iter().flatten().filter(|fault| **fault == kind).count();
            assert!((60..140).contains(&count), "{kind:?}: {count} of 1000 with a share of 0.1");
        }
        assert!(faults.iter().flatten().all(|fault| !matches!(fault, Fault::Late(_))), "none was asked for");
    }

    #[test]
    fn scripted_faults_come_first_in_order_and_only_to_their_operation() {
        let mut weather = Weather::new(Faults::default());
        weather.next(Operation::Commit, Fault::LostReply);
        weather.next(Operation::Commit, Fault::Unavailable);

        assert_eq!(weather.journey(Operation::Renew, 1).faults, [None]);
        assert_eq!(
            weather.journey(Operation::Commit, 3).faults,
            [Some(Fault::LostReply), Some(Fault::Unavailable), None]
        );
    }
}
