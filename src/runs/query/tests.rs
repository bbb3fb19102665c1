use chrono::{DateTime, Utc};
use serde_json::json;

use super::ops::{between, ge, in_, lt};
use super::*;
use crate::filter;
use crate::runs::{Action, Level, NewRunLog, RunId, RunLog, TaskKind};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn event(task: &str, action: Action, created: f64) -> TaskLogEvent {
    TaskLogEvent { created, ..TaskLogEvent::new(task, action, RunId::fresh()) }
}

/// One line of each kind of condition: true of it, and not true of it.
#[test]
fn each_operation_holds_of_what_it_says_and_of_nothing_else() {
    let mut line = event("load", Action::Fail, 100.5);
    line.extra.insert("customer".into(), json!("acme"));
    line.extra.insert("orders".into(), json!(7));
    line.partition = Some(3);

    let holds = [
        filter!(task_name = "load", action = Fail),
        filter!(action = in_(["fail", "crash"])),
        filter!(action = in_([Action::Fail])),
        filter!(action = ne(Run)),
        filter!(created = between(at(100), at(101))),
        filter!(created = between(100.5, None)),
        filter!(created = between(None, 100.5)),
        filter!(created = between(Some(at(100)), None)),
        filter!(level = ge(Warn), kind = Task, partition = 3),
        filter!(runtime = ne(1.0), start = ne(at(0))),
        filter!(extra("customer") = "acme", extra("orders") = ge(7)),
        filter!(extra("orders") = "7"),
        filter!(run_id = line.run_id.clone(), event_id = line.event_id),
    ];
    let fails = [
        filter!(task_name = "other"),
        filter!(task_name = ne("load")),
        filter!(action = in_(Vec::<Action>::new())),
        filter!(created = between(at(101), at(200))),
        filter!(created = lt(100.5)),
        filter!(level = lt(Error)),
        filter!(runtime = ge(0.0)),
        filter!(extra("customer") = "acm", extra("orders") = 7),
        filter!(extra("nothing") = "acme"),
        filter!(extra("orders") = ge("x")),
    ];

    for query in holds {
        assert_eq!(query.check(), Ok(()));
        assert!(query.matches(&line), "{query:?}");
    }
    for query in fails {
        assert_eq!(query.check(), Ok(()));
        assert!(!query.matches(&line), "{query:?}");
    }
}

#[test]
fn words_typed_and_said_ask_the_same() {
    let typed = TaskLogQuery::new()
        .task("my_task")
        .action(in_([Action::Fail, Action::Crash]))
        .created(ge(1.5))
        .attempt(2)
        .level(lt(Level::Warn))
        .start(between(at(1), None))
        .extra("customer", "acme");
    let parsed = Filter::parse([
        ("task_name", "eq", "my_task"),
        ("action", "in", "fail, crash"),
        ("created", "ge", "1970-01-01T00:00:01.5Z"),
        ("attempt", "eq", "2"),
        ("level", "lt", "warn"),
        ("start", "between", "1,"),
        ("extra.customer", "eq", "acme"),
    ]);

    assert_eq!(parsed.unwrap(), typed);
}

#[test]
fn what_makes_no_question_is_refused_in_a_sentence() {
    let cases = [
        (("tsk_name", "eq", "x"), "did you mean `task_name`?"),
        (("extra.", "eq", "x"), "has no field `extra.`"),
        (("action", "eqq", "run"), "did you mean `eq`?"),
        (("action", "eq", "explode"), "`action` cannot be asked for"),
        (("action", "ge", "run"), "has no order"),
        (("created", "ge", "yesterday"), "2026-11-22T02:00:00Z"),
        (("created", "ge", "NaN"), "expected a time"),
        (("created", "between", "1"), "`from,to`"),
        (("created", "between", "1,2,3"), "`from,to`"),
        (("partition", "eq", "-1"), "a whole number"),
        (("event_id", "eq", "1"), "a UUID"),
    ];
    for ((field, op, value), expected) in cases {
        let problem = Filter::parse([(field, op, value)]).unwrap_err().to_string();
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn a_wrong_word_in_code_is_kept_until_the_question_is_asked() {
    let query = filter!(task_name = "t", action = "explode");
    assert!(matches!(query.check(), Err(FilterError::Word { .. })));
    assert!(matches!(filter!(kind = ge(Task)).check(), Err(FilterError::NoOrder { .. })));
    assert!(filter!(task_name = "t").and(query).check().is_err());
}

#[test]
fn an_answer_is_ordered_limited_and_begins_after_a_line() {
    let lines: Vec<_> = (0..6).map(|n| event(if n == 3 { "b" } else { "a" }, Action::Run, n.into())).collect();
    let ask = |query: TaskLogQuery| {
        query.answer(&lines).map(|found| found.iter().map(|line| line.created as u32).collect::<Vec<_>>())
    };
    let a = || filter!(task_name = "a");

    assert_eq!(ask(a()), Some(vec![0, 1, 2, 4, 5]));
    assert_eq!(ask(a().newest_first().limit(2)), Some(vec![5, 4]));
    assert_eq!(ask(a().after(lines[3].event_id).limit(1)), Some(vec![4]));
    assert_eq!(ask(a().after(lines[3].event_id).newest_first()), Some(vec![2, 1, 0]));
    assert_eq!(ask(a().limit(0)), Some(vec![]));
    assert_eq!(ask(a().after(uuid::Uuid::nil())), None);
}

#[test]
fn pages_hold_each_document_once_from_either_end() {
    let logs: Vec<RunLog> = (0..23)
        .map(|n| {
            let new = NewRunLog::new(format!("r{n}").parse().unwrap(), "t").kind(TaskKind::Task);
            // Several in the same microsecond: their ids order them.
            NewRunLog { created_at: at(n / 5), ..new }.into()
        })
        .collect();

    for (order, size) in
        [(Order::NewestFirst, 4), (Order::OldestFirst, 23), (Order::OldestFirst, 5), (Order::NewestFirst, 1)]
    {
        let mut seen = Vec::new();
        let mut query = RunLogQuery::new().limit(size).order(order);
        loop {
            let page = query.page(logs.iter().cloned()).unwrap();
            assert!(page.items.len() <= size);
            seen.extend(page.items.iter().map(run_logs::Place::of));
            let Some(next) = page.next else { break };
            query = query.cursor(next);
        }
        assert_eq!(seen.len(), logs.len());
        match order {
            Order::NewestFirst => assert!(seen.is_sorted_by(|a, b| a > b)),
            Order::OldestFirst => assert!(seen.is_sorted_by(|a, b| a < b)),
        }
    }
    assert!(RunLogQuery::new().cursor("x").page(logs).is_err());
}

#[test]
fn no_ids_are_no_runs_and_nothing_said_is_all_of_them() {
    let log: RunLog = NewRunLog::new(RunId::fresh(), "t").into();
    assert!(RunLogQuery::new().matches(&log));
    assert!(!RunLogQuery::new().run_ids([]).matches(&log));
    assert!(
        RunLogQuery::new().run_ids([log.run_id.clone()]).status(log.status).created(..=log.created_at).matches(&log)
    );
    assert!(!RunLogQuery::new().created(..log.created_at).matches(&log));
}
