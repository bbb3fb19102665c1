//! The fleet: generations, terms, and the instants of its jobs.

mod claims;

use std::time::Duration;

use runnel::broker::{Bidden, Claim, ClaimKind, Claimed, Generation, JobEntry, JobStop, Standing, Term};

use super::on_every_store;
use crate::case::{Case, SOON, TTL, TTL_MS};

use ClaimKind::{Base, Once, Open};

const OURS: Claimed = Claimed::Ours { again: false };
const AGAIN: Claimed = Claimed::Ours { again: true };
const TAKEN: Claimed = Claimed::Taken;
const DEPOSED: Claimed = Claimed::Deposed;

/// So short that it has passed before long.
const NO_TIME: Duration = Duration::from_millis(1);

impl Case {
    async fn enrolled(&self, worker: &str, version: &str) -> u64 {
        let Generation { number, version: held } = self.enroll(worker, TTL, version).await.unwrap();
        assert_eq!(held, version);
        number
    }

    /// Leads in a new term, whoever led before.
    async fn lead(&self, worker: &str) -> Term {
        self.hands().lapse_lead();
        self.bid_of(worker).await
    }

    async fn bid_of(&self, worker: &str) -> Term {
        match self.bid(worker, TTL).await.unwrap() {
            Bidden::Leader { term, .. } => term,
            other => panic!("{worker} does not lead: {other:?}"),
        }
    }

    async fn claimed(&self, worker: &str, term: Term, instant: u64, kind: ClaimKind) -> Claimed {
        self.claim(&claim(worker, term, instant, kind)).await.unwrap()
    }

    async fn job(&self) -> JobEntry {
        let mut jobs = self.jobs().await.unwrap();
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.remove(0)
    }

    async fn workers_alive(&self) -> Vec<String> {
        self.workers().await.unwrap().into_iter().map(|worker| worker.name).collect()
    }
}

fn claim(worker: &str, term: Term, instant: u64, kind: ClaimKind) -> Claim {
    Claim { worker: worker.into(), term, job: "tidy".into(), instant, kind }
}

fn tidy() -> JobEntry {
    JobEntry { name: "tidy".into(), ..JobEntry::default() }
}

on_every_store! {
    // --- generations -----------------------------------------------------------------------------------------------

    async fn a_worker_that_joins_an_empty_fleet_begins_a_generation(kind: Kind) {
        let case = Case::empty(kind).await;

        assert_eq!(case.enrolled("ann", "1").await, 1);
        assert_eq!(case.workers_alive().await, ["ann"]);
        case.depart("ann").await.unwrap();
        assert_eq!(case.enrolled("bob", "1").await, 2);
    }

    async fn who_only_runs_a_job_makes_no_fleet(kind: Kind) {
        let case = Case::empty(kind).await;
        case.announce("job", Standing::Guest, TTL, "{}").await.unwrap();

        assert_eq!(case.enrolled("ann", "1").await, 1);
        case.depart("ann").await.unwrap();
        case.announce("job", Standing::Guest, TTL, "{}").await.unwrap();
        assert_eq!(case.workers_alive().await, ["job"]);
        assert_eq!(case.enrolled("bob", "1").await, 2, "nobody but a guest was there");
        case.announce("bob", Standing::Member, TTL, "{}").await.unwrap();
        assert_eq!(case.enrolled("cid", "1").await, 2);
    }

    async fn a_worker_that_joins_others_of_its_version_begins_none(kind: Kind) {
        let case = Case::empty(kind).await;
        case.enrolled("ann", "1").await;

        assert_eq!(case.enrolled("bob", "1").await, 1);
        assert_eq!(case.workers_alive().await, ["ann", "bob"]);
    }

    async fn another_version_begins_a_generation_and_so_does_going_back(kind: Kind) {
        let case = Case::empty(kind).await;
        for (worker, version, generation) in [("ann", "1", 1), ("bob", "2", 2), ("cas", "1", 3), ("dan", "1", 3)] {
            assert_eq!(case.enrolled(worker, version).await, generation, "{worker}");
        }
    }

    async fn an_empty_version_is_a_version_like_any_other(kind: Kind) {
        let case = Case::empty(kind).await;
        for (worker, version, generation) in [("ann", "", 1), ("bob", "", 1), ("cas", "1", 2), ("dan", "", 3)] {
            assert_eq!(case.enrolled(worker, version).await, generation, "{worker}");
        }
    }

    async fn enrolling_again_after_a_lost_answer_begins_nothing(kind: Kind) {
        let case = Case::empty(kind).await;

        assert_eq!((case.enrolled("ann", "1").await, case.enrolled("ann", "1").await), (1, 1));
        assert_eq!((case.enrolled("bob", "2").await, case.enrolled("bob", "2").await), (2, 2));
    }

    async fn the_first_generation_begins_also_among_workers_that_only_announced_themselves(kind: Kind) {
        let case = Case::empty(kind).await;
        case.announce("old", Standing::Member, TTL, "{}").await.unwrap();

        assert_eq!(case.enrolled("ann", "").await, 1);
    }

    async fn the_dead_do_not_keep_a_generation_and_are_dropped(kind: Kind) {
        let case = Case::empty(kind).await;
        case.enroll("ann", NO_TIME, "1").await.unwrap();
        crate::support::eventually("ann is dead", async || case.workers_alive().await.is_empty()).await;

        assert_eq!(case.enrolled("bob", "1").await, 2);
        assert_eq!(case.workers_alive().await, ["bob"]);
    }

    async fn the_dead_do_not_keep_a_generation_although_the_clock_went_back(kind: Kind) {
        let case = Case::empty(kind).await;
        case.enroll("ann", SOON, "1").await.unwrap();
        case.hands().turn_clock_back(TTL_MS);

        crate::support::eventually("a fleet of nobody begins another generation", async || {
            let generation = case.enrolled("bob", "1").await;
            case.depart("bob").await.unwrap();
            generation > 1
        })
        .await;
    }

    async fn what_a_worker_says_of_itself_outlives_its_enrolling_again(kind: Kind) {
        let case = Case::empty(kind).await;
        case.enrolled("ann", "1").await;
        case.announce("ann", Standing::Member, TTL, "{\"pid\":1}").await.unwrap();

        case.enrolled("ann", "1").await;

        assert_eq!(case.workers().await.unwrap()[0].about, "{\"pid\":1}");
    }

    // --- terms -----------------------------------------------------------------------------------------------------

    async fn the_first_bidder_leads_and_is_told_the_generation(kind: Kind) {
        let case = Case::empty(kind).await;
        assert_eq!(case.leader().await.unwrap(), None);
        let none = Generation::default();
        assert!(matches!(case.bid("ann", TTL).await.unwrap(), Bidden::Leader { generation, .. } if generation == none));
        case.enrolled("ann", "1").await;

        let Bidden::Leader { term, now, generation } = case.bid("ann", TTL).await.unwrap() else { panic!("it leads") };

        assert_eq!((term, generation), (Term(1), Generation { number: 1, version: "1".into() }));
        let leader = case.leader().await.unwrap().unwrap();
        assert_eq!((&*leader.worker, leader.term, leader.generation.number), ("ann", term, 1));
        assert_eq!(leader.until, now + TTL.as_millis() as u64);
    }

    async fn others_wait_while_a_term_lasts_and_its_leader_keeps_it(kind: Kind) {
        let case = Case::empty(kind).await;
        let term = case.bid_of("ann").await;

        let Bidden::Follower { by, term: theirs, wait, now } = case.bid("bob", TTL).await.unwrap() else {
            panic!("ann leads")
        };

        assert_eq!((&*by, theirs), ("ann", term));
        assert!(wait <= TTL && wait > TTL / 2 && now > 0, "{wait:?}");
        assert_eq!(case.bid_of("ann").await, term, "prolonged");
    }

    async fn a_bid_may_be_sent_again_and_prolongs(kind: Kind) {
        let case = Case::empty(kind).await;
        case.bid("ann", TTL / 2).await.unwrap();
        let before = case.leader().await.unwrap().unwrap();

        assert_eq!(case.bid_of("ann").await, before.term);

        assert!(case.leader().await.unwrap().unwrap().until > before.until);
    }

    async fn absurd_times_to_live_leave_the_fleet_in_order(kind: Kind) {
        let case = Case::empty(kind).await;
        for ttl in [Duration::MAX, Duration::ZERO] {
            case.enroll("ann", ttl, "1").await.unwrap();
            case.bid("ann", ttl).await.unwrap();
            case.leader().await.unwrap();
            case.workers().await.unwrap();
            case.hands().lapse_lead();
        }
        assert_eq!(case.bid_of("bob").await, Term(3));
    }

    async fn a_lapsed_term_is_followed_by_the_next_also_for_the_same_worker(kind: Kind) {
        let case = Case::empty(kind).await;
        assert_eq!(case.bid_of("ann").await, Term(1));
        case.hands().lapse_lead();
        assert_eq!(case.leader().await.unwrap(), None);
        assert_eq!(case.bid_of("bob").await, Term(2));
        case.hands().lapse_lead();
        assert_eq!(case.bid_of("bob").await, Term(3));
    }

    async fn who_resigns_frees_the_lead_at_once(kind: Kind) {
        let case = Case::empty(kind).await;
        let term = case.bid_of("ann").await;

        assert!(case.resign("ann", term).await.unwrap());

        assert_eq!(case.leader().await.unwrap(), None);
        assert!(!case.resign("ann", term).await.unwrap(), "a resend is harmless");
        assert_eq!(case.bid_of("bob").await, Term(2), "the number of the term stays");
    }

    async fn only_the_leader_resigns_and_only_its_own_term(kind: Kind) {
        let case = Case::empty(kind).await;
        assert!(!case.resign("ann", Term(0)).await.unwrap());
        let old = case.lead("ann").await;
        let term = case.lead("ann").await;

        assert!(!case.resign("bob", term).await.unwrap());
        assert!(!case.resign("ann", old).await.unwrap());
        assert_eq!(case.leader().await.unwrap().unwrap().term, term);

        case.hands().lapse_lead();
        assert!(!case.resign("ann", term).await.unwrap(), "it is not its any more");
    }

    async fn no_term_lasts_longer_when_the_servers_clock_goes_back(kind: Kind) {
        let case = Case::empty(kind).await;
        case.bid_of("ann").await;
        case.hands().turn_clock_back(3 * TTL_MS);

        let leader = case.leader().await.unwrap().unwrap();
        let Bidden::Follower { wait, now, .. } = case.bid("bob", TTL).await.unwrap() else { panic!("ann leads") };

        assert!(wait <= TTL, "{wait:?}");
        assert!(leader.until <= now + TTL.as_millis() as u64, "{leader:?}");
    }

    async fn a_term_ends_although_the_clock_went_back(kind: Kind) {
        let case = Case::empty(kind).await;
        case.bid("ann", Duration::from_millis(200)).await.unwrap();
        case.hands().turn_clock_back(TTL_MS);

        crate::support::eventually("bob leads", async || {
            matches!(case.bid("bob", TTL).await.unwrap(), Bidden::Leader { .. })
        })
        .await;
    }

    // --- claims ----------------------------------------------------------------------------------------------------
}
