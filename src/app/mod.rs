//! The app: a named set of streams, processors and state. Plain data until a worker or a sender connects it.
//!
//! [`App::new`] begins with everything the attribute macros have registered in the program; [`App::bare`] with
//! nothing.

use std::any::TypeId;
use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::error::{Error, Failure};
use crate::job::JobSpec;
use crate::processor::events::{LoopFuture, TypedLoop};
use crate::processor::extract::{Parts, States};
use crate::processor::handler::{FromUnit, Handler, Typed};
use crate::processor::{Chain, DeclaredAt, Events, Middleware, ProcessorOptions, ProcessorSpec, Style};
use crate::record::Record;
use crate::runner::TraceStores;
use crate::runs::Observers;
use crate::runs::ids::RunIds;
use crate::runs::output::{Keeping, LogStore};
use crate::settings::{Overrides, Settings};
use crate::stream::current::Handle;
use crate::stream::json::JsonStream;
use crate::stream::{Stream, StreamSpec};

pub(crate) mod connection;
mod declared;
mod jobs;
mod on_demand;
pub(crate) mod registry;
mod run_logs;
mod runner;
mod sections;
mod setup;
pub(crate) mod stage;
mod states;
mod stream;

pub use declared::Declared;
pub use jobs::DeclaredJob;
pub(crate) use run_logs::RunLogs;
pub(crate) use runner::Asked;
pub use runner::{OnDemand, Runner, Whole};
pub use setup::Setup;
use states::LateState;
pub use stream::AppStream;

pub(crate) type Beside = Arc<dyn Fn() -> BoxFuture<'static, crate::Result> + Send + Sync>;

/// A named set of streams, processors and state.
///
/// ```no_run
/// use runnel::prelude::*;
///
/// fn main() -> ExitCode { runnel::main(App::new("shop")) }
/// ```
#[derive(Clone)]
pub struct App {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) streams: Vec<StreamSpec>,
    pub(crate) typed: Vec<Arc<dyn JsonStream>>,
    pub(crate) processors: Vec<ProcessorSpec>,
    pub(crate) jobs: Vec<JobSpec>,
    /// Around all of them.
    pub(crate) middleware: Chain,
    pub(crate) overrides: Overrides,
    pub(crate) states: States,
    state_makers: Vec<LateState>,
    /// What runs beside the worker.
    pub(crate) beside: Vec<Beside>,
    /// Where the output of runs goes, if not where the settings say.
    log_store: Option<Arc<dyn LogStore>>,
    /// Who looks on while jobs on demand run.
    observers: Observers,
    pub(crate) trace_stores: TraceStores,
    /// Mistakes made while declaring, told all at once at start.
    pub(crate) refusals: Vec<String>,
    connected: Arc<tokio::sync::OnceCell<Handle>>,
    pub(crate) run_logs: RunLogs,
    pub(crate) run_ids: RunIds,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let processors: Vec<_> = self.processors.iter().map(|p| &p.name).collect();
        f.debug_struct("App")
            .field("name", &self.name)
            .field("processors", &processors)
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

impl App {
    /// An app of that name with everything the attribute macros have registered in this program.
    #[cfg(feature = "macros")]
    pub fn new(name: impl Into<String>) -> Self {
        let mut app = registry::registered().fold(Self::bare(name), |app, item| item.declare(app));
        // The linker's order is nobody's business; a `macro_rules!` may declare several at one place.
        app.processors.sort_by(|a, b| {
            (a.declared_at.file, a.declared_at.line, &a.name).cmp(&(b.declared_at.file, b.declared_at.line, &b.name))
        });
        app.jobs.sort_by(|a, b| {
            (a.declared_at.file, a.declared_at.line, &a.name).cmp(&(b.declared_at.file, b.declared_at.line, &b.name))
        });
        app.streams.sort_by(|a, b| a.name.cmp(&b.name));
        app
    }

    /// An app of that name with nothing in it.
    pub fn bare(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: String::new(),
            streams: Vec::new(),
            typed: Vec::new(),
            processors: Vec::new(),
            jobs: Vec::new(),
            middleware: Chain::default(),
            overrides: Overrides::default(),
            states: States::default(),
            state_makers: Vec::new(),
            beside: Vec::new(),
            log_store: None,
            observers: Observers::default(),
            trace_stores: TraceStores::default(),
            refusals: Vec::new(),
            connected: Arc::default(),
            run_logs: RunLogs::default(),
            run_ids: RunIds::default(),
        }
    }

    /// The app's name: a part of every key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of the code, for `workers` and for tasks that run once for each version. Default: empty.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Where Redis is. Overrides the environment and the file; the command line overrides this.
    pub fn redis(self, url: impl Into<String>) -> Self {
        self.setting("redis_url", url.into())
    }

    /// Gives a setting by its name, as it would be written in `runnel.toml`: `.setting("default_lock_expiry", "5s")`.
    /// Overrides the environment and the file; the command line overrides this. A mistake is told at start.
    pub fn setting(mut self, name: &str, value: impl Into<String>) -> Self {
        self.overrides.set(name, value.into());
        self
    }

    /// Runs something beside the worker, in its process and with its app: a web server that sends, for example. It is
    /// dropped when the worker has drained; when it ends or fails itself, the worker goes on.
    pub fn beside<F, Fut>(mut self, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = crate::Result> + Send + 'static,
    {
        self.beside.push(Arc::new(move || Box::pin(run())));
        self
    }

    /// Wraps every unit that a processor of this app settles, inside the middleware that was given before and outside of
    /// that of single processors ([`Declared::middleware`]).
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.middleware = self.middleware.with(middleware);
        self
    }

    /// Keeps what runs print in this store: events of `tracing` that belong to a run, and the output of its commands.
    /// Default: setting `log_dir`, and nowhere where that is not set.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// use runnel::runs::output::FileLogStore;
    ///
    /// let app = App::bare("shop").log_store(FileLogStore::new("/var/log/shop"));
    /// ```
    pub fn log_store(mut self, store: impl LogStore) -> Self {
        self.log_store = Some(Arc::new(store));
        self
    }

    /// Answers HTTP at this address while a worker runs: what ran, and what it printed. Sets `http`.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// let app = App::bare("shop").http("127.0.0.1:8080");
    /// ```
    #[cfg(feature = "http")]
    pub fn http(self, address: impl Into<String>) -> Self {
        self.setting("http", address.into())
    }

    /// Where the output of runs goes.
    pub(crate) fn keeping(&self, settings: &Settings) -> Result<Option<Keeping>, Failure> {
        Keeping::of(settings, self.log_store.clone())
    }

    /// Adds what an attribute macro has made of a function: `.with::<printer>()`.
    pub fn with<P: registry::Item>(self) -> Self {
        P::declare(self)
    }

    /// Adds a stream that no processor of this app reads, so that the command line knows it.
    pub fn with_stream<R: Record>(mut self, stream: &Stream<R>) -> Self {
        self.add_stream(stream);
        self
    }

    /// A stream of this app to send to, from anywhere. Connects at the first send.
    pub fn stream<R: Record>(&self, stream: &Stream<R>) -> AppStream<R> {
        AppStream { app: self.clone(), stream: stream.clone() }
    }

    /// Adds a handler: a function that is called for each event, or for each batch with [`Declared::batch`].
    ///
    /// It is named after its function; a closure needs [`Declared::name`].
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// # #[derive(Serialize, Deserialize)] struct Order { id: u64 }
    /// let orders = Stream::new("orders", |o: &Order| o.id.into());
    /// let mut app = App::bare("shop");
    /// app.processor(&orders, async |order: Order| println!("{}", order.id)).name("printer");
    /// ```
    #[track_caller]
    pub fn processor<R, P, H>(&mut self, stream: &Stream<R>, handler: H) -> Declared<'_>
    where
        R: Record,
        P: 'static,
        H: Handler<R, P>,
    {
        self.add_stream(stream);
        let call = Typed::new(stream.declaration().clone(), handler);
        self.add_processor(function_name::<H>(), &stream.declaration().spec, Style::Handler(Arc::new(call)))
    }

    /// Adds an event loop: a function that is lent the events of one partition.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// # #[derive(Serialize, Deserialize)] struct Order { id: u64, amount: f64 }
    /// # let orders = Stream::new("orders", |o: &Order| o.id.into());
    /// # let mut app = App::bare("shop");
    /// app.event_loop(&orders, |events: &mut Events<Order>| Box::pin(async move {
    ///     let mut total = 0.0;
    ///     while let Some(order) = events.next().await? {
    ///         total += order.amount;
    ///     }
    ///     Ok(())
    /// })).name("totals");
    /// ```
    #[track_caller]
    pub fn event_loop<R, K, T, F>(&mut self, stream: &Stream<R>, function: F) -> Declared<'_>
    where
        R: Record,
        K: 'static,
        T: FromUnit<R, K>,
        F: for<'a> Fn(&'a mut Events<T>) -> LoopFuture<'a> + Send + Sync + 'static,
    {
        self.event_loop_with(stream, Vec::new(), move |events: &mut Events<T>, _: &Parts<'_>| Ok(function(events)))
    }

    /// An event loop with extractors: what the attribute macro writes.
    #[doc(hidden)]
    #[track_caller]
    pub fn event_loop_with<R, K, T, F>(
        &mut self,
        stream: &Stream<R>,
        needs: Vec<Option<(TypeId, &'static str)>>,
        function: F,
    ) -> Declared<'_>
    where
        R: Record,
        K: 'static,
        T: FromUnit<R, K>,
        F: for<'a> Fn(&'a mut Events<T>, &Parts<'_>) -> Result<LoopFuture<'a>, Error> + Send + Sync + 'static,
    {
        self.add_stream(stream);
        let needs = needs.into_iter().flatten().collect();
        let typed = TypedLoop::new(stream.declaration().clone(), function, needs);
        self.add_processor(function_name::<F>(), &stream.declaration().spec, Style::Loop(Arc::new(typed)))
    }

    fn add_stream<R: Record>(&mut self, stream: &Stream<R>) {
        let spec = &stream.declaration().spec;
        match self.streams.iter().find(|known| known.name == spec.name) {
            None => {
                self.streams.push(spec.clone());
                self.typed.push(Arc::new(stream.clone()));
            }
            Some(known) if known.identity == spec.identity => {}
            Some(_) => self.refusals.push(format!(
                "stream `{}` is declared twice, and not in the same way: declare it once and use that everywhere",
                spec.name
            )),
        }
    }

    #[track_caller]
    fn add_processor(&mut self, name: String, stream: &StreamSpec, style: Style) -> Declared<'_> {
        let here = std::panic::Location::caller();
        self.processors.push(ProcessorSpec {
            name,
            stream: stream.clone(),
            style,
            options: ProcessorOptions::default(),
            middleware: Chain::default(),
            declared_at: DeclaredAt { file: here.file(), line: here.line() },
        });
        Declared(self.processors.last_mut().expect("it was pushed the line before"))
    }

    /// Uses this connection for `app.stream(..)`; the first one stays.
    pub(crate) fn bind(&self, handle: Handle) {
        let _ = self.connected.set(handle);
    }
}

/// The last part of a function's path: its name. Closures have none.
fn function_name<F>() -> String {
    let path = std::any::type_name::<F>();
    let last = path.rsplit("::").next().unwrap_or_default();
    if last.contains(['{', '<', '>', '}']) { String::new() } else { last.to_owned() }
}
