//! A worker answers while it runs, says where, and ends its answers with itself.

use std::net::SocketAddr;
use std::time::Duration;

use runnel::prelude::*;
use runnel::runs::output::MemoryLogStore;
use runnel::runs::{RunLog, RunLogQuery, Status};
use tokio::sync::Notify;

use crate::asking::begin;
use crate::support::eventually_some;

static MAY_END: Notify = Notify::const_new();

fn app() -> App {
    let mut app = App::bare("shop").redis("memory://").http("127.0.0.1:0").log_store(MemoryLogStore::default());
    let wait = async |run: RunContext| -> Result<()> {
        run.stdout("begun").await;
        MAY_END.notified().await;
        run.stdout("ended").await;
        Ok(())
    };
    app.task(wait).name("wait");
    app
}

/// The run that goes on, when its document is there.
async fn running(app: &App) -> RunLog {
    let look = async || {
        let page = app.run_logs().get_run_logs(&RunLogQuery::new().task("wait").status(Status::Processing)).await;
        page.unwrap().items.pop()
    };
    eventually_some("the run is in the run log", look).await
}

fn place(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_says_where_its_lines_are_and_is_followed_there_beyond_the_drain() {
    let app = app();
    let shop = app.connect().await.unwrap();
    let drain = Notify::new();
    let watch = async {
        let run = running(&app).await;
        let at = place(&run.worker.log_url.unwrap());
        let path = format!("/api/job_runs/{}/logs/stdout?follow=true", run.run_id);
        let mut following = begin(at, "GET", &path, &[]).await;
        following.until("begun").await;
        drain.notify_one();
        // It drains: the run has its grace, and who follows it sees its end.
        MAY_END.notify_one();
        let told = following.rest().await.body;
        assert!(told.contains("data: ended") && told.contains("event: complete"), "{told}");
        assert!(told.contains("\"status\":\"SUCCESS\""), "{told}");
        at
    };
    let (worked, at) = tokio::join!(shop.work_until(drain.notified()), watch);

    worked.unwrap();
    assert!(tokio::net::TcpStream::connect(at).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_named_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut app = App::bare("shop").redis("memory://").http(address.as_str());
    app.timer(Duration::from_secs(3600), async || {}).name("rest");

    let refused = app.connect().await.unwrap().work_until(std::future::pending()).await.unwrap_err().to_string();

    assert!(refused.contains(&address) && refused.contains("`http`") && refused.contains("port 0"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_the_setting_answers_nobody() {
    let mut app = App::bare("shop").redis("memory://").log_store(MemoryLogStore::default());
    app.task(async || std::future::pending::<()>().await).name("wait").timeout(Duration::from_secs(1));
    let (connected, drain) = (app.connect().await.unwrap(), Notify::new());

    let watch = async {
        let run = running(&app).await;
        drain.notify_one();
        run
    };
    let (worked, run) = tokio::join!(connected.work_until(drain.notified()), watch);

    worked.unwrap();
    assert_eq!(run.worker.log_url, None);
}
