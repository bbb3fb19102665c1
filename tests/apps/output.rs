//! What runs print: events of `tracing`, lines and commands of a run are kept under its id, with how it ended.

use std::sync::{Arc, LazyLock, Mutex};

use runnel::RetryPolicy;
use runnel::prelude::*;
use runnel::runs::output::{Channel, FileLogStore, LogStore, MemoryLogStore, RunMetadata, StreamOptions, capture};
use runnel::runs::{RunId, Status};
use runnel::testing::TestApp;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::shop::{MS, SECOND, order, orders};

/// With a single subscriber alive, `tracing` asks the thread that first comes by an event or span whether it is wanted
/// anywhere, and that may be the thread of a test without any. Two that live for ever make it ask all of them.
static OTHERS: LazyLock<[tracing::Dispatch; 2]> =
    LazyLock::new(|| [(); 2].map(|()| tracing::Dispatch::new(tracing_subscriber::registry())));

/// Events of this thread go there; tests of this binary run one thread each.
pub fn heard_by(subscriber: impl Into<tracing::Dispatch>) -> tracing::subscriber::DefaultGuard {
    LazyLock::force(&OTHERS);
    tracing::dispatcher::set_default(&subscriber.into())
}

/// Events of this thread reach the runs they belong to.
fn captured() -> tracing::subscriber::DefaultGuard {
    heard_by(tracing_subscriber::registry().with(capture::layer()))
}

/// Warnings on this thread.
#[derive(Clone, Default)]
pub struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// Hears them from now on, as long as the guard lives.
    pub fn heard() -> (Self, tracing::subscriber::DefaultGuard) {
        let warnings = Self::default();
        let guard = heard_by(tracing_subscriber::registry().with(warnings.clone()));
        (warnings, guard)
    }

    /// Those that have this in them.
    pub fn with(&self, part: &str) -> Vec<String> {
        let all = self.0.lock().unwrap();
        all.iter().filter(|warning| warning.contains(part)).cloned().collect()
    }

    fn of_capture(&self) -> usize {
        self.with("runnel::log::layer()").len()
    }
}

impl<S: tracing::Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        if *event.metadata().level() == tracing::Level::WARN {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_warns_once_at_its_start_where_what_runs_say_is_not_captured() {
    let with_a_timer = |mut app: App| {
        app.timer(SECOND, async || ()).name("ping");
        app
    };
    let kept = || with_a_timer(App::bare("shop").log_store(MemoryLogStore::default()));
    let warned_by = async |app: App, blind: bool| {
        let warnings = Warnings::default();
        let layer = (!blind).then(runnel::log::layer);
        let subscriber = tracing_subscriber::registry().with(layer).with(warnings.clone());
        let _guard = heard_by(subscriber);
        let _shop = after_one_tick(app).await;
        warnings.of_capture()
    };

    assert_eq!(warned_by(kept(), true).await, 1);
    assert_eq!(warned_by(kept(), false).await, 0);
    assert_eq!(warned_by(with_a_timer(App::bare("shop")), true).await, 0, "nothing is kept, so nothing is missing");
}

/// The runs of a task that have ended, in the order of their ids: that of their begin.
async fn ended(logs: &MemoryLogStore, task: &str) -> Vec<RunMetadata> {
    let all = logs.list().await.unwrap().into_iter().filter_map(|stored| stored.metadata);
    all.filter(|run| run.task_name == task && run.has_ended()).collect()
}

async fn lines(logs: &MemoryLogStore, run: &RunId, channel: Channel) -> Vec<String> {
    use futures::TryStreamExt;
    let read: Vec<_> = logs.stream(run, channel, StreamOptions::default()).try_collect().await.unwrap();
    read.into_iter().map(|line| line.text).collect()
}

async fn after_one_tick(app: App) -> TestApp {
    let shop = TestApp::start(app).await;
    shop.advance(SECOND * 3 / 2).await;
    shop
}

#[tokio::test(start_paused = true)]
async fn events_and_lines_of_a_run_are_kept_under_its_id() {
    let _guard = captured();
    let logs = MemoryLogStore::default();
    let mut app = App::bare("shop").log_store(logs.clone());
    let ping = async |run: RunContext| -> Result<()> {
        tracing::info!(users = 5, "building");
        run.stdout("by hand").await;
        tracing::warn!("nearly empty");
        runnel::spawn(async { tracing::info!("from a task") }).await?;
        Ok(())
    };
    app.timer(SECOND, ping).name("ping");

    after_one_tick(app).await;

    let runs = ended(&logs, "ping").await;
    assert_eq!((runs.len(), runs[0].status, runs[0].attempt), (1, Status::Success, 1));
    let out = lines(&logs, &runs[0].run_id, Channel::Stdout).await;
    assert!(out[0].ends_with("building users=5"), "{out:?}");
    assert_eq!(out[1], "by hand");
    assert!(out[2].ends_with("from a task"), "{out:?}");
    let err = lines(&logs, &runs[0].run_id, Channel::Stderr).await;
    assert!(err[0].contains("WARN") && err[0].ends_with("nearly empty"), "{err:?}");
}

/// In real time: no clock of ours hurries a child process.
#[tokio::test]
async fn a_failed_run_says_why_and_where_its_command_ended() {
    let logs = MemoryLogStore::default();
    let mut app = App::bare("shop").log_store(logs.clone());
    let load = async |run: RunContext| -> Result<()> {
        let report = run.command("sh").arg("-c").arg("echo loading; echo oh no >&2; exit 3").run().await?;
        report.checked()?;
        Ok(())
    };
    app.timer(50 * MS, load).name("load");
    let shop = TestApp::start(app).await;

    let first = async {
        loop {
            shop.advance(20 * MS).await;
            let runs = ended(&logs, "load").await;
            if !runs.is_empty() {
                return runs;
            }
        }
    };
    let runs = tokio::time::timeout(60 * SECOND, first).await.expect("it has run within a minute");

    assert_eq!((runs[0].status, runs[0].exit_code), (Status::Fail, Some(3)));
    let noted = async || loop {
        shop.advance(20 * MS).await;
        if let Some(noted) = shop.app().run_logs().get(&runs[0].run_id).await.unwrap().metadata {
            return noted;
        }
    };
    let noted = tokio::time::timeout(60 * SECOND, noted()).await.expect("its document says so as well");
    assert_eq!(noted.exit_code, Some(3));
    assert!(runs[0].error.as_deref().is_some_and(|error| error.contains("sh")), "{:?}", runs[0].error);
    assert_eq!(lines(&logs, &runs[0].run_id, Channel::Stdout).await, ["loading"]);
    assert_eq!(lines(&logs, &runs[0].run_id, Channel::Stderr).await, ["oh no"]);
}

#[tokio::test(start_paused = true)]
async fn a_tenancy_is_a_run_whose_handlers_print_into_its_log() {
    let _guard = captured();
    let logs = MemoryLogStore::default();
    let (mut app, orders) = (App::bare("shop").log_store(logs.clone()), orders().partitions(1));
    app.processor(&orders, async |_: crate::shop::Order, run: RunContext| {
        tracing::info!(run = %run.run_id(), "sold");
    })
    .name("billing");
    let mut shop = TestApp::start(app).await;
    shop.send(&orders, order("a", 1)).await;
    shop.until_idle().await;

    shop.drain().await;

    let runs = ended(&logs, "billing").await;
    assert_eq!((runs.len(), runs[0].status), (1, Status::Success));
    let out = lines(&logs, &runs[0].run_id, Channel::Stdout).await;
    assert!(
        out.iter().any(|line| line.contains(" sold ") && line.ends_with(&format!("run={}", runs[0].run_id))),
        "{out:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_crashed_run_is_closed_so_that_followers_end() {
    use futures::TryStreamExt;
    let logs = MemoryLogStore::default();
    let mut app = App::bare("shop").log_store(logs.clone());
    app.timer(SECOND, async |run: RunContext| {
        run.stdout("begun").await;
        std::future::pending::<()>().await
    })
    .name("endless");
    let mut shop = TestApp::start(app).await;
    shop.advance(2 * SECOND).await;
    let begun = logs.list().await.unwrap().remove(0);
    shop.add_worker("worker-2").await;
    let followed = logs.stream(&begun.run_id, Channel::Stdout, StreamOptions::followed());
    let followed = runnel::spawn(async move { followed.map_ok(|line| line.text).try_collect::<Vec<_>>().await });
    shop.advance(10 * SECOND).await;
    assert!(!followed.is_finished(), "it runs");

    shop.crash("worker-1");
    shop.advance(60 * SECOND).await;

    assert!(followed.is_finished(), "its log is followed for ever");
    assert_eq!(followed.await.unwrap().unwrap(), ["begun"]);
    let run = logs.read_metadata(&begun.run_id).await.unwrap().unwrap();
    assert_eq!((run.status, run.exit_code), (Status::Crashed, None));
}

#[tokio::test]
async fn a_worker_does_not_start_where_what_its_runs_print_cannot_be_kept() {
    let room = tempfile::tempdir().unwrap();
    std::fs::write(room.path().join("file"), "").unwrap();
    let mut app = App::bare("shop").redis("memory://").log_store(FileLogStore::new(room.path().join("file/logs")));
    app.task(async || {}).name("report");

    let connected = app.connect().await.unwrap();
    let working = tokio::time::timeout(60 * SECOND, connected.work_until(std::future::pending()));
    let refused = working.await.expect("it does not start").unwrap_err().to_string();

    assert!(refused.starts_with("the output of runs cannot be kept: failed to make the folder"), "{refused}");
    assert!(refused.contains("file/logs") && refused.contains("log_dir"), "{refused}");
}

/// The attempts that spans of runs were said to be at.
#[derive(Clone, Default)]
struct Attempts(Arc<Mutex<Vec<u64>>>);

impl<S: tracing::Subscriber> Layer<S> for Attempts {
    fn on_record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>, _: Context<'_, S>) {
        struct Number<'a>(&'a Attempts);
        impl tracing::field::Visit for Number<'_> {
            fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
                assert_eq!(field.name(), "attempt");
                self.0.0.lock().unwrap().push(value);
            }
            fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}
        }
        values.record(&mut Number(self));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_in_a_later_attempt_names_it() {
    let attempts = Attempts::default();
    let _heard = heard_by(tracing_subscriber::registry().with(attempts.clone()));
    let mut app = App::bare("shop").redis("memory://");
    let fails = async || Err::<(), _>(runnel::Error::from("no luck"));
    app.on_demand(fails).name("ingest").retry(RetryPolicy::fixed(3, Duration::ZERO));

    let report = app.job_named("ingest").run(()).await.unwrap();

    assert_eq!((report.status, &*attempts.0.lock().unwrap()), (Status::Fail, &vec![1, 2, 3]));
}
