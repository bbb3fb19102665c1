//! The task log where it cannot be written or read, and as a stream for processors of one's own.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use runnel::broker::memory::{Fault, Operation};
use runnel::broker::{Broker, NewEntry};
use runnel::event::Fields;
use runnel::prelude::*;
use runnel::runs::{
    Action, MemoryStore, Status, StoreError, StoreSummary, Stores, TaskLogEvent, TaskLogQuery, TaskLogRepo,
};
use runnel::testing::{TestApp, takes};
use runnel::{Failure, async_trait};

use crate::run_logs::{actions, lines};
use crate::shop::{Order, SECOND, order, orders, three_workers};

const START: &str = "2026-01-01T00:00:00Z";
const POLICIES: [&str; 3] = ["halt", "quarantine", "ignore"];

/// An app with that policy and a timer.
fn with_policy(policy: &str) -> App {
    let mut app = App::bare("shop").setting("task_log_policy", policy);
    app.timer(10 * SECOND, async || takes(2 * SECOND).await).name("ping");
    app
}

/// The next tries to write a begin or an end fail.
pub(crate) fn refuse(shop: &mut TestApp, tries: usize) {
    for _ in 0..tries {
        shop.worker("worker-1").link().next_fault(Operation::Run, Fault::Refused("OOM"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_begin_cannot_be_written_starts_as_the_policy_says() {
    for policy in POLICIES {
        let mut shop = TestApp::at(START, with_policy(policy)).await;
        shop.advance_to("2026-01-01T00:00:09Z").await;
        refuse(&mut shop, 3);
        shop.advance_to("2026-01-01T00:00:25Z").await;

        let outcomes: Vec<_> = shop.fired("ping").into_iter().map(|run| run.started.timestamp() % 60).collect();
        match policy {
            "halt" => {
                let failure = shop.worker("worker-1").ended().await.unwrap_err();
                assert!(matches!(&failure, Failure::Halted(why) if why.contains("OOM")), "{failure}");
                assert!(outcomes.is_empty(), "{outcomes:?}");
            }
            "quarantine" => assert_eq!(outcomes, [20], "the next one is tried as usual"),
            _ => assert_eq!(outcomes, [10, 20]),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_written_is_written_later_or_ends_the_worker() {
    for policy in POLICIES {
        let mut shop = TestApp::at(START, with_policy(policy)).await;
        shop.advance_to("2026-01-01T00:00:11Z").await;
        refuse(&mut shop, 5);
        shop.advance_to("2026-01-01T00:00:19Z").await;

        match policy {
            "halt" => {
                let failure = shop.worker("worker-1").ended().await.unwrap_err();
                assert!(matches!(&failure, Failure::Halted(why) if why.contains("OOM")), "{failure}");
            }
            _ => {
                shop.until_idle().await;
                assert_eq!(actions(&lines(&shop, "ping").await), [Action::Run, Action::Success], "{policy}");
            }
        }
    }
}

/// Writes something that is no event of a run in front of what is known of `ping`.
async fn spoil(shop: &TestApp) -> EventId {
    let broker = shop.memory().connect();
    let stream = Arc::new(broker.stream("__tasks").await.unwrap().expect("it is declared at start"));
    let partition = shop.memory().snapshot().partitions.into_iter().find(|p| p.last > EventId::ZERO);
    let partition = partition.expect("a run of it was written").partition;
    let fields = Fields::from_pairs([("data", r#"{"type":"tasc"}"#)]);
    broker.append(&stream, vec![NewEntry { partition, id: None, fields }]).await.unwrap();
    shop.memory().snapshot().partitions.into_iter().find(|p| p.partition == partition).unwrap().last
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_projected_is_treated_as_the_policy_says() {
    for policy in POLICIES {
        let mut shop = TestApp::at(START, with_policy(policy)).await;
        shop.advance_to("2026-01-01T00:00:15Z").await;
        shop.until_idle().await;
        let bad = spoil(&shop).await;
        shop.advance_to("2026-01-01T00:00:25Z").await;

        match policy {
            "halt" => {
                let failure = shop.worker("worker-1").ended().await.unwrap_err();
                assert!(matches!(&failure, Failure::Halted(why) if why.contains("__runlog")), "{failure}");
            }
            "quarantine" => {
                shop.until_idle().await;
                let at: Vec<_> = shop.quarantined("__runlog").await.into_iter().map(|(_, id)| id).collect();
                assert_eq!(at, [bad]);
                assert_eq!(shop.fired("ping").len(), 2, "runs go on");
            }
            _ => {
                shop.until_idle().await;
                assert_eq!(shop.dead("__runlog").await.len(), 1);
                assert_eq!(lines(&shop, "ping").await.len(), 4, "what came behind it is there");
            }
        }
    }
}

/// A task log that does what it is told.
#[derive(Default)]
struct Moody {
    inner: MemoryStore,
    mood: Arc<AtomicU8>,
}

const WELL: u8 = 0;
const DOWN: u8 = 1;
const BROKEN: u8 = 2;

#[async_trait]
impl TaskLogRepo for Moody {
    async fn append(&self, events: &[TaskLogEvent]) -> Result<(), StoreError> {
        let mood = self.mood.load(Ordering::SeqCst);
        if mood == WELL {
            return TaskLogRepo::append(&self.inner, events).await;
        }
        Err(StoreError::Backend { doing: "append".into(), transient: mood == DOWN, source: "moody".into() })
    }

    async fn query(&self, query: &TaskLogQuery) -> Result<Vec<TaskLogEvent>, StoreError> {
        TaskLogRepo::query(&self.inner, query).await
    }

    async fn count(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        TaskLogRepo::count(&self.inner, query).await
    }

    async fn delete(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        TaskLogRepo::delete(&self.inner, query).await
    }

    fn summary(&self) -> StoreSummary {
        StoreSummary::new("moody")
    }
}

fn moody(app: App) -> (App, Arc<AtomicU8>) {
    let log = Moody::default();
    let mood = log.mood.clone();
    (app.run_logs_in(Stores { run_logs: Arc::new(MemoryStore::new()), task_log: Arc::new(log) }), mood)
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_waited_for_and_holds_up_no_drain() {
    for policy in POLICIES {
        let (app, mood) = moody(with_policy(policy));
        let mut shop = TestApp::at(START, app).await;
        mood.store(DOWN, Ordering::SeqCst);
        shop.advance_to("2026-01-01T00:10:05Z").await;

        let before = runnel::clock::now();
        shop.worker("worker-1").drain().await.unwrap();
        let took = runnel::clock::now().since(before);
        assert!(took < SECOND, "{policy}: the drain took {took:?}");
        assert!(lines(&shop, "ping").await.is_empty() && shop.dead("__runlog").await.is_empty(), "{policy}");

        mood.store(WELL, Ordering::SeqCst);
        shop.add_worker("worker-2").await;
        shop.advance(SECOND).await;
        shop.until_idle().await;
        let of_the_first = lines(&shop, "ping").await;
        assert_eq!(of_the_first.len(), 2 * 60, "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_for_good_is_not_asked_again() {
    let (app, mood) = moody(with_policy("ignore"));
    let shop = TestApp::at(START, app).await;
    mood.store(BROKEN, Ordering::SeqCst);

    shop.advance_to("2026-01-01T00:00:10.500Z").await;
    shop.until_idle().await;

    let dead = shop.dead("__runlog").await;
    assert_eq!((dead.len(), dead[0].about.attempts), (1, 1));
    assert!(dead[0].about.error.contains("moody"), "{}", dead[0].about.error);
}

#[tokio::test(start_paused = true)]
async fn a_processor_of_the_task_log_sees_what_began_and_ended_and_a_crash() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let out = seen.clone();
    let mut app = App::bare("shop");
    app.timer(10 * SECOND, async || takes(5 * SECOND).await).name("ping");
    app.processor(&TASK_LOG, move |line: TaskLogEvent| {
        out.lock().unwrap().push((line.task_name, line.worker_id, line.action));
        async {}
    })
    .name("alert");
    let mut shop = three_workers(START, app).await;
    shop.advance_to("2026-01-01T00:00:12Z").await;

    shop.crash("worker-3");
    shop.advance(60 * SECOND).await;
    shop.until_idle().await;

    let seen = seen.lock().unwrap().clone();
    let of = |worker: &str| {
        let of = seen.iter().filter(|(task, by, _)| task == "ping" && by == worker);
        of.map(|(_, _, action)| *action).collect::<Vec<_>>()
    };
    assert_eq!(of("worker-3"), [Action::Run, Action::Crash]);
    assert_eq!(of("worker-1")[..2], [Action::Run, Action::Success]);
    let own: Vec<_> = seen.iter().filter(|(task, ..)| task == "alert").collect();
    assert!(!own.is_empty() && own.len() < 200, "its tenancies are there, and do not feed themselves: {}", own.len());
}

/// What is known of a run beside its lines.
const A_STEP: &str = r#"{"type":"step","head":{"event_id":"0193d7f0-0000-7000-8000-000000000000","run_id":"r","task_name":"t","kind":"task","activation":1,"created":1.0},"log":{"name":"load","internal_name":"load","status":"SUCCESS"}}"#;

#[tokio::test(start_paused = true)]
async fn what_is_no_line_is_settled_unseen_by_single_events_and_batches_and_cannot_be_sent() {
    let (raw, batches) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let (one, many) = (raw.clone(), batches.clone());
    let mut app = App::bare("shop");
    app.timer(10 * SECOND, async || ()).name("ping");
    app.processor(&TASK_LOG, move |event: Event| {
        *one.lock().unwrap() += usize::from(event.fields.get("data").is_some_and(|data| data == A_STEP.as_bytes()));
        async {}
    })
    .name("raw");
    app.processor(&TASK_LOG, move |lines: Vec<TaskLogEvent>| {
        *many.lock().unwrap() += lines.len();
        async {}
    })
    .name("batches")
    .batch(100, SECOND);
    let shop = TestApp::at(START, app).await;
    shop.advance(SECOND).await;
    let broker = shop.memory().connect();
    let stream = Arc::new(broker.stream("__tasks").await.unwrap().expect("it is declared at start"));
    let fields = Fields::from_pairs([("data", A_STEP)]);
    broker.append(&stream, vec![NewEntry { partition: Partition(3), id: None, fields }]).await.unwrap();

    shop.advance_to("2026-01-01T00:00:15Z").await;
    shop.until_idle().await;

    assert_eq!(*raw.lock().unwrap(), 0, "it was settled unseen");
    assert_eq!(shop.passed("raw").len(), 1);
    let all = shop.app().task_log().all().count().await.unwrap();
    assert_eq!(*batches.lock().unwrap() as u64, all);
    let line = TaskLogEvent::new("x", Action::Run, runnel::runs::RunId::fresh());
    let refused = shop.within(TASK_LOG.send(line)).await.unwrap_err();
    assert!(matches!(refused, Failure::Invalid(_)), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_terminal_is_not_tried_again() {
    let mut app = App::bare("shop");
    let orders = orders();
    app.processor(&orders, async |_: Order| "x".parse::<u8>().map(drop).terminal())
        .name("billing")
        .retry(5, SECOND, SECOND)
        .exception_policy(ExceptionPolicy::Ignore);
    let shop = TestApp::at(START, app).await;

    shop.send(&orders, order("a", 1)).await;
    shop.until_idle().await;

    assert_eq!((shop.failed("billing").len(), shop.ignored("billing").len()), (1, 1));
}

#[tokio::test]
async fn a_store_that_cannot_be_configured_ends_the_start_with_the_field() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Place {
        #[allow(dead_code, reason = "it is asked for, and that is all")]
        shelf: String,
    }
    let app = || {
        let mut app = App::bare("shop").redis("memory://");
        app.task(async || ()).name("t");
        app.register_run_log_store("my-db", async |_: Place| Ok::<_, runnel::Error>(MemoryStore::new()))
    };
    for (app, said) in [
        (app().run_log_store("my-db"), "run_log_store.my-db: missing field `shelf`"),
        (app().run_log_store("my-bd"), "did you mean `my-db`"),
        (app().setting("run_log_store.shelv", "3"), "unknown field `shelv`"),
    ] {
        let refused = app.connect().await.unwrap().work_until(async {}).await.unwrap_err();
        assert!(matches!(&refused, Failure::Invalid(text) if text.contains(said)), "{refused}");
    }
    let app = app().run_log_store("my-db").setting("run_log_store.shelf", "\"3\"");
    app.connect().await.unwrap().work_until(async {}).await.unwrap();
    assert_eq!(app.run_logs().service_name(), "memory");
    assert_eq!(app.task_log_of("t").state().await.unwrap().status, Status::Created);
}

#[tokio::test(start_paused = true)]
async fn a_store_of_documents_alone_has_its_lines_in_the_stream_whoever_asks() {
    let documents = MemoryStore::new();
    let mut app = App::bare("shop").run_logs_in(documents);
    app.timer(10 * SECOND, async || ()).name("ping");
    let mut shop = TestApp::at(START, app).await;
    shop.advance_to("2026-01-01T00:00:25Z").await;
    let both = [Action::Run, Action::Success, Action::Run, Action::Success];
    assert_eq!(actions(&lines(&shop, "ping").await), both);

    // Another process, which has written none of them; and one more after all of them have ended.
    let mut other = App::bare("shop").run_logs_in(MemoryStore::new());
    other.timer(10 * SECOND, async || ()).name("ping");
    shop.drain().await.into_iter().for_each(|end| end.unwrap());
    shop.add_worker_of("worker-2", other.clone()).await;

    assert_eq!(actions(&lines(&shop, "ping").await), both);
    assert_eq!(other.task_log_of("ping").latest(Action::Success).await.unwrap().unwrap().worker_id, "worker-1");
}
