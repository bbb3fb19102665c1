//! A real browser's EventSource, on a page that the test serves beside the routes.

use std::process::Stdio;

use axum::response::Html;
use axum::routing::get;
use runnel::App;
use runnel::runs::Stores;
use runnel::runs::output::MemoryLogStore;

use crate::asking::Shop;
use crate::support::in_time;

const PAGE: &str = r#"<!doctype html><title>run</title><pre id="lines"></pre><script>
const lines = document.getElementById("lines");
const source = new EventSource("/runnel/api/job_runs/a1/logs/stdout?follow=true");
source.addEventListener("log", event => lines.append(event.lastEventId + "=" + event.data + ";"));
source.addEventListener("complete", event => {
  lines.append("ended " + JSON.parse(event.data).status);
  source.close();
});
</script>"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_reads_the_lines_of_a_run_and_its_end() {
    let (stores, logs) = (Stores::memory(), MemoryLogStore::default());
    let app = App::bare("shop").redis("memory://").run_logs_in(stores.clone()).log_store(logs.clone());
    let runs = app.connect().await.unwrap().http().await.unwrap();
    let routes = axum::Router::new().route("/", get(async || Html(PAGE))).nest("/runnel", runs);
    let shop = Shop::serve(stores, logs, routes).await;
    shop.begin("a1").await;
    shop.print("a1", &["zero", "<b>one</b>\rtwo"]).await;
    shop.end("a1").await;
    let profile = tempfile::tempdir().unwrap();

    let browser = tokio::process::Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--virtual-time-budget=5000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", &format!("http://{}/", shop.at)])
        // What it leaves behind goes with its profile.
        .env("HOME", profile.path())
        .env("TMPDIR", profile.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let seen = in_time(browser).await.expect("chromium is there: apt-get install chromium, or --skip browser");

    let page = String::from_utf8(seen.stdout).unwrap();
    assert!(page.contains("0=zero;1=&lt;b&gt;one&lt;/b&gt;\ntwo;ended SUCCESS"), "{page}");
}
