use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::runs::{Action, EventHead, TaskLogEvent};

const TASK: &str = "ingest";

/// One run, since the events of another are foreign.
static RUN: LazyLock<RunId> = LazyLock::new(RunId::fresh);

fn action(action: Action, activation: u32) -> RunEvent {
    let created = 1_795_000_000.25;
    RunEvent::Task(TaskLogEvent { activation, created, ..TaskLogEvent::new(TASK, action, RUN.clone()) })
}

fn head(activation: u32) -> EventHead {
    EventHead { activation, ..EventHead::beside(action(Action::Run, 1).as_task().unwrap()) }
}

fn step(name: &str, status: Status, activation: u32) -> RunEvent {
    RunEvent::Step { head: head(activation), log: StepLog { status, ..StepLog::new(name) } }
}

fn attempt(number: u32, activation: u32) -> RunEvent {
    RunEvent::Attempt {
        head: head(activation),
        step: None,
        log: AttemptLog::new(number, DateTime::<Utc>::UNIX_EPOCH).into(),
    }
}

fn empty() -> RunLog {
    NewRunLog::from(&action(Action::Run, 1)).into()
}

/// The document after these events, the first at entry 1-0.
fn after(events: &[RunEvent]) -> RunLog {
    let mut log = empty();
    for (at, event) in events.iter().enumerate() {
        let _ = log.apply(EventId::new(at as u64 + 1, 0), event);
    }
    log
}

fn any_event() -> impl Strategy<Value = RunEvent> {
    let activation = 1..4u32;
    prop_oneof![
        3 => (prop::sample::select(Action::ALL), activation.clone()).prop_map(|(a, n)| action(a, n)),
        2 => ("[ab](\\.[ab]){0,2}", prop::sample::select(Status::ALL), activation.clone())
            .prop_map(|(name, status, n)| step(&name, status, n)),
        1 => (1..5u32, activation.clone()).prop_map(|(number, n)| attempt(number, n)),
        1 => (prop::option::of("[ab]"), 1..5u32, activation.clone()).prop_map(|(step, number, n)| RunEvent::Attempt {
            head: head(n), step, log: AttemptLog::new(number, DateTime::<Utc>::UNIX_EPOCH).into(),
        }),
        1 => ("[xy]", any::<f64>(), activation.clone()).prop_map(|(name, value, n)| RunEvent::Parameters {
            head: head(n), branch: None, parameters: [(name, Parameter::from(value))].into(),
        }),
        1 => ("[xy]", activation.clone()).prop_map(|(name, n)| RunEvent::RunConfig {
            head: head(n), dag_hash: None, tag: Some(name.clone()), run_config: Map::from_iter([(name, json!(n))]),
        }),
        1 => activation.prop_map(|n| RunEvent::Metadata { head: head(n), metadata: RunMetadata::begun(RUN.clone(), TASK, n, DateTime::<Utc>::UNIX_EPOCH) }),
    ]
}

proptest! {
    #[test]
    fn events_that_come_again_change_nothing(
        events in prop::collection::vec(any_event(), 1..30),
        replays in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..6),
    ) {
        let mut log = empty();
        // Each replay goes on to some point and begins again at some point before it, as an interrupted projector does.
        let mut reached = 0;
        for (from, to) in replays {
            let (from, to) = (from.index(reached + 1), to.index(events.len() + 1));
            for (at, event) in events.iter().enumerate().take(to).skip(from) {
                let _ = log.apply(EventId::new(at as u64 + 1, 0), event);
            }
            // Up to here everything came, without a gap.
            reached = reached.max(to);
        }
        for (at, event) in events.iter().enumerate() {
            let _ = log.apply(EventId::new(at as u64 + 1, 0), event);
        }

        prop_assert_eq!(log, after(&events));
    }

    #[test]
    fn what_a_zombie_of_an_older_activation_writes_changes_nothing(
        early in prop::collection::vec(any_event(), 0..15),
        zombie in prop::collection::vec(any_event(), 1..10),
        late in prop::collection::vec(any_event(), 0..15),
    ) {
        let before = after(&early);
        let stale: Vec<_> = zombie.into_iter().filter(|event| event.activation() < before.activation).collect();
        let (mut without, mut with) = (before.clone(), before);

        for (at, event) in (100..).zip(&stale) {
            prop_assert_eq!(with.apply(EventId::new(at, 0), event), Applied::Stale);
        }
        for (at, event) in (200..).zip(&late) {
            prop_assert_eq!(with.apply(EventId::new(at, 0), event), without.apply(EventId::new(at, 0), event));
        }

        prop_assert_eq!(with, without);
    }

    #[test]
    fn each_activation_has_exactly_one_end(events in prop::collection::vec(any_event(), 1..40)) {
        let mut log = empty();
        let mut ends = std::collections::BTreeMap::<u32, u32>::new();
        for (at, event) in events.iter().enumerate() {
            let was = (log.activation, log.status);
            let applied = log.apply(EventId::new(at as u64 + 1, 0), event);
            let is_end = event.as_task().is_some_and(|event| event.action.is_terminal());
            if applied == Applied::Changed && is_end {
                *ends.entry(log.activation).or_default() += 1;
            }
            if was.0 == log.activation && was.1.is_terminal() {
                prop_assert_eq!(log.status, was.1, "an end was taken back");
            }
        }
        prop_assert!(ends.values().all(|&n| n == 1), "{:?}", ends);
    }

    #[test]
    fn an_event_and_a_document_are_read_as_they_were_written(events in prop::collection::vec(any_event(), 1..20)) {
        for event in &events {
            let written = serde_json::to_string(event).unwrap();
            prop_assert_eq!(&serde_json::from_str::<RunEvent>(&written).unwrap(), event);
        }
        let log = after(&events);
        let written = serde_json::to_string(&log).unwrap();
        prop_assert_eq!(serde_json::from_str::<RunLog>(&written).unwrap(), log);
    }

    #[test]
    fn a_document_over_itself_or_over_its_header_is_itself(events in prop::collection::vec(any_event(), 1..20)) {
        let log = after(&events);
        prop_assert_eq!(log.clone().over(log.clone()), log.clone());
        prop_assert_eq!(log.header().over(log.clone()), log.clone());
        prop_assert_eq!(log.clone().over(log.header()), log);
    }
}

#[test]
fn a_resumed_run_keeps_what_it_did_and_has_a_second_end() {
    let log = after(&[
        action(Action::Run, 1),
        step("extract", Status::Success, 1),
        attempt(1, 1),
        action(Action::Crash, 1),
        action(Action::Run, 2),
        action(Action::Success, 1),
        attempt(2, 2),
        action(Action::Success, 2),
        action(Action::Fail, 2),
    ]);

    assert_eq!((log.status, log.activation), (Status::Success, 2));
    assert_eq!(log.step("extract").unwrap().status, Status::Success);
    assert_eq!(log.attempts.iter().map(|attempt| attempt.attempt_number).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_step_behind_the_end_is_refused_but_the_record_of_an_attempt_is_kept() {
    let mut log = after(&[action(Action::Run, 1), action(Action::Fail, 1)]);

    assert_eq!(log.apply(EventId::new(10, 0), &step("late", Status::Success, 1)), Applied::Ended);
    assert_eq!(log.apply(EventId::new(11, 0), &attempt(1, 1)), Applied::Changed);

    assert_eq!((log.steps.len(), log.attempts.len(), log.status), (0, 1, Status::Fail));
}

#[test]
fn an_event_of_another_task_under_the_same_id_is_foreign() {
    let mut log = after(&[action(Action::Run, 1)]);
    let other = RunEvent::Task(TaskLogEvent::new("other", Action::Fail, RUN.clone()));

    assert_eq!(log.apply(EventId::new(10, 0), &other), Applied::Foreign);
    assert_eq!(log.status, Status::Processing);
}

#[test]
fn a_crashed_run_has_no_duration_since_nobody_saw_its_end() {
    let start = DateTime::from_timestamp(1_795_000_000, 0);
    let RunEvent::Task(crash) = action(Action::Crash, 1) else { unreachable!() };
    let crash = TaskLogEvent { start, end: DateTime::from_timestamp(1_795_000_100, 0), ..crash };
    let success = TaskLogEvent { action: Action::Success, runtime: Some(1.5), ..crash.clone() };

    assert_eq!(after(&[crash.into()]).duration(), None);
    assert_eq!(after(&[success.into()]).duration(), Some(Duration::from_millis(1500)));
    assert_eq!(after(&[action(Action::Run, 1)]).duration(), None);
}

#[test]
fn secrets_do_not_reach_the_document() {
    let parameters = [("p".to_owned(), Parameter::Secret(SecretString::new("canary")))].into();
    let run_config = Map::from_iter([("api_key".to_owned(), json!("canary"))]);
    let log = after(&[
        RunEvent::Parameters { head: head(1), branch: None, parameters },
        RunEvent::RunConfig { head: head(1), dag_hash: None, tag: None, run_config },
    ]);

    let Parameter::Secret(kept) = &log.parameters["p"] else { panic!("{:?}", log.parameters) };
    assert_eq!(kept.expose(), "***");
    assert!(!serde_json::to_string(&log).unwrap().contains("canary"));
}

#[test]
fn steps_and_branches_find_their_place_by_their_names() {
    let mut log = empty();
    log.put_step(StepLog::new("load"));
    assert!(log.put_branch(BranchLog::new("load.eu.west")));
    log.put_step(StepLog::new("load.eu.west.copy"));
    assert!(log.put_branch(BranchLog::new("load.eu.west.copy.a")));
    assert!(!log.put_branch(BranchLog::new("store.eu")));
    log.put_step(StepLog { status: Status::Success, ..StepLog::new("load") });

    assert_eq!(log.steps.len(), 1);
    assert_eq!(log.branch("load.eu.west").unwrap().steps.len(), 1);
    assert!(log.branch("load.eu.west.copy.a").is_some());
    assert_eq!(log.step("load").unwrap().branches.len(), 1, "a step put again keeps its branches");
}

#[test]
fn unknown_members_are_ignored_and_unknown_words_are_refused() {
    let mut event = serde_json::to_value(action(Action::Run, 1)).unwrap();
    event["newer"] = json!({"x": 1});
    assert!(serde_json::from_value::<RunEvent>(event.clone()).is_ok());

    event["action"] = json!("explode");
    assert!(serde_json::from_value::<RunEvent>(event.clone()).is_err());
    event["type"] = json!("attemt");
    let problem = serde_json::from_value::<RunEvent>(event).unwrap_err().to_string();
    assert!(problem.contains("did you mean `attempt`?"), "{problem}");
}
