//! Keeps the folder of logs from growing without bound: old logs are compressed, older ones removed, and the oldest first
//! when there is too much of them.
//!
//! A run that has not ended is never touched, nor is one that some process holds open. A run that cannot be treated is
//! logged and does not keep the others from it.

use std::io;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::super::{Channel, LogError};
use super::folder::{RunFolder, Runs, io_failed};
use super::reading::blocking;
use super::{FileLogStore, gz, name, stored};
use crate::clock::UnixMs;
use crate::error::chain;
use crate::runs::RunId;

/// How long logs are kept, and how. `None` is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upkeep {
    /// Compressed so long after the end of the run. Default: 24 hours.
    pub compress_after: Option<Duration>,
    /// Removed so long after the end of the run. Default: 7 days.
    pub ttl: Option<Duration>,
    /// When all logs together are larger, the oldest that have ended are removed. Default: 10 GB.
    pub max_bytes: Option<u64>,
}

const GB: f64 = (1u64 << 30) as f64;

impl Upkeep {
    /// As the settings say it: 0 is never, a GB is 1024³ bytes.
    pub fn new(compress_after_hours: f64, ttl_days: f64, max_size_gb: f64) -> Self {
        let seconds = |count: f64, unit: f64| {
            (count > 0.0).then(|| Duration::try_from_secs_f64(count * unit).unwrap_or(Duration::MAX))
        };
        Self {
            compress_after: seconds(compress_after_hours, 3600.0),
            ttl: seconds(ttl_days, 86_400.0),
            max_bytes: (max_size_gb > 0.0).then_some((max_size_gb * GB) as u64),
        }
    }
}

impl Default for Upkeep {
    fn default() -> Self {
        Self::new(24.0, 7.0, 10.0)
    }
}

/// What maintenance did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpkeepReport {
    /// Runs whose logs were compressed.
    pub compressed: Vec<RunId>,
    /// Runs whose logs were removed.
    pub deleted: Vec<RunId>,
    /// How much room all logs take now.
    pub bytes: u64,
}

/// The log of a run that has ended.
struct Ended {
    run: RunId,
    at: DateTime<Utc>,
    bytes: u64,
}

impl FileLogStore {
    /// Compresses and removes what is due at that time. It may be called by several processes at once.
    pub async fn maintain(&self, upkeep: Upkeep, now: UnixMs) -> Result<UpkeepReport, LogError> {
        let runs = self.0.runs.clone();
        blocking(move || maintain(&runs, upkeep, now)).await?
    }
}

fn maintain(runs: &Runs, upkeep: Upkeep, now: UnixMs) -> Result<UpkeepReport, LogError> {
    let mut report = UpkeepReport::default();
    let mut ended = Vec::new();
    for log in runs.all()?.iter().filter_map(|run| stored(runs, run)) {
        report.bytes += log.bytes;
        let at = log.metadata.filter(|metadata| metadata.has_ended());
        // When a run ended that does not say when, it had begun at least.
        ended.extend(at.map(|at| Ended {
            run: log.run_id,
            at: at.ended_at.unwrap_or(at.started_at),
            bytes: log.bytes,
        }));
    }
    ended.sort_by(|a, b| (a.at, &a.run).cmp(&(b.at, &b.run)));

    let is_due = |log: &Ended, after: Option<Duration>| {
        let age = now.saturating_sub(log.at.timestamp_millis().max(0).unsigned_abs());
        after.is_some_and(|after| u128::from(age) >= after.as_millis())
    };
    ended.retain_mut(|log| {
        let expired = is_due(log, upkeep.ttl);
        if expired {
            remove(runs, log, &mut report);
        } else if gz::KNOWN && is_due(log, upkeep.compress_after) {
            pack(runs, log, &mut report);
        }
        !expired
    });
    for log in &ended {
        if upkeep.max_bytes.is_some_and(|max| report.bytes > max) {
            remove(runs, log, &mut report);
        }
    }
    Ok(report)
}

/// The folder of a run that has ended, held so that nobody begins to write to it.
fn held(runs: &Runs, run: &RunId) -> Result<Option<RunFolder>, LogError> {
    let Some(folder) = runs.find(run)? else { return Ok(None) };
    // Looked at again under the lock: it may have been resumed since.
    let free = folder.hold_alone()? && folder.metadata()?.is_some_and(|metadata| metadata.has_ended());
    Ok(free.then_some(folder))
}

fn remove(runs: &Runs, log: &Ended, report: &mut UpkeepReport) {
    let removed = held(runs, &log.run).and_then(|folder| match folder {
        Some(folder) => folder.destroy(runs).map(|()| true),
        None => Ok(false),
    });
    match removed {
        Ok(true) => {
            report.bytes = report.bytes.saturating_sub(log.bytes);
            report.deleted.push(log.run.clone());
        }
        Ok(false) => {}
        Err(error) => tracing::warn!(run = %log.run, error = chain(&error), "an old log cannot be removed"),
    }
}

fn pack(runs: &Runs, log: &mut Ended, report: &mut UpkeepReport) {
    let packed = held(runs, &log.run).and_then(|folder| {
        let Some(folder) = folder else { return Ok(None) };
        let mut any = false;
        for channel in Channel::ALL {
            any |= pack_channel(&folder, channel)?;
        }
        Ok(any.then_some(folder.bytes()?))
    });
    match packed {
        Ok(Some(bytes)) => {
            report.bytes = (report.bytes + bytes).saturating_sub(log.bytes);
            log.bytes = bytes;
            report.compressed.push(log.run.clone());
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(run = %log.run, error = chain(&error), "an old log cannot be compressed"),
    }
}

/// Compresses a log. Its plain file goes when the other one is whole and on the disk.
fn pack_channel(folder: &RunFolder, channel: Channel) -> Result<bool, LogError> {
    let plain = name(channel);
    let Some(found) = folder.read(&plain)? else { return Ok(false) };
    let packed = format!("{plain}.gz");
    folder.replace(&packed, |to| {
        gz::compress(found.file, to).map_err(|source| io_failed("write", folder.place(&packed), source))
    })?;
    folder.remove(&plain)
}

/// Makes a compressed log plain again, so that it can be appended to: its run was resumed.
pub(super) fn unpack(folder: &RunFolder, channel: Channel) -> Result<(), LogError> {
    let plain = name(channel);
    let packed = format!("{plain}.gz");
    let Some(found) = folder.read(&packed)? else { return Ok(()) };
    // Beside a plain file it is what a crash between the two steps of compression has left.
    if folder.read(&plain)?.is_none() {
        let mut bytes = gz::plain(found.file).ok_or_else(|| LogError::NoGzip { place: folder.place(&packed) })?;
        folder.replace(&plain, |to| {
            let copied = io::copy(&mut bytes, to).map(|_| ());
            copied.map_err(|source| io_failed("decompress", folder.place(&packed), source))
        })?;
    }
    folder.remove(&packed).map(|_| ())
}
