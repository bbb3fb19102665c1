//! Trust windows: "may I still act, now?" for a partition and for the leader's term.
//!
//! A lease counts from when the request for it was *sent*: a slow reply must not lengthen it. It is for effects
//! outside the store only. What is written to the store is fenced there, whatever this window says.

use std::time::Duration;

use crate::clock::Instant;

/// How long we may believe that something is still ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    ttl: Duration,
    grace: Duration,
    trusted_until: Instant,
}

impl Lease {
    /// A lease of `ttl` that was asked for at `sent`; what runs when it ends has `grace` to finish.
    pub(crate) fn new(sent: Instant, ttl: Duration, grace: Duration) -> Self {
        Self { ttl, grace, trusted_until: trusted_until(sent, ttl) }
    }

    /// A renewal that was asked for at `sent` has been answered. Answers may come in any order: an older one changes
    /// nothing.
    pub(crate) fn renewed(&mut self, sent: Instant) {
        self.trusted_until = self.trusted_until.max(trusted_until(sent, self.ttl));
    }

    /// Whether something new may be started.
    pub(crate) fn may_start(&self, now: Instant) -> bool {
        now < self.trusted_until
    }

    /// From here on nothing new is started.
    pub(crate) fn trusted_until(&self) -> Instant {
        self.trusted_until
    }

    /// From here on what still runs is cancelled.
    pub(crate) fn cancel_at(&self) -> Instant {
        self.trusted_until + self.grace
    }
}

/// A tenth less than the store grants: our clocks may run at slightly different speeds.
fn trusted_until(sent: Instant, ttl: Duration) -> Instant {
    sent + ttl * 9 / 10
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lease() -> Lease {
        Lease::new(Instant::at(1_000), 10 * SECOND, 8 * SECOND)
    }

    #[test]
    fn it_is_trusted_for_nine_tenths_from_when_it_was_asked_for() {
        let lease = lease();

        assert!(lease.may_start(Instant::at(9_999)));
        assert!(!lease.may_start(Instant::at(10_000)));
        assert_eq!(lease.trusted_until(), Instant::at(10_000));
    }

    #[test]
    fn what_runs_has_the_grace_period_to_finish() {
        assert_eq!(lease().cancel_at(), Instant::at(18_000));
    }

    #[test]
    fn a_renewal_moves_it_forward_and_a_late_answer_never_back() {
        let mut lease = lease();

        lease.renewed(Instant::at(5_000));
        lease.renewed(Instant::at(3_000));

        assert_eq!(lease.trusted_until(), Instant::at(14_000));
    }
}
