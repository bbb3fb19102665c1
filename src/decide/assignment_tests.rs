use std::collections::BTreeMap;

use proptest::prelude::*;

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

/// A fleet of up to 64, with some of its members in the old plan, beside others that are gone, however unevenly.
fn any_fleet() -> impl Strategy<Value = (Vec<(String, UnixMs)>, u32, Plan)> {
    let members = prop::collection::btree_set(0..80u32, 1..=64);
    let old = prop_oneof![Just(0), 1..1_100u32, Just(1_024)]
        .prop_flat_map(|given| prop::collection::vec(0..90u32, given as usize..=given as usize));
    (members, 1..=1_024u32, old, 1..=3u32).prop_map(|(members, partitions, old, skew)| {
        let name = |n: u32| format!("worker-{n}");
        let since = |n: u32| u64::from(n) * 37 % 11;
        // A higher skew crowds the old plan on few members.
        let owner = |n: u32| name(n % (90 / skew.pow(3)));
        let old = old.into_iter().enumerate().map(|(p, n)| (owner(n), Partition(p as u32))).collect();
        (members.into_iter().map(|n| (name(n), since(n))).collect(), partitions, old)
    })
}

fn candidates(members: &[(String, UnixMs)]) -> Vec<Candidate<'_>> {
    members.iter().map(|(name, since)| Candidate { name, since: *since }).collect()
}

fn loads(members: &[Candidate<'_>], plan: &Plan) -> Vec<usize> {
    members.iter().map(|member| plan.of(member.name).count()).collect()
}

/// No plan that is balanced to one can let more partitions stay: everybody may keep the smaller load, and as many of
/// those that had more as there are larger loads may keep one more.
fn fewest_moves(members: &[Candidate<'_>], partitions: usize, old: &Plan) -> usize {
    let (small, larger_ones) = (partitions / members.len(), partitions % members.len());
    let had = |m: &Candidate<'_>| old.of(m.name).filter(|p| (p.0 as usize) < partitions).count();
    let kept: usize = members.iter().map(|member| had(member).min(small)).sum();
    let kept_more = members.iter().filter(|member| had(member) > small).count().min(larger_ones);
    partitions - kept - kept_more
}

proptest! {
    #![proptest_config(scenario::cases(60))]

    #[test]
    fn every_partition_is_given_evenly_with_the_fewest_moves((members, partitions, old) in any_fleet()) {
        let members = candidates(&members);

        let plan = assign(&members, partitions, &old, &[], "printer");

        let loads = loads(&members, &plan);
        prop_assert_eq!(loads.iter().sum::<usize>(), partitions as usize);
        prop_assert!((0..partitions).all(|p| plan.owner_of(Partition(p)).is_some()));
        prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{loads:?}");
        prop_assert_eq!(moves(&old, &plan), fewest_moves(&members, partitions as usize, &old));
    }

    #[test]
    fn the_order_of_what_is_known_does_not_matter(
        (members, partitions, old) in any_fleet(),
        stopped in any_stopped(),
        turned in 0..64usize,
    ) {
        let mut shuffled = members.clone();
        shuffled.rotate_left(turned % members.len());
        shuffled.push(shuffled[0].clone());
        let mut stopped_shuffled = stopped.clone();
        stopped_shuffled.reverse();

        let one = assign(&candidates(&members), partitions, &old, &stopped, "printer");
        let other = assign(&candidates(&shuffled), partitions, &old, &stopped_shuffled, "printer");

        prop_assert_eq!(one, other);
    }

    #[test]
    fn a_plan_made_of_itself_is_itself((members, partitions, old) in any_fleet(), stopped in any_stopped()) {
        let members = candidates(&members);
        let plan = assign(&members, partitions, &old, &stopped, "printer");

        prop_assert_eq!(&assign(&members, partitions, &plan, &stopped, "printer"), &plan);
        prop_assert_eq!(Plan::parse(&plan.to_string(), partitions), (plan, vec![]));
    }

    #[test]
    fn stopped_partitions_go_only_where_they_may_and_loads_are_as_even_as_that_allows(
        (members, partitions, old) in any_fleet(),
        stopped in any_stopped(),
    ) {
        let members = candidates(&members);

        let plan = assign(&members, partitions, &old, &stopped, "printer");

        let may_have = |p: u32, m: &Candidate<'_>| stopped.iter().all(|&(stopped, rule)| stopped.0 != p || match rule {
            StopRule::Nobody => false,
            StopRule::JoinedAfter(mark) => m.since > mark,
        });
        for p in 0..partitions {
            let may: Vec<_> = members.iter().filter(|m| may_have(p, m)).map(|m| m.name).collect();
            match plan.owner_of(Partition(p)) {
                Some(owner) => prop_assert!(may.contains(&owner), "{} has {}", owner, p),
                None => prop_assert!(may.is_empty(), "nobody has {}", p),
            }
        }
        let mut loads = loads(&members, &plan);
        loads.sort_unstable();
        prop_assert_eq!(loads, most_even_loads(&members, partitions, may_have));
    }
}

fn any_stopped() -> impl Strategy<Value = Vec<(Partition, StopRule)>> {
    let rule = prop_oneof![1 => Just(StopRule::Nobody), 4 => (0..12u64).prop_map(StopRule::JoinedAfter)];
    let few = prop::collection::btree_map(0..1_024u32, rule.clone(), 0..10);
    let many = prop::collection::btree_map(0..1_024u32, rule, 0..1_000);
    prop_oneof![few, many].prop_map(|stopped| stopped.into_iter().map(|(p, rule)| (Partition(p), rule)).collect())
}

/// Who may have a partition of two, may have a subset of what the other's may: then giving each to the least loaded,
/// those first that fewest may have, is known to be as even as can be.
fn most_even_loads(
    members: &[Candidate<'_>],
    partitions: u32,
    may_have: impl Fn(u32, &Candidate<'_>) -> bool,
) -> Vec<usize> {
    let mut wishes: Vec<Vec<usize>> =
        (0..partitions).map(|p| (0..members.len()).filter(|&m| may_have(p, &members[m])).collect()).collect();
    wishes.sort_by_key(Vec::len);
    let mut loads = vec![0; members.len()];
    for may in wishes {
        if let Some(least) = may.into_iter().min_by_key(|&m| loads[m]) {
            loads[least] += 1;
        }
    }
    loads.sort_unstable();
    loads
}

#[test]
fn single_partitions_of_many_processors_are_spread_over_the_members() {
    let members: Vec<_> = (0..8).map(|n| (format!("worker-{n}"), 0)).collect();
    let members = candidates(&members);

    let mut owners: BTreeMap<String, usize> = BTreeMap::new();
    for processor in 0..80 {
        let plan = assign(&members, 1, &Plan::default(), &[], &format!("processor-{processor}"));
        *owners.entry(plan.owner_of(Partition(0)).unwrap().to_owned()).or_default() += 1;
    }

    assert_eq!(owners.len(), 8, "{owners:?}");
    assert!(owners.values().all(|&n| n <= 20), "{owners:?}");
}

#[test]
fn without_members_nobody_gets_anything() {
    assert_eq!(assign(&[], 16, &Plan::default(), &[], "printer"), Plan::default());
}
