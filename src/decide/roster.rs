//! Beats in; who is alive, and who may be declared dead, out.
//!
//! All times that concern others are the server's: only one clock says who is late. Our own clock is used for one
//! question, whether *we* kept beating: if one could declare others dead that comes back first from an outage, every
//! partition would move twice. A wrong roster costs time, never safety.

use std::time::Duration;

use crate::broker::{MemberEntry, Roll};
use crate::clock::Instant;

use super::assignment::Candidate;
use super::heartbeat::Heartbeat;

/// The members of a processor's group as one of them knows them.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    ttl: Duration,
    last: Option<Beat>,
}

#[derive(Clone, Debug)]
struct Beat {
    roll: Roll,
    heartbeat: Heartbeat,
}

impl Roster {
    /// Nobody is known before the first beat is answered.
    pub(crate) fn new(ttl: Duration) -> Self {
        Self { ttl, last: None }
    }

    /// A beat was answered.
    pub(crate) fn answered(&mut self, sent: Instant, received: Instant, roll: &Roll) {
        let heartbeat = match &self.last {
            None => Heartbeat::new(self.ttl, sent, received),
            Some(before) => {
                let mut heartbeat = before.heartbeat;
                heartbeat.answered(sent, received);
                heartbeat
            }
        };
        self.last = Some(Beat { roll: roll.clone(), heartbeat });
    }

    /// Who was alive at the last beat, by name.
    #[cfg(test)]
    pub(crate) fn alive(&self) -> Vec<Candidate<'_>> {
        self.members().filter(|(_, alive)| *alive).map(|(member, _)| candidate(member)).collect()
    }

    /// Who was dead at the last beat, by name.
    #[cfg(test)]
    pub(crate) fn dead(&self) -> Vec<String> {
        self.members().filter(|(_, alive)| !alive).map(|(member, _)| member.name.clone()).collect()
    }

    /// Whether we may declare others dead.
    pub(crate) fn may_reap(&self, now: Instant) -> bool {
        self.last.as_ref().is_some_and(|last| last.heartbeat.may_declare_dead(now))
    }

    /// Those a plan made now must reckon with: the living, and the dead as long as we may not declare them so.
    pub(crate) fn standing(&self, now: Instant) -> Vec<Candidate<'_>> {
        self.members()
            .filter(|(member, alive)| *alive || !self.may_bury(member, now))
            .map(|(m, _)| candidate(m))
            .collect()
    }

    /// Those to be removed with a plan made now.
    pub(crate) fn to_reap(&self, now: Instant) -> Vec<String> {
        let dead = self.members().filter(|(member, alive)| !alive && self.may_bury(member, now));
        dead.map(|(member, _)| member.name.clone()).collect()
    }

    /// Whether this dead one may be declared so. One that is dead since long may be by anybody who was not in an outage
    /// himself: else workers that crash sooner than they may reap would leave what the first of them owned to nobody.
    fn may_bury(&self, member: &MemberEntry, now: Instant) -> bool {
        let long = 2 * self.ttl.as_millis() as u64;
        let is_long_dead =
            |last: &Beat| !last.heartbeat.is_after_outage() && member.dead_after.saturating_add(long) <= last.roll.now;
        self.may_reap(now) || self.last.as_ref().is_some_and(is_long_dead)
    }

    /// Each member, and whether it was alive at the last beat.
    fn members(&self) -> impl Iterator<Item = (&MemberEntry, bool)> {
        let roll = self.last.iter().map(|beat| &beat.roll);
        roll.flat_map(|roll| roll.members.iter().map(|member| (member, member.dead_after > roll.now)))
    }
}

fn candidate(member: &MemberEntry) -> Candidate<'_> {
    Candidate { name: &member.name, since: member.since }
}

#[cfg(test)]
#[path = "roster_tests.rs"]
mod tests;
