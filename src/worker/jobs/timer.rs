//! Timers: runs on a grid that does not drift, however long they take.
//!
//! On each worker the grid begins when the worker starts. The fleet's grid are the multiples of the interval since 1970
//! by the server's clock, so that it stays where it is when the leader changes; each instant of it is claimed before it
//! runs, at most once. Jitter delays a run, never the grid. Ticks that pass while a run is not over are skipped, or wait
//! for it, or run beside it, by [`Overlap`].

use std::time::Duration;

use crate::broker::ClaimKind;
use crate::clock::{self, Instant, UnixMs};
use crate::decide::schedule::Overlap;
use crate::tasks::Tasks;

use super::Stage;
use super::fleet::Got;
use super::run::Occasion;

/// Ticks that wait for a run that is not over. Of more than that, the oldest are dropped.
const BACKLOG: u64 = 1_000;
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
    number: u64,
    /// When it runs, in nanoseconds since the grid's origin: its time and its jitter.
    at: u64,
    /// So many before it are left out.
    skipped: u64,
}

impl Every {
    fn interval_nanos(&self) -> u64 {
        nanos(self.interval).max(1)
    }

    fn nanos_of(&self, tick: u64) -> u64 {
        self.interval_nanos().saturating_mul(tick)
    }

    /// The tick to run after `last`, `now` nanoseconds after the grid's origin.
    fn after(&self, last: u64, now: u64) -> Tick {
        let behind = |time: u64| time / self.interval_nanos();
        let first = match self.overlap {
            // A tick is due when its jitter is over, so those within one jitter may still be to come.
            Overlap::Skip | Overlap::Allow => behind(now.saturating_sub(nanos(self.jitter))),
            Overlap::Queue => behind(now).saturating_sub(BACKLOG),
        };
        let mut number = first.max(last + 1);
        loop {
            let at = self.nanos_of(number).saturating_add(by_chance(self.jitter));
            if at >= now || self.overlap == Overlap::Queue {
                return Tick { number, at, skipped: number - last - 1 };
            }
            number += 1;
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn by_chance(most: Duration) -> u64 {
    if most.is_zero() { 0 } else { fastrand::u64(0..=nanos(most)) }
}

/// Runs a timer on this worker until it drains.
pub(super) async fn on_worker(stage: Stage, every: Every) {
    let (origin, origin_on_server) = (clock::now(), stage.runs.clock.now());
    let mut company = Company::of(&stage);
    let mut last = 0;
    loop {
        let tick = every.after(last, nanos(clock::now().since(origin)));
        stage.tell_skipped(tick.skipped, every.overlap);
        if !company.wait(&stage, clock::sleep_until(origin + Duration::from_nanos(tick.at))).await {
            return company.finish().await;
        }
        last = tick.number;
        if !stage.stops.allows(&stage.job.name) {
            continue;
        }
        let instant = origin_on_server.saturating_add(every.nanos_of(tick.number) / NANOS_PER_MS);
        company.run(&stage, every.overlap, Occasion::at(instant, None)).await;
    }
}

/// Runs a timer for the fleet whenever this worker leads, until it drains.
pub(super) async fn on_leader(stage: Stage, every: Every) {
    let mut company = Company::of(&stage);
    while let Some(reign) = stage.begins().await {
        let term = reign.term;
        let over = async |wait: std::pin::Pin<&mut (dyn Future<Output = bool> + Send)>| {
            // Both are safe to drop: they only wait.
            tokio::select! {
                waited = wait => waited,
                () = stage.runs.leadership.distrusted(term) => false,
            }
        };
        let now = || stage.runs.clock.now().saturating_mul(NANOS_PER_MS);
        let mut last = now() / every.interval_nanos();
        loop {
            let tick = every.after(last, now());
            stage.tell_skipped(tick.skipped, every.overlap);
            let due = stage.runs.clock.until(tick.at.div_ceil(NANOS_PER_MS));
            let waited = over(std::pin::pin!(company.wait(&stage, due))).await;
            if !waited {
                break;
            }
            last = tick.number;
            if !stage.stops.allows(&stage.job.name) {
                continue;
            }
            let instant: UnixMs = every.nanos_of(tick.number) / NANOS_PER_MS;
            match stage.claim(instant, ClaimKind::Once, term).await {
                Got::Ours { .. } => company.run(&stage, every.overlap, Occasion::at(instant, Some(term))).await,
                // The server's clock has gone back: what was fired before is not fired again.
                Got::Taken => {
                    let Some(entry) = stage.entry(term).await else { break };
                    last = last.max(entry.last.unwrap_or_default().saturating_mul(NANOS_PER_MS) / every.interval_nanos());
                }
                Got::Lost => break,
            }
        }
        if stage.runs.drain.is_cancelled() {
            break;
        }
    }
    company.finish().await;
}
