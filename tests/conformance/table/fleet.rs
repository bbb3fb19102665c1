//! The fleet: generations, terms, and the instants of its jobs.

use std::time::Duration;

use runnel::broker::{Bidden, Claim, ClaimKind, Claimed, Generation, JobEntry, JobStop, Term};

use super::on_every_store;
use crate::case::{Case, TTL};

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
        case.announce("old", TTL, "{}").await.unwrap();

        assert_eq!(case.enrolled("ann", "").await, 1);
    }

    async fn the_dead_do_not_keep_a_generation_and_are_dropped(kind: Kind) {
        let case = Case::empty(kind).await;
        case.enroll("ann", NO_TIME, "1").await.unwrap();
        crate::support::eventually("ann is dead", async || case.workers_alive().await.is_empty()).await;

        assert_eq!(case.enrolled("bob", "1").await, 2);
        assert_eq!(case.workers_alive().await, ["bob"]);
    }

    async fn what_a_worker_says_of_itself_outlives_its_enrolling_again(kind: Kind) {
        let case = Case::empty(kind).await;
        case.enrolled("ann", "1").await;
        case.announce("ann", TTL, "{\"pid\":1}").await.unwrap();

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
        case.hands().turn_clock_back(TTL * 3);

        let leader = case.leader().await.unwrap().unwrap();
        let Bidden::Follower { wait, now, .. } = case.bid("bob", TTL).await.unwrap() else { panic!("ann leads") };

        assert!(wait <= TTL, "{wait:?}");
        assert!(leader.until <= now + TTL.as_millis() as u64, "{leader:?}");
    }

    async fn a_term_ends_although_the_clock_went_back(kind: Kind) {
        let case = Case::empty(kind).await;
        case.bid("ann", Duration::from_millis(200)).await.unwrap();
        case.hands().turn_clock_back(TTL);

        crate::support::eventually("bob leads", async || {
            matches!(case.bid("bob", TTL).await.unwrap(), Bidden::Leader { .. })
        })
        .await;
    }

    // --- claims ----------------------------------------------------------------------------------------------------

    async fn only_who_leads_now_may_claim(kind: Kind) {
        let case = Case::empty(kind).await;
        let claimed = async |worker, term| case.claimed(worker, term, 5, Once).await;
        assert_eq!(claimed("ann", Term(0)).await, DEPOSED, "nobody ever led");
        let old = case.lead("ann").await;
        let term = case.lead("ann").await;

        assert_eq!(claimed("bob", term).await, DEPOSED);
        assert_eq!(claimed("ann", old).await, DEPOSED);
        case.hands().lapse_lead();
        assert_eq!(claimed("ann", term).await, DEPOSED, "its term has lapsed");
        let next = case.bid_of("ann").await;
        case.resign("ann", next).await.unwrap();
        assert_eq!(claimed("ann", next).await, DEPOSED, "it resigned");
        assert_eq!(case.jobs().await.unwrap(), []);
    }

    async fn a_base_is_set_once_and_nothing_counts_as_fired(kind: Kind) {
        let case = Case::empty(kind).await;
        let term = case.lead("ann").await;

        assert_eq!(case.claimed("ann", term, 5, Base).await, OURS);

        assert_eq!(case.job().await, JobEntry { last: Some(5), ..tidy() });
        assert_eq!(case.claimed("ann", term, 5, Base).await, OURS, "a resend");
        assert_eq!(case.claimed("ann", term, 9, Base).await, TAKEN);
        assert_eq!(case.claimed("ann", term, 5, Once).await, TAKEN, "what lies before the base is not run");
        assert_eq!(case.claimed("ann", term, 5, Open).await, TAKEN);
        assert_eq!(case.job().await, JobEntry { last: Some(5), ..tidy() });
    }

    async fn an_instant_is_claimed_once_and_none_before_it(kind: Kind) {
        for way in [Once, Open] {
            let case = Case::empty(kind).await;
            let first = case.lead("ann").await;
            assert_eq!(case.claimed("ann", first, 5, way).await, OURS, "{way:?}");
            let job = case.job().await;
            assert_eq!((job.last, job.fired), (Some(5), Some(5)));

            assert_eq!(case.claimed("ann", first, 4, way).await, TAKEN, "{way:?}");
            assert_eq!(case.claimed("ann", first, 9, way).await, OURS, "{way:?}, with a gap");
            let second = case.lead("bob").await;
            assert_eq!(case.claimed("bob", second, 9, Once).await, TAKEN, "{way:?}, by another term");
            assert_eq!(case.claimed("bob", second, 10, way).await, OURS, "{way:?}");
        }
    }

    async fn the_last_claim_may_be_sent_again_in_its_term(kind: Kind) {
        for way in [Once, Open] {
            let case = Case::empty(kind).await;
            let term = case.lead("ann").await;
            case.claimed("ann", term, 5, way).await;

            assert_eq!(case.claimed("ann", term, 5, way).await, OURS, "{way:?}");

            let other = if way == Once { Open } else { Once };
            assert_eq!(case.claimed("ann", term, 5, other).await, TAKEN, "{way:?}: that is another claim");
        }
    }

    async fn an_earlier_claim_of_at_most_once_is_not_answered_again(kind: Kind) {
        let case = Case::empty(kind).await;
        let term = case.lead("ann").await;
        case.claimed("ann", term, 5, Once).await;
        case.claimed("ann", term, 6, Once).await;

        assert_eq!(case.claimed("ann", term, 5, Once).await, TAKEN);
    }

    async fn no_term_gets_what_another_claimed_for_at_most_once(kind: Kind) {
        let case = Case::empty(kind).await;
        let term = case.lead("ann").await;
        case.claimed("ann", term, 5, Once).await;
        let next = case.lead("ann").await;

        for way in [Base, Once, Open] {
            assert_eq!(case.claimed("ann", next, 5, way).await, TAKEN, "{way:?}");
        }
        assert_eq!(case.job().await.open, []);
    }

    async fn instants_are_compared_by_size_however_many_digits_they_have(kind: Kind) {
        let case = Case::empty(kind).await;
        let term = case.lead("ann").await;
        let large = 1 << 60;
        for (instant, answer) in [(9, OURS), (10, OURS), (9, TAKEN), (large, OURS), (large - 1, TAKEN), (large + 1, OURS)] {
            assert_eq!(case.claimed("ann", term, instant, Once).await, answer, "{instant}");
        }
        assert_eq!(case.claimed("ann", term, u64::MAX, Open).await, OURS);
        assert_eq!(case.job().await.open, [(u64::MAX, term)]);
    }

    async fn jobs_do_not_know_of_each_other(kind: Kind) {
        let case = Case::empty(kind).await;
        let term = case.lead("ann").await;
        case.claimed("ann", term, 5, Open).await;
        let other = Claim { job: "tidy-up".into(), ..claim("ann", term, 3, Open) };

        assert_eq!(case.claim(&other).await.unwrap(), OURS);
        assert!(case.close(&other).await.unwrap());

        let names: Vec<_> = case.jobs().await.unwrap().into_iter().map(|job| (job.name, job.open.len())).collect();
        assert_eq!(names, [("tidy".into(), 1), ("tidy-up".into(), 0)]);
    }

    async fn a_later_term_takes_over_what_was_left_open(kind: Kind) {
        let case = Case::empty(kind).await;
        let first = case.lead("ann").await;
        for instant in [5, 6] {
            case.claimed("ann", first, instant, Open).await;
        }
        let second = case.lead("bob").await;

        for instant in [6, 5] {
            assert_eq!(case.claimed("bob", second, instant, Open).await, AGAIN);
            assert_eq!(case.claimed("bob", second, instant, Open).await, AGAIN, "a resend is answered alike");
        }
        assert_eq!(case.job().await, JobEntry { last: Some(6), fired: Some(6), open: vec![(5, second), (6, second)], ..tidy() });
        let third = case.lead("ann").await;
        assert_eq!(case.claimed("ann", third, 5, Open).await, AGAIN, "and again by the next");
        assert_eq!(case.job().await.open, [(5, third), (6, second)]);
    }

    async fn a_claim_of_at_most_once_takes_over_nothing(kind: Kind) {
        let case = Case::empty(kind).await;
        let first = case.lead("ann").await;
        case.claimed("ann", first, 5, Open).await;
        let second = case.lead("bob").await;

        assert_eq!(case.claimed("bob", second, 5, Once).await, TAKEN);
        assert_eq!(case.job().await.open, [(5, first)]);
    }

    async fn what_is_open_in_ones_own_term_is_still_ones_own(kind: Kind) {
        let case = Case::empty(kind).await;
        let term = case.lead("ann").await;
        case.claimed("ann", term, 5, Open).await;
        case.claimed("ann", term, 6, Open).await;

        assert_eq!(case.claimed("ann", term, 5, Open).await, OURS, "a resend that was outrun by the next claim");
    }

    // --- closing ---------------------------------------------------------------------------------------------------

    async fn what_is_closed_is_taken_for_good(kind: Kind) {
        let case = Case::empty(kind).await;
        let term = case.lead("ann").await;
        let open = claim("ann", term, 5, Open);
        case.claim(&open).await.unwrap();

        assert!(case.close(&open).await.unwrap());

        assert!(!case.close(&open).await.unwrap(), "a resend is harmless");
        assert_eq!(case.claim(&open).await.unwrap(), TAKEN, "a resend of the claim that comes late");
        let next = case.lead("bob").await;
        assert_eq!(case.claimed("bob", next, 5, Open).await, TAKEN);
        assert_eq!(case.job().await, JobEntry { last: Some(5), fired: Some(5), ..tidy() });
    }

    async fn who_leads_no_more_closes_what_nobody_took_over(kind: Kind) {
        let case = Case::empty(kind).await;
        let first = case.lead("ann").await;
        for instant in [5, 6] {
            case.claimed("ann", first, instant, Open).await;
        }
        let second = case.lead("bob").await;
        case.claimed("bob", second, 6, Open).await;

        assert!(case.close(&claim("ann", first, 5, Open)).await.unwrap());
        assert!(!case.close(&claim("ann", first, 6, Open)).await.unwrap(), "bob runs it now");
        assert_eq!(case.job().await.open, [(6, second)]);
        assert!(case.close(&claim("bob", second, 6, Open)).await.unwrap(), "what was taken over is closed alike");
    }

    async fn what_was_never_open_cannot_be_closed(kind: Kind) {
        let case = Case::empty(kind).await;
        let term = case.lead("ann").await;
        assert!(!case.close(&claim("ann", term, 5, Open)).await.unwrap());
        case.claimed("ann", term, 5, Once).await;

        assert!(!case.close(&claim("ann", term, 5, Once)).await.unwrap());
        assert!(!case.close(&claim("ann", term, 4, Open)).await.unwrap());
    }

    // --- stopping --------------------------------------------------------------------------------------------------

    async fn a_job_is_stopped_until_it_is_let_go_on(kind: Kind) {
        let case = Case::empty(kind).await;
        let stop = |error: &str| JobStop { error: error.into(), since: 0 };
        let error = "no \"paper\"\nleft \\ \u{1}ü";

        assert!(case.stop_job("tidy", Some(&stop(error))).await.unwrap());

        let stopped = case.job().await.stop.unwrap();
        assert!(stopped.error == error && stopped.since > 0, "{stopped:?}");
        assert!(!case.stop_job("tidy", Some(&stop("another"))).await.unwrap());
        assert_eq!(case.job().await, JobEntry { stop: Some(stopped), ..tidy() }, "the first one stays");
        assert!(case.stop_job("tidy", None).await.unwrap());
        assert!(!case.stop_job("tidy", None).await.unwrap());
        assert_eq!(case.jobs().await.unwrap(), []);
    }

    async fn a_stop_and_the_claims_of_a_job_do_not_touch_each_other(kind: Kind) {
        let case = Case::empty(kind).await;
        let term = case.lead("ann").await;
        let stop = JobStop { error: "e".into(), since: 77 };
        case.claimed("ann", term, 5, Open).await;
        case.stop_job("tidy", Some(&stop)).await.unwrap();

        assert_eq!(case.claimed("ann", term, 6, Once).await, OURS, "whether a stopped job is claimed is not for the store");
        let all = JobEntry { last: Some(6), fired: Some(6), open: vec![(5, term)], stop: Some(stop), ..tidy() };
        assert_eq!(case.job().await, all);

        case.stop_job("tidy", None).await.unwrap();
        assert_eq!(case.job().await, JobEntry { stop: None, ..all });
    }

    async fn jobs_are_listed_by_name(kind: Kind) {
        let case = Case::empty(kind).await;
        for name in ["b", "c", "a"] {
            case.stop_job(name, Some(&JobStop { error: String::new(), since: 1 })).await.unwrap();
        }
        let names: Vec<_> = case.jobs().await.unwrap().into_iter().map(|job| job.name).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    // --- the rest --------------------------------------------------------------------------------------------------

    async fn a_worker_that_departs_takes_nothing_else_along(kind: Kind) {
        let case = Case::empty(kind).await;
        case.enrolled("ann", "1").await;
        let term = case.bid_of("ann").await;
        case.claimed("ann", term, 5, Open).await;

        case.depart("ann").await.unwrap();

        let leader = case.leader().await.unwrap().unwrap();
        assert_eq!((&*leader.worker, leader.term, leader.generation.number), ("ann", term, 1));
        assert_eq!(case.job().await.open, [(5, term)]);
    }

    async fn erasing_an_app_forgets_its_fleet(kind: Kind) {
        let case = Case::empty(kind).await;
        case.enrolled("ann", "1").await;
        let term = case.bid_of("ann").await;
        case.claimed("ann", term, 5, Open).await;

        assert_eq!(case.erase().await.unwrap(), 3, "workers, lead and jobs");

        assert_eq!((case.leader().await.unwrap(), case.jobs().await.unwrap()), (None, vec![]));
        assert_eq!((case.enrolled("ann", "1").await, case.bid_of("ann").await), (1, Term(1)));
    }
}
