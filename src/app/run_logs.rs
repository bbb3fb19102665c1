//! Where an app keeps its runs, and how it is asked for them.
//!
//! The store is opened once for the process, by the first worker or the first question, and shared by all clones of the
//! app. Which one it is, is said by code, environment or `runnel.toml`, in this order.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use crate::error::{Error, Failure};
use crate::event::EventId;
use crate::runs::ids::RunIds;
use crate::runs::stores::{Change, LinesHeld};
use crate::runs::{
    Applied, NewRunLog, Page, PurgeReport, RunEvent, RunId, RunLog, RunLogQuery, RunLogStore, StoreError,
    StoreRegistry, StoreSummary, Stores, TaskLog, TaskLogEvent, TaskLogQuery, TaskLogRepo,
};
use crate::settings::{Overrides, RedisUrl, StoreSection};

use super::App;

/// What an app knows of its stores.
#[derive(Clone, Default)]
pub(crate) struct RunLogs {
    registry: StoreRegistry,
    /// Ready-made ones, which need not be opened.
    given: Option<Stores>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    found: OnceLock<Found>,
    opened: OnceCell<Stores>,
}

/// What was found out when the app was connected.
struct Found {
    section: StoreSection,
    /// Where runs are kept beside the streams: the server, the app and the prefix of its keys. None if the broker ends
    /// with this process.
    home: Option<(RedisUrl, String, String)>,
}

const MEMORY: &str = "memory";
/// Only who is connected knows where that is.
const AUTO: &str = "auto";
const REDIS: &str = "redis";

impl RunLogs {
    /// The settings by which the app was connected, and to what; the first ones stay.
    pub(crate) fn found(&self, section: StoreSection, home: Option<(RedisUrl, String, String)>) {
        let _ = self.shared.found.set(Found { section, home });
    }

    /// For tests: everything is kept in memory, unless the app brings stores of its own.
    #[cfg(feature = "testing")]
    pub(crate) fn keep_in_memory(&mut self) {
        // Another test may have run a clone of this app, with entries of its own.
        if self.shared.opened.set(Stores::memory()).is_err() {
            self.shared = Arc::default();
            let _ = self.shared.opened.set(Stores::memory());
        }
    }

    fn ready(&self) -> Option<&Stores> {
        self.given.as_ref().or_else(|| self.shared.opened.get())
    }

    async fn open(&self, found: &Found) -> Result<Stores, StoreError> {
        let mut registry = self.registry.clone();
        if let Some((url, app, prefix)) = found.home.clone() {
            registry.at_home_on(url, app, prefix);
        }
        // Where nobody has named a type: beside the streams.
        let beside = if found.home.is_some() { REDIS } else { MEMORY };
        let kind = found.section.kind().unwrap_or(beside);
        registry.open(kind, found.section.config(kind)).await
    }
}

impl App {
    /// Keeps runs in a store of that type: `"postgres"`. Its configuration is the section `[run_log_store]` of
    /// `runnel.toml`, and `RUNNEL_RUN_LOG_STORE__FIELD` of the environment.
    ///
    /// Default: where the streams are.
    pub fn run_log_store(self, kind: impl Into<String>) -> Self {
        self.setting("run_log_store", kind)
    }

    /// Keeps runs in these stores, whatever the settings say.
    ///
    /// ```
    /// use runnel::prelude::*;
    /// use runnel::runs::{MemoryStore, Stores};
    ///
    /// let app = App::bare("shop").run_logs_in(Stores::both(MemoryStore::new().retention(Duration::from_secs(3600))));
    /// ```
    pub fn run_logs_in(mut self, stores: impl Into<Stores>) -> Self {
        self.run_logs.given = Some(stores.into());
        self
    }

    /// Makes a store of one's own known by the name of its type, for [`App::run_log_store`] and `[run_log_store]`.
    /// See [`StoreRegistry::register`].
    ///
    /// ```
    /// use runnel::prelude::*;
    /// use runnel::runs::MemoryStore;
    ///
    /// #[derive(Deserialize)]
    /// #[serde(deny_unknown_fields)]
    /// struct Place { shelf: String }
    ///
    /// let app = App::bare("shop")
    ///     .register_run_log_store("my-db", async |place: Place| {
    ///         println!("keeping runs on shelf {}", place.shelf);
    ///         Ok::<_, runnel::Error>(MemoryStore::new())
    ///     })
    ///     .run_log_store("my-db");
    /// ```
    pub fn register_run_log_store<C, S, E, F, Connecting>(mut self, name: impl Into<String>, connect: F) -> Self
    where
        C: DeserializeOwned + Send + 'static,
        S: Into<Stores>,
        E: Into<Error>,
        F: Fn(C) -> Connecting + Send + Sync + 'static,
        Connecting: Future<Output = Result<S, E>> + Send + 'static,
    {
        self.run_logs.registry.register(name, connect);
        self
    }

    /// Gives the runs of tasks, timers, crontabs and jobs ids of your own: from the name of what runs, and from its
    /// parameters (null where it has none). Tenancies of partitions keep theirs.
    ///
    /// Each run needs an id of its own: one that is open already cannot begin. A text that cannot be an id is replaced by
    /// a fresh one, with a warning.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// let app = App::bare("shop").run_id(|task, _| format!("{task}-{}", Utc::now().format("%Y%m%d-%H%M%S%6f")));
    /// ```
    pub fn run_id<T: Into<String>>(
        mut self,
        make: impl Fn(&str, &serde_json::Value) -> T + Send + Sync + 'static,
    ) -> Self {
        self.run_ids = RunIds::made_by(move |task, parameters| make(task, parameters).into());
        self
    }

    /// The task log: what began and ended, of everything that this app has run.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> runnel::Result {
    /// use runnel::filter;
    /// # let app = App::bare("shop").redis("memory://");
    /// # let (t0, t1) = (1.7e9, 1.8e9);
    ///
    /// let rows = app.task_log().filter_by(filter!(task_name = "my_task", action = Run)).all().await?;
    /// let wrong = filter!(action = in_(["fail", "crash"]), created = between(t0, t1));
    /// let n = app.task_log().filter_by(wrong).count().await?;
    /// # assert_eq!((rows.len(), n), (0, 0));
    /// # Ok(()) }
    /// ```
    pub fn task_log(&self) -> TaskLog {
        TaskLog::new(match self.ready_stores() {
            Some(stores) => stores.task_log,
            None => Late::of(self),
        })
    }

    /// The task log of one task: every question is about it.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> runnel::Result {
    /// # use runnel::runs::Action;
    /// # let app = App::bare("shop").redis("memory://");
    /// let last = app.task_log_of("do_things").latest(Action::Success).await?;
    /// let state = app.task_log_of("do_things").state().await?;
    /// # assert!(last.is_none() && state.running.is_empty());
    /// # Ok(()) }
    /// ```
    pub fn task_log_of(&self, name: impl Into<String>) -> TaskLog {
        self.task_log().of_task(name)
    }

    /// The documents of runs.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> runnel::Result {
    /// use runnel::runs::{RunLogQuery, RunLogStore};
    /// # let app = App::bare("shop").redis("memory://");
    ///
    /// let newest = app.run_logs().get_run_logs(&RunLogQuery::new().limit(20)).await?;
    /// # assert!(newest.items.is_empty());
    /// # Ok(()) }
    /// ```
    pub fn run_logs(&self) -> Arc<dyn RunLogStore> {
        match self.run_logs.ready() {
            Some(stores) => stores.run_logs.clone(),
            None => Late::of(self),
        }
    }

    /// The stores, opened if they were not.
    ///
    /// # Errors
    /// A sentence that names the field, for a configuration that cannot work.
    pub(crate) async fn stores(&self) -> Result<Stores, Failure> {
        self.try_stores().await.map_err(unopenable)
    }

    /// Only the documents: no stream is needed for them.
    ///
    /// # Errors
    /// As [`App::stores`].
    pub(crate) async fn documents(&self) -> Result<Arc<dyn RunLogStore>, Failure> {
        Ok(self.open_stores().await.map_err(unopenable)?.run_logs)
    }

    /// The stores, if they can be handed out without opening or connecting anything.
    fn ready_stores(&self) -> Option<Stores> {
        let stores = self.run_logs.ready()?;
        match (stores.task_log.lines_held(), self.connected.get()) {
            (LinesHeld::UntilAStreamIsKnown, None) => None,
            (_, None) => Some(stores.clone()),
            (_, Some(handle)) => Some(stores.clone().with_lines_of(handle.broker())),
        }
    }

    async fn try_stores(&self) -> Result<Stores, StoreError> {
        let stores = self.open_stores().await?;
        if stores.task_log.lines_held() != LinesHeld::UntilAStreamIsKnown {
            return Ok(stores);
        }
        let connected = self.connected.get_or_try_init(|| self.connect_to_send()).await;
        let handle = connected.map_err(|failure| StoreError::Backend {
            doing: "connect to the stream of runs, which has the lines of the task log".into(),
            transient: true,
            source: failure.into(),
        })?;
        Ok(stores.with_lines_of(handle.broker()))
    }

    /// The stores as they are opened: of documents alone it is not known yet where their lines are.
    async fn open_stores(&self) -> Result<Stores, StoreError> {
        let logs = &self.run_logs;
        if let Some(given) = &logs.given {
            return Ok(given.clone());
        }
        let opened = logs.shared.opened.get_or_try_init(|| async {
            if let Some(found) = logs.shared.found.get() {
                return logs.open(found).await;
            }
            // Asked before anything was connected.
            let loaded = self.settings(&Overrides::new());
            let loaded = loaded
                .map_err(|failure| StoreError::Config { field: "settings".into(), reason: failure.to_string() })?;
            let settings = loaded.settings;
            let url = settings.redis_url.filter(|url| url.scheme() != MEMORY && url.scheme() != AUTO);
            let home = url.map(|url| (url, self.name.clone(), settings.key_prefix));
            logs.open(&Found { section: loaded.sections.run_log_store, home }).await
        });
        opened.await.cloned()
    }
}

fn unopenable(error: StoreError) -> Failure {
    match error {
        StoreError::Config { .. } => Failure::Invalid(error.to_string()),
        error => Failure::RunLogStore(error.into()),
    }
}

/// Stores that are opened by the first question.
struct Late {
    app: App,
    /// One for all questions: it may know where answers have ended.
    lines: OnceCell<Arc<dyn TaskLogRepo>>,
}

impl Late {
    fn of(app: &App) -> Arc<Self> {
        Arc::new(Self { app: app.clone(), lines: OnceCell::new() })
    }

    async fn lines(&self) -> Result<&Arc<dyn TaskLogRepo>, StoreError> {
        self.lines.get_or_try_init(|| async { Ok(self.app.try_stores().await?.task_log) }).await
    }
}

#[async_trait]
impl TaskLogRepo for Late {
    async fn append(&self, events: &[TaskLogEvent]) -> Result<(), StoreError> {
        self.lines().await?.append(events).await
    }

    async fn query(&self, query: &TaskLogQuery) -> Result<Vec<TaskLogEvent>, StoreError> {
        self.lines().await?.query(query).await
    }

    async fn count(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        self.lines().await?.count(query).await
    }

    async fn delete(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        self.lines().await?.delete(query).await
    }

    fn summary(&self) -> StoreSummary {
        self.app.ready_stores().map_or_else(unopened, |stores| stores.task_log.summary())
    }

    async fn open_runs(&self, task_name: &str) -> Result<Vec<RunId>, StoreError> {
        self.lines().await?.open_runs(task_name).await
    }
}

#[async_trait]
impl RunLogStore for Late {
    fn service_name(&self) -> &str {
        self.app.run_logs.ready().map_or(UNOPENED, |stores| stores.run_logs.service_name())
    }

    fn supports_parallel_writes(&self) -> bool {
        self.app.run_logs.ready().is_some_and(|stores| stores.run_logs.supports_parallel_writes())
    }

    fn retention(&self) -> Option<std::time::Duration> {
        self.app.run_logs.ready().and_then(|stores| stores.run_logs.retention())
    }

    async fn create_run_log(&self, new: NewRunLog) -> Result<RunLog, StoreError> {
        self.app.open_stores().await?.run_logs.create_run_log(new).await
    }

    async fn get_run_log_by_id(&self, id: &RunId, full: bool) -> Result<RunLog, StoreError> {
        self.app.open_stores().await?.run_logs.get_run_log_by_id(id, full).await
    }

    async fn put_run_log(&self, log: &RunLog) -> Result<(), StoreError> {
        self.app.open_stores().await?.run_logs.put_run_log(log).await
    }

    async fn get_run_logs(&self, query: &RunLogQuery) -> Result<Page<RunLog>, StoreError> {
        self.app.open_stores().await?.run_logs.get_run_logs(query).await
    }

    async fn delete_run_log(&self, id: &RunId) -> Result<bool, StoreError> {
        self.app.open_stores().await?.run_logs.delete_run_log(id).await
    }

    fn summary(&self) -> StoreSummary {
        self.app.run_logs.ready().map_or_else(unopened, |stores| stores.run_logs.summary())
    }

    async fn update(&self, id: &RunId, change: Change<'_>) -> Result<(), StoreError> {
        self.app.open_stores().await?.run_logs.update(id, change).await
    }

    async fn apply(&self, entry: EventId, event: &RunEvent) -> Result<Applied, StoreError> {
        self.app.open_stores().await?.run_logs.apply(entry, event).await
    }

    async fn purge(&self, now: chrono::DateTime<chrono::Utc>) -> Result<PurgeReport, StoreError> {
        self.app.open_stores().await?.run_logs.purge(now).await
    }
}

const UNOPENED: &str = "not opened yet";

fn unopened() -> StoreSummary {
    StoreSummary::new(UNOPENED)
}
