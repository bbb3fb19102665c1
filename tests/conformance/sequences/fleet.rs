//! The steps of the fleet: who joins, leads and resigns, and which instants of its jobs are claimed.

use runnel::broker::{Bidden, Broker, Claim, ClaimKind, JobEntry, JobStop, Term};

use super::told;
use crate::case::TTL;
use crate::hands::Hands;

const WORKERS: [&str; 3] = ["ann", "bob", "cas"];
const JOBS: [&str; 2] = ["tidy", "report"];

#[derive(Clone, Debug)]
pub(super) enum FleetStep {
    Enroll { worker: &'static str, version: &'static str },
    Depart(&'static str),
    Bid(&'static str),
    Resign { worker: &'static str, term: u64 },
    Claim(Claim),
    Close(Claim),
    StopJob { job: &'static str, error: Option<String> },
    LapseLead,
}

impl FleetStep {
    pub(super) async fn take(&self, broker: &dyn Broker, hands: &dyn Hands) -> String {
        match self {
            Self::Enroll { worker, version } => told(broker.enroll(worker, TTL, version).await),
            Self::Depart(worker) => told(broker.depart(worker).await),
            Self::Bid(worker) => told(broker.bid(worker, TTL).await.map(of_bid)),
            Self::Resign { worker, term } => told(broker.resign(worker, Term(*term)).await),
            Self::Claim(claim) => told(broker.claim(claim).await),
            Self::Close(claim) => told(broker.close(claim).await),
            Self::StopJob { job, error } => {
                let stop = error.clone().map(|error| JobStop { error, since: 0 });
                told(broker.stop_job(job, stop.as_ref()).await)
            }
            Self::LapseLead => {
                hands.lapse_lead();
                String::new()
            }
        }
    }
}

fn of_bid(bidden: Bidden) -> String {
    match bidden {
        Bidden::Leader { term, generation, .. } => format!("leads in {term}, {generation:?}"),
        Bidden::Follower { by, term, wait, .. } => format!("{by} in {term}, for a time: {}", !wait.is_zero()),
    }
}

/// Who is there, who leads, and what is known of jobs.
pub(super) async fn survey(broker: &dyn Broker) -> Vec<String> {
    let workers = broker.workers().await.map(|all| all.into_iter().map(|worker| worker.name).collect::<Vec<_>>());
    let leader = broker.leader().await.map(|leader| leader.map(|lead| (lead.worker, lead.term, lead.generation)));
    let without_time = |job: JobEntry| JobEntry {
        stop: job.stop.map(|stop| JobStop { since: u64::from(stop.since > 0), ..stop }),
        ..job
    };
    let jobs = broker.jobs().await.map(|jobs| jobs.into_iter().map(without_time).collect::<Vec<_>>());
    vec![told(workers), told(leader), told(jobs)]
}

/// Draws steps, mostly of who leads now.
#[derive(Default)]
pub(super) struct FleetDraw {
    leader: Option<(&'static str, u64)>,
    /// The claims that were made last.
    claims: Vec<Claim>,
}

impl FleetDraw {
    pub(super) fn step(&mut self, chance: &mut fastrand::Rng) -> FleetStep {
        let worker = WORKERS[chance.usize(..WORKERS.len())];
        let (leader, term) = self.leader.unwrap_or((worker, 1));
        let job = JOBS[chance.usize(..JOBS.len())];
        match chance.u32(0..40) {
            0..3 => FleetStep::Enroll { worker, version: if chance.u32(0..5) == 0 { "2" } else { "1" } },
            3..5 => FleetStep::Depart(worker),
            5..10 => FleetStep::Bid(worker),
            10 => FleetStep::Resign { worker: leader, term },
            11 => FleetStep::Resign { worker, term: chance.u64(0..4) },
            12..15 => FleetStep::LapseLead,
            15..18 => {
                let error = chance.bool().then(|| format!("error \"{}\"\n\\", chance.u32(0..9)));
                FleetStep::StopJob { job, error }
            }
            18..25 => FleetStep::Close(self.claim(chance, leader, term, job)),
            _ => {
                let claim = self.claim(chance, leader, term, job);
                self.claims.push(claim.clone());
                FleetStep::Claim(claim)
            }
        }
    }

    pub(super) fn learn(&mut self, step: &FleetStep, answer: &str) {
        if let FleetStep::Bid(worker) = step
            && let Some(rest) = answer.trim_matches('"').strip_prefix("leads in ")
        {
            let term = rest.split(',').next().and_then(|term| term.parse().ok()).expect("a term is a number");
            self.leader = Some((worker, term));
        }
    }

    /// One that was made already, perhaps under another term, or a new one.
    fn claim(&self, chance: &mut fastrand::Rng, leader: &'static str, term: u64, job: &'static str) -> Claim {
        let newest = self.claims.len().saturating_sub(8);
        let old = match self.claims.get(newest..) {
            Some(newest @ [_, ..]) if chance.bool() => Some(newest[chance.usize(..newest.len())].clone()),
            _ => None,
        };
        let kind = [ClaimKind::Base, ClaimKind::Once, ClaimKind::Open, ClaimKind::Open][chance.usize(..4)];
        let last = self.claims.iter().map(|claim| claim.instant).max().unwrap_or(0);
        let instant = chance.u64(last.saturating_sub(4)..last + 3);
        let fresh = Claim { worker: leader.into(), term: Term(term), job: job.into(), instant, kind };
        match old {
            Some(old) if chance.bool() => old,
            Some(old) => Claim { worker: leader.into(), term: Term(term), ..old },
            None => fresh,
        }
    }
}
