//! Runs: their begin and end in the log of tasks, and which are open.

use crate::broker::{Begun, BrokerError, NewEntry, OpenRun, StreamRef};
use crate::event::{Fields, Partition};

use super::history::Step;
use super::store::{ServerTime, Store};

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
        match self.partition(&stream.name, partition).open_runs.get(&run.run_id) {
            Some(held) if *held == run.entry => return Ok(Begun::Before),
            Some(held) => return Ok(Begun::Taken { entry: held.to_string() }),
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
        if self.partition(&stream.name, partition).open_runs.get(&run.run_id) != Some(&run.entry) {
            return Ok(false);
        }
        self.append(stream, NewEntry { partition, id: None, fields: event.clone() }, now)?;
        self.partition(&stream.name, partition).open_runs.remove(&run.run_id);
        let run_id = run.run_id.to_string();
        self.history.record(|| Step::RunEnded { partition, run_id, at: now.ms() });
        Ok(true)
    }

    pub(super) fn open_runs(&self, stream: &StreamRef) -> Vec<(Partition, OpenRun)> {
        let Some(data) = self.streams.get(&stream.name) else { return Vec::new() };
        let of = |(partition, data): (&Partition, &super::store::PartitionData)| {
            let open = |(run_id, entry): (&std::sync::Arc<str>, &std::sync::Arc<str>)| OpenRun {
                run_id: run_id.clone(),
                entry: entry.clone(),
            };
            data.open_runs.iter().map(|run| (*partition, open(run))).collect::<Vec<_>>()
        };
        data.partitions.iter().flat_map(of).collect()
    }
}
