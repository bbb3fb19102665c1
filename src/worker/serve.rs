//! A whole worker process: connect, say what was found, run, obey signals.

use std::time::Duration;

use crate::app::App;
use crate::app::connection::Connection;
use crate::broker::ServerFacts;
use crate::clock;
use crate::error::Failure;
use crate::processor::Style;
use crate::settings::Loaded;
use crate::stream::current;
use crate::tasks::{Gate, Tasks};

use super::shutdown::obey_signals;
use super::{Switches, Worker};

/// How a worker process is run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Serving {
    /// Only these processors; all of them, if none is named.
    pub(crate) processors: Vec<String>,
    /// The store where none is named anywhere: the bare form has one, `worker` by name has none.
    pub(crate) fallback: Option<&'static str>,
    /// Drains after that time.
    pub(crate) run_for: Option<Duration>,
}

/// Runs a worker until it is told to drain, or halts.
pub(crate) async fn serve(app: &App, loaded: &Loaded, serving: Serving) -> Result<(), Failure> {
    super::check(app, &loaded.settings)?;
    let switches = Switches::default();
    let mut beside = Tasks::behind(&Gate::default());
    beside.start(obey_signals(switches.clone()));
    // Safe to drop: a connection that nobody uses has changed nothing.
    let connection = tokio::select! {
        connection = Connection::open(app, loaded, serving.fallback) => connection?,
        () = switches.drain.cancelled() => return Ok(()),
    };
    if let Some(banner) = &connection.banner {
        tracing::info!("{banner}");
    }
    if connection.private.is_none() {
        tell_cost_of_a_crash(&connection.facts);
    }
    tell_what_was_found(app);
    current::bind_process(connection.handle.clone());

    if let Some(time) = serving.run_for {
        let drain = switches.drain.clone();
        beside.start(async move {
            clock::sleep(time).await;
            tracing::info!(?time, "the time is over: draining");
            drain.cancel();
        });
    }
    let only = Some(serving.processors).filter(|names| !names.is_empty());
    Worker::new(app.clone(), connection.handle.clone()).only(only).run(switches).await
    // The private server, if there is one, ends here, after the worker.
}

fn tell_what_was_found(app: &App) {
    for processor in &app.processors {
        let style = match &processor.style {
            Style::Handler(_) => "handler",
            Style::Loop(_) => "event loop",
        };
        tracing::info!(processor = %processor.name, stream = %processor.stream.name, style, at = %processor.declared_at, "found");
    }
    for job in &app.jobs {
        let (kind, on_leader) = (job.when.kind(), job.on_leader);
        tracing::info!(job = %job.name, %kind, on_leader, at = %job.declared_at, "found");
    }
}

/// What a crash of the server itself could cost, said once at start.
fn tell_cost_of_a_crash(facts: &ServerFacts) {
    let (major, minor, patch) = facts.version;
    let version = format!("{major}.{minor}.{patch}");
    let product = &facts.product;
    match facts.persistence.as_str() {
        _ if product == "memory" => {}
        "appendonly always" => {
            tracing::info!(%product, %version, "connected; acknowledged events survive a crash of the server")
        }
        "appendonly everysec" => {
            tracing::info!(%product, %version, "connected; a crash of the server's machine can lose its last second")
        }
        "nothing" => tracing::warn!(%product, %version, replicas = facts.replicas,
            "connected; the server persists nothing: its restart loses every event (appendonly yes would keep them)"),
        other => tracing::warn!(%product, %version, persistence = %other, replicas = facts.replicas,
            "connected; a crash of the server can lose what came after its last snapshot (appendonly yes would keep it)"),
    }
}
