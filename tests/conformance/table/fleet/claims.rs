//! Claims: each instant of a job is had by one term, and what was left open by the next.

use super::super::on_every_store;
use super::*;

on_every_store! {
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
