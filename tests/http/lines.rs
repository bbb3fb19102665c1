//! Lines as events and as text: live, from somewhere on, and again.

use runnel::runs::output::{Channel, LogStore};
use runnel::runs::{Status, WorkerRef};

use crate::asking::{Shop, begin, run_id};

pub(crate) const COMPLETE: &str =
    "event: complete\ndata: {\"duration_ms\":1500,\"exit_code\":0,\"status\":\"SUCCESS\"}\n\n";

pub(crate) fn log(number: usize, text: &str) -> String {
    format!("id: {number}\nevent: log\ndata: {text}\n\n")
}

async fn with_lines() -> Shop {
    let shop = Shop::open().await;
    shop.begin("a1").await;
    shop.print("a1", &["zero", "one", "two", "three"]).await;
    shop
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_run_is_told_whole_with_how_it_ended() {
    let shop = with_lines().await;
    shop.end("a1").await;

    let all = shop.get("/api/job_runs/a1/logs/stdout").await;
    let last = shop.get("/api/job_runs/a1/logs/stdout?lines=1&follow=true").await;
    let since = shop.get("/api/job_runs/a1/logs/stdout?since=3").await;
    let again = shop.get_with("/api/job_runs/a1/logs/stdout?since=0&lines=1", &[("Last-Event-ID", "1")]).await;
    let other = shop.get("/api/job_runs/a1/logs/stderr").await;
    let metadata = shop.get("/api/job_runs/a1/metadata").await.json();

    assert_eq!(all.header("content-type"), "text/event-stream");
    let told = [log(0, "zero"), log(1, "one"), log(2, "two"), log(3, "three"), COMPLETE.into()];
    assert_eq!(all.body, told.concat());
    assert_eq!(last.body, told[3..].concat());
    assert_eq!(since.body, told[3..].concat());
    assert_eq!(again.body, told[2..].concat());
    assert_eq!(other.body, COMPLETE);
    assert_eq!(metadata["duration_ms"], 1500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_run_is_told_so_far_or_followed_to_its_end() {
    let shop = with_lines().await;

    let so_far = shop.get("/api/job_runs/a1/logs/stdout?lines=1").await;
    let mut following = begin(shop.at, "GET", "/api/job_runs/a1/logs/stdout?follow=true&since=2", &[]).await;
    following.until("three").await;
    shop.print("a1", &["four"]).await;
    following.until("four").await;
    shop.end("a1").await;

    assert_eq!(so_far.body, log(3, "three") + "event: end\ndata: {\"next\":4}\n\n");
    let told = [log(2, "two"), log(3, "three"), log(4, "four"), COMPLETE.into()].concat();
    assert_eq!(following.rest().await.body, told);
}

/// Its worker was killed, and has left its log open; the document says that it crashed. Nothing comes for a while.
#[cfg(feature = "testing")]
#[tokio::test(start_paused = true)]
async fn a_followed_log_that_nobody_closes_ends_with_what_the_document_says() {
    let shop = with_lines().await;
    let mut following = begin(shop.at, "GET", "/api/job_runs/a1/logs/stdout?follow=true&since=3", &[]).await;
    following.until("three").await;

    shop.run("a1", Status::Crashed).await;

    let told = following.rest().await.body;
    let crashed = "event: complete\ndata: {\"duration_ms\":null,\"exit_code\":null,\"status\":\"CRASHED\"}\n\n";
    assert!(told.starts_with(&log(3, "three")) && told.ends_with(crashed), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_cut_off_goes_on_behind_the_last_line_it_has() {
    let shop = with_lines().await;
    let mut cut = begin(shop.at, "GET", "/api/job_runs/a1/logs/stdout?follow=true&lines=2", &[]).await;
    cut.until("three").await;
    drop(cut);
    shop.print("a1", &["four", "five"]).await;
    shop.end("a1").await;

    let path = "/api/job_runs/a1/logs/stdout?follow=true&lines=1";
    let again = shop.get_with(path, &[("Last-Event-ID", "3")]).await;

    assert_eq!(again.body, [log(4, "four"), log(5, "five"), COMPLETE.into()].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_is_plain() {
    let shop = with_lines().await;
    shop.end("a1").await;
    let text = shop.get_with("/api/job_runs/a1/logs/stdout?since=2", &[("Accept", "text/plain")]).await;
    assert_eq!((text.header("content-type"), text.body.as_str()), ("text/plain; charset=utf-8", "two\nthree\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_run_prints_becomes_an_event() {
    let shop = Shop::open().await;
    shop.begin("a1").await;
    shop.print("a1", &["a\revent: complete\rdata: {}", "id: 7", "", "\u{feff}<b>\0\u{1b}[2J"]).await;
    shop.end("a1").await;

    let told = shop.get("/api/job_runs/a1/logs/stdout").await.body;

    assert!(!told.contains('\r'), "{told:?}");
    assert_eq!(told.matches("\n\n").count(), 5, "{told:?}");
    assert_eq!(told.lines().filter(|line| line.starts_with("event: complete")).count(), 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_run_without_lines_is_gone_or_out_of_reach() {
    let shop = Shop::open().await;
    let nobody = WorkerRef { id: "w1".into(), host: host(), log_url: Some("http://127.0.0.1:1".into()) };
    let mute = WorkerRef { log_url: None, ..nobody.clone() };
    let elsewhere = WorkerRef { host: "another-machine".into(), ..nobody.clone() };
    for (id, worker) in [("a1", &nobody), ("a2", &mute), ("a3", &elsewhere)] {
        shop.run_of(id, Status::Success, worker.clone()).await;
        let answer = shop.get(&format!("/api/job_runs/{id}/logs/stdout")).await;
        assert_eq!((answer.status, &answer.json()["error"]), (503, &"worker_unreachable".into()), "{id}");
    }
    let unknown = shop.get("/api/job_runs/a9/logs/stdout").await;
    assert_eq!((unknown.status, &unknown.json()["error"]), (404, &"run_log_not_found".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_channels_are_two_logs() {
    let shop = with_lines().await;
    shop.logs.append(&run_id("a1"), Channel::Stderr, &["oh"]).await.unwrap();
    shop.end("a1").await;
    let text = shop.get_with("/api/job_runs/a1/logs/stderr", &[("Accept", "text/plain")]).await;
    assert_eq!(text.body, "oh\n");
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
