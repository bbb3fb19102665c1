//! What every repository of lines must answer.

use std::sync::Arc;

use chrono::DateTime;
use futures::TryStreamExt;
use runnel::filter;
use runnel::runs::{Action, RunId, Status, StoreError, TaskLog, TaskLogEvent, TaskLogQuery, TaskLogRepo};

type Repo = Arc<dyn TaskLogRepo>;

fn line(task: &str, action: Action, run: &str, created: f64) -> TaskLogEvent {
    TaskLogEvent { created, ..TaskLogEvent::new(task, action, run.parse().unwrap()) }
}

/// Lines of two tasks, with everything that is hard to keep; all of them in what every record model but the smallest has.
fn history() -> Vec<TaskLogEvent> {
    let time = |seconds| DateTime::from_timestamp(seconds, 250_000_000);
    let mut lines = Vec::new();
    for n in 0..30u32 {
        let created = 1000.0 + f64::from(n);
        let (task, run) = (if n % 5 == 4 { "tidy, \"up\"/ä" } else { "load" }, format!("run-{}", n / 2));
        let action = [Action::Run, [Action::Success, Action::Fail, Action::Crash][n as usize / 2 % 3]][n as usize % 2];
        lines.push(TaskLogEvent {
            start: time(1000),
            end: time(1000 + i64::from(n)).filter(|_| action.is_terminal()),
            runtime: action.is_terminal().then_some(f64::from(n) / 3.0),
            message: format!("line {n}\r\nwith, \"all\" \\n"),
            exc_text: (action == Action::Fail).then(|| "no such file\ncaused by: disk".into()),
            worker_id: format!("w{}", n % 3),
            host: "h".into(),
            ..line(task, action, &run, created)
        });
    }
    lines
}

async fn filled(repo: &Repo) -> Vec<TaskLogEvent> {
    let lines = history();
    repo.append(&lines[..10]).await.unwrap();
    repo.append(&lines[10..]).await.unwrap();
    lines
}

pub async fn lines_come_in_the_order_in_which_they_were_added(repo: Repo) {
    // Clocks that go back do not change the order of a task.
    let lines: Vec<_> =
        [5.0, 3.0, 4.0, 4.0, 1.0].iter().map(|&created| line("load", Action::Run, "r", created)).collect();
    repo.append(&lines).await.unwrap();

    assert_eq!(repo.query(&filter!(task_name = "load")).await.unwrap(), lines);
    assert_eq!(repo.query(&TaskLogQuery::new()).await.unwrap(), lines);
}

pub async fn a_line_that_comes_again_is_added_once(repo: Repo) {
    let lines = filled(&repo).await;

    repo.append(&lines[5..15]).await.unwrap();
    repo.append(&[lines[0].clone(), lines[0].clone()]).await.unwrap();
    let twin = TaskLogEvent { event_id: line("x", Action::Run, "r", 1.0).event_id, ..lines[29].clone() };
    repo.append(&[twin.clone(), twin.clone()]).await.unwrap();

    let expected: Vec<_> = lines.into_iter().chain([twin]).collect();
    assert_eq!(
        repo.query(&TaskLogQuery::new()).await.unwrap(),
        expected,
        "two at the same time are two, one twice is one"
    );
}

pub async fn each_condition_is_answered_as_its_definition_says(repo: Repo) {
    let lines = filled(&repo).await;
    let time = DateTime::from_timestamp(1010, 0).unwrap();
    for query in [
        filter!(task_name = "load", action = Fail),
        filter!(task_name = "tidy, \"up\"/ä"),
        filter!(task_name = "nobody"),
        filter!(action = in_(["fail", "crash"]), created = between(1003.0, 1011.0)),
        filter!(run_id = "run-3"),
        filter!(run_id = ne("run-3"), level = ge(Warn)),
        filter!(created = between(None, time)),
        filter!(runtime = ge(3.0)),
        filter!(runtime = ne(3.0)),
        filter!(end = between(time, None)),
        filter!(worker_id = in_(["w1", "w2"]), host = "h"),
        filter!(message = "line 3\r\nwith, \"all\" \\n"),
        filter!(event_id = lines[7].event_id),
        filter!(exc_text = ne("x")),
    ] {
        let expected: Vec<_> = lines.iter().filter(|line| query.matches(line)).cloned().collect();
        assert_eq!(repo.query(&query).await.unwrap(), expected, "{query:?}");
        assert_eq!(repo.count(&query).await.unwrap(), expected.len() as u64, "{query:?}");
    }
    assert!(matches!(repo.query(&filter!(action = "explode")).await, Err(StoreError::Query(_))));
    assert!(matches!(repo.delete(&filter!(action = "explode")).await, Err(StoreError::Query(_))));
}

pub async fn first_last_limit_and_stream_agree_with_all(repo: Repo) {
    let lines = filled(&repo).await;
    let log = TaskLog::new(Arc::clone(&repo)).of_task("load");
    let fails = || log.filter_by(filter!(action = Fail));
    let all = fails().all().await.unwrap();

    assert!(all.len() > 2 && all.iter().all(|line| line.task_name == "load" && line.action == Action::Fail));
    assert_eq!(fails().first().await.unwrap().as_ref(), all.first());
    assert_eq!(fails().last().await.unwrap().as_ref(), all.last());
    assert_eq!(fails().limit(2).all().await.unwrap(), all[..2]);
    assert_eq!(fails().limit(0).all().await.unwrap(), []);
    assert_eq!(fails().stream().try_collect::<Vec<_>>().await.unwrap(), all);
    assert_eq!(fails().limit(2).stream().try_collect::<Vec<_>>().await.unwrap(), all[..2]);
    assert_eq!(log.latest(Action::Fail).await.unwrap().as_ref(), all.last());
    let newest = repo.query(&TaskLogQuery::new().newest_first().after(lines[10].event_id).limit(3)).await.unwrap();
    assert_eq!(newest, [lines[9].clone(), lines[8].clone(), lines[7].clone()]);
    let gone = TaskLogQuery::new().after(line("x", Action::Run, "r", 1.0).event_id);
    assert!(matches!(repo.query(&gone).await, Err(StoreError::Conflict { .. })));
}

pub async fn deleting_takes_what_was_asked_for_and_nothing_else(repo: Repo) {
    let mut lines = filled(&repo).await;
    let old = || filter!(created = between(None, 1007.0), action = ne(Crash));

    let deleted = repo.delete(&old()).await.unwrap();

    let before = lines.len();
    lines.retain(|line| !old().matches(line));
    assert_eq!(deleted as usize, before - lines.len());
    assert_eq!(repo.query(&TaskLogQuery::new()).await.unwrap(), lines);
    let late = line("load", Action::Run, "late", 9999.0);
    repo.append(std::slice::from_ref(&late)).await.unwrap();
    lines.push(late);
    assert_eq!(repo.query(&TaskLogQuery::new()).await.unwrap(), lines);
}

pub async fn a_task_knows_how_it_stands(repo: Repo) {
    let log = TaskLog::new(Arc::clone(&repo)).of_task("load");
    let nothing = log.state().await.unwrap();
    assert_eq!((nothing.status, nothing.last_run, nothing.fails_in_row), (Status::Created, None, 0));

    use Action::*;
    for (n, (run, action)) in [
        ("a", Run),
        ("a", Fail),
        ("b", Run),
        ("b", Success),
        ("c", Run),
        ("c", Fail),
        ("d", Run),
        ("e", Run),
        ("d", Crash),
    ]
    .into_iter()
    .enumerate()
    {
        repo.append(&[line("load", action, run, n as f64), line("other", Fail, "o", n as f64)]).await.unwrap();
    }

    let state = log.state().await.unwrap();
    assert_eq!(state.status, Status::Crashed);
    assert_eq!(state.last_run, DateTime::from_timestamp(7, 0));
    assert_eq!(state.last_success, DateTime::from_timestamp(3, 0));
    assert_eq!(state.last_fail, DateTime::from_timestamp(5, 0));
    assert_eq!((state.last_inaction, state.last_terminate), (None, None));
    assert_eq!(state.fails_in_row, 2);
    assert_eq!(state.running, ["e".parse::<RunId>().unwrap()]);
}

pub async fn overlapping_runs_are_told_apart(repo: Repo) {
    use Action::*;
    let lines: Vec<_> = [("a", Run), ("b", Run), ("c", Run), ("b", Success), ("a", Fail), ("b", Run)]
        .map(|(run, action)| line("load", action, run, 1.0))
        .into();
    repo.append(&lines).await.unwrap();

    let open = repo.open_runs("load").await.unwrap();
    assert_eq!(open, ["c", "b"].map(|run| run.parse::<RunId>().unwrap()));
    assert_eq!(repo.query(&filter!(run_id = "b")).await.unwrap().len(), 3);
}
