//! How often a job on demand is tried, and what its attempts wait for.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::error::panic_text;
use crate::runs::AttemptLog;
use crate::settings::show_duration;

/// How often a run is tried that fails, and the waits between.
///
/// A run that is resumed begins to count anew; only its attempts keep their numbers.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum RetryPolicy {
    /// Once.
    #[default]
    None,
    /// So many times, with the same wait between.
    Fixed {
        /// All attempts, the first one included.
        max_attempts: u32,
        /// Between two of them.
        wait: Duration,
    },
    /// So many times, with waits that double.
    Backoff {
        /// All attempts, the first one included.
        max_attempts: u32,
        /// The wait after the first attempt, in seconds, before bounds.
        multiplier: f64,
        /// The shortest wait.
        min: Duration,
        /// The longest wait.
        max: Duration,
    },
    /// Whatever a function says of the attempt that has failed: how long to wait for the next one, or that there is none.
    Custom(CustomRetry),
}

/// What a function says of an attempt that has failed.
pub type CustomRetry = Arc<dyn Fn(&AttemptLog) -> Option<Duration> + Send + Sync>;

impl RetryPolicy {
    /// So many attempts, with the same wait between.
    pub fn fixed(max_attempts: u32, wait: Duration) -> Self {
        Self::Fixed { max_attempts, wait }
    }

    /// So many attempts. The wait after attempt `n` is `multiplier * 2^(n-1)` seconds, but not shorter than `min` and not
    /// longer than `max`.
    pub fn backoff(max_attempts: u32, multiplier: impl Into<f64>, min: Duration, max: Duration) -> Self {
        Self::Backoff { max_attempts, multiplier: multiplier.into(), min, max }
    }

    /// Whatever `decide` says of the attempt that has failed.
    pub fn custom(decide: impl Fn(&AttemptLog) -> Option<Duration> + Send + Sync + 'static) -> Self {
        Self::Custom(Arc::new(decide))
    }

    /// The wait after the attempt that was the `nth` of its activation, if there is to be another one.
    pub(crate) fn wait_after(&self, nth: u32, attempt: &AttemptLog) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::Fixed { max_attempts, wait } => (nth < *max_attempts).then_some(*wait),
            Self::Backoff { max_attempts, multiplier, min, max } => (nth < *max_attempts).then(|| {
                let doubled = i32::try_from(nth.saturating_sub(1)).unwrap_or(i32::MAX);
                // What is longer than any time there is, is longer than the longest wait.
                let seconds = multiplier * 2f64.powi(doubled);
                Duration::try_from_secs_f64(seconds).unwrap_or(*max).clamp(*min, *max)
            }),
            // What panics decides nothing: the attempt was the last.
            Self::Custom(decide) => catch_unwind(AssertUnwindSafe(|| decide(attempt))).unwrap_or_else(|panic| {
                let panic = panic_text(&*panic);
                tracing::error!(%panic, "the function that decides about retries panicked: no retry");
                None
            }),
        }
    }

    /// Whether no attempt can follow the `nth`, as far as that is known before.
    pub(crate) fn is_last(&self, nth: u32) -> bool {
        match self {
            Self::None => true,
            Self::Fixed { max_attempts, .. } | Self::Backoff { max_attempts, .. } => nth >= *max_attempts,
            Self::Custom(_) => false,
        }
    }

    /// What cannot work about it.
    pub(crate) fn refusals(&self) -> Vec<String> {
        let mut refusals = Vec::new();
        if let Self::Fixed { max_attempts: 0, .. } | Self::Backoff { max_attempts: 0, .. } = self {
            refusals
                .push("its retry policy has max_attempts = 0: the first attempt counts, so it is at least 1".into());
        }
        if let Self::Backoff { multiplier, min, max, .. } = self {
            if !(multiplier.is_finite() && *multiplier > 0.0) {
                refusals.push(format!("its retry policy has multiplier = {multiplier}: it must be a number above 0"));
            }
            if min > max {
                let [min, max] = [min, max].map(|time| show_duration(*time));
                refusals
                    .push(format!("its retry policy waits from min = {min} to max = {max}: min must not be longer"));
            }
        }
        refusals
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As the run log keeps it: `backoff(max_attempts = 5, multiplier = 2, min = 1s, max = 10s)`.
impl fmt::Display for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Fixed { max_attempts, wait } => {
                write!(f, "fixed(max_attempts = {max_attempts}, wait = {})", show_duration(*wait))
            }
            Self::Backoff { max_attempts, multiplier, min, max } => {
                let [min, max] = [min, max].map(|time| show_duration(*time));
                write!(f, "backoff(max_attempts = {max_attempts}, multiplier = {multiplier}, min = {min}, max = {max})")
            }
            Self::Custom(_) => f.write_str("custom"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(policy: &RetryPolicy) -> Vec<u64> {
        let attempt = AttemptLog::new(1, Default::default());
        (1..).map_while(|nth| policy.wait_after(nth, &attempt)).map(|wait| wait.as_secs()).collect()
    }

    #[test]
    fn backoff_doubles_between_its_bounds() {
        let secs = Duration::from_secs;
        assert_eq!(waits(&RetryPolicy::backoff(5, 2, secs(1), secs(10))), [2, 4, 8, 10]);
        assert_eq!(waits(&RetryPolicy::backoff(4, 0.25, secs(1), secs(10))), [1, 1, 1]);
        assert_eq!(waits(&RetryPolicy::fixed(3, secs(5))), [5, 5]);
        assert_eq!(waits(&RetryPolicy::None), [] as [u64; 0]);
        let endless = RetryPolicy::backoff(u32::MAX, 2, secs(1), secs(10));
        assert_eq!(endless.wait_after(100_000, &AttemptLog::new(1, Default::default())), Some(secs(10)));
    }

    #[test]
    fn a_decision_that_panics_is_no_retry() {
        assert_eq!(waits(&RetryPolicy::custom(|_| panic!("no idea"))), [] as [u64; 0]);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let secs = Duration::from_secs;
        for (policy, why) in [
            (RetryPolicy::fixed(0, secs(1)), "at least 1"),
            (RetryPolicy::backoff(0, 2, secs(1), secs(2)), "at least 1"),
            (RetryPolicy::backoff(2, 2, secs(3), secs(2)), "min must not be longer"),
            (RetryPolicy::backoff(2, f64::NAN, secs(1), secs(2)), "a number above 0"),
            (RetryPolicy::backoff(2, 0, secs(1), secs(2)), "a number above 0"),
        ] {
            let refusals = policy.refusals();
            assert!(refusals.len() == 1 && refusals[0].contains(why), "{policy}: {refusals:?}");
        }
    }
}
