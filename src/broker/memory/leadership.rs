//! Who leads the fleet, and which instants of its jobs are taken.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::broker::{Bidden, Claim, ClaimKind, Claimed, Generation, JobEntry, JobStop, LeaderEntry, Standing, Term};
use crate::clock::UnixMs;

use super::history::Step;
use super::membership::Worker;
use super::store::{ServerTime, Store, whole_ms};

/// What the fleet of an app has agreed on.
#[derive(Clone, Debug, Default)]
pub(super) struct Fleet {
    lead: Lead,
    generation: Generation,
    jobs: BTreeMap<String, Job>,
}

#[derive(Clone, Debug, Default)]
struct Lead {
    /// Whose term this is or was; nobody's before the first.
    owner: Option<String>,
    term: Term,
    until: UnixMs,
    /// For how long the term was prolonged last.
    ttl: u64,
}

#[derive(Clone, Debug, Default)]
struct Job {
    last: Option<UnixMs>,
    fired: Option<UnixMs>,
    /// The claim that moved `last`.
    by: Option<(Term, ClaimKind)>,
    open: BTreeMap<UnixMs, Open>,
    stop: Option<JobStop>,
}

/// A claim whose run is not over.
#[derive(Clone, Copy, Debug)]
struct Open {
    term: Term,
    /// That term took it over.
    again: bool,
}

impl Lead {
    /// How long the term lasts: no longer than it was given for, since the server's clock may have gone back.
    fn left(&self, now: ServerTime) -> u64 {
        self.until.saturating_sub(now.ms()).min(self.ttl)
    }

    fn is_of(&self, worker: &str, term: Term, now: ServerTime) -> bool {
        self.owner.as_deref() == Some(worker) && self.term == term && self.left(now) > 0
    }
}

impl Fleet {
    /// Ends the term.
    pub(super) fn lapse(&mut self) {
        self.lead.until = 0;
    }

    /// Keys it has on a server.
    pub(super) fn keys(&self) -> usize {
        usize::from(self.lead.owner.is_some() || self.generation.number > 0) + usize::from(!self.jobs.is_empty())
    }
}

impl Job {
    fn is_unknown(&self) -> bool {
        self.last.is_none() && self.stop.is_none()
    }

    fn claim(&mut self, claim: &Claim) -> Claimed {
        let Claim { term, instant, kind, .. } = *claim;
        let begins = self.last.is_none_or(|last| kind != ClaimKind::Base && instant > last);
        if begins {
            self.last = Some(instant);
            self.by = Some((term, kind));
            if kind != ClaimKind::Base {
                self.fired = Some(instant);
            }
            if kind == ClaimKind::Open {
                self.open.insert(instant, Open { term, again: false });
            }
            return Claimed::Ours { again: false };
        }
        if kind != ClaimKind::Open {
            let resent = self.last == Some(instant) && self.by == Some((term, kind));
            return if resent { Claimed::Ours { again: false } } else { Claimed::Taken };
        }
        let Some(open) = self.open.get_mut(&instant) else { return Claimed::Taken };
        if open.term != term {
            *open = Open { term, again: true };
        }
        Claimed::Ours { again: open.again }
    }
}

impl Store {
    pub(super) fn enroll(&mut self, worker: &str, ttl: Duration, version: &str, now: ServerTime) -> Generation {
        self.bring_workers_up_to_date(now);
        self.workers.retain(|_, entry| entry.dead_after > now.ms());
        let is_empty = self.workers.values().all(|worker| worker.standing == Standing::Guest);
        let generation = &mut self.fleet.generation;
        let begun = generation.number == 0 || generation.version != version || is_empty;
        if begun {
            *generation = Generation { number: generation.number + 1, version: version.to_owned() };
        }
        let generation = generation.clone();
        let fresh = Worker { dead_after: 0, ttl, about: String::new(), standing: Standing::Member };
        let enrolled = self.workers.entry(worker.to_owned()).or_insert(fresh);
        (enrolled.dead_after, enrolled.ttl, enrolled.standing) = (now.plus(ttl), ttl, Standing::Member);
        let (worker, number) = (worker.to_owned(), generation.number);
        self.history.record(|| Step::Enrolled { worker, generation: number, begun, at: now.ms() });
        generation
    }

    pub(super) fn bid(&mut self, worker: &str, ttl: Duration, now: ServerTime) -> Bidden {
        let lead = &mut self.fleet.lead;
        let left = lead.left(now);
        // Kept, so that a clock that went back cannot make it last from bid to bid.
        lead.until = lead.until.min(now.ms() + left);
        if let Some(owner) = lead.owner.as_ref().filter(|owner| left > 0 && *owner != worker) {
            let wait = Duration::from_millis(left);
            return Bidden::Follower { by: owner.clone(), term: lead.term, wait, now: now.ms() };
        }
        if left == 0 {
            lead.term.0 += 1;
            let (worker, term) = (worker.to_owned(), lead.term);
            self.history.record(|| Step::Led { worker, term, at: now.ms() });
        }
        lead.owner = Some(worker.to_owned());
        lead.ttl = whole_ms(ttl).max(1);
        lead.until = now.ms().saturating_add(lead.ttl);
        Bidden::Leader { term: lead.term, now: now.ms(), generation: self.fleet.generation.clone() }
    }

    pub(super) fn resign(&mut self, worker: &str, term: Term, now: ServerTime) -> bool {
        let led = self.fleet.lead.is_of(worker, term, now);
        if led {
            self.fleet.lead.until = 0;
            let worker = worker.to_owned();
            self.history.record(|| Step::Resigned { worker, term, at: now.ms() });
        }
        led
    }

    pub(super) fn leader(&self, now: ServerTime) -> Option<LeaderEntry> {
        let Fleet { lead, generation, .. } = &self.fleet;
        let left = lead.left(now);
        let worker = lead.owner.clone().filter(|_| left > 0)?;
        Some(LeaderEntry { worker, term: lead.term, until: now.ms() + left, generation: generation.clone() })
    }

    pub(super) fn claim(&mut self, claim: &Claim, now: ServerTime) -> Claimed {
        let answer = if self.fleet.lead.is_of(&claim.worker, claim.term, now) {
            self.fleet.jobs.entry(claim.job.to_string()).or_default().claim(claim)
        } else {
            Claimed::Deposed
        };
        self.history.record(|| Step::Claimed {
            job: claim.job.to_string(),
            instant: claim.instant,
            term: claim.term,
            worker: claim.worker.to_string(),
            kind: claim.kind,
            answer,
            at: now.ms(),
        });
        answer
    }

    pub(super) fn close(&mut self, claim: &Claim, now: ServerTime) -> bool {
        let Claim { term, instant, .. } = *claim;
        let Some(job) = self.fleet.jobs.get_mut(&*claim.job) else { return false };
        let was_open = job.open.get(&instant).is_some_and(|open| open.term == term);
        if was_open {
            job.open.remove(&instant);
            self.history.record(|| Step::Closed { job: claim.job.to_string(), instant, term, at: now.ms() });
        }
        was_open
    }

    pub(super) fn jobs(&self) -> Vec<JobEntry> {
        let entry = |(name, job): (&String, &Job)| JobEntry {
            name: name.clone(),
            last: job.last,
            fired: job.fired,
            open: job.open.iter().map(|(instant, open)| (*instant, open.term)).collect(),
            stop: job.stop.clone(),
        };
        self.fleet.jobs.iter().map(entry).collect()
    }

    pub(super) fn stop_job(&mut self, name: &str, stop: Option<&JobStop>, now: ServerTime) -> bool {
        let job = self.fleet.jobs.entry(name.to_owned()).or_default();
        let changes = job.stop.is_some() != stop.is_some();
        if changes {
            job.stop = stop.map(|stop| JobStop {
                since: if stop.since == 0 { now.ms() } else { stop.since },
                error: stop.error.clone(),
            });
        }
        if job.is_unknown() {
            self.fleet.jobs.remove(name);
        }
        let (job, stopped) = (name.to_owned(), stop.is_some());
        if changes {
            self.history.record(|| Step::JobStopped { job, stopped, at: now.ms() });
        }
        changes
    }
}
