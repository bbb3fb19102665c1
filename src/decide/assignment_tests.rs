use std::collections::BTreeMap;

use super::*;
use crate::decide::scenario;

/// A fleet whose plan is made anew at each step.
#[derive(Default)]
struct Fleet {
    now: UnixMs,
    partitions: u32,
    members: BTreeMap<String, UnixMs>,
    stopped: BTreeMap<Partition, StopRule>,
    plan: Plan,
}

impl Fleet {
    fn tell(&mut self, words: &[&str]) {
        self.now += 1_000;
        let partition = |text: &str| Partition(text.parse().unwrap());
        match words {
            ["stream", count] => self.partitions = count.parse().unwrap(),
            ["join", names @ ..] => self.members.extend(names.iter().map(|&name| (name.into(), self.now))),
            ["leave", names @ ..] => self.members.retain(|name, _| !names.contains(&name.as_str())),
            ["halt", p] => drop(self.stopped.insert(partition(p), StopRule::JoinedAfter(self.now))),
            ["pause", p] => drop(self.stopped.insert(partition(p), StopRule::Nobody)),
            ["resume", p] => drop(self.stopped.remove(&partition(p))),
            _ => panic!("{words:?}"),
        }
    }

    fn replan(&mut self) -> String {
        let members: Vec<_> = self.members.iter().map(|(name, &since)| Candidate { name, since }).collect();
        let stopped: Vec<_> = self.stopped.iter().map(|(&p, &rule)| (p, rule)).collect();
        let plan = assign(&members, self.partitions, &self.plan, &stopped, "printer");
        let moved = moves(&self.plan, &plan);
        let idle = members
            .iter()
            .filter(|member| plan.of(member.name).next().is_none())
            .map(|member| (member.name, "standby".into()));
        let mut lines: Vec<_> = plan.members().map(|(name, of)| (name, ranges_of(of))).chain(idle).collect();
        lines.sort();
        let mut shown: String = lines.iter().map(|(name, what)| format!("{name}: {what}\n")).collect();
        shown += &format!("moved {moved}");
        self.plan = plan;
        shown
    }
}

fn ranges_of(partitions: &[Partition]) -> String {
    crate::decide::plan::ranges(partitions)
}

/// Partitions that have an owner, and another than before.
fn moves(old: &Plan, new: &Plan) -> usize {
    new.members().map(|(name, of)| of.iter().filter(|&&p| old.owner_of(p) != Some(name)).count()).sum()
}

#[test]
fn plans_as_text() {
    let text = include_str!("scenarios/assignment.txt");

    scenario::play(text, Fleet::default, Fleet::tell, Fleet::replan);
}
