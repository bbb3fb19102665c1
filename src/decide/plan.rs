//! Who should own what, as it lies in the store: a JSON object like `{"a":"0-3,7","b":"4-6"}`.
//!
//! The text comes from the store, where anybody may have written it: reading it takes what is readable and says what
//! is not. A plan decides only who tries, so a broken one costs time.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::event::Partition;

/// Members and their partitions. A partition has one owner at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// In order of names; partitions in order; no member without any.
    members: Vec<(String, Vec<Partition>)>,
    owners: BTreeMap<Partition, usize>,
}

impl Plan {
    /// Who should own it.
    #[cfg(test)]
    pub(crate) fn owner_of(&self, partition: Partition) -> Option<&str> {
        self.owners.get(&partition).map(|&owner| self.members[owner].0.as_str())
    }

    /// What that member should own, in order.
    pub(crate) fn of(&self, member: &str) -> impl Iterator<Item = Partition> + '_ {
        let found = self.members.binary_search_by(|(name, _)| name.as_str().cmp(member));
        found.ok().into_iter().flat_map(|at| self.members[at].1.iter().copied())
    }

    /// Members that should own something, by name, with what that is.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &[Partition])> + '_ {
        self.members.iter().map(|(name, partitions)| (name.as_str(), partitions.as_slice()))
    }

    /// Reads the text of a plan for a stream of so many partitions, as far as it can be read; empty text is an empty
    /// plan. Answers also what could not be read, in sentences for a log.
    pub(crate) fn parse(text: &str, partitions: u32) -> (Self, Vec<String>) {
        if text.is_empty() {
            return Default::default();
        }
        let entries = match serde_json::from_str(text) {
            Ok(Value::Object(entries)) => entries,
            Ok(_) => return (Self::default(), vec!["the plan is not a JSON object".into()]),
            Err(why) => return (Self::default(), vec![format!("the plan is not JSON: {why}")]),
        };
        let mut owners = BTreeMap::new();
        let mut complaints = Vec::new();
        for (member, ranges) in entries {
            let ranges = ranges.as_str().unwrap_or_else(|| {
                complaints.push(format!("the partitions of `{member}` are not text"));
                ""
            });
            let (mut bad, mut taken) = (0, 0);
            for range in ranges.split(',').filter(|range| !range.is_empty()) {
                let Some((from, to)) = read_range(range) else {
                    bad += 1;
                    continue;
                };
                bad += u32::from(to >= partitions);
                for partition in (from..=to).take_while(|&p| p < partitions).map(Partition) {
                    match owners.get(&partition) {
                        Some(_) => taken += 1,
                        None => drop(owners.insert(partition, member.clone())),
                    }
                }
            }
            if bad > 0 {
                complaints.push(format!(
                    "{bad} of the ranges of `{member}` are not partitions from 0 to {}",
                    partitions.saturating_sub(1)
                ));
            }
            if taken > 0 {
                complaints.push(format!("{taken} of the partitions of `{member}` are given twice"));
            }
        }
        (owners.into_iter().map(|(partition, member)| (member, partition)).collect(), complaints)
    }
}

/// The first to give a partition wins.
impl FromIterator<(String, Partition)> for Plan {
    fn from_iter<I: IntoIterator<Item = (String, Partition)>>(given: I) -> Self {
        let mut by_member: BTreeMap<String, Vec<Partition>> = BTreeMap::new();
        let mut seen = std::collections::BTreeSet::new();
        for (member, partition) in given {
            if seen.insert(partition) {
                by_member.entry(member).or_default().push(partition);
            }
        }
        let mut plan = Self::default();
        for (at, (member, mut partitions)) in by_member.into_iter().enumerate() {
            partitions.sort();
            plan.owners.extend(partitions.iter().map(|&partition| (partition, at)));
            plan.members.push((member, partitions));
        }
        plan
    }
}

/// As [`Plan::parse`] reads it.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.members().map(|(name, partitions)| (name.to_owned(), Value::String(ranges(partitions))));
        fmt::Display::fmt(&Value::Object(entries.collect()), f)
    }
}

/// `0-3,7` of partitions in order.
pub(crate) fn ranges(partitions: &[Partition]) -> String {
    let runs = partitions.chunk_by(|a, b| a.0.checked_add(1) == Some(b.0));
    let text = runs.map(|run| match run {
        [only] => only.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    });
    text.collect::<Vec<_>>().join(",")
}

/// `7` or `0-3`.
fn read_range(text: &str) -> Option<(u32, u32)> {
    let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?;
    match text.split_once('-') {
        Some((from, to)) => number(from).zip(number(to)).filter(|(from, to)| from <= to),
        None => number(text).map(|only| (only, only)),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
