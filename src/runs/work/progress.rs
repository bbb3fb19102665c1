//! How far a run is: what it counts, and how fast.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use indexmap::IndexMap;

use super::Work;
use crate::clock::{self, Instant};
use crate::runs::{RunContext, RunId};

/// How far a run is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The run.
    pub run_id: RunId,
    /// Its job.
    pub task_name: String,
    /// What it counts, in the order in which it began to.
    pub counters: Vec<Counter>,
}

/// One thing that a run counts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Counter {
    /// What: `users`.
    pub name: String,
    /// How many so far.
    pub count: u64,
    /// How many there are, if that is known.
    pub total: Option<u64>,
    /// How many in a second, since the first.
    pub rate: f64,
    /// Since the first.
    pub elapsed: Duration,
}

#[derive(Default)]
pub(super) struct Counters(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    by_name: IndexMap<String, Count>,
    /// Whether something was counted since it was last looked at.
    is_news: bool,
}

struct Count {
    since: Instant,
    count: u64,
    total: Option<u64>,
}

impl Counters {
    fn held(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().expect("no code panics while it holds this lock")
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Count)) {
        let mut held = self.held();
        held.is_news = true;
        match held.by_name.get_mut(name) {
            Some(count) => change(count),
            None => {
                let mut count = Count { since: clock::now(), count: 0, total: None };
                change(&mut count);
                held.by_name.insert(name.to_owned(), count);
            }
        }
    }
}

impl Work {
    /// How far it is, if it has counted something since this was last asked; when it is over, if it ever has.
    pub(crate) fn news(&self, run: &RunContext, is_over: bool) -> Option<Progress> {
        let mut held = self.progress.held();
        let is_news = std::mem::take(&mut held.is_news);
        if held.by_name.is_empty() || !(is_news || is_over) {
            return None;
        }
        let counters = held.by_name.iter().map(|(name, count)| {
            let elapsed = clock::now().since(count.since);
            let seconds = elapsed.as_secs_f64();
            let rate = if seconds > 0.0 { count.count as f64 / seconds } else { 0.0 };
            Counter { name: name.clone(), count: count.count, total: count.total, rate, elapsed }
        });
        let counters = counters.collect();
        Some(Progress { run_id: run.run_id().clone(), task_name: run.task_name().to_owned(), counters })
    }
}

/// Something that was just counted.
pub struct Tally<'a> {
    work: Option<&'a Arc<Work>>,
    name: &'a str,
}

impl RunContext {
    /// Counts so many more, for whoever looks on: `run.update("users", 5).total(100)`.
    ///
    /// It costs next to nothing. Who looks on ([`RunObserver`](crate::runs::RunObserver), the command line) is told now and
    /// then.
    pub fn update<'a>(&'a self, name: &'a str, more: u64) -> Tally<'a> {
        let work = self.work();
        if let Some(work) = work {
            work.progress.change(name, |count| count.count = count.count.saturating_add(more));
        }
        Tally { work, name }
    }
}

impl Tally<'_> {
    /// How many there are.
    pub fn total(self, total: u64) -> Self {
        if let Some(work) = self.work {
            work.progress.change(self.name, |count| count.total = Some(total));
        }
        self
    }
}
