//! What every store of documents must answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use runnel::EventId;
use runnel::runs::output::RunMetadata;
use runnel::runs::{
    Action, Applied, AttemptLog, BranchLog, EventHead, JobLog, NewRunLog, Order, Parameter, Parameters, RunEvent,
    RunId, RunLog, RunLogQuery, RunLogStore, SecretString, Status, StepLog, StoreError, TaskKind, TaskLogEvent,
};
use serde_json::{Map, json};

type Store = Arc<dyn RunLogStore>;

/// How long the stores of this suite keep what has ended.
pub const KEPT: Duration = Duration::from_secs(90 * 86_400);

pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000 + seconds, 123_456_000).unwrap()
}

fn new(id: &str) -> NewRunLog {
    NewRunLog { created_at: at(0), ..NewRunLog::new(id.parse().unwrap(), "load") }
}

pub fn id(text: &str) -> RunId {
    text.parse().unwrap()
}

fn parameters(pairs: &[(&str, i64)]) -> Parameters {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), Parameter::from(*value))).collect()
}

/// A document with everything in it, and names that are hard to keep.
fn full(run: &str) -> RunLog {
    let mut log = RunLog::from(new(run).tag("nightly").dag_hash("abc"));
    for step in ["z", "extract/ä %2F", "load"] {
        log.put_step(StepLog { status: Status::Success, ..StepLog::new(step) });
    }
    for branch in ["load.eu.2", "load.eu.1"] {
        assert!(log.put_branch(BranchLog::new(branch)));
        log.put_step(StepLog::new(format!("{branch}.copy")));
        log.put_attempt(Some(&format!("{branch}.copy")), AttemptLog::new(1, at(1)));
        assert!(log.set_parameters(Some(branch), parameters(&[("region", 1)])));
    }
    log.put_attempt(None, AttemptLog { message: "first".into(), ..AttemptLog::new(1, at(1)) });
    log.put_attempt(None, AttemptLog::new(2, at(2)));
    assert!(log.set_parameters(None, parameters(&[("day", 22), ("a", 1)])));
    log.set_run_config(&Map::from_iter([("retries".to_owned(), json!({"n": 3}))]));
    log.job = Some(JobLog { status: Status::Success, ..JobLog::new() });
    log.metadata = Some(RunMetadata { exit_code: Some(0), ..RunMetadata::begun(id(run), "load", 1, at(1)) });
    RunLog {
        status: Status::Success,
        last_entry: Some(EventId::new(5, 1)),
        runtime: Some(0.1),
        end: Some(at(9)),
        ..log
    }
}

pub async fn a_run_is_created_once(store: Store) {
    let created = store.create_run_log(new("r").tag("t")).await.unwrap();

    assert_eq!(created.status, Status::Created);
    assert_eq!(store.get(&id("r")).await.unwrap(), created);
    assert!(matches!(store.create_run_log(new("r")).await, Err(StoreError::RunLogExists(run)) if run == id("r")));
}

pub async fn what_is_put_is_what_is_got(store: Store) {
    let log = full("r");

    store.put_run_log(&log).await.unwrap();
    store.put_run_log(&log).await.unwrap();

    assert_eq!(store.get(&log.run_id).await.unwrap(), log);
    assert_eq!(store.get_run_log_by_id(&log.run_id, false).await.unwrap(), log.header());
}

pub async fn a_header_put_back_takes_nothing_away(store: Store) {
    let log = full("r");
    store.put_run_log(&log).await.unwrap();

    let header = store.get_run_log_by_id(&log.run_id, false).await.unwrap();
    store.put_run_log(&RunLog { tag: "other".into(), ..header }).await.unwrap();

    assert_eq!(store.get(&log.run_id).await.unwrap(), RunLog { tag: "other".into(), ..log });
}

pub async fn what_is_not_there_is_named(store: Store) {
    let none = id("none");
    assert!(matches!(store.get(&none).await, Err(StoreError::RunLogNotFound(run)) if run == none));
    assert!(matches!(store.get_run_log_by_id(&none, false).await, Err(StoreError::RunLogNotFound(_))));
    assert!(matches!(store.create_step_log(&none, StepLog::new("s")).await, Err(StoreError::RunLogNotFound(_))));
    assert!(!store.delete_run_log(&none).await.unwrap());

    store.create_run_log(new("r")).await.unwrap();
    let run = id("r");
    assert!(
        matches!(store.get_step_log(&run, "s").await, Err(StoreError::StepLogNotFound { name, .. }) if name == "s")
    );
    assert!(matches!(store.get_branch_log(&run, "s.b").await, Err(StoreError::BranchLogNotFound { .. })));
    assert!(matches!(store.get_job_log(&run).await, Err(StoreError::JobLogNotFound(_))));
    let orphan = store.add_branch_log(&run, BranchLog::new("s.b")).await;
    assert!(matches!(orphan, Err(StoreError::StepLogNotFound { .. })));
    let nowhere = store.set_parameters(&run, parameters(&[("p", 1)]), Some("s.b")).await;
    assert!(matches!(nowhere, Err(StoreError::BranchLogNotFound { .. })));
}

pub async fn parameters_and_configuration_are_set_without_secrets(store: Store) {
    let run = store.create_run_log(new("r")).await.unwrap().run_id;
    let secret = Parameters::from_iter([("s".to_owned(), Parameter::Secret(SecretString::new("canary")))]);
    let config = Map::from_iter([("url".to_owned(), json!("postgres://u:canary@h/d")), ("n".to_owned(), json!(1))]);

    store.set_parameters(&run, parameters(&[("b", 1), ("a", 2)]), None).await.unwrap();
    store.set_parameters(&run, parameters(&[("a", 3)]), None).await.unwrap();
    store.set_parameters(&run, secret, None).await.unwrap();
    store.set_run_config(&run, &config).await.unwrap();

    let kept = store.get_parameters(&run, None).await.unwrap();
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["b", "a", "s"]);
    assert_eq!(kept["a"], Parameter::from(3));
    assert!(matches!(&kept["s"], Parameter::Secret(text) if text.expose() == "***"));
    let config = store.get_run_config(&run).await.unwrap();
    assert_eq!(config["url"], json!("postgres://u:***@h/d"));
    assert_eq!(config["n"], json!(1));
}

pub async fn steps_branches_jobs_and_attempts_are_kept(store: Store) {
    let run = store.create_run_log(new("r")).await.unwrap().run_id;

    store.create_step_log(&run, StepLog::new("b")).await.unwrap();
    store.create_step_log(&run, StepLog::new("a")).await.unwrap();
    store.record_attempt(&run, Some("b"), AttemptLog::new(1, at(1))).await.unwrap();
    store.create_step_log(&run, StepLog { status: Status::Success, ..StepLog::new("b") }).await.unwrap();
    store.add_branch_log(&run, BranchLog::new("b.x")).await.unwrap();
    store.create_step_log(&run, StepLog::new("b.x.deep")).await.unwrap();
    store.set_parameters(&run, parameters(&[("p", 1)]), Some("b.x")).await.unwrap();
    store.record_attempt(&run, None, AttemptLog::new(2, at(2))).await.unwrap();
    store.record_attempt(&run, None, AttemptLog::new(1, at(1))).await.unwrap();
    store.add_job_log(&run, JobLog { message: "m".into(), ..store.create_job_log() }).await.unwrap();
    store.update_run_log_status(&run, Status::Fail).await.unwrap();

    let log = store.get(&run).await.unwrap();
    assert_eq!(log.steps.keys().collect::<Vec<_>>(), ["b", "a"], "steps stay in the order in which they began");
    let step = store.get_step_log(&run, "b").await.unwrap();
    assert_eq!((step.status, step.attempts.len()), (Status::Success, 1), "a step put again keeps its attempts");
    assert_eq!(store.get_step_log(&run, "b.x.deep").await.unwrap().name, "deep");
    assert_eq!(store.get_branch_log(&run, "b.x").await.unwrap().steps.len(), 1);
    assert_eq!(store.get_parameters(&run, Some("b.x")).await.unwrap(), parameters(&[("p", 1)]));
    assert_eq!(log.attempts.iter().map(|attempt| attempt.attempt_number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(store.get_job_log(&run).await.unwrap().message, "m");
    assert_eq!(log.status, Status::Fail);
}

pub async fn lists_are_filtered_and_paged(store: Store) {
    for n in 0..25i64 {
        let run =
            NewRunLog { created_at: at(n / 3), ..NewRunLog::new(id(&format!("r{n}")), if n < 20 { "a" } else { "b" }) };
        let run = NewRunLog { tag: if n % 2 == 0 { "even".into() } else { String::new() }, ..run };
        store
            .create_run_log(NewRunLog { status: if n == 7 { Status::Fail } else { Status::Success }, ..run })
            .await
            .unwrap();
    }

    for (order, size) in [(Order::NewestFirst, 4), (Order::OldestFirst, 7), (Order::NewestFirst, 1000)] {
        let mut query = RunLogQuery::new().order(order).limit(size);
        let mut seen = Vec::new();
        loop {
            let page = store.get_run_logs(&query).await.unwrap();
            seen.extend(page.items.iter().map(|log| (log.created_at, log.run_id.clone())));
            let Some(next) = page.next else { break };
            query = query.cursor(next);
        }
        let mut ordered: Vec<_> = BTreeSet::from_iter(seen.clone()).into_iter().collect();
        assert_eq!(ordered.len(), 25);
        if order == Order::NewestFirst {
            ordered.reverse();
        }
        assert_eq!(seen, ordered);
    }

    let count = async |query: RunLogQuery| store.get_run_logs(&query.limit(1000)).await.unwrap().items.len();
    assert_eq!(count(RunLogQuery::new().task("b")).await, 5);
    assert_eq!(count(RunLogQuery::new().tag("even")).await, 13);
    assert_eq!(count(RunLogQuery::new().status(Status::Fail)).await, 1);
    assert_eq!(count(RunLogQuery::new().status(Status::Fail).status(Status::Success)).await, 25);
    assert_eq!(count(RunLogQuery::new().created(at(1)..at(2))).await, 3);
    assert_eq!(count(RunLogQuery::new().created(at(8)..)).await, 1);
    assert_eq!(count(RunLogQuery::new().run_ids([id("r1"), id("r2"), id("r1"), id("nobody")])).await, 2);
    assert_eq!(count(RunLogQuery::new().run_ids([])).await, 0);
    assert!(matches!(store.get_run_logs(&RunLogQuery::new().cursor("x")).await, Err(StoreError::Cursor { .. })));
}

pub async fn a_deleted_run_is_gone_and_can_be_created_again(store: Store) {
    let log = full("r");
    store.put_run_log(&log).await.unwrap();

    assert!(store.delete_run_log(&log.run_id).await.unwrap());

    assert!(matches!(store.get(&log.run_id).await, Err(StoreError::RunLogNotFound(_))));
    assert!(!store.delete_run_log(&log.run_id).await.unwrap());
    let anew = store.create_run_log(new("r")).await.unwrap();
    assert_eq!(store.get(&log.run_id).await.unwrap(), anew, "nothing of the old run is in the new one");
}

pub async fn only_ended_runs_are_purged(store: Store) {
    let now = at(0) + TimeDelta::days(100);
    for (run, status, end) in [
        ("old", Status::Success, Some(at(5))),
        ("open", Status::Processing, None),
        ("created", Status::Created, None),
        ("long", Status::Fail, Some(now - TimeDelta::days(1))),
        ("crashed", Status::Crashed, None),
    ] {
        store.put_run_log(&RunLog { status, end, ..new(run).into() }).await.unwrap();
    }
    store.put_run_log(&RunLog { status: Status::Success, created_at: now, ..new("young").into() }).await.unwrap();

    let report = store.purge(now).await.unwrap();

    let deleted: BTreeSet<_> = report.deleted.iter().map(RunId::as_str).collect();
    assert_eq!(deleted, ["crashed", "old"].into());
    assert_eq!(report.still_open, 2);
    let left = store.get_run_logs(&RunLogQuery::new()).await.unwrap();
    assert_eq!(left.items.len(), 4);
    assert_eq!(store.purge(now).await.unwrap().deleted, []);
}

pub async fn events_are_applied_once_whatever_is_delivered_again(store: Store) {
    let run = id("r");
    let task = |action, activation| {
        let event = TaskLogEvent::new("load", action, run.clone());
        RunEvent::Task(TaskLogEvent { activation, kind: TaskKind::Job, ..event })
    };
    let head = |activation| EventHead { activation, ..EventHead::beside(task(Action::Run, 1).as_task().unwrap()) };
    let events = [
        task(Action::Run, 1),
        RunEvent::Step { head: head(1), log: StepLog::new("extract") },
        RunEvent::Parameters { head: head(1), branch: None, parameters: parameters(&[("p", 1)]) },
        RunEvent::Attempt { head: head(1), step: None, log: AttemptLog::new(1, at(1)).into() },
        task(Action::Crash, 1),
        task(Action::Run, 2),
        task(Action::Success, 1),
        RunEvent::Attempt { head: head(2), step: Some("extract".into()), log: AttemptLog::new(2, at(2)).into() },
        task(Action::Success, 2),
    ];
    let mut expected = RunLog::from(NewRunLog::from(&events[0]));
    for (n, event) in (1..).zip(&events) {
        let _ = expected.apply(EventId::new(n, 0), event);
    }

    // As a projector delivers that is interrupted again and again.
    for upto in [2, 5, 3, 9, 9] {
        for (n, event) in (1..).zip(&events[..upto]) {
            let _whatever_became_of_it = store.apply(EventId::new(n, 0), event).await.unwrap();
        }
    }

    assert_eq!(store.get(&run).await.unwrap(), expected);
    assert_eq!(expected.status, Status::Success);
    assert_eq!(store.apply(EventId::new(20, 0), &task(Action::Fail, 2)).await.unwrap(), Applied::Ended);
    assert_eq!(store.apply(EventId::new(21, 0), &task(Action::Fail, 1)).await.unwrap(), Applied::Stale);
}
