//! The checker is only believed because it finds what is wrong: histories that were true are damaged, and each damage
//! must be told.

use std::sync::OnceLock;

use super::checker::check;
use super::draw::{Climate, Draw};
use super::facts::{Fact, Hand, Place, Story};
use super::{mute_drawn_panics, tell};

/// True stories of calm runs, in which every damage shows.
fn true_stories() -> &'static [Story] {
    static STORIES: OnceLock<Vec<Story>> = OnceLock::new();
    STORIES.get_or_init(|| {
        mute_drawn_panics();
        let calm = (1..).map(Draw::of).filter(|draw| draw.climate == Climate::Calm && draw.processors.len() == 2);
        // Some of them have jobs and a task log, and most have letters.
        let (jobs, others): (Vec<_>, Vec<_>) = calm.take(120).partition(|draw| draw.has_jobs && draw.is_recorded);
        let (with, without): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|draw| draw.processors.iter().any(|processor| processor.keeps_letters));
        let chosen = with.into_iter().take(4).chain(without.into_iter().take(1)).chain(jobs.into_iter().take(3));
        chosen.map(|draw| tell(&draw).0).collect()
    })
}

/// True stories of runs that were written down while requests were late or came twice, and the clock jumped.
fn rough_stories() -> Vec<Story> {
    mute_drawn_panics();
    let is_rough = |draw: &Draw| {
        let never_forgets = matches!(draw.climate, Climate::Network | Climate::Leaders);
        never_forgets && draw.is_recorded && draw.faults.late_requests > 0.0 && draw.faults.duplicates > 0.0
    };
    let stories = || (1..1_000).map(Draw::of).filter(is_rough).map(|draw| tell(&draw).0);
    let jumped = stories().filter(|story| story.lease_ms.is_none()).take(2);
    stories().filter(|story| story.lease_ms.is_some()).take(1).chain(jumped).collect()
}

/// What happens next at a place, after that.
fn next_step<'a>(facts: &'a [Fact], at: usize, of: &Place) -> Option<&'a Fact> {
    facts[at + 1..].iter().find(|fact| match fact {
        Fact::Owned { place, .. } | Fact::Intervened { place, .. } | Fact::Released { place, .. } => place == of,
        _ => false,
    })
}

/// What happens next in a hand, after that.
fn next_in<'a>(facts: &'a [Fact], at: usize, of: &Hand) -> Option<&'a Fact> {
    facts[at + 1..].iter().find(|fact| match fact {
        Fact::Started { hand, .. } | Fact::Finished { hand, .. } | Fact::Failed { hand, .. } => hand == of,
        Fact::GivenUp { hand, .. } => hand == of,
        _ => false,
    })
}

/// Damages each true story at up to ten places where it can be, and says how often that was not found. Where it cannot be,
/// `damage` says so, and has changed nothing.
fn unnoticed(what: &str, damage: impl Fn(&mut Vec<Fact>, usize) -> bool) {
    unnoticed_in(true_stories(), what, damage);
}

fn unnoticed_in(stories: &[Story], what: &str, damage: impl Fn(&mut Vec<Fact>, usize) -> bool) {
    let (mut tried, mut missed) = (0, Vec::new());
    for story in stories {
        assert_eq!(check(story), Vec::<String>::new(), "it was true before");
        let mut damaged_here = 0;
        let mut damaged = story.clone();
        for at in (0..story.facts.len()).rev() {
            if damaged_here == 10 {
                break;
            }
            if !damage(&mut damaged.facts, at) {
                continue;
            }
            damaged_here += 1;
            if check(&damaged).is_empty() {
                missed.push(format!("{:?}", story.facts[at]));
            }
            damaged.facts.clone_from(&story.facts);
        }
        tried += damaged_here;
    }
    assert!(tried > 10, "there was hardly anything to damage");
    assert!(missed.is_empty(), "{what}: {} of {tried} are not told, like {}", missed.len(), missed[0]);
}

fn drops(is_it: impl Fn(&Fact) -> bool) -> impl Fn(&mut Vec<Fact>, usize) -> bool {
    move |facts, at| {
        let is_it = is_it(&facts[at]);
        if is_it {
            facts.remove(at);
        }
        is_it
    }
}

/// Says it once more, at once.
fn doubles(is_it: impl Fn(&Fact) -> bool) -> impl Fn(&mut Vec<Fact>, usize) -> bool {
    move |facts, at| {
        let is_it = is_it(&facts[at]);
        if is_it {
            facts.insert(at, facts[at].clone());
        }
        is_it
    }
}

#[test]
fn a_start_that_is_missing_is_told() {
    unnoticed("dropped starts", |facts, at| {
        let Fact::Started { hand, .. } = facts[at].clone() else { return false };
        // What has killed enough workers fails without being started.
        let is_finished = matches!(next_in(facts, at, &hand), Some(Fact::Finished { .. }));
        is_finished && drops(|_| true)(facts, at)
    });
}

#[test]
fn an_end_that_is_missing_is_told() {
    unnoticed("dropped ends", drops(|fact| matches!(fact, Fact::Finished { .. } | Fact::GivenUp { .. })));
}

#[test]
fn a_letter_that_is_missing_or_doubled_is_told() {
    unnoticed("dropped letters", drops(|fact| matches!(fact, Fact::Lettered { .. })));
    unnoticed("doubled letters", doubles(|fact| matches!(fact, Fact::Lettered { .. })));
}

#[test]
fn a_failure_that_is_missing_before_a_new_try_is_told() {
    unnoticed("dropped failures", |facts, at| {
        let Fact::Failed { hand, ids } = facts[at].clone() else { return false };
        let is_tried_again = match next_in(facts, at, &hand) {
            Some(Fact::Started { ids: again, .. }) => again.first() == ids.first(),
            next => next.is_some(),
        };
        is_tried_again && drops(|_| true)(facts, at)
    });
}

#[test]
fn a_step_of_ownership_that_is_missing_is_told() {
    unnoticed("dropped takings", drops(|fact| matches!(fact, Fact::Owned { .. })));
    unnoticed("dropped releases", |facts, at| {
        let Fact::Released { place, .. } = facts[at].clone() else { return false };
        // An operator may drive an owner out.
        let is_driven_out = matches!(next_step(facts, at, &place), Some(Fact::Intervened { .. }));
        !is_driven_out && drops(|_| true)(facts, at)
    });
    unnoticed("dropped commits", drops(|fact| matches!(fact, Fact::Committed { .. })));
}

#[test]
fn a_send_that_is_missing_is_told() {
    unnoticed("dropped sends", drops(|fact| matches!(fact, Fact::Appended { .. })));
}

#[test]
fn what_happens_twice_is_told() {
    unnoticed("doubled starts", doubles(|fact| matches!(fact, Fact::Started { .. })));
    unnoticed("doubled ends", doubles(|fact| matches!(fact, Fact::Finished { .. })));
    unnoticed("doubled commits", doubles(|fact| matches!(fact, Fact::Committed { .. })));
    unnoticed("doubled takings", doubles(|fact| matches!(fact, Fact::Owned { .. })));
    unnoticed("doubled sends", doubles(|fact| matches!(fact, Fact::Appended { .. })));
    unnoticed("doubled plans", doubles(|fact| matches!(fact, Fact::Planned { .. })));
}

#[test]
fn events_that_change_places_are_told() {
    unnoticed("swapped starts", |facts, at| {
        let Fact::Started { hand, ids, .. } = facts[at].clone() else { return false };
        let next = facts[at + 1..]
            .iter()
            .position(|fact| matches!(fact, Fact::Started { hand: h, ids: i, .. } if *h == hand && *i != ids));
        next.map(|next| facts.swap(at, at + 1 + next)).is_some()
    });
}

#[test]
fn a_commit_before_what_it_covers_is_told() {
    unnoticed("hasty commits", |facts, at| {
        let Fact::Finished { hand, ids } = facts[at].clone() else { return false };
        let next = facts[at + 1..].iter().position(|fact| {
            matches!(fact, Fact::Committed { place, epoch, position, .. }
                if *place == hand.1 && *epoch == hand.2 && Some(position) >= ids.last())
        });
        let Some(next) = next else { return false };
        let commit = facts.remove(at + 1 + next);
        facts.insert(at, commit);
        true
    });
}

#[test]
fn a_commit_by_somebody_else_is_told() {
    unnoticed("foreign commits", |facts, at| match &mut facts[at] {
        Fact::Committed { nonce, .. } => {
            nonce.push('x');
            true
        }
        _ => false,
    });
}

#[test]
fn a_commit_of_an_older_epoch_is_told() {
    unnoticed("late commits", |facts, at| {
        let Fact::Committed { place, .. } = facts[at].clone() else { return false };
        let next = facts[at + 1..].iter().position(|fact| matches!(fact, Fact::Owned { place: p, .. } if *p == place));
        let Some(next) = next else { return false };
        let mut late = facts[at].clone();
        if let Fact::Committed { n, .. } = &mut late {
            *n += 1;
        }
        facts.insert(at + 2 + next, late);
        true
    });
}

#[test]
fn a_position_that_goes_too_far_is_told() {
    unnoticed("commits beyond", |facts, at| {
        let Fact::Committed { place: of, .. } = facts[at].clone() else { return false };
        let now = facts[..at].iter().rev().find_map(|fact| match fact {
            Fact::Started { hand, ids, .. } if hand.1 == of => Some(ids.last().copied()),
            Fact::Finished { hand, .. } | Fact::GivenUp { hand, .. } if hand.1 == of => Some(None),
            _ => None,
        });
        match (&mut facts[at], now.flatten()) {
            (Fact::Committed { position, .. }, Some(running)) => {
                *position = running;
                true
            }
            _ => false,
        }
    });
}

#[test]
fn a_trim_beyond_a_processor_is_told() {
    unnoticed("greedy trims", |facts, at| {
        let Fact::Appended { partition, id, .. } = facts[at] else { return false };
        facts.insert(at + 1, Fact::Trimmed { partition, ids: vec![id] });
        true
    });
}

#[test]
fn an_instant_that_runs_twice_or_unclaimed_is_told() {
    unnoticed("doubled instants", doubles(|fact| matches!(fact, Fact::Fired { .. })));
    unnoticed("dropped claims", drops(|fact| matches!(fact, Fact::Claimed { .. })));
    // The task of the leader has no instants, by which its end could be missed.
    unnoticed("dropped closings", drops(|fact| matches!(fact, Fact::Closed { job, .. } if job != "task")));
}

#[test]
fn a_run_that_begins_or_ends_never_or_twice_is_told() {
    unnoticed("dropped begins", drops(|fact| matches!(fact, Fact::RunBegun { .. })));
    unnoticed("doubled begins", doubles(|fact| matches!(fact, Fact::RunBegun { .. })));
    unnoticed("dropped ends", drops(|fact| matches!(fact, Fact::RunEnded { .. })));
    unnoticed("doubled ends", doubles(|fact| matches!(fact, Fact::RunEnded { .. })));
}

/// Neither late requests nor a clock that jumps are an excuse.
#[test]
fn a_run_that_begins_again_or_never_ends_is_told_in_rough_weather_too() {
    let rough = rough_stories();
    unnoticed_in(&rough, "begins after the end", |facts, at| {
        let Fact::RunEnded { run_id } = facts[at].clone() else { return false };
        facts.insert(at + 1, Fact::RunBegun { run_id });
        true
    });
    unnoticed_in(&rough, "begun and ended again", |facts, at| {
        let Fact::RunEnded { run_id } = facts[at].clone() else { return false };
        facts.splice(at + 1..at + 1, [Fact::RunBegun { run_id: run_id.clone() }, Fact::RunEnded { run_id }]);
        true
    });
    unnoticed_in(&rough, "dropped ends", drops(|fact| matches!(fact, Fact::RunEnded { .. })));
}
