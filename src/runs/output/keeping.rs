//! Where the output of an app's runs goes, by its settings or its code, and what is done about it now and then.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{
    Channel, FileLogStore, LineStream, LogError, LogStore, RunMetadata, RunOutput, StoredLog, StreamOptions, Upkeep,
};
use crate::clock::{self, ServerClock};
use crate::error::{Failure, chain};
use crate::runs::{Ended, RunId, Status};
use crate::settings::Settings;

/// Between two looks at what is to be compressed, removed or shipped.
const EVERY: Duration = Duration::from_secs(3600);

/// Keeps the output of runs.
#[derive(Clone)]
pub(crate) struct Keeping {
    store: Arc<dyn LogStore>,
    upkeep: Upkeep,
}

impl Keeping {
    /// The app's own store, or one in the folder that the settings name; none if there is neither.
    pub(crate) fn of(settings: &Settings, own: Option<Arc<dyn LogStore>>) -> Result<Option<Self>, Failure> {
        let upkeep = Upkeep::new(settings.log_compress_after_hours, settings.log_ttl_days, settings.log_max_size_gb);
        let local = match (own, &*settings.log_dir) {
            (Some(own), _) => own,
            (None, "") => return Ok(None),
            (None, folder) => Arc::new(FileLogStore::new(Path::new(folder))) as Arc<dyn LogStore>,
        };
        let store = match &*settings.log_ship_dest {
            "" => local,
            destination => shipped(local, destination, settings.log_keep_local)?,
        };
        Ok(Some(Self { store, upkeep }))
    }

    /// The store.
    pub(crate) fn store(&self) -> &Arc<dyn LogStore> {
        &self.store
    }

    /// The output of a run that begins.
    pub(crate) fn begin(&self, run_id: &RunId, task_name: &str, attempt: u32) -> RunOutput {
        RunOutput::begin(self.store.clone(), run_id.clone(), task_name, attempt)
    }

    /// A run whose worker is gone: its log is closed, if it lies where we can see it, so that followers end.
    pub(crate) async fn close_crashed(&self, run_id: &RunId, clock: &ServerClock) {
        let closed: Result<(), LogError> = async {
            let Some(begun) = self.store.read_metadata(run_id).await?.filter(|found| !found.has_ended()) else {
                return Ok(());
            };
            let at = i64::try_from(clock.now()).ok().and_then(chrono::DateTime::from_timestamp_millis);
            self.store.write_metadata(run_id, &begun.ended(Status::Crashed, at.unwrap_or_default())).await
        }
        .await;
        if let Err(error) = closed {
            tracing::warn!(%run_id, error = %chain(&error), "the log of a crashed run could not be closed");
        }
    }

    /// Looks after the logs, at once and then every hour. Safe to drop.
    pub(crate) async fn tend(self, clock: ServerClock) {
        loop {
            if let Err(error) = self.store.tend(self.upkeep, clock.now()).await {
                tracing::warn!(error = %chain(&error), "logs of runs could not be looked after; looking again in an hour");
            }
            clock::sleep(EVERY).await;
        }
    }

    /// Waits until everything is where it shall stay, but not for long.
    pub(crate) async fn flush(&self, patience: Duration) {
        // Safe to drop: what was not shipped is after the next start.
        tokio::select! {
            flushed = self.store.flush() => if let Err(error) = flushed {
                tracing::warn!(error = %chain(&error), "the output of runs could not be written to its end");
            },
            () = clock::sleep(patience) => {}
        }
    }
}

/// Keeps nothing: what a run prints where no output is kept.
pub(crate) struct Nowhere;

#[async_trait]
impl LogStore for Nowhere {
    async fn append(&self, _: &RunId, _: Channel, _: &[&str]) -> Result<(), LogError> {
        Ok(())
    }

    fn stream(&self, run: &RunId, _: Channel, _: StreamOptions) -> LineStream {
        let missing = LogError::NotFound { run: run.clone() };
        futures::StreamExt::boxed(futures::stream::once(async { Err(missing) }))
    }

    async fn write_metadata(&self, _: &RunId, _: &RunMetadata) -> Result<(), LogError> {
        Ok(())
    }

    async fn read_metadata(&self, _: &RunId) -> Result<Option<RunMetadata>, LogError> {
        Ok(None)
    }

    async fn list(&self) -> Result<Vec<StoredLog>, LogError> {
        Ok(Vec::new())
    }

    async fn delete(&self, _: &RunId) -> Result<bool, LogError> {
        Ok(false)
    }
}

/// How a run's output ends.
pub(crate) fn end_of(ended: &Ended) -> super::RunEnd {
    let end = super::RunEnd::new(ended.action().status());
    match ended {
        Ended::Success => end.exit_code(None),
        ended => end.error(ended.to_string()),
    }
}

#[cfg(feature = "gzip")]
fn shipped(local: Arc<dyn LogStore>, destination: &str, keep_local: bool) -> Result<Arc<dyn LogStore>, Failure> {
    let refused = |why: &str| Failure::Invalid(format!("`log_ship_dest` cannot be used: {why}"));
    let (scheme, rest) = destination.split_once("://").unwrap_or(("file", destination));
    let there = match scheme {
        "file" => super::FolderDestination::new(Path::new(rest)),
        "s3" => return Err(refused("`s3://` needs the feature `object-store`")),
        _ => return Err(refused("expected a folder, or `s3://bucket/prefix`")),
    };
    Ok(Arc::new(super::ShippingLogStore::new(local, Arc::new(there), keep_local)))
}

#[cfg(not(feature = "gzip"))]
fn shipped(_: Arc<dyn LogStore>, _: &str, _: bool) -> Result<Arc<dyn LogStore>, Failure> {
    Err(Failure::Invalid("`log_ship_dest` needs the feature `gzip`: logs are shipped compressed".into()))
}
