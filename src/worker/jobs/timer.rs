//! Timers: runs on a grid that does not drift, however long they take.
//!
//! On each worker the grid begins when the worker starts, by the worker's own clock. The fleet's grid are the multiples of
//! the interval since 1970 by the server's clock, so that it stays where it is when the leader changes; each instant of
//! it is claimed before it runs, at most once; the newest tick at which nobody led still runs, so that a change of leader
//! costs none of an hourly timer. Jitter delays a run, never the grid. Ticks that pass while a run is not over
//! are skipped, or wait for it, or run beside it, by [`Overlap`].

use std::time::Duration;

use futures::FutureExt;

use crate::broker::{ClaimKind, Term};
use crate::clock::{self, UnixMs};
use crate::decide::schedule::{Overlap, Schedule};
use crate::tasks::Tasks;

use super::Stage;
use super::fleet::Got;
use super::run::Occasion;

/// Ticks that wait for a run that is not over. Of more than that, the oldest are dropped.
const BACKLOG: u64 = 1_000;
/// How late a tick may be that runs because nobody led at its time: as that of a crontab.
const LATENESS: Duration = Duration::from_secs(60);
/// Runs of one timer at once, where they may overlap.
const AT_ONCE: usize = 1_000;

/// What a timer is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Every {
    pub(super) interval: Duration,
    pub(super) jitter: Duration,
    pub(super) overlap: Overlap,
}

/// The tick to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tick {
    /// Its place on the grid.
    instant: UnixMs,
    /// When it runs.
    at: UnixMs,
    /// So many before it are left out.
    skipped: u64,
}

impl Every {
    fn step(&self) -> u64 {
        ms(self.interval).max(1)
    }

    /// The multiples of the interval after `origin`.
    fn grid(&self, origin: UnixMs) -> Schedule {
        Schedule::Every { interval: self.interval, origin: origin.saturating_add(self.step()) }
    }

    /// The newest tick of the fleet's grid.
    fn newest(&self, now: UnixMs) -> UnixMs {
        now / self.step() * self.step()
    }

    /// The newest tick of the fleet's grid, if nobody has run it and it is not too late for that.
    fn left(&self, taken: UnixMs, now: UnixMs) -> Option<Tick> {
        let instant = self.newest(now);
        let is_left = instant > taken && Duration::from_millis(now - instant) <= LATENESS;
        is_left.then(|| Tick { instant, at: instant.saturating_add(by_chance(self.jitter)), skipped: 0 })
    }

    /// The tick to run after `last`; none at the end of time.
    fn after(&self, grid: &Schedule, last: UnixMs, now: UnixMs) -> Option<Tick> {
        let from = match self.overlap {
            // A tick is due when its jitter is over: those within one jitter may still be to come.
            Overlap::Skip | Overlap::Allow => now.saturating_sub(ms(self.jitter).saturating_add(1)),
            Overlap::Queue => now.saturating_sub(self.step().saturating_mul(BACKLOG)),
        };
        let mut instant = grid.next_after(last.max(from))?;
        loop {
            let at = instant.saturating_add(by_chance(self.jitter));
            if at >= now || self.overlap == Overlap::Queue {
                let skipped = (instant - last).div_ceil(self.step()) - 1;
                return Some(Tick { instant, at, skipped });
            }
            instant = grid.next_after(instant)?;
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn by_chance(most: Duration) -> u64 {
    if most.is_zero() { 0 } else { fastrand::u64(0..=ms(most)) }
}

/// Runs a timer on this worker until it drains.
pub(super) async fn on_worker(stage: Stage, every: Every) {
    let (began, origin) = (clock::now(), stage.runs.clock.now());
    let grid = every.grid(origin);
    stage.runs.times.grid_begins(&stage.job.name, origin);
    let mut company = Company::of(&stage);
    let mut last = origin;
    let now = || origin.saturating_add(ms(clock::now().since(began)));
    while let Some(tick) = every.after(&grid, last, now()) {
        stage.tell_skipped(tick.skipped, every.overlap);
        let due = began + Duration::from_millis(tick.at - origin);
        // The shortest sleep is a millisecond, also until what is past: with it, ticks that wait could not be caught up with.
        let wait = async {
            if clock::now() < due {
                clock::sleep_until(due).await;
            }
        };
        if !stage.waits(None, wait).await {
            break;
        }
        last = tick.instant;
        if stage.stops.allows(&stage.job.name) {
            company.run(&stage, every.overlap, Occasion::at(tick.instant, None)).await;
        }
    }
    company.finish(&stage).await;
}

/// Runs a timer for the fleet whenever this worker leads, until it drains.
pub(super) async fn on_leader(stage: Stage, every: Every) {
    let mut company = Company::of(&stage);
    while let Some(reign) = stage.begins().await {
        one_term(&stage, every, reign.term, &mut company).await;
    }
    company.finish(&stage).await;
}

async fn one_term(stage: &Stage, every: Every, term: Term, company: &mut Company) {
    let (grid, clock) = (every.grid(0), &stage.runs.clock);
    // Else the tick that is left would be skipped by a worker that has just started, as one of a job that is stopped.
    if !stage.waits(Some(term), stage.stops.heard()).await {
        return;
    }
    let Some(entry) = stage.entry(term).await else { return };
    let Some(taken) = stage.taken(&entry, term).await else { return };
    let now = clock.now();
    let mut last = every.newest(now);
    let mut left = every.left(taken, now);
    while let Some(tick) = left.take().or_else(|| every.after(&grid, last, clock.now())) {
        stage.tell_skipped(tick.skipped, every.overlap);
        if !stage.waits(Some(term), clock.until(tick.at)).await {
            return;
        }
        last = tick.instant;
        if !stage.stops.allows(&stage.job.name) {
            continue;
        }
        match stage.claim(tick.instant, ClaimKind::Once, term).await {
            Got::Ours { .. } => company.run(stage, every.overlap, Occasion::at(tick.instant, Some(term))).await,
            // The server's clock has gone back: what was fired before is not fired again.
            Got::Taken => match stage.entry(term).await {
                Some(entry) => last = last.max(entry.last.unwrap_or_default()),
                None => return,
            },
            Got::Lost => return,
        }
    }
}

/// The runs of one timer that are not over.
struct Company {
    running: Tasks,
}

impl Company {
    fn of(stage: &Stage) -> Self {
        Self { running: Tasks::behind(&stage.gate) }
    }

    /// Runs it: to its end, unless others may run beside it.
    async fn run(&mut self, stage: &Stage, overlap: Overlap, occasion: Occasion) {
        let run = async |stage: &Stage| {
            let ended = stage.runs.run(&stage.job, occasion).await;
            stage.judge(&ended).await;
        };
        if overlap != Overlap::Allow {
            return run(stage).await;
        }
        while self.running.next().now_or_never().flatten().is_some() {}
        if self.running.len() >= AT_ONCE {
            return tracing::warn!(job = %stage.job.name, running = AT_ONCE, "so many runs are not over: this tick is skipped");
        }
        let stage = stage.clone();
        self.running.start(async move {
            let ended = stage.runs.run(&stage.job, occasion).await;
            stage.judge(&ended).await;
        });
    }

    /// Waits for what still runs, which the drain cuts short.
    async fn finish(mut self, stage: &Stage) {
        if !self.running.is_empty() {
            tracing::debug!(job = %stage.job.name, running = self.running.len(), "waiting for runs to end");
        }
        while self.running.next().await.is_some() {}
    }
}

impl Stage {
    fn tell_skipped(&self, ticks: u64, overlap: Overlap) {
        let job = &self.job.name;
        match overlap {
            _ if ticks == 0 => {}
            Overlap::Queue => {
                tracing::warn!(%job, ticks, "too many ticks wait for a run that is not over: the oldest are dropped")
            }
            Overlap::Skip | Overlap::Allow => tracing::debug!(%job, ticks, "ticks passed that could not be run"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: UnixMs = 1_000_000;

    fn each_second(overlap: Overlap, jitter: u64) -> Every {
        Every { interval: Duration::from_secs(1), jitter: Duration::from_millis(jitter), overlap }
    }

    fn after(every: Every, last: u64, now: u64) -> Tick {
        every.after(&every.grid(ORIGIN), ORIGIN + last, ORIGIN + now).unwrap()
    }

    #[test]
    fn a_worker_that_slept_for_a_day_goes_on_with_the_next_tick() {
        let day = 24 * 3_600_000;

        let tick = after(each_second(Overlap::Skip, 0), 5_000, day + 500);

        assert_eq!(tick, Tick { instant: ORIGIN + day + 1_000, at: ORIGIN + day + 1_000, skipped: 86_395 });
    }

    #[test]
    fn ticks_that_wait_are_run_at_once_and_not_without_end() {
        let queue = each_second(Overlap::Queue, 0);
        assert_eq!(after(queue, 5_000, 9_500), Tick { instant: ORIGIN + 6_000, at: ORIGIN + 6_000, skipped: 0 });

        let late = after(queue, 5_000, 3_600_500);

        assert_eq!((late.instant, late.skipped), (ORIGIN + 2_601_000, 2_595), "the newest thousand are kept");
    }

    #[test]
    fn an_interval_beyond_all_time_has_ticks_that_never_come() {
        for overlap in [Overlap::Skip, Overlap::Queue, Overlap::Allow] {
            let never = Every { interval: Duration::MAX, jitter: Duration::MAX, overlap };

            assert_eq!(after(never, 0, 5_000).at, UnixMs::MAX);
        }
    }

    #[test]
    fn a_tick_whose_jitter_is_not_over_is_still_to_come() {
        for _ in 0..1_000 {
            let tick = after(each_second(Overlap::Skip, 900), 5_000, 6_400);

            assert!(tick.at >= ORIGIN + 6_400 && tick.at <= tick.instant + 900, "{tick:?}");
            assert!([6_000, 7_000].contains(&(tick.instant - ORIGIN)), "{tick:?}");
        }
    }
}
