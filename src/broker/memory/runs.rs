//! Runs: their begin and end in the log of tasks, which are open, and which are over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::broker::{Begun, BrokerError, NewEntry, OpenRun, StreamRef};
use crate::clock::UnixMs;
use crate::event::{Fields, Partition};

use super::history::Step;
use super::store::{PartitionData, ServerTime, Store};

/// For how long it is kept that a run is over, in milliseconds: longer than a request can be under way.
const KEPT_MS: u64 = 600_000;
/// How many are kept however old they are, and how many at most.
const FEWEST: usize = 1_000;
const MOST: usize = 50_000;
/// How many are dropped at once.
const AT_ONCE: usize = 8;

/// Runs of one partition that do not begin (again), each with when that was so.
#[derive(Clone, Debug, Default)]
pub(super) struct Over {
    since: BTreeMap<OverRun, UnixMs>,
    by_age: BTreeSet<(UnixMs, OverRun)>,
}

/// Of a run, by its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum OverRun {
    Activation(Arc<str>, u32),
    Entry(Arc<str>, Arc<str>),
}

impl OverRun {
    fn by_entry(run: &OpenRun) -> Self {
        Self::Entry(run.run_id.clone(), run.entry.clone())
    }

    fn by_activation(run: &OpenRun) -> Self {
        run.activation().map_or_else(|| Self::by_entry(run), |number| Self::Activation(run.run_id.clone(), number))
    }
}

impl Over {
    pub(super) fn is_empty(&self) -> bool {
        self.since.is_empty()
    }

    fn has(&self, run: &OpenRun) -> bool {
        [OverRun::by_activation(run), OverRun::by_entry(run)].iter().any(|over| self.since.contains_key(over))
    }

    /// Keeps one, and drops some of those that need not be kept any more.
    fn keep(&mut self, over: OverRun, now: UnixMs) {
        if let Some(before) = self.since.insert(over.clone(), now) {
            self.by_age.remove(&(before, over.clone()));
        }
        self.by_age.insert((now, over));
        for _ in 0..AT_ONCE {
            let count = self.by_age.len();
            let Some((since, _)) = self.by_age.first() else { return };
            let is_old = now.saturating_sub(*since) >= KEPT_MS;
            if count <= FEWEST || !(is_old || count > MOST) {
                return;
            }
            let (_, oldest) = self.by_age.pop_first().expect("it was looked at above");
            self.since.remove(&oldest);
        }
    }
}

impl Store {
    pub(super) fn begin_run(
        &mut self,
        stream: &StreamRef,
        partition: Partition,
        run: &OpenRun,
        event: &Fields,
        limit: u64,
        now: ServerTime,
    ) -> Result<Begun, BrokerError> {
        let data = self.partition(&stream.name, partition);
        match data.open_runs.get(&run.run_id) {
            Some(held) if *held == run.entry => return Ok(Begun::Before),
            Some(held) => return Ok(Begun::Taken { entry: held.to_string() }),
            None if data.over.has(run) => return Ok(Begun::Over),
            None => {}
        }
        let length = self.length(&stream.name, partition);
        if length >= limit {
            return Ok(Begun::Full { length });
        }
        let id = self.append(stream, NewEntry { partition, id: None, fields: event.clone() }, now)?;
        self.partition(&stream.name, partition).open_runs.insert(run.run_id.clone(), run.entry.clone());
        let (run_id, entry) = (run.run_id.to_string(), run.entry.to_string());
        self.history.record(|| Step::RunBegun { partition, run_id, entry, at: now.ms() });
        Ok(Begun::Now(id))
    }

    pub(super) fn end_run(
        &mut self,
        stream: &StreamRef,
        partition: Partition,
        run: &OpenRun,
        event: &Fields,
        now: ServerTime,
    ) -> Result<bool, BrokerError> {
        let data = self.partition(&stream.name, partition);
        if data.open_runs.get(&run.run_id) != Some(&run.entry) {
            data.over.keep(OverRun::by_entry(run), now.ms());
            return Ok(false);
        }
        self.append(stream, NewEntry { partition, id: None, fields: event.clone() }, now)?;
        let data = self.partition(&stream.name, partition);
        data.open_runs.remove(&run.run_id);
        data.over.keep(OverRun::by_activation(run), now.ms());
        let run_id = run.run_id.to_string();
        self.history.record(|| Step::RunEnded { partition, run_id, at: now.ms() });
        Ok(true)
    }

    pub(super) fn open_runs(&self, stream: &StreamRef) -> Vec<(Partition, OpenRun)> {
        let Some(data) = self.streams.get(&stream.name) else { return Vec::new() };
        let of = |(partition, data): (&Partition, &PartitionData)| {
            let open =
                |(run_id, entry): (&Arc<str>, &Arc<str>)| OpenRun { run_id: run_id.clone(), entry: entry.clone() };
            data.open_runs.iter().map(|run| (*partition, open(run))).collect::<Vec<_>>()
        };
        data.partitions.iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_may_be_however_much_ends_at_once() {
        let mut over = Over::default();
        let run = |n: usize| OverRun::Activation(format!("run-{n:06}").into(), 1);

        for n in 0..MOST + 10 {
            over.keep(run(n), 5);
        }
        assert_eq!((over.since.len(), over.by_age.len()), (MOST, MOST));
        assert!(!over.since.contains_key(&run(9)) && over.since.contains_key(&run(10)));

        for n in 0..MOST {
            over.keep(run(n), 5 + KEPT_MS);
        }
        assert_eq!(over.since.len(), MOST);
        // What is old goes faster than more can come.
        for n in 0..MOST / 2 {
            over.keep(run(n), 6 + 2 * KEPT_MS);
        }
        assert!(over.since.len() <= MOST / 2 + FEWEST, "{}", over.since.len());
    }
}
