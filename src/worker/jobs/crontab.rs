//! Crontabs: runs at calendar instants, by the server's clock.
//!
//! Runs of one crontab never overlap: when one is over, the instants that passed meanwhile are looked at like any others
//! that were missed. What [`Missed`] keeps of them runs at once, oldest first; with `Missed::Skip` that is the newest, if
//! it is not too late. The same holds for the time in which nobody led, a crontab was stopped, or the server's clock was
//! set forward. A clock that goes back repeats nothing: instants are counted from the last one that was fired.
//!
//! On the leader an instant is claimed before it runs. At most once: the claim is final, whatever becomes of the run.
//! At least once: the claim stays open until the run has *ended*, well or not, and a later term runs what it finds open
//! before anything else.

use std::time::Duration;

use crate::broker::{ClaimKind, JobEntry, Term};
use crate::clock::{self, UnixMs};
use crate::decide::schedule::{Delivery, Missed, Schedule};
use crate::runs::{Cut, Ended};

use super::Stage;
use super::fleet::Got;
use super::run::Occasion;

/// The pauses between tries to start what must be run at least once, and cannot be written to the task log.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What a crontab is.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    pub(super) schedule: Schedule,
    pub(super) missed: Missed,
    pub(super) max_lateness: Option<Duration>,
    pub(super) delivery: Delivery,
}

impl Calendar {
    fn claim(&self) -> ClaimKind {
        match self.delivery {
            Delivery::AtMostOnce => ClaimKind::Once,
            Delivery::AtLeastOnce => ClaimKind::Open,
        }
    }

    fn is_too_late(&self, instant: UnixMs, now: UnixMs) -> bool {
        self.max_lateness.is_some_and(|most| Duration::from_millis(now.saturating_sub(instant)) > most)
    }
}

/// The term is over, or the worker drains.
struct Over;

/// Runs a crontab on this worker until it drains.
pub(super) async fn on_worker(stage: Stage, calendar: Calendar) {
    let now = stage.runs.clock.now();
    let Over = stage.instants(&calendar, None, now).await;
}

/// Runs a crontab for the fleet whenever this worker leads, until it drains.
pub(super) async fn on_leader(stage: Stage, calendar: Calendar) {
    while let Some(reign) = stage.begins().await {
        let Over = stage.one_term(&calendar, reign.term).await;
    }
}

impl Stage {
    async fn one_term(&self, calendar: &Calendar, term: Term) -> Over {
        if !self.waits(Some(term), self.stops.allowed(&self.job.name)).await {
            return Over;
        }
        let Some(entry) = self.entry(term).await else { return Over };
        if let Err(over) = self.left_open(calendar, &entry, term).await {
            return over;
        }
        let Some(last) = self.taken(&entry, term).await else { return Over };
        self.instants(calendar, Some(term), last).await
    }

    /// Runs what earlier terms have claimed and not ended, or only closes it where nothing may be run twice.
    async fn left_open(&self, calendar: &Calendar, entry: &JobEntry, term: Term) -> Result<(), Over> {
        for (instant, of) in &entry.open {
            match self.claim(*instant, ClaimKind::Open, term).await {
                Got::Ours { .. } if calendar.delivery == Delivery::AtMostOnce => self.close(*instant, term).await,
                Got::Ours { .. } => {
                    tracing::info!(job = %self.job.name, instant, claimed_in = %of, %term, "an earlier leader has not finished \
                        this instant: running it again");
                    let occasion = Occasion { attempt: 2, ..Occasion::at(*instant, Some(term)) };
                    self.claimed(calendar, *instant, occasion).await?;
                }
                Got::Taken => {}
                Got::Lost => return Err(Over),
            }
        }
        Ok(())
    }

    /// Runs what is due, and waits for what will be, for ever.
    async fn instants(&self, calendar: &Calendar, term: Option<Term>, mut last: UnixMs) -> Over {
        loop {
            if !self.waits(term, self.stops.allowed(&self.job.name)).await {
                return Over;
            }
            let now = self.runs.clock.now();
            let due = calendar.schedule.due(last, now, calendar.missed, calendar.max_lateness);
            if due.skipped > 0 {
                tracing::info!(job = %self.job.name, instants = due.skipped, "instants were missed, and are skipped");
            }
            for instant in due.run {
                // Stopped in the middle of what is caught up with: the rest is looked at when it is resumed.
                if !self.stops.allows(&self.job.name) {
                    break;
                }
                // It was not when they were looked at, but those before it took their time.
                if calendar.is_too_late(instant, self.runs.clock.now()) {
                    tracing::info!(job = %self.job.name, instant, "this instant is too late by now, and is skipped");
                    last = instant;
                    continue;
                }
                if let Err(over) = self.fires(calendar, instant, term).await {
                    return over;
                }
                last = instant;
            }
            if self.stops.allows(&self.job.name) {
                last = last.max(now);
            }
            let Some(next) = calendar.schedule.next_after(last) else {
                self.runs.drain.cancelled().await;
                return Over;
            };
            if !self.waits(term, self.runs.clock.until(next)).await {
                return Over;
            }
        }
    }

    /// One instant: claimed, if it is the fleet's, and run.
    async fn fires(&self, calendar: &Calendar, instant: UnixMs, term: Option<Term>) -> Result<(), Over> {
        if self.runs.drain.is_cancelled() {
            return Err(Over);
        }
        if let Some(term) = term {
            match self.claim(instant, calendar.claim(), term).await {
                Got::Ours { .. } => {}
                Got::Taken => return Ok(()),
                Got::Lost => return Err(Over),
            }
        }
        self.claimed(calendar, instant, Occasion::at(instant, term)).await
    }

    /// Runs an instant that is ours, and closes it when its run has ended.
    async fn claimed(&self, calendar: &Calendar, instant: UnixMs, occasion: Occasion) -> Result<(), Over> {
        let at_least_once = occasion.term.filter(|_| calendar.claim() == ClaimKind::Open);
        let mut pause = PAUSE;
        let ended = loop {
            let ended = self.runs.run(&self.job, occasion).await;
            // What could not be started has not been run once.
            if !matches!(ended, Ended::NotStarted(_)) || at_least_once.is_none() {
                break ended;
            }
            if !self.waits(at_least_once, clock::sleep(pause)).await {
                return Err(Over);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        // What was cut short by a drain or another leader has not ended: its claim stays open for the next term.
        if matches!(ended, Ended::Terminated(Cut::Drained | Cut::Deposed)) {
            return Err(Over);
        }
        if let Some(term) = at_least_once {
            self.close(instant, term).await;
        }
        self.judge(&ended).await;
        Ok(())
    }
}
