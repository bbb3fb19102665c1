//! What becomes of a unit that failed, and of a function that failed without one: tried again, given up, stopped at.

use std::pin::pin;
use std::time::Duration;

use crate::broker::{MOST_FIELDS, Mark, NewLetter, StopKind};
use crate::clock::{self, Instant};
use crate::decide::verdict::{Verdict, verdict};
use crate::error::{Error, Terminal, panic_text};
use crate::event::EventId;
use crate::processor::dead_letter::Writer;
use crate::processor::{Context, UnitError};
use crate::witness::What;

use super::hand::Hand;
use super::lane::Lane;

/// Why a unit failed.
pub(super) struct Fault {
    pub(super) error: Error,
    /// Whether another try could not go better: the bytes do not change, or the error says so.
    pub(super) is_final: bool,
}

impl Fault {
    pub(super) fn of(error: UnitError, context: &Context) -> Self {
        match error {
            UnitError::Handler(error) => Self::told(error),
            UnitError::Decode(id, source) => {
                let stream = context.stream().to_owned();
                Self { error: crate::error::Failure::Decode { stream, id, source }.into(), is_final: true }
            }
        }
    }

    /// What user code answered: another try may go better, unless it says that none could.
    pub(super) fn told(error: Error) -> Self {
        let is_final = Terminal::is_in(&*error);
        Self { error, is_final }
    }

    /// `who` did: "the processor".
    pub(super) fn panicked(who: &str, panic: Box<dyn std::any::Any + Send>) -> Self {
        Self { error: format!("{who} panicked: {}", panic_text(&*panic)).into(), is_final: false }
    }
}

/// What was decided of a unit that failed.
pub(super) enum Judged {
    /// It is tried again, not before then.
    Again(Instant),
    /// It is settled; go on.
    GoOn,
    /// The lane ends here.
    End(Ending),
}

/// What to do after a failure, now that everything was waited for.
pub(super) enum Decision {
    /// Try it again now; the wait is over.
    Again,
    /// It is settled; go on.
    GoOn,
    /// The lane ends here.
    End(Ending),
}

/// Why a lane stops working.
pub(super) enum Ending {
    /// It was told to, or its place is gone.
    Told,
    /// Its policy says so.
    Stop(Mark),
}

impl Lane {
    /// The unit failed: what its processor's policy makes of that, at once or after a wait.
    pub(super) async fn failed(&mut self, hand: &Hand, fault: Fault) -> Decision {
        match self.judge(hand, fault) {
            Judged::GoOn => Decision::GoOn,
            Judged::End(ending) => Decision::End(ending),
            Judged::Again(at) => match self.wait_for_retry(at).await {
                Some(()) => Decision::Again,
                None => Decision::End(Ending::Told),
            },
        }
    }

    /// The unit failed: what its processor's policy makes of that. Nothing is awaited here.
    pub(super) fn judge(&mut self, hand: &Hand, fault: Fault) -> Judged {
        let first = hand.first();
        let mut tries = self.tries(first);
        tries.fails += 1;
        self.front = Some(tries);
        let text = crate::error::chain(fault.error.as_ref());
        self.see(|| hand.given(), || What::Failed { error: text.clone() });
        let decided = verdict(
            tries.fails,
            tries.crashes,
            &self.manner.retry,
            self.manner.max_crashes,
            self.manner.policy,
            fault.is_final,
            Some(fastrand::f64()),
        );
        match decided {
            Verdict::RetryAfter(wait) => {
                tracing::warn!(id = %first, attempt = tries.fails, of = self.manner.retry.attempts, ?wait, error = %text, "processing failed: trying again");
                // The count is in Redis before the next try starts, so that it survives a crash.
                self.say(self.ledger().mark_front(first, tries.fails));
                return Judged::Again(clock::now() + wait);
            }
            Verdict::Ignore => {
                tracing::error!(id = %first, events = hand.ids.len(), error = %text, policy = "ignore", "processing failed: the event is given up");
                self.see(|| hand.given(), || What::Ignored);
                self.see_passed(hand);
                self.settle(hand, Vec::new());
            }
            Verdict::DeadLetter if hand.kept().iter().any(|entry| entry.fields.len() >= MOST_FIELDS) => {
                let why =
                    format!("{text} (it cannot be kept as a dead letter, which holds less than {MOST_FIELDS} fields)");
                return Judged::End(Ending::Stop(self.stop(StopKind::Quarantined, first, why)));
            }
            Verdict::DeadLetter => {
                tracing::error!(id = %first, events = hand.ids.len(), error = %text, policy = "dead_letter", "processing failed: the event is given up, and kept as a dead letter");
                let letters = self.letters(hand, &text);
                self.see(|| letters.iter().map(|(id, _)| *id).collect(), || What::DeadLettered);
                self.see_passed(hand);
                self.settle(hand, letters);
            }
            Verdict::Quarantine => return Judged::End(Ending::Stop(self.stop(StopKind::Quarantined, first, text))),
            Verdict::Halt => return Judged::End(Ending::Stop(self.stop(StopKind::Halted, first, text))),
        }
        Judged::GoOn
    }

    /// A letter for each event that its function was to be given.
    fn letters(&self, hand: &Hand, error: &str) -> Vec<(EventId, NewLetter)> {
        let tries = self.tries(hand.first());
        let (attempts, crashes, at) = (tries.fails, tries.crashes, clock::wall());
        let writer = Writer { context: &self.context, error, attempts, crashes, at };
        let given_up = hand.kept().iter().filter(|entry| !hand.is_uncalled(entry.id));
        given_up.map(|entry| (entry.id, writer.letter(entry))).collect()
    }

    fn stop(&self, kind: StopKind, at: EventId, error: String) -> Mark {
        self.see(|| vec![at], || What::Stopped { kind });
        let policy = if kind == StopKind::Halted { "halt" } else { "quarantine" };
        tracing::error!(id = %at, error = %error, policy, "processing failed: the partition stops at this event");
        Mark { kind, at, error }
    }

    /// Waits until a unit may be tried again. Safe to drop: it can be waited for again.
    pub(super) async fn wait_for_retry(&mut self, at: Instant) -> Option<()> {
        if !self.unless_told_to_end(pin!(self.ledger().known())).await {
            return None;
        }
        // It failed, so it is not what kills workers: the other suspects need not wait for its retries.
        self.turn = None;
        // Safe to drop: these only end the wait.
        tokio::select! {
            () = clock::sleep_until(at) => {}
            () = self.holding.close.cancelled() => return None,
            () = self.holding.abort.cancelled() => return None,
        }
        self.wait_for_trust().await?;
        (!self.is_told_to_end()).then_some(())
    }

    /// The function failed without an event in hand: the same policies, marked just above the position.
    pub(super) async fn failed_without_event(&mut self, fails: u32, fault: Fault) -> Decision {
        let text = crate::error::chain(fault.error.as_ref());
        let policy = self.manner.policy;
        match verdict(fails, 0, &self.manner.retry, u32::MAX, policy, fault.is_final, Some(fastrand::f64())) {
            Verdict::Quarantine => Decision::End(Ending::Stop(self.stop(StopKind::Quarantined, self.next_id(), text))),
            Verdict::Halt => Decision::End(Ending::Stop(self.stop(StopKind::Halted, self.next_id(), text))),
            Verdict::RetryAfter(wait) => {
                tracing::warn!(error = %text, ?wait, "the processor failed before its first event: starting it again");
                self.pause(wait).await
            }
            Verdict::Ignore | Verdict::DeadLetter => {
                // There is no event to give up, so all that is left is to try again, without haste.
                let wait =
                    self.manner.retry.from.saturating_mul(2u32.saturating_pow(fails.min(10))).min(self.manner.retry.to);
                tracing::error!(error = %text, ?wait, "the processor failed before its first event: starting it again");
                self.pause(wait).await
            }
        }
    }

    /// Waits before the function is started again.
    pub(super) async fn pause(&self, wait: Duration) -> Decision {
        // Safe to drop: these only end the wait.
        tokio::select! {
            () = clock::sleep(wait) => Decision::Again,
            () = self.holding.close.cancelled() => Decision::End(Ending::Told),
            () = self.holding.abort.cancelled() => Decision::End(Ending::Told),
        }
    }

    /// The next event's id if it is known, else the least one it could have.
    fn next_id(&self) -> EventId {
        let position = self.ledger().position();
        self.queue.front().map_or_else(|| position.next(), |entry| entry.id)
    }
}
