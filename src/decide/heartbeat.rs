//! How well we were heard of: whether we may declare others dead, and how long others believe that we live.
//!
//! After an outage of the store everybody looks dead to whoever comes back first. So only one whose own beats were
//! steady may say so of others. It knows nothing of who they are.

use std::time::Duration;

use crate::clock::Instant;

/// The beats of one that says again and again, for `ttl` each time, that it is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    ttl: Duration,
    /// When the last beat was sent that was answered.
    sent: Instant,
    /// Since then no two beats, and no answer to one, were further apart than half a ttl.
    steady_since: Instant,
    /// It was not steady before that: there was an outage. Otherwise it is when the first beat was answered.
    after_outage: bool,
}

impl Heartbeat {
    /// The first beat was answered.
    pub(crate) fn new(ttl: Duration, sent: Instant, received: Instant) -> Self {
        Self { ttl, sent, steady_since: received, after_outage: false }
    }

    /// Another beat was answered.
    pub(crate) fn answered(&mut self, sent: Instant, received: Instant) {
        // The beats reached the store somewhere between sending and answer: this is the widest the gap can be.
        if received.since(self.sent) > self.ttl / 2 {
            (self.steady_since, self.after_outage) = (received, true);
        }
        self.sent = sent;
    }

    /// Whether there was no outage for us during the last ttl, as far as we can tell.
    pub(crate) fn is_steady(&self, now: Instant) -> bool {
        let is_heard = now.since(self.sent) <= self.ttl / 2;
        is_heard && !(self.after_outage && now.since(self.steady_since) < self.ttl)
    }

    /// Whether we may declare others dead: our own beats had no gap above half a ttl during the last ttl.
    ///
    /// Who has just begun cannot show that. It waits for half a ttl of steady beats, in which everybody who lives beats at
    /// least twice: enough that it does not declare a fleet dead that an outage has just let go of, and less than it
    /// takes for the leases of a fleet to lapse that died as it began.
    pub(crate) fn may_declare_dead(&self, now: Instant) -> bool {
        self.is_steady(now) && now.since(self.steady_since) >= self.ttl / 2
    }

    /// Whether there was an outage, however long ago.
    pub(crate) fn is_after_outage(&self) -> bool {
        self.after_outage
    }

    /// From here on others may take us for dead. A twentieth earlier: our clocks may run at slightly different speeds.
    pub(crate) fn lapses_at(&self) -> Instant {
        self.sent + self.ttl * 19 / 20
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Instant {
        Instant::at(seconds * 1_000)
    }

    /// Beats that are answered at once.
    fn beating(at_seconds: &[u64]) -> Heartbeat {
        let mut heartbeat = Heartbeat::new(TTL, at(at_seconds[0]), at(at_seconds[0]));
        at_seconds[1..].iter().for_each(|&second| heartbeat.answered(at(second), at(second)));
        heartbeat
    }

    #[test]
    fn who_has_just_begun_waits_half_a_ttl_before_it_declares_others_dead() {
        assert!(!beating(&[100, 103]).may_declare_dead(at(104)));
        assert!(beating(&[100, 103]).is_steady(at(104)));
        assert!(beating(&[100, 103]).may_declare_dead(at(105)));
    }

    #[test]
    fn who_was_in_an_outage_waits_a_whole_ttl() {
        let heartbeat = beating(&[100, 103, 109, 112, 115, 118]);

        assert!(!heartbeat.may_declare_dead(at(118)) && !heartbeat.is_steady(at(118)));
        assert!(heartbeat.may_declare_dead(at(119)) && heartbeat.is_after_outage());
    }

    #[test]
    fn who_is_not_heard_of_declares_nobody_dead() {
        assert!(beating(&[100, 103, 106]).may_declare_dead(at(111)));
        assert!(!beating(&[100, 103, 106]).may_declare_dead(at(112)));
    }

    #[test]
    fn a_slow_answer_counts_as_the_widest_gap_it_can_mean() {
        let mut heartbeat = beating(&[100, 103]);
        heartbeat.answered(at(105), at(109));

        assert!(heartbeat.is_after_outage());
    }

    #[test]
    fn it_lapses_before_others_may_say_so() {
        assert_eq!(beating(&[100, 103]).lapses_at(), Instant::at(112_500));
    }
}
