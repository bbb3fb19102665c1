//! Stores by the names of their types, from configuration.
//!
//! What is wrong with a configuration is said before anything runs, with its place:
//! ``run_log_store.file-system: missing field `log_folder` ``.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Table;

use super::files::TaskFiles;
use super::redis::{Home, OnRedis};
use super::settings::{StoreSettings, TaskLogRepoSettings, read, split};
use super::streamed::{Stopgap, StreamedLines};
use super::tuned::Tuned;
use super::{
    Batched, Cached, ChunkedFs, CsvRepo, FileSystem, LinesHeld, MemoryStore, RedisStore, RunLogStore, StoreError,
    TaskLogRepo,
};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use super::{SqlSettings, SqlStore};
use crate::broker::Broker;
use crate::nearest::did_you_mean;
use crate::settings::RedisUrl;

/// Where documents and lines are kept.
#[derive(Clone)]
pub struct Stores {
    /// The documents of runs.
    pub run_logs: Arc<dyn RunLogStore>,
    /// The lines of the task log.
    pub task_log: Arc<dyn TaskLogRepo>,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (run_logs, task_log) = (self.run_logs.summary(), self.task_log.summary());
        f.debug_struct("Stores").field("run_logs", &run_logs).field("task_log", &task_log).finish()
    }
}

impl Stores {
    /// Both in one store.
    pub fn both<S: RunLogStore + TaskLogRepo + 'static>(store: S) -> Self {
        let store = Arc::new(store);
        Self { run_logs: Arc::clone(&store) as _, task_log: store }
    }

    /// These documents with the lines of that stream of runs, if nothing better is known of lines.
    pub(crate) fn with_lines_of(mut self, broker: &Arc<dyn Broker>) -> Self {
        if self.task_log.lines_held() == LinesHeld::UntilAStreamIsKnown {
            self.task_log = Arc::new(StreamedLines::new(broker.clone()));
        }
        self
    }

    /// Both in memory.
    pub fn memory() -> Self {
        Self::both(MemoryStore::new())
    }
}

impl<S: RunLogStore + 'static> From<S> for Stores {
    /// A store of documents alone: an app reads the lines of the task log from its stream of runs, as far back as that goes.
    /// Where there is no stream they are kept in memory, and end with the process.
    fn from(store: S) -> Self {
        Self { run_logs: Arc::new(store), task_log: Arc::new(Stopgap(MemoryStore::new())) }
    }
}

type Connect = Arc<dyn Fn(Asked) -> BoxFuture<'static, Result<Stores, StoreError>> + Send + Sync>;

/// What a store is asked to be.
struct Asked {
    /// Its place in the configuration.
    field: String,
    own: Table,
    settings: StoreSettings,
}

/// The types of stores that there are.
#[derive(Clone)]
pub struct StoreRegistry {
    types: BTreeMap<String, Connect>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Folder {
    log_folder: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    config: Table,
}

impl Default for StoreRegistry {
    /// Those that come with runnel.
    fn default() -> Self {
        let mut registry = Self { types: BTreeMap::new() };
        registry.add("memory", async |_: Nothing, _| Ok(Stores::memory()));
        registry.add(FileSystem::TYPE, async |at: Folder, settings: StoreSettings| {
            let store = FileSystem::open(&at.log_folder)?.compression(settings.enable_compression);
            Ok(Stores { run_logs: Arc::new(store), task_log: Arc::new(TaskFiles::open(&at.log_folder)?) })
        });
        registry.add(ChunkedFs::TYPE, async |at: Folder, settings: StoreSettings| {
            let store = ChunkedFs::open(&at.log_folder)?.compression(settings.enable_compression);
            Ok(Stores { run_logs: Arc::new(store), task_log: Arc::new(TaskFiles::open(&at.log_folder)?) })
        });
        registry.add_redis(None);
        #[cfg(feature = "sqlite")]
        registry.add(SqlStore::SQLITE, async |own: SqlSettings, settings: StoreSettings| {
            Ok(Stores::both(SqlStore::sqlite(own).await?.compression(settings.enable_compression)))
        });
        #[cfg(feature = "postgres")]
        registry.add(SqlStore::POSTGRES, async |own: SqlSettings, settings: StoreSettings| {
            Ok(Stores::both(SqlStore::postgres(own).await?.compression(settings.enable_compression)))
        });
        #[cfg(feature = "object-store")]
        registry.add(super::ObjectStore::TYPE, async |bucket: super::Bucket, settings: StoreSettings| {
            let store = super::ObjectStore::connect(&bucket).await?;
            Ok(store.compression(settings.enable_compression).into())
        });
        registry
    }
}

impl StoreRegistry {
    /// Makes a store of one's own known by the name of its type.
    ///
    /// `connect` is given the store's own configuration, which serde reads into its type. Settings that every store has
    /// ([`StoreSettings`]) are not in it: they are looked after. Give the type `#[serde(deny_unknown_fields)]`, so that
    /// misspelt names are refused. A later store of the same name takes the place of an earlier one.
    pub fn register<C, S, E, F, Connecting>(&mut self, name: impl Into<String>, connect: F) -> &mut Self
    where
        C: DeserializeOwned + Send + 'static,
        S: Into<Stores>,
        E: Into<crate::Error>,
        F: Fn(C) -> Connecting + Send + Sync + 'static,
        Connecting: Future<Output = Result<S, E>> + Send + 'static,
    {
        let name = name.into();
        let failed = format!("connect to the store `{name}`");
        self.add(name, move |own: C, _| {
            let (connecting, doing) = (connect(own), failed.clone());
            async move {
                let connected = connecting.await;
                connected.map(Into::into).map_err(|error| StoreError::Backend {
                    doing,
                    transient: true,
                    source: error.into(),
                })
            }
        })
    }

    /// Tells the type `redis` which server and which keys are meant where its configuration does not say.
    pub fn at_home_on(&mut self, url: RedisUrl, app: impl Into<String>, prefix: impl Into<String>) -> &mut Self {
        self.add_redis(Some(Home { url, app: app.into(), prefix: prefix.into() }))
    }

    fn add_redis(&mut self, home: Option<Home>) -> &mut Self {
        self.add(RedisStore::TYPE, move |own: OnRedis, settings| own.connect(home.clone(), settings))
    }

    fn add<C, F, Connecting>(&mut self, name: impl Into<String>, connect: F) -> &mut Self
    where
        C: DeserializeOwned + Send + 'static,
        F: Fn(C, StoreSettings) -> Connecting + Send + Sync + 'static,
        Connecting: Future<Output = Result<Stores, StoreError>> + Send + 'static,
    {
        let connect = move |asked: Asked| -> BoxFuture<'static, Result<Stores, StoreError>> {
            // Read also for a mock: what is wrong with the configuration is wrong in tests too.
            let own = match read::<C>(&asked.field, asked.own) {
                Ok(own) => own,
                Err(error) => return Box::pin(async { Err(error) }),
            };
            match asked.settings.mock {
                true => Box::pin(async { Ok(Stores::memory()) }),
                false => Box::pin(connect(own, asked.settings)),
            }
        };
        self.types.insert(name.into(), Arc::new(connect));
        self
    }

    /// Opens the store of that type with that configuration: ready to use, or not at all.
    pub async fn open(&self, name: &str, config: Table) -> Result<Stores, StoreError> {
        let Some(connect) = self.types.get(name) else {
            let names = self.types.keys().map(String::as_str).collect::<Vec<_>>();
            let advice = match name {
                "sqlite" | "postgres" => {
                    format!("; there is one, but this program was built without the feature `{name}`")
                }
                _ => did_you_mean(name, names.iter().copied()),
            };
            let reason = format!("`{name}` is no type of store{advice}; expected one of {}", names.join(", "));
            return Err(StoreError::Config { field: "run_log_store".into(), reason });
        };
        let field = format!("run_log_store.{name}");
        let (settings, own) = split(&field, config)?;
        let mut stores = connect(Asked { field, own, settings: settings.clone() }).await?;
        if let Some(repo) = settings.task_log_repo.as_ref().filter(|_| !settings.mock) {
            stores.task_log = match repo.read()? {
                TaskLogRepoSettings::Memory => Arc::new(MemoryStore::new()),
                TaskLogRepoSettings::Csv { path, record_model } => Arc::new(CsvRepo::with_model(path, &record_model)?),
            };
        }
        Ok(settings.apply(stores))
    }

    /// Opens what a section of a configuration file asks for: its `type`, with its `config`.
    pub async fn open_section(&self, section: Table) -> Result<Stores, StoreError> {
        let Section { kind, config } = read("run_log_store", section)?;
        self.open(&kind, config).await
    }
}

impl StoreSettings {
    /// These stores, with what every store has.
    fn apply(&self, stores: Stores) -> Stores {
        let tuned: Arc<dyn RunLogStore> = Arc::new(Tuned {
            inner: stores.run_logs,
            retention: self.retention(),
            parallel_writes: self.supports_parallel_writes,
            compression: self.enable_compression,
        });
        let run_logs = match self.cache_ttl_seconds {
            0 => tuned,
            ttl => Arc::new(Cached::new(tuned, Duration::from_secs(ttl))),
        };
        let task_log = match self.async_writes {
            true => Arc::new(Batched::new(stores.task_log, self.batch_size)),
            false => stores.task_log,
        };
        Stores { run_logs, task_log }
    }
}

/// Opens the store of that type with that configuration, of those that come with runnel.
pub async fn open_store(name: &str, config: Table) -> Result<Stores, StoreError> {
    StoreRegistry::default().open(name, config).await
}
