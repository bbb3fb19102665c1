//! Runs that are resumed on another machine: whoever is asked tells what they print there, and where the rest is.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::StreamExt;
use runnel::prelude::*;
use runnel::runs::output::{LogStore, MemoryLogStore, StreamOptions};
use runnel::runs::{RunId, RunLogQuery, Status};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::asking::ask;
use crate::support::{Server, eventually_some};

/// A machine: a worker with a disk of its own.
struct Machine {
    app: App,
    logs: MemoryLogStore,
    at: SocketAddr,
    drain: Arc<Notify>,
    running: JoinHandle<Result<(), runnel::Failure>>,
    _room: tempfile::TempDir,
}

impl Machine {
    /// Its job `ingest` ends like that.
    async fn start(name: &'static str, url: &str, ends_well: bool) -> Self {
        let (room, logs) = (tempfile::tempdir().unwrap(), MemoryLogStore::default());
        let app = App::bare("shop").redis(url).http("127.0.0.1:0").log_store(logs.clone());
        let mut app = app.setting("job_work_dir", room.path().display().to_string());
        let ingest = move |run: RunContext| async move {
            run.stdout(&format!("attempt {} on {name}", run.attempt())).await;
            if ends_well { Ok(()) } else { Err(runnel::Error::from("no luck")) }
        };
        app.on_demand(ingest).name("ingest");
        app.task(async || {}).name(name);
        let connected = app.connect().await.unwrap();
        let drain = Arc::new(Notify::new());
        let until = drain.clone();
        let running = tokio::spawn(async move { connected.work_until(async move { until.notified().await }).await });
        let place = async || {
            let runs = app.run_logs().get_run_logs(&RunLogQuery::new().task(name)).await.ok()?;
            runs.items.first()?.worker.log_url.clone()
        };
        let url = eventually_some("it says where it is", place).await;
        let at = url.strip_prefix("http://").unwrap().parse().unwrap();
        Self { app, logs, at, drain, running, _room: room }
    }

    /// Waits until everybody can see that it stands like that.
    async fn sees(&self, run: &RunId, stands: (Status, u32)) {
        let look = async || {
            let document = self.app.run_logs().get(run).await.ok()?;
            ((document.status, document.activation) == stands).then_some(())
        };
        eventually_some("its document says so", look).await;
    }

    /// Has the run resumed here, to its end.
    async fn retry(&self, run: &RunId, ends: (Status, u32)) {
        let answer = ask(self.at, "POST", &format!("/api/job_runs/{run}/retry"), &[]).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        self.sees(run, ends).await;
        let sealed = async || self.logs.read_metadata(run).await.unwrap().filter(|kept| kept.has_ended());
        eventually_some("its log is closed", sealed).await;
    }

    /// What it tells of a run, in plain text.
    async fn tells(&self, run: &RunId, what: &str) -> String {
        let plain = [("Accept", "text/plain")];
        ask(self.at, "GET", &format!("/api/job_runs/{run}/{what}"), &plain).await.body
    }

    async fn drains(self) {
        self.drain.notify_one();
        self.running.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_asked_tells_what_a_run_prints_where_it_was_resumed_and_that_says_where_the_rest_is() {
    let server = Server::redis();
    let bad = Machine::start("bad", &server.url(), false).await;
    let good = Machine::start("good", &server.url(), true).await;
    let run = bad.app.job_named("ingest").run(()).await.unwrap().run_id;
    bad.sees(&run, (Status::Fail, 1)).await;
    // In the worker, which has the lines of before as well: they are in one log.
    bad.retry(&run, (Status::Fail, 2)).await;
    assert_eq!(bad.tells(&run, "logs/stdout").await, "attempt 1 on bad\nattempt 2 on bad\n");
    assert_eq!(bad.logs.read_metadata(&run).await.unwrap().map(|kept| (kept.activation, kept.attempt)), Some((2, 2)));

    good.retry(&run, (Status::Success, 3)).await;

    // The document has it as well: for when the lines are gone.
    let noted = async || good.app.run_logs().get(&run).await.unwrap().metadata;
    assert_eq!(eventually_some("how its output stands is in its document", noted).await.activation, 3);
    for machine in [&good, &bad] {
        let told = machine.tells(&run, "logs/stdout?follow=true").await;
        let lines: Vec<&str> = told.lines().collect();
        assert!(matches!(lines[..], [_, "attempt 3 on good"]), "{told}");
        assert!(lines[0].starts_with("[runnel] resumed here: what this run printed before is with worker `"), "{told}");
        let errors = machine.tells(&run, "logs/stderr").await;
        assert!(errors.starts_with("[runnel] resumed here"), "{errors}");
        let metadata: serde_json::Value = serde_json::from_str(&machine.tells(&run, "metadata").await).unwrap();
        assert_eq!((&metadata["status"], &metadata["attempt"]), (&"SUCCESS".into(), &3.into()));
        let events = ask(machine.at, "GET", &format!("/api/job_runs/{run}/logs/stdout"), &[]).await.body;
        assert!(events.contains("\"status\":\"SUCCESS\""), "{events}");
    }
    // What is with the first one is there still.
    assert_eq!(bad.logs.stream_stdout(&run, StreamOptions::default()).count().await, 2);
    good.drains().await;
    bad.drains().await;
}
