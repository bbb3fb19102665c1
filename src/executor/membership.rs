//! Who is in the group and who should own what: beats in, plan out.
//!
//! Anybody computes the plan from what all can see, and installs it by compare-and-set. A wrong plan costs time, never
//! safety: the fence alone decides who may.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Broker, BrokerError, Group, Roll, Stop, StopKind, Swapped};
use crate::clock::{self, Instant, UnixMs};
use crate::decide::assignment::{StopRule, assign};
use crate::decide::plan::Plan;
use crate::decide::roster::Roster;
use crate::event::Partition;

/// How often the server had changed.
pub(super) type Server = u64;

/// What one member knows of its group.
pub(super) struct Membership {
    group: Group,
    me: Arc<str>,
    roster: Roster,
    plan: Plan,
    /// The plan's generation, and at which server it is that: one that has lost writes counts the same numbers again, for
    /// other plans.
    generation: Option<(Server, u64)>,
    since: Option<UnixMs>,
    /// When a beat was answered, and the server's time in it.
    clock: Option<(Instant, UnixMs)>,
    /// What the group was told, as far as we know.
    stopped: BTreeMap<Partition, Stop>,
}

/// A plan that should be installed.
pub(super) struct Proposal {
    expected: u64,
    plan: String,
    reap: Vec<String>,
    reason: String,
}

/// An answered beat.
pub(super) struct Beaten {
    pub(super) server: Server,
    pub(super) sent: Instant,
    pub(super) received: Instant,
    pub(super) answer: Result<Roll, BrokerError>,
}

/// Says that this member is alive, which has the plan of this generation. What a server answers that is no more the same
/// counts for nothing: it is asked again.
pub(super) async fn beat(
    broker: Arc<dyn Broker>,
    group: Group,
    me: Arc<str>,
    ttl: Duration,
    plan: Option<(Server, u64)>,
) -> Beaten {
    let changes = broker.server_changes();
    loop {
        let (server, sent) = (*changes.borrow(), clock::now());
        let known = plan.filter(|(of, _)| *of == server).map(|(_, generation)| generation);
        let answer = broker.beat(&group, &me, ttl, known).await;
        if answer.is_err() || *changes.borrow() == server {
            return Beaten { server, sent, received: clock::now(), answer };
        }
    }
}

/// Tries to install a plan.
pub(super) async fn propose(broker: Arc<dyn Broker>, group: Group, proposal: Proposal) -> Result<Swapped, BrokerError> {
    broker.swap(&group, proposal.expected, &proposal.plan, &proposal.reap, &proposal.reason).await
}

impl Membership {
    pub(super) fn new(group: Group, me: Arc<str>, ttl: Duration) -> Self {
        Self {
            group,
            me,
            roster: Roster::new(ttl),
            plan: Plan::default(),
            generation: None,
            since: None,
            clock: None,
            stopped: BTreeMap::new(),
        }
    }

    /// The generation of the plan that we have, and of which server.
    pub(super) fn known(&self) -> Option<(Server, u64)> {
        self.generation
    }

    /// Server time at which we joined; none before the first answer.
    pub(super) fn since(&self) -> Option<UnixMs> {
        self.since
    }

    /// About what the server's clock shows now.
    pub(super) fn server_time(&self, now: Instant) -> UnixMs {
        self.clock.map_or_else(clock::wall, |(then, server)| server + now.since(then).as_millis() as u64)
    }

    /// Takes in the answer to a beat. Says whether it brought another plan, or news of what is stopped.
    pub(super) fn answered(&mut self, beaten: &Beaten, roll: &Roll) -> bool {
        let stopped: BTreeMap<_, _> = roll.stopped.iter().cloned().collect();
        let generation = (beaten.server, roll.generation);
        let is_other = self.generation != Some(generation);
        let is_news = is_other || self.stopped != stopped;
        self.roster.answered(beaten.sent, beaten.received, roll);
        self.since = Some(roll.since);
        self.clock = Some((beaten.received, roll.now));
        self.stopped = stopped;
        if roll.plan.is_some() || is_other {
            self.installed(generation, roll.plan.as_deref().unwrap_or_default());
        }
        is_news
    }

    /// This plan holds now.
    fn installed(&mut self, (server, generation): (Server, u64), text: &str) {
        let (plan, broken) = match text {
            "" => (Plan::default(), Vec::new()),
            text => Plan::parse(text, self.group.stream.partitions),
        };
        for what in broken {
            tracing::warn!(processor = %self.group.processor, generation, "part of the plan cannot be read and is ignored: {what}");
        }
        self.plan = plan;
        self.generation = Some((server, generation));
    }

    /// The plan that everybody's view calls for, if it is another than the one that holds.
    pub(super) fn proposal(&self, server: Server, now: Instant) -> Option<Proposal> {
        let (_, expected) = self.generation.filter(|(of, _)| *of == server)?;
        let standing = self.roster.standing(now);
        let rules: Vec<(Partition, StopRule)> =
            self.stopped.iter().map(|(partition, stop)| (*partition, rule(stop))).collect();
        let wanted = assign(&standing, self.group.stream.partitions, &self.plan, &rules, &self.group.processor);
        let reap = self.roster.to_reap(now);
        if wanted == self.plan && reap.is_empty() {
            return None;
        }
        let reason = match reap.is_empty() {
            true => format!("seen by {}: {} members", self.me, standing.len()),
            false => format!("seen by {}: dead {}", self.me, reap.join(" ")),
        };
        Some(Proposal { expected, plan: wanted.to_string(), reap, reason })
    }

    /// The partitions that should be ours.
    pub(super) fn mine(&self) -> Vec<Partition> {
        self.plan.of(&self.me).collect()
    }

    /// The stopped partitions, if it is for us to see whether they still are: one member does.
    pub(super) fn stopped_to_look_at(&self, now: Instant) -> Vec<Partition> {
        let standing = self.roster.standing(now);
        let is_for_us = standing.iter().map(|member| member.name).min() == Some(&*self.me);
        self.stopped.keys().filter(|_| is_for_us).copied().collect()
    }

    /// What the group was told about a stopped partition.
    pub(super) fn told_stopped(&self, partition: Partition) -> Option<&Stop> {
        self.stopped.get(&partition)
    }

    /// We tell the group about a stopped partition, or that it is so no more. If that word is lost, the next answered
    /// beat says otherwise. Until then it is not told again: each word calls everybody, us included, to try once more.
    pub(super) fn tell_stopped(&mut self, partition: Partition, stop: Option<&Stop>) {
        match stop {
            Some(stop) => drop(self.stopped.insert(partition, stop.clone())),
            None => drop(self.stopped.remove(&partition)),
        }
    }
}

fn rule(stop: &Stop) -> StopRule {
    match stop.kind {
        StopKind::Halted => StopRule::JoinedAfter(stop.since),
        StopKind::Paused | StopKind::Quarantined => StopRule::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::StreamFacts;
    use crate::broker::memory::Memory;

    /// Beats once, and answers what is ann's by the plan that holds.
    async fn looks(ann: &mut Membership, broker: &Arc<dyn Broker>) -> Vec<Partition> {
        let ttl = Duration::from_secs(30);
        let beaten = beat(broker.clone(), ann.group.clone(), ann.me.clone(), ttl, ann.known()).await;
        ann.answered(&beaten, beaten.answer.as_ref().unwrap());
        ann.mine()
    }

    #[tokio::test]
    async fn a_plan_that_has_the_number_of_one_that_was_lost_is_another() {
        let memory = Memory::new();
        let group = Group { stream: StreamFacts::orders(2).into(), processor: "billing".into() };
        let (broker, bob): (Arc<dyn Broker>, _) = (Arc::new(memory.connect()), memory.connect());
        let mut ann = Membership::new(group.clone(), "ann".into(), Duration::from_secs(30));
        let before = memory.checkpoint();
        bob.swap(&group, 0, r#"{"ann":"0"}"#, &[], "bob says so").await.unwrap();
        assert_eq!(looks(&mut ann, &broker).await, [Partition(0)]);
        assert_eq!(looks(&mut ann, &broker).await, [Partition(0)]);

        memory.roll_back(&before);
        bob.swap(&group, 0, r#"{"ann":"1"}"#, &[], "bob says so").await.unwrap();

        let server = *broker.server_changes().borrow();
        assert!(ann.proposal(server, clock::now()).is_none(), "nothing is known of this server's plan");
        assert_eq!(looks(&mut ann, &broker).await, [Partition(1)]);
    }
}
