//! What `status`, `stream` and `processor` tell: the shapes of `--output json`, whose field names are stable.
//!
//! Numbers that Redis does not know are `null`. Instants are RFC 3339 in UTC, by the server's clock.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::broker::{GroupSurvey, PartitionSurvey, Stop, StopKind};
use crate::clock::UnixMs;

use super::lookup::Surveyed;
use super::output::instant;

/// One stream.
#[derive(Debug, Serialize)]
pub(super) struct StreamReport {
    pub(super) name: String,
    pub(super) partitions: u32,
    pub(super) slot_groups: u32,
    pub(super) partitioner: String,
    pub(super) codec: String,
    pub(super) created: String,
    /// Events in it now.
    pub(super) events: u64,
    /// Events ever added.
    pub(super) added: u64,
    /// Events in its fullest partition.
    pub(super) fullest: u64,
    /// Events that were given up, and neither retried nor dropped.
    pub(super) dead_letters: u64,
    /// Whom retention waits for most, if for anybody.
    pub(super) held_back_by: Option<HeldBack>,
    /// Of the stream, then of its dead letters.
    pub(super) processors: Vec<ProcessorReport>,
}

/// Whom retention waits for.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct HeldBack {
    pub(super) processor: String,
    /// Events that it alone keeps from being trimmed; `null` if nothing is known of its position.
    pub(super) events: Option<u64>,
}

/// One processor of a stream.
#[derive(Debug, Serialize)]
pub(super) struct ProcessorReport {
    pub(super) name: String,
    pub(super) stream: String,
    /// Whether it is one of ours: retention waits for it. Others are consumer groups of other programs.
    pub(super) registered: bool,
    /// Events after its positions.
    pub(super) lag: Option<u64>,
    /// Worker -> its partitions.
    pub(super) owners: BTreeMap<String, Vec<u32>>,
    /// Partitions that nobody owns now.
    pub(super) unowned: Vec<u32>,
    pub(super) stopped: Vec<StopReport>,
    pub(super) places: Vec<PlaceReport>,
}

/// One partition that is stopped for a processor.
#[derive(Debug, Serialize)]
pub(super) struct StopReport {
    pub(super) partition: u32,
    pub(super) kind: StopKind,
    pub(super) event: String,
    pub(super) error: String,
    pub(super) since: String,
}

/// One processor in one partition.
#[derive(Debug, Serialize)]
pub(super) struct PlaceReport {
    pub(super) partition: u32,
    pub(super) position: Option<String>,
    pub(super) lag: Option<u64>,
    pub(super) owner: Option<String>,
    pub(super) epoch: Option<u64>,
    /// Events settled above the position.
    pub(super) done: u64,
    /// Pending entries of consumers of other programs.
    pub(super) pending: u64,
    /// `paused`, `halted`, `quarantined`, or `null`.
    pub(super) stopped: Option<StopKind>,
}

impl StreamReport {
    pub(super) fn of(surveyed: &Surveyed, now: UnixMs) -> Self {
        let (facts, partitions, letters) = (&surveyed.stream, &surveyed.partitions, &surveyed.letters);
        let mut processors = ProcessorReport::all(&facts.name, partitions, now);
        processors.extend(ProcessorReport::all(&facts.dead_letters().name, letters, now));
        Self {
            name: facts.name.clone(),
            partitions: facts.partitions,
            slot_groups: facts.slot_groups,
            partitioner: facts.partitioner.clone(),
            codec: facts.codec.clone(),
            created: instant(facts.created),
            events: partitions.iter().map(|partition| partition.length).sum(),
            added: partitions.iter().map(|partition| partition.added).sum(),
            fullest: partitions.iter().map(|partition| partition.length).max().unwrap_or_default(),
            dead_letters: letters.iter().map(|partition| partition.length).sum(),
            held_back_by: held_back(partitions),
            processors,
        }
    }
}

impl ProcessorReport {
    /// All that read the stream, by their names.
    fn all(stream: &str, partitions: &[PartitionSurvey], now: UnixMs) -> Vec<Self> {
        let names: BTreeSet<&str> =
            partitions.iter().flat_map(|p| &p.groups).map(|group| group.name.as_str()).collect();
        names.into_iter().map(|name| Self::of(stream, name, partitions, now)).collect()
    }

    pub(super) fn of(stream: &str, name: &str, partitions: &[PartitionSurvey], now: UnixMs) -> Self {
        let mut report = Self {
            name: name.to_owned(),
            stream: stream.to_owned(),
            registered: false,
            lag: Some(0),
            owners: BTreeMap::new(),
            unowned: Vec::new(),
            stopped: Vec::new(),
            places: Vec::new(),
        };
        for partition in partitions {
            if let Some(group) = partition.groups.iter().find(|group| group.name == name) {
                report.add(partition.partition.0, group, now);
            }
        }
        report
    }

    fn add(&mut self, partition: u32, group: &GroupSurvey, now: UnixMs) {
        let stop = group.fence.as_ref().and_then(|fence| fence.stop.as_ref());
        let owner = owner(group, now);
        self.registered |= group.registered;
        self.lag = self.lag.zip(group.lag).map(|(sum, lag)| sum.saturating_add(lag));
        match &owner {
            Some(worker) => self.owners.entry(worker.clone()).or_default().push(partition),
            None => self.unowned.push(partition),
        }
        self.stopped.extend(stop.map(|stop| StopReport::of(partition, stop)));
        self.places.push(PlaceReport {
            partition,
            position: group.position.map(|id| id.to_string()),
            lag: group.lag,
            owner,
            epoch: group.fence.as_ref().map(|fence| fence.epoch.0),
            done: group.fence.as_ref().map_or(0, |fence| fence.done),
            pending: group.pending,
            stopped: stop.map(|stop| stop.kind),
        });
    }
}

impl StopReport {
    fn of(partition: u32, stop: &Stop) -> Self {
        Self {
            partition,
            kind: stop.kind,
            event: stop.at.to_string(),
            error: stop.error.clone(),
            since: instant(stop.since),
        }
    }
}

/// The worker whose lease has not ended, if there is one.
pub(super) fn owner(group: &GroupSurvey, now: UnixMs) -> Option<String> {
    let fence = group.fence.as_ref()?;
    fence.worker.clone().filter(|_| fence.until > now)
}

/// The group that keeps the most events from being trimmed. One without a position keeps all of them.
fn held_back(partitions: &[PartitionSurvey]) -> Option<HeldBack> {
    let mut kept: BTreeMap<&str, Option<u64>> = BTreeMap::new();
    for partition in partitions.iter().filter(|partition| partition.length > 0) {
        if let Some(missing) = partition.groups.iter().find(|group| group.registered && group.position.is_none()) {
            kept.insert(&missing.name, None);
        } else if let Some(last) = partition.groups.iter().min_by_key(|group| group.position) {
            let sum = kept.entry(&last.name).or_insert(Some(0));
            *sum = sum.map(|sum| sum.saturating_add(last.lag.unwrap_or(partition.length)));
        }
    }
    // Nothing known weighs more than any number.
    let heaviest = kept.into_iter().max_by_key(|(_, events)| events.unwrap_or(u64::MAX));
    heaviest
        .filter(|(_, events)| *events != Some(0))
        .map(|(name, events)| HeldBack { processor: name.to_owned(), events })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::broker::{Epoch, FenceFacts, KeyLayout, StreamFacts};
    use crate::event::{EventId, Partition};

    fn group(name: &str, position: Option<u64>, lag: u64) -> GroupSurvey {
        GroupSurvey {
            name: name.into(),
            registered: true,
            position: position.map(|ms| EventId::new(ms, 0)),
            lag: Some(lag),
            pending: 0,
            consumers: 0,
            fence: None,
        }
    }

    fn owned(mut group: GroupSurvey, worker: &str, until: UnixMs) -> GroupSurvey {
        let position = group.position.unwrap();
        group.fence = Some(FenceFacts {
            worker: Some(worker.into()),
            epoch: Epoch(3),
            until,
            position,
            seen: position,
            front: None,
            stop: None,
            done: 0,
        });
        group
    }

    fn partition(number: u32, groups: Vec<GroupSurvey>) -> PartitionSurvey {
        let (first, last) = (Some(EventId::new(1, 0)), EventId::new(9, 0));
        PartitionSurvey { partition: Partition(number), length: 9, added: 9, first, last, groups }
    }

    fn report(partitions: Vec<PartitionSurvey>) -> StreamReport {
        let facts = StreamFacts {
            name: "orders".into(),
            layout_version: 1,
            partitions: 2,
            slot_groups: 1,
            keys: KeyLayout::Runnel,
            partitioner: "xxh64".into(),
            codec: "json".into(),
            created: 0,
        };
        StreamReport::of(&Surveyed { stream: Arc::new(facts), partitions, letters: Vec::new() }, 1_000)
    }

    #[test]
    fn an_owner_whose_lease_has_ended_owns_nothing() {
        let report = report(vec![
            partition(0, vec![owned(group("billing", Some(5), 4), "w1", 1_001)]),
            partition(1, vec![owned(group("billing", Some(5), 4), "w2", 1_000)]),
        ]);

        let billing = &report.processors[0];
        assert_eq!(billing.owners, BTreeMap::from([("w1".to_owned(), vec![0])]));
        assert_eq!((billing.unowned.as_slice(), billing.lag), (&[1][..], Some(8)));
    }

    #[test]
    fn the_slowest_processor_is_named_as_holding_trimming_back() {
        let slow = report(vec![partition(0, vec![group("fast", Some(9), 0), group("slow", Some(2), 7)])]);
        assert_eq!(slow.held_back_by, Some(HeldBack { processor: "slow".into(), events: Some(7) }));

        let nobody = report(vec![partition(0, vec![group("fast", Some(9), 0)]), partition(1, vec![])]);
        assert_eq!(nobody.held_back_by, None);
    }

    #[test]
    fn a_processor_without_a_position_holds_everything_back() {
        let report = report(vec![partition(0, vec![group("slow", Some(2), 7), group("lost", None, 0)])]);
        assert_eq!(report.held_back_by, Some(HeldBack { processor: "lost".into(), events: None }));
    }

    #[test]
    fn a_lag_that_is_unknown_somewhere_is_unknown() {
        let unknown = GroupSurvey { lag: None, ..group("billing", Some(5), 0) };
        let report = report(vec![partition(0, vec![group("billing", Some(5), 4)]), partition(1, vec![unknown])]);
        assert_eq!(report.processors[0].lag, None);
    }
}
