use futures::TryStreamExt;

use super::*;
use crate::broker::memory::Memory;
use crate::filter;
use crate::runs::{Action, EventHead, StepLog, TASKS, TaskLog};
use crate::settings::Settings;
use crate::stream::Bound;
use crate::stream::current::Handle;

const TASKS_WRITTEN: [&str; 3] = ["load", "tidy", "report"];

/// Runs of three tasks, with their steps, which are no lines. More lines of each than are read at once.
fn written() -> Vec<RunEvent> {
    let runs = (0..PAGE).flat_map(|n| TASKS_WRITTEN.map(|task| (task, n)));
    let events = runs.flat_map(|(task, n)| {
        let line = |action| TaskLogEvent::new(task, action, format!("{task}-{n}").parse().unwrap());
        let (begun, ended) = (line(Action::Run), line(if n % 3 == 0 { Action::Fail } else { Action::Success }));
        let head = EventHead::beside(&begun);
        [begun.into(), RunEvent::Step { head, log: StepLog::new("extract") }, ended.into()]
    });
    events.collect()
}

fn lines_of(events: &[RunEvent], task: &str) -> Vec<TaskLogEvent> {
    events.iter().filter_map(RunEvent::as_task).filter(|line| line.task_name == task).cloned().collect()
}

async fn filled(memory: &Memory) -> (Arc<StreamedLines>, Vec<RunEvent>) {
    let events = written();
    let handle = Handle::new("shop".into(), Arc::new(memory.connect()), Settings::default()).unwrap();
    Bound::new(&TASKS, handle).send_all(events.clone()).await.unwrap();
    // Another process than that which wrote them.
    (Arc::new(StreamedLines::new(Arc::new(memory.connect()))), events)
}

#[tokio::test(start_paused = true)]
async fn the_lines_of_a_task_are_those_that_were_written_in_their_order() {
    let (repo, events) = filled(&Memory::new()).await;

    for task in TASKS_WRITTEN {
        assert_eq!(repo.query(&TaskLogQuery::new().task(task)).await.unwrap(), lines_of(&events, task));
    }

    let fails = filter!(task_name = "tidy", action = Fail);
    let expected: Vec<_> = lines_of(&events, "tidy").into_iter().filter(|line| line.action == Action::Fail).collect();
    assert_eq!(repo.count(&fails).await.unwrap(), expected.len() as u64);
    assert_eq!(repo.query(&fails.clone().limit(7)).await.unwrap(), expected[..7]);
    let newest = repo.query(&fails.newest_first().limit(7)).await.unwrap();
    assert_eq!(newest, expected.iter().rev().take(7).cloned().collect::<Vec<_>>());
    assert!(repo.open_runs("tidy").await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_lines_of_all_tasks_are_one_sequence_from_both_ends_and_page_by_page() {
    let (repo, events) = filled(&Memory::new()).await;

    let all = repo.query(&TaskLogQuery::new()).await.unwrap();
    let mut backwards = repo.query(&TaskLogQuery::new().newest_first()).await.unwrap();
    backwards.reverse();
    let paged: Vec<_> = TaskLog::new(repo.clone()).all().stream().try_collect().await.unwrap();

    for task in TASKS_WRITTEN {
        let of_task: Vec<_> = all.iter().filter(|line| line.task_name == task).cloned().collect();
        assert_eq!(of_task, lines_of(&events, task));
    }
    assert_eq!(all.len(), events.iter().filter_map(RunEvent::as_task).count());
    assert!(all == backwards && all == paged);
    let fresh = StreamedLines { broker: repo.broker.clone(), ends: Mutex::default() };
    let behind = fresh.query(&TaskLogQuery::new().after(all[1000].event_id).limit(2)).await.unwrap();
    assert_eq!(behind, all[1001..1003], "also for one who has not seen the answer before");
}

#[tokio::test(start_paused = true)]
async fn what_the_stream_has_let_go_is_gone_and_who_stood_there_is_told() {
    let memory = Memory::new();
    let (repo, events) = filled(&memory).await;
    let lines = lines_of(&events, "load");
    let first = repo.query(&TaskLogQuery::new().task("load").limit(1)).await.unwrap().remove(0);
    let broker = memory.connect();
    let stream = Arc::new(broker.stream(TASKS_NAME).await.unwrap().unwrap());
    let partition = the_one_of(&TaskLogQuery::new().task("load"), &stream).unwrap();

    broker.drop_oldest(&stream, partition, 1).await.unwrap();

    let left = repo.query(&TaskLogQuery::new().task("load")).await.unwrap();
    assert!(left.len() <= 1 && lines.ends_with(&left), "{left:?}");
    let gone = repo.query(&TaskLogQuery::new().task("load").after(first.event_id)).await.unwrap_err();
    assert!(matches!(gone, StoreError::Conflict { .. }), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_was_ever_run_there_are_no_lines() {
    let repo = StreamedLines::new(Arc::new(Memory::new().connect()));

    assert!(repo.query(&TaskLogQuery::new()).await.unwrap().is_empty());
    assert_eq!(repo.count(&TaskLogQuery::new()).await.unwrap(), 0);
}
