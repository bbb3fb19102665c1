//! Judges what a run did as a fleet: its jobs, and what it wrote down of its runs.
//!
//! - C8 an instant of a crontab or a timer runs only for the leader that claimed it. At most once: nothing runs it
//!   again. At least once: in the end every claim of it is closed, which follows a run of it. Where the server's clock
//!   did not jump, no instant between the first and the last is left out, and in a calm run none runs twice.
//! - C11 a run that is written down begins once and ends once, in this order, whatever is done late or twice. One that
//!   has begun has ended in the end: the leader writes the end of those whose worker is gone.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Fact, Story};

/// The job each instant of which is run once at most, and the one each of which is run until that is over.
pub const AT_MOST_ONCE: &str = "at_most_once";
pub const AT_LEAST_ONCE: &str = "at_least_once";
/// Seconds between instants of both.
pub const EVERY: u64 = 2;

/// What is wrong with the jobs and the runs of a story.
pub fn check(story: &Story) -> Vec<String> {
    let mut problems = Vec::new();
    jobs(story, &mut problems);
    runs(story, &mut problems);
    problems
}

type Instant<'a> = (&'a str, u64);

fn jobs(story: &Story, problems: &mut Vec<String>) {
    let mut claimed: BTreeSet<(Instant, u64)> = BTreeSet::new();
    let mut fired: BTreeMap<Instant, u32> = BTreeMap::new();
    let mut open: BTreeSet<Instant> = BTreeSet::new();
    for fact in &story.facts {
        match fact {
            Fact::Claimed { job, instant, term } => {
                claimed.insert(((job, *instant), *term));
                if job == AT_LEAST_ONCE {
                    open.insert((job, *instant));
                }
            }
            Fact::Fired { job, instant, term } => {
                if !claimed.contains(&((job, *instant), *term)) {
                    problems.push(format!("C8 {job} runs for {instant} in term {term}, which has not claimed that"));
                }
                let times = fired.entry((job, *instant)).or_default();
                *times += 1;
                if *times > 1 && (job != AT_LEAST_ONCE || story.is_calm) {
                    problems.push(format!("C8 {job} runs for {instant} {times} times"));
                }
            }
            Fact::Closed { job, instant } if job == AT_LEAST_ONCE => {
                if !fired.contains_key(&(job, *instant)) {
                    problems.push(format!("C8 {job} is closed for {instant}, and never ran for that"));
                }
                open.remove(&(job.as_str(), *instant));
            }
            _ => {}
        }
    }
    problems.extend(open.iter().map(|(job, instant)| format!("C8 {job} was claimed for {instant}, and never closed")));
    // How long a lease lasts is known where no clock has jumped.
    if story.lease_ms.is_some() {
        for job in [AT_MOST_ONCE, AT_LEAST_ONCE] {
            let instants: BTreeSet<u64> =
                claimed.iter().filter(|((of, _), _)| *of == job).map(|((_, at), _)| *at).collect();
            let gap = instants.iter().zip(instants.iter().skip(1)).find(|(at, next)| *next - *at != EVERY * 1_000);
            problems.extend(gap.map(|(at, next)| format!("C8 {job}: after {at} came {next}")));
        }
    }
}

fn runs(story: &Story, problems: &mut Vec<String>) {
    let is_whole = !story.facts.iter().any(|fact| matches!(fact, Fact::RolledBack { .. }));
    // What the store has forgotten may be written down again, or for the first time.
    if !is_whole {
        return;
    }
    let mut has_ended: BTreeMap<&str, bool> = BTreeMap::new();
    for fact in &story.facts {
        match fact {
            Fact::RunBegun { run_id } => {
                let is_known = has_ended.insert(run_id, false).is_some();
                if is_known {
                    problems.push(format!("C11 run {run_id} begins again"));
                }
            }
            Fact::RunEnded { run_id } => match has_ended.get_mut(run_id.as_str()) {
                Some(has_ended @ false) => *has_ended = true,
                Some(true) => problems.push(format!("C11 run {run_id} ends again")),
                None => problems.push(format!("C11 run {run_id} ends, and never began")),
            },
            _ => {}
        }
    }
    let left = has_ended.iter().filter(|(_, has_ended)| !**has_ended);
    problems.extend(left.map(|(run_id, _)| format!("C11 run {run_id} has begun, and never ended")));
}
