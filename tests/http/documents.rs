//! Documents, the task log, figures: what is answered, and what is refused by name.

use runnel::runs::{Action, Status, Stores, TaskLogEvent};

use crate::asking::{Shop, ask, run_id};

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_listed_page_by_page_and_by_conditions() {
    let shop = Shop::open().await;
    for (id, status) in [("a1", Status::Success), ("a2", Status::Fail), ("a3", Status::Success)] {
        shop.run(id, status).await;
    }

    let first = shop.get("/api/job_runs?limit=2").await.json();
    let next = first["next"].as_str().unwrap().to_owned();
    let second = shop.get(&format!("/api/job_runs?limit=2&cursor={next}")).await.json();
    let failed = shop.get("/api/job_runs?status=FAIL,crashed&task_name=report").await.json();
    let some = shop.get("/api/job_runs?run_ids=a1,a3&created_ge=2020-01-01T00:00:00Z").await.json();
    let none = shop.get("/api/job_runs?created_lt=0").await.json();

    let ids = |page: &serde_json::Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((ids(&first), ids(&second)), (vec!["a3".into(), "a2".into()], vec!["a1".into()]));
    assert!(second["next"].is_null());
    assert_eq!((ids(&failed), ids(&some).len(), ids(&none).len()), (vec!["a2".to_owned()], 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_told_with_its_attempts_and_one_that_is_not_there_is_not_found() {
    let shop = Shop::open().await;
    shop.run("a1", Status::Fail).await;

    let shown = shop.get("/api/job_runs/a1?full=true").await.json();
    let attempts = shop.get("/api/job_runs/a1/attempts").await.json();
    let missing = shop.get("/api/job_runs/a9").await;

    assert_eq!((&shown["task_name"], &shown["status"]), (&"report".into(), &"FAIL".into()));
    assert_eq!(attempts["items"], serde_json::json!([]));
    assert_eq!((missing.status, &missing.json()["error"]), (404, &"run_log_not_found".into()));
    assert_eq!(missing.header("content-type"), "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_understood_is_refused_by_its_name() {
    let shop = Shop::open().await;
    shop.run("a1", Status::Success).await;
    shop.print("a1", &["x"]).await;
    for (path, parameter) in [
        ("/api/job_runs?limit=0", "limit"),
        ("/api/job_runs?limit=many", "limit"),
        ("/api/job_runs?limit=1&limit=2", "limit"),
        ("/api/job_runs?status=done", "status"),
        ("/api/job_runs?run_ids=../x", "run_ids"),
        ("/api/job_runs?created_ge=yesterday", "created_ge"),
        ("/api/job_runs?cursor=x", "cursor"),
        ("/api/job_runs?stat=FAIL", "stat"),
        ("/api/job_runs/a1?full=maybe", "full"),
        ("/api/job_runs/a1/logs/stdout?since=-1", "since"),
        ("/api/job_runs/a1/logs/stdout?lines=1.5", "lines"),
        ("/api/job_runs/a1/logs/stdout?follow=si", "follow"),
        ("/api/job_runs/a1/logs/stdout?tail=1", "tail"),
        ("/api/job_runs/a1/logs/stdin", "channel"),
        ("/api/task_log?action=done", "action"),
        ("/api/task_log?nmae=x", "nmae"),
        ("/api/task_log?created__near=1", "created__near"),
        ("/api/task_log?after=1", "after"),
    ] {
        let answer = shop.get(path).await;
        assert_eq!((answer.status, &answer.json()["parameter"]), (400, &parameter.into()), "{path}: {answer:?}");
    }
    let last = shop.get_with("/api/job_runs/a1/logs/stdout", &[("Last-Event-ID", "x")]).await;
    assert_eq!((last.status, &last.json()["parameter"]), (400, &"Last-Event-ID".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_id_leads_out_of_its_place() {
    let shop = Shop::open().await;
    for id in ["..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "a%2fb", "a%00", "%ff", ".x", &"a".repeat(129)] {
        for path in [format!("/api/job_runs/{id}"), format!("/api/job_runs/{id}/logs/stdout")] {
            let answer = shop.get(&path).await;
            assert_eq!(answer.status, 400, "{path}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_task_log_is_asked_by_fields_and_operations() {
    let stores = Stores::memory();
    let shop = Shop::with(stores.clone(), |app| app).await;
    let mut lines: Vec<_> = [Action::Run, Action::Fail, Action::Run]
        .map(|action| TaskLogEvent::new("report", action, run_id("a1")))
        .into_iter()
        .collect();
    lines[2].extra.insert("customer".into(), 7.into());
    stores.task_log.append(&lines).await.unwrap();

    let count = async |path: &str| shop.get(path).await.json()["items"].as_array().unwrap().len();
    assert_eq!(count("/api/task_log").await, 3);
    assert_eq!(count("/api/task_log?task_name=report&action__in=fail,crash").await, 1);
    assert_eq!(count("/api/task_log?created__ge=2020-01-01T00:00:00Z&action=run").await, 2);
    assert_eq!(count("/api/task_log?extra.customer=7").await, 1);
    assert_eq!(count("/api/task_log?task_name=other").await, 0);
    let newest = shop.get("/api/task_log?limit=1").await.json();
    assert_eq!(newest["items"][0]["extra"]["customer"], 7);
    let behind = format!("/api/task_log?after={}", newest["next"].as_str().unwrap());
    assert_eq!(count(&behind).await, 2);
    let state = shop.get("/api/tasks/report/state").await.json();
    assert_eq!((&state["status"], &state["running"][0]), (&"PROCESSING".into(), &"a1".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_that_it_lives_what_it_is_and_how_much_there_is() {
    let stores = Stores::memory();
    let shop = Shop::with(stores.clone(), |mut app| {
        app.timer(std::time::Duration::from_secs(3600), async || {}).name("report");
        app
    })
    .await;
    let lines =
        [Action::Run, Action::Fail, Action::Run].map(|action| TaskLogEvent::new("report", action, run_id("a1")));
    stores.task_log.append(&lines).await.unwrap();

    let summary = shop.get("/api/summary").await.json();
    let metrics = shop.get("/metrics").await;

    assert_eq!(shop.get("/healthz").await.body, "ok\n");
    assert_eq!((&summary["app"], &summary["tasks"][0]), (&"shop".into(), &"report".into()));
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"), "{metrics:?}");
    for series in ["{task_name=\"report\",status=\"FAIL\"} 1", "{task_name=\"report\",status=\"PROCESSING\"} 1"] {
        assert!(metrics.body.contains(series), "{metrics:?}");
    }
    assert!(!metrics.body.contains("a1"), "a run's id must be no label");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_failed_is_retried() {
    let shop = Shop::open().await;
    shop.run("running", Status::Processing).await;
    shop.run("well", Status::Success).await;
    for (id, status) in [("running", 409), ("well", 409), ("unknown", 404)] {
        let answer = ask(shop.at, "POST", &format!("/api/job_runs/{id}/retry"), &[]).await;
        assert_eq!(answer.status, status, "{id}: {answer:?}");
    }
    assert_eq!(ask(shop.at, "GET", "/api/job_runs/well/retry", &[]).await.status, 405);
    assert_eq!(shop.get("/nowhere").await.json()["error"], "not_found");
}
