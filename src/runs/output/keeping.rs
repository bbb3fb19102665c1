//! Where the output of an app's runs goes, by its settings or its code, and what is done about it now and then.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{
    Channel, FileLogStore, LineStream, LogError, LogStore, Resumed, RunMetadata, RunOutput, StoredLog, StreamOptions,
    Upkeep, capture,
};
use crate::clock::{self, ServerClock};
use crate::error::{Failure, chain};
use crate::runs::{Ended, RunId, Status};
use crate::settings::Settings;

/// Between two looks at what is to be compressed, removed or shipped.
const EVERY: Duration = Duration::from_secs(3600);

/// How long the output of a single run may take to get to where it is shipped to. The process that ran it may end with it,
/// and no worker need ever be on its machine.
pub(crate) const SHIPPED_WITHIN: Duration = Duration::from_secs(5);

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

    /// Refuses a store that takes nothing, before anything runs whose output would be lost.
    pub(crate) async fn prepare(&self) -> Result<(), Failure> {
        self.store.prepare().await.map_err(|error| {
            let why = chain(&error);
            Failure::Invalid(format!("the output of runs cannot be kept: {why}; choose another folder with `log_dir`"))
        })
    }

    /// Warns if events of runs cannot get here: a worker says so at its start, because nobody misses lines before he needs
    /// them.
    pub(crate) fn warn_unless_captured(&self) {
        if !capture::is_captured() {
            tracing::warn!(
                "logs of runs will lack what runs say with `tracing`: this program has installed a subscriber without runnel's \
                 layer, or with a filter for all layers that hides spans of the target `{}`; what they print with \
                 `RunContext::stdout` and commands is kept. Add `.with(runnel::log::layer())` to the subscriber",
                capture::RUN_TARGET
            );
        }
    }

    /// The output of a run that begins.
    pub(crate) fn begin(&self, run_id: &RunId, task_name: &str, attempt: u32) -> RunOutput {
        RunOutput::begin(self.store.clone(), run_id.clone(), task_name, attempt)
    }

    /// The output of a run that is resumed.
    pub(crate) fn resume(&self, run_id: &RunId, task_name: &str, attempt: u32, resumed: Resumed) -> RunOutput {
        RunOutput::resume(self.store.clone(), run_id.clone(), task_name, attempt, resumed)
    }

    /// A run whose worker is gone: its log is closed, if it lies where we can see it, so that followers end.
    pub(crate) async fn close_crashed(&self, run_id: &RunId, clock: &ServerClock) {
        let closed: Result<(), LogError> = async {
            let Some(begun) = self.store.read_metadata(run_id).await?.filter(|found| !found.has_ended()) else {
                return Ok(());
            };
            let at = i64::try_from(clock.now()).ok().and_then(chrono::DateTime::from_timestamp_millis);
            let begun = begun.counted_in(&*self.store).await?;
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

fn refused(why: &str) -> Failure {
    Failure::Invalid(format!("`log_ship_dest` cannot be used: {why}"))
}

#[cfg(feature = "gzip")]
fn shipped(local: Arc<dyn LogStore>, destination: &str, keep_local: bool) -> Result<Arc<dyn LogStore>, Failure> {
    let (scheme, rest) = destination.split_once("://").unwrap_or(("file", destination));
    let there: Arc<dyn super::Destination> = match scheme {
        "file" => Arc::new(super::FolderDestination::new(Path::new(rest))),
        "s3" => in_bucket(destination)?,
        _ => return Err(refused("expected a folder, or `s3://bucket/prefix`")),
    };
    Ok(Arc::new(super::ShippingLogStore::new(local, there, keep_local)))
}

#[cfg(not(feature = "gzip"))]
fn shipped(_: Arc<dyn LogStore>, _: &str, _: bool) -> Result<Arc<dyn LogStore>, Failure> {
    Err(refused("logs are shipped compressed, and this program was built without the feature `gzip`"))
}

/// As whom, and to which server, the environment says: the variables `AWS_..` that all programs for S3 know.
#[cfg(all(feature = "gzip", feature = "object-store"))]
fn in_bucket(address: &str) -> Result<Arc<dyn super::Destination>, Failure> {
    use crate::runs::StoreError;
    use crate::runs::stores::{Bucket, ObjectDestination};
    let there = Bucket::default().at(address).and_then(ObjectDestination::new);
    there.map(|there| Arc::new(there) as _).map_err(|error| match error {
        // Its field is one of the run log store.
        StoreError::Config { reason, .. } => refused(&reason),
        error => refused(&chain(&error)),
    })
}

#[cfg(all(feature = "gzip", not(feature = "object-store")))]
fn in_bucket(_: &str) -> Result<Arc<dyn super::Destination>, Failure> {
    Err(refused("`s3://` needs the feature `object-store`, which this program was built without"))
}

#[cfg(all(test, feature = "gzip"))]
mod tests {
    use super::*;

    /// Why logs cannot be shipped there.
    fn refusal(destination: &str) -> Option<String> {
        let settings = Settings { log_ship_dest: destination.into(), ..Settings::default() };
        let own = Arc::new(super::super::MemoryLogStore::default());
        Keeping::of(&settings, Some(own)).err().map(|refused| refused.to_string())
    }

    #[test]
    fn a_destination_that_cannot_be_used_is_refused_with_what_it_must_be() {
        for folder in ["/var/logs", "file:///var/logs"] {
            assert_eq!(refusal(folder), None);
        }
        for (destination, why) in [("ftp://host/logs", "expected a folder, or"), ("s3://", "s3://")] {
            let refused = refusal(destination).unwrap();
            assert!(refused.contains("`log_ship_dest` cannot be used") && refused.contains(why), "{refused}");
            assert!(!refused.contains("run_log_store"), "{refused}");
        }
    }

    #[test]
    fn a_bucket_is_a_destination_where_the_program_can_speak_to_one() {
        let refused = refusal("s3://bucket/logs");
        assert_eq!(refused.is_none(), cfg!(feature = "object-store"), "{refused:?}");
        assert!(refused.is_none_or(|refused| refused.contains("`object-store`")));
    }
}
