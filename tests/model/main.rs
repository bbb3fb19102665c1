//! The protocol, searched exhaustively: every order in which a few workers, a store, its replica and the network can
//! take their steps, up to a bound, is visited, and in every state the promises must hold.
//!
//! The model is the protocol's, not the code's: it shares nothing with the library, so that it can say whether the rules
//! are enough. Each rule is also taken away once, and the search must then find how that breaks a promise: a model in
//! which nothing can go wrong proves nothing.
//!
//! Not modelled: time, migration from consumer groups, marks, renewal, reset and release.
//!
//! `RUNNEL_TEST_SCALE` above 1 searches the large bounds, up to eleven million states a variant: minutes, and
//! gigabytes, in a release build.

mod rules;
mod search;
mod steps;
mod world;

use rules::{Numbering, Rules};
use search::{Found, search};
use world::Promise;

/// Searches `small`, or `large` if a large run was asked for.
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "the size of a test run is no setting of a worker")]
fn holds(small: Rules, large: Rules) {
    let scale = std::env::var("RUNNEL_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    let found = search(if scale > 1 { &large } else { &small });
    assert!(matches!(found, Found::Holds { .. }), "{found}");
    println!("{found}");
}

/// Searches a model that lacks a rule.
#[track_caller]
fn breaks(promise: Promise, rules: Rules) {
    let found = search(&rules);
    let Found::Breaks { broken, .. } = &found else { panic!("{found}, without that rule") };
    assert!(broken.includes(promise), "{found}");
    println!("{found}");
}

const PLAIN: Rules = Rules::PLAIN;
const TWO_KEYS: Rules = Rules::TWO_KEYS;

mod the_protocol_holds {
    use super::*;

    #[test]
    fn in_order_with_late_copies_of_commits() {
        let small = Rules { late_copies: true, ..PLAIN };
        holds(small, Rules { events: 4, acquisitions: 4, ..small });
    }

    #[test]
    fn in_order_with_many_events() {
        let small = Rules { events: 4, ..PLAIN };
        holds(small, Rules { events: 5, acquisitions: 4, ..small });
    }

    #[test]
    fn with_three_workers() {
        let small = Rules { workers: 3, ..PLAIN };
        holds(small, Rules { events: 4, ..small });
    }

    #[test]
    fn with_three_workers_and_late_copies() {
        let small = Rules { workers: 3, events: 2, late_copies: true, ..PLAIN };
        holds(small, Rules { events: 3, ..small });
    }

    #[test]
    fn with_two_keys_at_once_and_late_copies() {
        let small = Rules { acquisitions: 2, late_copies: true, ..TWO_KEYS };
        holds(small, Rules { events: 4, acquisitions: 3, ..small });
    }

    #[test]
    fn with_two_keys_at_once_and_many_events() {
        let small = Rules { events: 4, acquisitions: 2, prefetch: 4, ..TWO_KEYS };
        holds(small, Rules { events: 5, acquisitions: 3, ..small });
    }

    #[test]
    fn with_two_keys_at_once_and_three_workers() {
        let small = Rules { workers: 3, events: 2, prefetch: 2, ..TWO_KEYS };
        holds(small, Rules { events: 4, ..small });
    }

    #[test]
    fn with_a_key_that_fails() {
        let small = Rules { failing: true, late_copies: true, acquisitions: 2, ..TWO_KEYS };
        holds(small, Rules { events: 4, acquisitions: 3, prefetch: 4, ..small });
    }

    #[test]
    fn over_a_fail_over_that_rolls_the_store_back() {
        let small = Rules { failovers: 1, prefetch: 2, acquisitions: 2, ..PLAIN };
        holds(small, Rules { events: 4, acquisitions: 3, ..small });
    }

    #[test]
    fn over_two_fail_overs_with_late_copies() {
        let small = Rules { failovers: 2, events: 2, prefetch: 2, acquisitions: 2, late_copies: true, ..PLAIN };
        holds(small, Rules { events: 3, acquisitions: 3, ..small });
    }

    #[test]
    fn over_a_fail_over_with_two_keys_at_once() {
        let small = Rules { failovers: 1, acquisitions: 2, ..TWO_KEYS };
        holds(small, Rules { acquisitions: 3, ..small });
    }

    #[test]
    fn over_a_fail_over_that_loses_the_last_events() {
        let small = Rules { failovers: 1, lossy_tail: true, events: 2, prefetch: 2, ..PLAIN };
        holds(small, Rules { events: 3, ..small });
    }

    #[test]
    fn over_a_fail_over_after_which_ids_are_given_out_again() {
        let rules = Rules { failovers: 1, lossy_tail: true, reused_ids: true, reacquires: true, ..PLAIN };
        let small = Rules { prefetch: 2, acquisitions: 2, ..rules };
        holds(small, Rules { acquisitions: 3, ..small });
    }

    #[test]
    fn while_somebody_else_reads_in_the_group() {
        let small = Rules { foreign_reader: true, late_copies: true, acquisitions: 2, ..PLAIN };
        holds(small, Rules { acquisitions: 3, ..small });
    }
}

mod every_rule_is_needed {
    use super::*;

    #[test]
    fn the_fence() {
        breaks(Promise::OnlyTheOwnerCommits, Rules { fenced: false, ..PLAIN });
    }

    #[test]
    fn a_position_that_waits_for_the_unfinished() {
        breaks(Promise::NothingUnprocessed, Rules { position_waits: false, ..TWO_KEYS });
    }

    #[test]
    fn effects_inside_the_commit() {
        breaks(Promise::EffectsOnce, Rules { effects_in_commit: false, ..PLAIN });
    }

    #[test]
    fn loading_what_is_done() {
        breaks(Promise::EffectsOnce, Rules { loads_done: false, ..TWO_KEYS });
    }

    #[test]
    fn the_number_of_a_commit() {
        breaks(Promise::EffectsOnce, Rules { numbering: Numbering::None, ..PLAIN });
    }

    #[test]
    fn the_answer_gap() {
        breaks(Promise::EffectsOnce, Rules { numbering: Numbering::NoGap, failovers: 1, ..PLAIN });
    }

    #[test]
    fn moving_the_position_without_new_work() {
        breaks(Promise::Progress, Rules { moves_without_new_work: false, ..TWO_KEYS });
    }

    #[test]
    fn acquiring_anew_after_a_fail_over() {
        let rules = Rules { failovers: 1, lossy_tail: true, reused_ids: true, ..PLAIN };
        breaks(Promise::InOrder, Rules { reacquires: false, ..rules });
    }

    #[test]
    fn distrust_of_a_group_that_others_read() {
        breaks(Promise::NothingUnprocessed, Rules { foreign_reader: true, distrusts_foreign: false, ..PLAIN });
    }
}
