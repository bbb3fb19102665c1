//! jobs list, pause and resume, where the program knows no jobs itself; and who leads.

use std::time::Duration;

use runnel::broker::{Bidden, Broker, Claim, ClaimKind, Standing, Term};

use crate::shop::Shop;

/// Half past nine on New Year's Day.
const INSTANT: u64 = 1_767_259_800_000;

async fn with_a_leader() -> (Shop, Term) {
    let shop = Shop::open().await;
    let minute = Duration::from_secs(60);
    shop.broker.enroll("w1", minute, "1.2").await.unwrap();
    let about = format!(r#"{{"host":"a1","jobs":{{"report":{INSTANT},"ping":{INSTANT}}}}}"#);
    shop.broker.announce("w1", Standing::Member, minute, &about).await.unwrap();
    let Bidden::Leader { term, .. } = shop.broker.bid("w1", minute).await.unwrap() else { panic!("nobody else bids") };
    (shop, term)
}

fn claim(job: &str, instant: u64, term: Term) -> Claim {
    Claim { worker: "w1".into(), term, job: job.into(), instant, kind: ClaimKind::Open }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_with_what_was_claimed_what_is_open_and_what_workers_say() {
    let (shop, term) = with_a_leader().await;
    shop.broker.claim(&claim("report", INSTANT, term)).await.unwrap();
    shop.broker.claim(&claim("migrate", 3, term)).await.unwrap();

    let told = shop.tells(&["jobs", "list"]);
    let shown = shop.runs(&["jobs", "list"]);

    let names: Vec<_> = told.as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["migrate", "ping", "report"]);
    assert_eq!((&told[0]["last"], &told[0]["open"][0]["term"]), (&"generation 3".into(), &term.0.into()));
    assert_eq!(told[1]["workers"]["w1"], "2026-01-01T09:30:00.000Z");
    assert_eq!(told[2]["last"], "2026-01-01T09:30:00.000Z");
    assert!(shown.out.contains("report: 2026-01-01T09:30:00.000Z was begun in term 1"), "{}", shown.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_lasts_until_the_job_is_resumed() {
    let (shop, _) = with_a_leader().await;

    let paused = shop.tells(&["jobs", "pause", "ping"]);
    let listed = shop.tells(&["jobs", "list"]);
    let again = shop.tells(&["jobs", "pause", "ping"]);
    let resumed = shop.runs(&["jobs", "resume", "ping"]);
    let after = shop.tells(&["jobs", "list"]);

    assert_eq!((&paused["stopped"], &paused["changed"]), (&true.into(), &true.into()));
    assert_eq!(listed[0]["stopped"]["error"], "paused by an operator");
    assert_eq!(again["changed"], false);
    assert!(resumed.out.contains("job ping goes on"), "{resumed:?}");
    assert!(after[0]["stopped"].is_null(), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_job_is_answered_with_the_nearest_and_one_without_a_function_is_not_run() {
    let (shop, _) = with_a_leader().await;

    let misspelt = shop.runs(&["jobs", "pause", "pin"]);
    let run = shop.runs(&["jobs", "run", "ping"]);

    assert_eq!((misspelt.code, run.code), (3, 2));
    assert!(misspelt.err.contains("did you mean `ping`?"), "{misspelt:?}");
    assert!(run.err.contains("your own program"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_workers_tell_who_leads() {
    let (shop, term) = with_a_leader().await;

    let status = shop.tells(&["status"]);
    let workers = shop.tells(&["workers"]);
    let shown = shop.runs(&["status"]);

    assert_eq!((&status["leader"]["worker"], &status["leader"]["version"]), (&"w1".into(), &"1.2".into()));
    assert_eq!(workers[0]["leads_in_term"], term.0);
    assert!(shown.out.contains("leader: w1 in term 1; generation 1, version 1.2"), "{}", shown.out);
}
