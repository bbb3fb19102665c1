//! What can be said of a processor after its function: name, retry, policies, limits.

use std::time::Duration;

use crate::broker::Start;
use crate::processor::{DeclaredAt, Middleware, ProcessorSpec, Track};
use crate::settings::{ExceptionPolicy, Retry};

/// A processor that was just added to its app. Each of these overrides a setting for this processor alone.
pub struct Declared<'a>(pub(super) &'a mut ProcessorSpec);

impl Declared<'_> {
    fn set(self, change: impl FnOnce(&mut ProcessorSpec)) -> Self {
        change(self.0);
        self
    }

    /// Its name, and that of its consumer groups. Default: the name of its function; closures have none.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.set(|p| p.name = name.into())
    }

    /// Handles events in batches of up to `events`, settled as one; at most `within` after the first of them.
    pub fn batch(self, events: usize, within: Duration) -> Self {
        self.set(|p| (p.options.batch, p.options.within) = (Some(events), Some(within)))
    }

    /// How often a failing event is tried, and how long is waited between tries. Default: once.
    pub fn retry(self, attempts: u32, from: Duration, to: Duration) -> Self {
        self.set(|p| p.options.retry = Some(Retry { attempts, from, to }))
    }

    /// How long one try of an event or batch may take; beyond it counts as a failure. Default: for ever.
    pub fn timeout(self, time: Duration) -> Self {
        self.set(|p| p.options.timeout = Some(time))
    }

    /// What happens to an event whose tries are spent. Default: setting `default_exception_policy`, halt.
    pub fn exception_policy(self, policy: ExceptionPolicy) -> Self {
        self.set(|p| p.options.exception_policy = Some(policy))
    }

    /// Keeps an event whose tries are spent as a dead letter, in the same step that settles it, and goes on: see
    /// [`Stream::dead_letters`](crate::Stream::dead_letters). While there is no room for more, the partition waits.
    pub fn dead_letter(self) -> Self {
        self.set(|p| p.options.dead_letter = true)
    }

    /// What of it is a run in the task log. Default: each tenancy of a partition.
    pub fn track(self, what: Track) -> Self {
        self.set(|p| p.options.track = what)
    }

    /// Wraps every unit that this processor settles, inside the middleware that was given before.
    pub fn middleware(self, middleware: impl Middleware) -> Self {
        self.set(|p| p.middleware = p.middleware.with(middleware))
    }

    /// How often an event may kill its worker before the policy decides. Default: setting `max_crashes`, 3.
    pub fn max_crashes(self, crashes: u32) -> Self {
        self.set(|p| p.options.max_crashes = Some(crashes))
    }

    /// How long a dead owner may hold a partition back. Default: setting `default_lock_expiry`, 10 s.
    pub fn lock_expiry(self, time: Duration) -> Self {
        self.set(|p| p.options.lock_expiry = Some(time))
    }

    /// How long running work may take to finish on drain. Default: setting `default_grace_period`, 8 s.
    pub fn grace_period(self, time: Duration) -> Self {
        self.set(|p| p.options.grace_period = Some(time))
    }

    /// Events read ahead for each owned partition. Default: setting `default_prefetch_count`, 64.
    pub fn prefetch_count(self, events: u32) -> Self {
        self.set(|p| p.options.prefetch_count = Some(events))
    }

    /// How long a settled event may wait for its commit. Default: setting `default_commit_linger`, 5 ms.
    pub fn commit_linger(self, time: Duration) -> Self {
        self.set(|p| p.options.commit_linger = Some(time))
    }

    /// Where it begins in a partition in which it never had a position. Default: setting `default_start`, the beginning.
    pub fn start(self, start: Start) -> Self {
        self.set(|p| p.options.start = Some(start))
    }

    /// Wait after joining before taking partitions. Default: setting `default_join_delay`, none.
    pub fn join_delay(self, time: Duration) -> Self {
        self.set(|p| p.options.join_delay = Some(time))
    }

    /// Between tries for a partition that another still holds. Default: setting `default_assignment_sleep`, 250 ms.
    pub fn assignment_sleep(self, time: Duration) -> Self {
        self.set(|p| p.options.assignment_sleep = Some(time))
    }

    /// How many such tries before giving up until the next plan. Default: unlimited.
    pub fn assignment_attempts(self, attempts: u32) -> Self {
        self.set(|p| p.options.assignment_attempts = Some(attempts))
    }

    /// Where it was declared; what the attribute macro writes.
    #[doc(hidden)]
    pub fn declared_at(self, file: &'static str, line: u32) -> Self {
        self.set(|p| p.declared_at = DeclaredAt { file, line })
    }

    /// As [`Self::batch`], with one of both; what the attribute macro writes.
    #[doc(hidden)]
    pub fn batch_parts(self, events: Option<usize>, within: Option<Duration>) -> Self {
        self.set(|p| (p.options.batch, p.options.within) = (events, within))
    }
}
