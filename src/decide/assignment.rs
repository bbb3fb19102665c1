//! Members x partitions x old plan -> new plan.
//!
//! Promises: whoever computes it from the same facts gets the same plan. Every partition that may be given to somebody
//! is given to exactly one member; loads differ by one at most; and of all such plans it is one with the fewest moves.
//! Stopped partitions bend the last two: a halted one goes only to members that joined after its mark, so its loads are
//! as even as that allows, and its moves few but not provably fewest.
//!
//! It knows nothing of who really owns what: see [`ownership`](super::ownership).

use std::collections::{BTreeMap, VecDeque};

use xxhash_rust::xxh64::xxh64;

use crate::clock::UnixMs;
use crate::event::Partition;

pub(crate) use super::plan::Plan;

/// A member that can be given partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Server time at which it joined.
    pub(crate) since: UnixMs,
}

/// Who may have a stopped partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopRule {
    /// It is paused or quarantined.
    Nobody,
    /// It was halted then: members that were there already leave it alone, so that it does not go through the fleet
    /// taking one worker after the other with it.
    JoinedAfter(UnixMs),
}

/// The plan for these members. `salt`, the processor's name, decides who gets what does not divide evenly, so that
/// the single partitions of many processors do not all land on one worker.
pub(crate) fn assign(
    members: &[Candidate<'_>],
    partitions: u32,
    old: &Plan,
    stopped: &[(Partition, StopRule)],
    salt: &str,
) -> Plan {
    let mut shares = Shares::new(members, salt);
    let unplaced = shares.keep(old, &rules(partitions, stopped));
    shares.place(unplaced);
    shares.even_out();
    shares.into_plan()
}

/// Who may have a partition: members with `since` above this mark; all, where there is none.
type Mark = Option<UnixMs>;

/// The mark of each partition that may be given to anybody. The strictest rule wins where there are several.
fn rules(partitions: u32, stopped: &[(Partition, StopRule)]) -> BTreeMap<Partition, Mark> {
    let mut marks: BTreeMap<_, Mark> = (0..partitions).map(|p| (Partition(p), None)).collect();
    for (partition, rule) in stopped {
        match rule {
            StopRule::Nobody => drop(marks.remove(partition)),
            StopRule::JoinedAfter(mark) => {
                marks.entry(*partition).and_modify(|strictest| *strictest = (*strictest).max(Some(*mark)));
            }
        }
    }
    marks
}

/// A plan in the making.
struct Shares<'a> {
    /// In the order in which they get what does not divide evenly: by hash of name and salt, all the same everywhere.
    members: Vec<Share<'a>>,
}

struct Share<'a> {
    name: &'a str,
    since: UnixMs,
    partitions: BTreeMap<Partition, Mark>,
}

impl Share<'_> {
    fn load(&self) -> usize {
        self.partitions.len()
    }

    fn may_have(&self, mark: Mark) -> bool {
        mark.is_none_or(|mark| self.since > mark)
    }

    /// The partition of this one that most members may have; the last of them.
    fn spare(&self) -> Option<(Partition, Mark)> {
        self.partitions.iter().map(|(&p, &mark)| (p, mark)).min_by_key(|&(p, mark)| (mark, std::cmp::Reverse(p)))
    }
}

impl<'a> Shares<'a> {
    fn new(members: &[Candidate<'a>], salt: &str) -> Self {
        let seed = xxh64(salt.as_bytes(), 0);
        let mut members = members.to_vec();
        members.sort_by_key(|member| (xxh64(member.name.as_bytes(), seed), member.name, member.since));
        members.dedup_by_key(|member| member.name);
        let share = |m: Candidate<'a>| Share { name: m.name, since: m.since, partitions: BTreeMap::new() };
        Self { members: members.into_iter().map(share).collect() }
    }

    /// Leaves every partition where it was if it may stay there. Answers the others.
    fn keep(&mut self, old: &Plan, marks: &BTreeMap<Partition, Mark>) -> BTreeMap<Partition, Mark> {
        let mut unplaced = marks.clone();
        for share in &mut self.members {
            for partition in old.of(share.name) {
                match unplaced.get(&partition) {
                    Some(&mark) if share.may_have(mark) => {
                        unplaced.remove(&partition);
                        share.partitions.insert(partition, mark);
                    }
                    _ => {}
                }
            }
        }
        unplaced
    }

    /// Gives each to one of the least loaded that may have it: first those that fewest may have. Partitions of one mark
    /// are handed out in runs, because a plan is read by people.
    fn place(&mut self, unplaced: BTreeMap<Partition, Mark>) {
        let mut by_mark: BTreeMap<Mark, Vec<Partition>> = BTreeMap::new();
        for (partition, mark) in unplaced {
            by_mark.entry(mark).or_default().push(partition);
        }
        for (mark, partitions) in by_mark.into_iter().rev() {
            let mut loads: Vec<usize> = self.members.iter().map(Share::load).collect();
            let mut gets = vec![0; self.members.len()];
            for _ in &partitions {
                let may = (0..self.members.len()).filter(|&m| self.members[m].may_have(mark));
                let Some(least) = may.min_by_key(|&m| loads[m]) else { break };
                loads[least] += 1;
                gets[least] += 1;
            }
            let mut rest = partitions.into_iter();
            let mut by_name: Vec<usize> = (0..self.members.len()).collect();
            by_name.sort_by_key(|&m| self.members[m].name);
            for member in by_name {
                self.members[member].partitions.extend(rest.by_ref().take(gets[member]).map(|p| (p, mark)));
            }
        }
    }

    /// Moves partitions from the most to the least loaded until none has two more than another that it can give to.
    ///
    /// Nobody gives what it was just given, since the least loaded is served first: so no partition moves in vain.
    fn even_out(&mut self) {
        while let Some(way) = self.way_down() {
            for pair in way.windows(2) {
                let (from, to) = (pair[0], pair[1]);
                let (partition, mark) =
                    self.members[from].spare().expect("a way leads only over members that have one");
                self.members[from].partitions.remove(&partition);
                self.members[to].partitions.insert(partition, mark);
            }
        }
    }

    /// A shortest way from the most loaded member that can give to one with at least two less: directly, or over
    /// members that pass on another partition than they get, where the most loaded has halted ones only.
    fn way_down(&self) -> Option<Vec<usize>> {
        let mut from: Vec<usize> = (0..self.members.len()).collect();
        // The last in order gives first: it would be the last to get one more.
        from.sort_by_key(|&m| (std::cmp::Reverse(self.members[m].load()), std::cmp::Reverse(m)));
        from.into_iter().find_map(|m| self.way_down_from(m))
    }

    fn way_down_from(&self, from: usize) -> Option<Vec<usize>> {
        let least = self.members.iter().map(Share::load).min()?;
        if self.members[from].load() < least + 2 {
            return None;
        }
        let mut came_from = BTreeMap::from([(from, from)]);
        let mut next = VecDeque::from([from]);
        while let Some(at) = next.pop_front() {
            let Some((_, mark)) = self.members[at].spare() else { continue };
            for to in 0..self.members.len() {
                if self.members[to].may_have(mark) && !came_from.contains_key(&to) {
                    came_from.insert(to, at);
                    next.push_back(to);
                }
            }
        }
        let to = came_from.keys().copied().min_by_key(|&m| self.members[m].load())?;
        if self.members[from].load() < self.members[to].load() + 2 {
            return None;
        }
        let mut way = vec![to];
        while way.last() != Some(&from) {
            way.push(came_from[way.last().expect("it begins with one")]);
        }
        way.reverse();
        Some(way)
    }

    fn into_plan(self) -> Plan {
        Plan::from_iter(
            self.members.into_iter().flat_map(|share| {
                share.partitions.into_keys().map(move |partition| (share.name.to_owned(), partition))
            }),
        )
    }
}

#[cfg(test)]
#[path = "assignment_tests.rs"]
mod tests;
