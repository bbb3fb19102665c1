use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::broker::memory::{Fault, Memory, MemoryBroker, Operation};
use crate::broker::{Broker, Standing};
use crate::event::{EventId, Partition};
use crate::runs::tasks::TASKS_NAME;
use crate::settings::Settings;
use crate::tasks::{Gate, Tasks};

/// One worker's recorder, with its link to the store.
struct Desk {
    recorder: Recorder,
    link: MemoryBroker,
    _beside: Tasks,
}

const TTL: Duration = Duration::from_secs(10);

async fn worker(memory: &Memory, name: &str, policy: TaskLogPolicy) -> Desk {
    let link = memory.connect();
    let handle = Handle::new("shop".into(), Arc::new(link.clone()), Settings::default()).unwrap();
    let now = link.announce(name, Standing::Member, TTL, "{}").await.unwrap();
    let clock = ServerClock::heard(clock::now(), clock::now(), now);
    let (recorder, beside) = Recorder::new(handle, clock, name.into(), policy);
    let mut tasks = Tasks::behind(&Gate::default());
    tasks.start(beside);
    Desk { recorder, link, _beside: tasks }
}

fn run_of(task: &str, id: &str) -> Beginning {
    Beginning {
        run_id: id.parse().unwrap(),
        task_name: task.into(),
        kind: TaskKind::Timer,
        partition: None,
        activation: 1,
        attempt: 1,
        extra: BTreeMap::new(),
    }
}

fn success() -> End {
    End { action: Action::Success, message: String::new(), error: None }
}

/// Everything in the task log: run id and action, partition by partition.
async fn logged(memory: &Memory) -> Vec<(String, Action)> {
    let broker = memory.connect();
    let Some(stream) = broker.stream(TASKS_NAME).await.unwrap().map(Arc::new) else { return Vec::new() };
    let mut all = Vec::new();
    for partition in (0..stream.partitions).map(Partition) {
        let entries = broker.range(&stream, partition, EventId::ZERO, EventId::MAX, 1000, false).await.unwrap();
        for entry in entries {
            let RunEvent::Task(event) = serde_json::from_slice(entry.fields.get("data").unwrap()).unwrap() else {
                continue;
            };
            all.push((event.run_id.to_string(), event.action));
        }
    }
    all
}

/// How many runs are open.
async fn open(memory: &Memory) -> usize {
    let broker = memory.connect();
    let Some(stream) = broker.stream(TASKS_NAME).await.unwrap().map(Arc::new) else { return 0 };
    broker.open_runs(&stream).await.unwrap().len()
}

async fn until_logged(memory: &Memory, count: usize) {
    while logged(memory).await.len() < count {
        clock::sleep(Duration::from_millis(20)).await;
    }
}

fn both(id: &str, end: Action) -> Vec<(String, Action)> {
    vec![(id.to_owned(), Action::Run), (id.to_owned(), end)]
}

#[tokio::test(start_paused = true)]
async fn a_run_is_written_down_once_although_every_answer_is_lost_once() {
    let memory = Memory::new();
    let ann = worker(&memory, "ann", TaskLogPolicy::Halt).await;

    ann.link.next_fault(Operation::Run, Fault::LostReply);
    let recording = ann.recorder.begin(run_of("ping", "run-1")).await.unwrap();
    ann.link.next_fault(Operation::Run, Fault::LostReply);
    ann.recorder.end(recording, success()).await.unwrap();

    assert_eq!(logged(&memory).await, both("run-1", Action::Success));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_down_starts_only_where_the_policy_ignores_that() {
    for (policy, starts) in
        [(TaskLogPolicy::Halt, false), (TaskLogPolicy::Quarantine, false), (TaskLogPolicy::Ignore, true)]
    {
        let memory = Memory::new();
        let ann = worker(&memory, "ann", policy).await;
        for _ in 0..TRIES {
            ann.link.next_fault(Operation::Run, Fault::Refused("OOM"));
        }

        let begun = ann.recorder.begin(run_of("ping", "run-1")).await;

        assert_eq!(begun.is_ok(), starts, "{policy:?}");
        if let Err(refused) = begun {
            assert_eq!(refused.halts, policy == TaskLogPolicy::Halt);
            assert!(refused.why.contains("OOM"), "{}", refused.why);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_written_is_kept_and_holds_its_task_back_until_it_is() {
    let memory = Memory::new();
    let ann = worker(&memory, "ann", TaskLogPolicy::Quarantine).await;
    let recording = ann.recorder.begin(run_of("ping", "run-1")).await.unwrap();
    for _ in 0..TRIES + 2 {
        ann.link.next_fault(Operation::Run, Fault::Refused("OOM"));
    }

    ann.recorder.end(recording, success()).await.unwrap();

    assert!(ann.recorder.begin(run_of("ping", "run-2")).await.is_err(), "its task waits");
    assert!(ann.recorder.begin(run_of("pong", "run-3")).await.is_ok(), "others do not");
    until_logged(&memory, 3).await;
    clock::sleep(Duration::from_secs(1)).await;
    assert!(ann.recorder.begin(run_of("ping", "run-4")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_run_of_a_dead_worker_crashes_once_whoever_looks() {
    let memory = Memory::new();
    let (ann, bob) =
        (worker(&memory, "ann", TaskLogPolicy::Halt).await, worker(&memory, "bob", TaskLogPolicy::Halt).await);
    let finished = ann.recorder.begin(run_of("ping", "run-0")).await.unwrap();
    ann.recorder.end(finished, success()).await.unwrap();
    let recording = ann.recorder.begin(run_of("ping", "run-1")).await.unwrap();
    let watch = CrashWatch::new(bob.recorder.clone());
    assert_eq!(watch.scan(true).await.unwrap(), [], "she lives");

    clock::sleep(TTL + Duration::from_secs(1)).await;
    bob.link.announce("bob", Standing::Member, TTL, "{}").await.unwrap();
    let found = watch.scan(true).await.unwrap();

    assert_eq!(found.len(), 1);
    assert_eq!((found[0].run_id.as_str(), &*found[0].worker), ("run-1", "ann"));
    assert_eq!(watch.scan(true).await.unwrap(), [], "a second look");
    ann.recorder.end(recording, success()).await.unwrap();
    let mut expected = both("run-0", Action::Success);
    expected.extend(both("run-1", Action::Crash));
    assert_eq!(logged(&memory).await, expected, "her own end came too late");
}

#[tokio::test(start_paused = true)]
async fn a_tenancy_is_written_down_beside_the_work_and_a_dropped_one_has_no_end() {
    let memory = Memory::new();
    let ann = worker(&memory, "ann", TaskLogPolicy::Quarantine).await;

    let ended = ann.recorder.tenancy(run_of("billing", "run-1"));
    let dropped = ann.recorder.tenancy(run_of("billing", "run-2"));
    ended.end(success());
    until_logged(&memory, 3).await;
    drop(dropped);
    clock::sleep(Duration::from_secs(1)).await;

    let logged = logged(&memory).await;
    assert_eq!(logged.iter().filter(|(id, _)| id == "run-1").count(), 2);
    assert_eq!(logged.iter().filter(|(id, _)| id == "run-2").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_task_log_nothing_is_written() {
    let memory = Memory::new();
    let ann = worker(&memory, "ann", TaskLogPolicy::Off).await;

    let recording = ann.recorder.begin(run_of("ping", "run-1")).await.unwrap();
    ann.recorder.end(recording, success()).await.unwrap();

    assert_eq!(memory.connect().stream(TASKS_NAME).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_begin_that_arrives_again_after_the_end_begins_nothing() {
    let memory = Memory::new();
    let ann = worker(&memory, "ann", TaskLogPolicy::Halt).await;

    ann.link.next_fault(Operation::Run, Fault::Twice(Duration::from_secs(5)));
    let recording = ann.recorder.begin(run_of("ping", "run-1")).await.unwrap();
    ann.recorder.end(recording, success()).await.unwrap();
    clock::sleep(Duration::from_secs(6)).await;

    assert_eq!(logged(&memory).await, both("run-1", Action::Success));
    assert_eq!(open(&memory).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_begin_that_nobody_answered_is_taken_back_wherever_it_is() {
    let late = Fault::Late(Duration::from_secs(30));
    let ended = both("run-1", Action::Terminate);
    for (fault, expected) in [(Fault::LostReply, ended), (Fault::LostRequest, vec![]), (late, vec![])] {
        for policy in [TaskLogPolicy::Halt, TaskLogPolicy::Quarantine, TaskLogPolicy::Ignore] {
            let memory = Memory::new();
            let ann = worker(&memory, "ann", policy).await;
            for _ in 0..TRIES {
                ann.link.next_fault(Operation::Run, fault.clone());
            }

            let begun = ann.recorder.begin(run_of("ping", "run-1")).await;
            assert_eq!(begun.is_ok(), policy == TaskLogPolicy::Ignore);
            clock::sleep(Duration::from_secs(60)).await;

            assert_eq!(logged(&memory).await, expected, "{fault:?}, {policy:?}");
            assert_eq!(open(&memory).await, 0, "{fault:?}, {policy:?}");
            assert!(ann.recorder.begin(run_of("ping", "run-2")).await.is_ok(), "the task goes on");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_begin_whose_run_was_found_crashed_before_the_answer_came_starts_nothing() {
    let memory = Memory::new();
    let ann = worker(&memory, "ann", TaskLogPolicy::Quarantine).await;
    let bob = worker(&memory, "bob", TaskLogPolicy::Quarantine).await;
    ann.link.next_fault(Operation::Run, Fault::LostReply);
    ann.link.next_fault(Operation::Run, Fault::LostRequest);
    memory.connect().depart("ann").await.unwrap();

    let watch = CrashWatch::new(bob.recorder.clone());
    let crash = async {
        while watch.scan(true).await.unwrap().is_empty() {
            clock::sleep(Duration::from_millis(20)).await;
        }
    };
    let (begun, ()) = tokio::join!(ann.recorder.begin(run_of("ping", "run-1")), crash);

    assert!(begun.unwrap_err().why.contains("over already"));
    clock::sleep(Duration::from_secs(60)).await;
    assert_eq!(logged(&memory).await, both("run-1", Action::Crash));
}
