//! What becomes of an event that was not handled: try it again, or let the policy decide.
//!
//! Failures (errors, panics, time-outs) and crashes (its owner vanished while handling it) are counted apart. Both
//! counts outlive a crash: they lie in the fence.

use std::time::Duration;

use crate::settings::{ExceptionPolicy, Retry};

/// What to do with the event in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Run it (again), after this wait.
    RetryAfter(Duration),
    /// Settle it and go on.
    Ignore,
    /// Keep it as a dead letter, settle it and go on.
    DeadLetter,
    /// Stop the partition at it until somebody decides.
    Quarantine,
    /// Stop the partition at it, and the worker.
    Halt,
}

/// What a processor does with an event in the end: its exception policy, or dead letters in place of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Halt,
    Quarantine,
    Ignore,
    DeadLetter,
}

impl From<ExceptionPolicy> for Policy {
    fn from(policy: ExceptionPolicy) -> Self {
        match policy {
            ExceptionPolicy::Halt => Self::Halt,
            ExceptionPolicy::Quarantine => Self::Quarantine,
            ExceptionPolicy::Ignore => Self::Ignore,
        }
    }
}

/// Decides for an event that has failed and crashed so often, this time included.
///
/// An event that cannot be decoded (`decode`) is not tried again: its bytes do not change. One that has killed
/// `max_crashes` workers is not even started again. `jitter`, from 0 to 1, shortens the wait by up to a half, so that
/// partitions that fail for one reason do not come back as one.
pub(crate) fn verdict(
    fails: u32,
    crashes: u32,
    retry: &Retry,
    max_crashes: u32,
    policy: Policy,
    decode: bool,
    jitter: Option<f64>,
) -> Verdict {
    let killed_enough = crashes > 0 && crashes >= max_crashes;
    let failed_enough = fails > 0 && (decode || fails >= retry.attempts);
    if !killed_enough && !failed_enough {
        return Verdict::RetryAfter(backoff(fails, retry, jitter));
    }
    match policy {
        Policy::Ignore => Verdict::Ignore,
        Policy::DeadLetter => Verdict::DeadLetter,
        Policy::Quarantine => Verdict::Quarantine,
        Policy::Halt => Verdict::Halt,
    }
}

/// `from` after the first failure, doubled after each further one, `to` at most; none before the first.
fn backoff(fails: u32, retry: &Retry, jitter: Option<f64>) -> Duration {
    let Some(doublings) = fails.checked_sub(1) else { return Duration::ZERO };
    let wait = 2u32.checked_pow(doublings).map_or(Duration::MAX, |factor| retry.from.saturating_mul(factor));
    let wait = if retry.from.is_zero() { Duration::ZERO } else { wait.min(retry.to) };
    match jitter {
        Some(jitter) if jitter.is_finite() => wait.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0),
        _ => wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn five_attempts() -> Retry {
        Retry { attempts: 5, from: 200 * MS, to: 1_000 * MS }
    }

    fn after(fails: u32, crashes: u32) -> Verdict {
        verdict(fails, crashes, &five_attempts(), 3, Policy::Ignore, false, None)
    }

    #[test]
    fn failures_are_retried_with_doubling_waits_until_the_attempts_are_spent() {
        let verdicts: Vec<_> = (1..=6).map(|fails| after(fails, 0)).collect();

        let waits = [200, 400, 800, 1_000].map(|ms| Verdict::RetryAfter(ms * MS));
        assert_eq!(verdicts[..4], waits);
        assert_eq!(verdicts[4..], [Verdict::Ignore, Verdict::Ignore]);
    }

    #[test]
    fn without_retry_the_first_failure_decides() {
        for attempts in [0, 1] {
            let once = Retry { attempts, ..Retry::default() };

            assert_eq!(verdict(1, 0, &once, 3, Policy::Halt, false, None), Verdict::Halt);
        }
    }

    #[test]
    fn an_event_that_never_failed_runs_at_once() {
        assert_eq!(after(0, 0), Verdict::RetryAfter(Duration::ZERO));
        assert_eq!(after(0, 2), Verdict::RetryAfter(Duration::ZERO));
    }

    #[test]
    fn an_event_that_killed_three_workers_is_not_started_again() {
        assert_eq!(after(0, 3), Verdict::Ignore);
        assert_eq!(after(1, 4), Verdict::Ignore);
    }

    #[test]
    fn with_no_crash_allowed_the_first_decides_and_none_does_not() {
        let with = |crashes| verdict(0, crashes, &five_attempts(), 0, Policy::Quarantine, false, None);

        assert_eq!(with(0), Verdict::RetryAfter(Duration::ZERO));
        assert_eq!(with(1), Verdict::Quarantine);
    }

    #[test]
    fn dead_letters_are_for_events_that_are_given_up() {
        let decided = |fails| verdict(fails, 0, &five_attempts(), 3, Policy::DeadLetter, false, None);

        assert_eq!(decided(4), Verdict::RetryAfter(1_000 * MS));
        assert_eq!(decided(5), Verdict::DeadLetter);
    }

    #[test]
    fn bytes_that_cannot_be_decoded_are_not_tried_again() {
        let decided = verdict(1, 0, &five_attempts(), 3, Policy::Quarantine, true, None);

        assert_eq!(decided, Verdict::Quarantine);
    }

    #[test]
    fn jitter_shortens_a_wait_by_half_at_most() {
        let wait = |jitter| verdict(1, 0, &five_attempts(), 3, Policy::Halt, false, Some(jitter));

        assert_eq!(wait(0.0), Verdict::RetryAfter(200 * MS));
        assert_eq!(wait(0.5), Verdict::RetryAfter(150 * MS));
        assert_eq!(wait(1.0), Verdict::RetryAfter(100 * MS));
        assert_eq!(wait(7.0), Verdict::RetryAfter(100 * MS));
        assert_eq!(wait(f64::NAN), Verdict::RetryAfter(200 * MS));
    }

    #[test]
    fn waits_stay_bounded_however_often_it_failed() {
        let forever = Retry { attempts: u32::MAX, from: 200 * MS, to: 30_000 * MS };

        let decided = verdict(u32::MAX - 1, 0, &forever, 3, Policy::Halt, false, None);

        assert_eq!(decided, Verdict::RetryAfter(30_000 * MS));
    }
}
