//! What is asked of both databases beside what every store is asked.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use runnel::filter;
use runnel::runs::query::ops::ge;
use runnel::runs::stores::SqlStore;
use runnel::runs::{
    Action, AttemptLog, NewRunLog, Order, RunId, RunLog, RunLogQuery, RunLogStore, StepLog, StoreError, TaskLogEvent,
    TaskLogQuery, TaskLogRepo,
};

fn run(id: &str) -> RunId {
    id.parse().unwrap()
}

pub async fn names_that_columns_refuse_are_kept_and_found(store: Arc<SqlStore>) {
    let long = "task ä ".repeat(2000);
    for (n, name) in ["nul\0", "nul", "esc\u{1b}", "'; DROP TABLE runnel_logs; --", &long].into_iter().enumerate() {
        let mut log = RunLog::from(NewRunLog::new(run(&format!("r{n}")), name).tag(name));
        log.put_step(StepLog::new(name));
        assert!(log.set_parameters(None, [(name.to_owned(), name.into())].into()));
        store.put_run_log(&log).await.unwrap();
        let line = TaskLogEvent { message: name.into(), ..TaskLogEvent::new(name, Action::Run, run(&format!("r{n}"))) };
        store.append(std::slice::from_ref(&line)).await.unwrap();

        assert_eq!(store.get(&log.run_id).await.unwrap(), log);
        for query in [RunLogQuery::new().task(name), RunLogQuery::new().tag(name)] {
            let page = store.get_run_logs(&query).await.unwrap();
            assert_eq!(page.items, [log.header()]);
        }
        for query in [filter!(task_name = name), filter!(message = name)] {
            assert_eq!(store.query(&query).await.unwrap(), std::slice::from_ref(&line));
            assert_eq!(store.count(&query).await.unwrap(), 1);
        }
        assert_eq!(store.query(&filter!(task_name = ne(name))).await.unwrap().len(), n);
        assert_eq!(store.open_runs(name).await.unwrap(), [log.run_id]);
    }
    assert_eq!(store.delete(&filter!(task_name = "nul\0")).await.unwrap(), 1);
    assert_eq!(store.count(&TaskLogQuery::new()).await.unwrap(), 4);
}

/// More lines than one statement reads, and few of them are asked for.
pub async fn what_columns_cannot_answer_is_answered_all_the_same(store: Arc<SqlStore>) {
    let mut lines: Vec<TaskLogEvent> = (0..1300)
        .map(|n| {
            let mut line = TaskLogEvent::new("load", Action::Run, run(&format!("r{n}")));
            line.extra.insert("orders".into(), n.into());
            line.extra.insert("customer".into(), if n % 100 == 7 { "acme" } else { "other" }.into());
            line
        })
        .collect();
    store.append(&lines).await.unwrap();

    let acme = || filter!(task_name = "load", extra("customer") = "acme");
    for query in [
        acme(),
        acme().limit(3),
        acme().newest_first(),
        acme().newest_first().limit(2).after(lines[900].event_id),
        acme().extra("orders", ge(1000)),
        filter!(extra("orders") = "1299"),
        filter!(extra("nothing") = ne(1)).limit(1100),
        TaskLogQuery::new(),
        TaskLogQuery::new().limit(501).after(lines[3].event_id),
    ] {
        let expected: Vec<_> = query.answer(&lines).unwrap().into_iter().cloned().collect();
        assert_eq!(store.query(&query).await.unwrap(), expected, "{query:?}");
    }
    assert_eq!(store.count(&acme()).await.unwrap(), 13);
    assert_eq!(store.delete(&acme()).await.unwrap(), 13);
    lines.retain(|line| !acme().matches(line));
    assert_eq!(store.query(&TaskLogQuery::new()).await.unwrap(), lines);
    assert_eq!(store.delete(&filter!(task_name = "load")).await.unwrap(), lines.len() as u64);
    assert_eq!(store.query(&TaskLogQuery::new()).await.unwrap(), []);
}

pub async fn documents_are_ordered_by_the_bytes_of_their_ids(store: Arc<SqlStore>) {
    let mut ids = ["a", "B", "A", "b", "a-b", "a.b", "a_b", "ab", "1", "Z"].map(run);
    for id in ids.clone() {
        store.create_run_log(NewRunLog { created_at: DateTime::UNIX_EPOCH, ..NewRunLog::new(id, "t") }).await.unwrap();
    }
    ids.sort();

    let (mut seen, mut query) = (Vec::new(), RunLogQuery::new().order(Order::OldestFirst).limit(3));
    loop {
        let page = store.get_run_logs(&query).await.unwrap();
        seen.extend(page.items.into_iter().map(|log| log.run_id));
        let Some(next) = page.next else { break };
        query = query.cursor(next);
    }
    assert_eq!(seen, ids);
}

pub async fn times_between_microseconds_are_told_apart(store: Arc<SqlStore>) {
    let at = |nanos: i64| DateTime::<Utc>::from_timestamp_nanos(1_000_000_000_000 + nanos);
    for n in 0..6 {
        let (id, time) = (run(&format!("r{n}")), at(n * 400));
        store.create_run_log(NewRunLog { created_at: time, ..NewRunLog::new(id.clone(), "t") }).await.unwrap();
        store.append(&[TaskLogEvent { end: Some(time), ..TaskLogEvent::new("t", Action::Fail, id) }]).await.unwrap();
    }

    let listed = async |query: RunLogQuery| store.get_run_logs(&query.limit(2)).await.unwrap().items.len();
    assert_eq!(listed(RunLogQuery::new().created(at(1000)..at(1300))).await, 1);
    assert_eq!(listed(RunLogQuery::new().created(at(400)..=at(400))).await, 1);
    assert_eq!(listed(RunLogQuery::new().created(..at(400)).order(Order::OldestFirst)).await, 1);
    let all = store.query(&TaskLogQuery::new()).await.unwrap();
    for query in
        [filter!(end = gt(at(400))), filter!(end = le(at(1200))), filter!(end = at(800)), filter!(end = ne(at(0)))]
    {
        let expected = all.iter().filter(|line| query.matches(line)).count();
        assert!(expected > 0);
        assert_eq!(store.query(&query).await.unwrap().len(), expected, "{query:?}");
        assert_eq!(store.count(&query).await.unwrap(), expected as u64, "{query:?}");
    }
}

pub async fn a_change_that_fails_or_takes_away_is_kept_as_it_is_said(store: Arc<SqlStore>) {
    let id = store.create_run_log(NewRunLog::new(run("r"), "t")).await.unwrap().run_id;
    let fill = &mut |log: &mut RunLog| {
        for n in 0..3 {
            log.put_step(StepLog::new(format!("s{n}")));
            log.put_attempt(None, AttemptLog::new(n, DateTime::UNIX_EPOCH));
        }
        Ok(log.set_parameters(None, [("p".to_owned(), 1.into())].into()))
    };
    store.update(&id, fill).await.unwrap();
    let filled = store.get(&id).await.unwrap();

    let fail = &mut |log: &mut RunLog| {
        log.steps.clear();
        Err(StoreError::Conflict { what: "no".into() })
    };
    assert!(store.update(&id, fail).await.is_err());
    assert_eq!(store.get(&id).await.unwrap(), filled);

    let mut kept = None;
    let take_away = &mut |log: &mut RunLog| {
        log.steps.shift_remove("s1");
        log.attempts.remove(0);
        log.parameters.clear();
        kept = Some(log.clone());
        Ok(true)
    };
    store.update(&id, take_away).await.unwrap();
    assert_eq!(Some(store.get(&id).await.unwrap()), kept);
}

pub async fn runs_that_have_not_ended_are_found_among_many_lines(store: Arc<SqlStore>) {
    let mut lines = Vec::new();
    for n in 0..1200 {
        lines.push(TaskLogEvent::new("load", Action::Run, run(&format!("r{n}"))));
        if n % 300 != 5 {
            lines.push(TaskLogEvent::new("load", Action::Success, run(&format!("r{n}"))));
        }
        // The same id under another task is another task's.
        lines.push(TaskLogEvent::new("other", Action::Fail, run(&format!("r{n}"))));
    }
    // Begins again after its end.
    lines.push(TaskLogEvent::new("load", Action::Run, run("r0")));
    store.append(&lines).await.unwrap();

    let open = store.open_runs("load").await.unwrap();

    assert_eq!(open, ["r5", "r305", "r605", "r905", "r0"].map(run));
}

/// Opens many at the same time; all of them see what one of them writes.
pub async fn open_at_once<Opening>(open: impl Fn() -> Opening)
where
    Opening: Future<Output = Result<SqlStore, StoreError>>,
{
    let opened = futures::future::join_all((0..8).map(|_| open())).await;
    let stores: Vec<_> = opened.into_iter().map(|store| store.unwrap()).collect();
    stores[0].create_run_log(NewRunLog::new(run("r"), "t")).await.unwrap();
    for store in &stores {
        store.get(&run("r")).await.unwrap();
    }
}
