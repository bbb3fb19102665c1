//! logs, runs and tasks: from the app's own stores, and from a worker over HTTP.

use std::path::Path;

use runnel::App;
use runnel::broker::{Broker, Standing};
use runnel::runs::output::{Channel, FileLogStore, LogStore, RunMetadata};
use runnel::runs::{
    Action, AttemptLog, BranchLog, NewRunLog, Parameters, RunId, RunLog, Status, StepLog, Stores, TaskLogEvent,
    WorkerRef,
};

use crate::shop::{Ran, connected, runnel};
use crate::support::Server;

/// Clears a screen, turns text around, writes in red, and looks like a page.
const EVIL: &str = "<b>\x1b[2J\u{202e}\u{9b}31m\r";
const TOKEN: &str = "canary-canary-canary";

/// Runs in files: `good` that printed, `bad` that failed with code 7, and `mute` whose lines nobody has.
struct Runs {
    room: tempfile::TempDir,
    stores: Stores,
    logs: FileLogStore,
}

fn id(text: &str) -> RunId {
    text.parse().unwrap()
}

impl Runs {
    async fn open() -> Self {
        let room = tempfile::tempdir().unwrap();
        std::fs::write(
            room.path().join("runnel.toml"),
            "[run_log_store]\ntype = \"file-system\"\n[run_log_store.config]\nlog_folder = \"runs\"\n",
        )
        .unwrap();
        let folder = room.path().join("runs");
        let config = toml::from_str(&format!("log_folder = {:?}", folder.display().to_string())).unwrap();
        let stores = runnel::runs::open_store("file-system", config).await.unwrap();
        let logs = FileLogStore::new(room.path().join("lines"));
        let runs = Self { room, stores, logs };
        runs.ended("good", Status::Success, None).await;
        runs.ended("bad", Status::Fail, Some(7)).await;
        runs.document("mute", Status::Success).await;
        runs
    }

    async fn document(&self, run: &str, status: Status) {
        let new = NewRunLog::new(id(run), "report").tag(EVIL);
        let mut log = RunLog { status, ..self.stores.run_logs.create_run_log(new).await.unwrap() };
        log.worker.id = EVIL.into();
        log.put_attempt(None, AttemptLog { message: EVIL.into(), status, ..AttemptLog::new(1, log.created_at) });
        log.put_step(StepLog { message: EVIL.into(), status, ..StepLog::new(EVIL) });
        assert!(log.set_parameters(None, Parameters::from_iter([(EVIL.to_owned(), EVIL.into())])));
        self.stores.run_logs.put_run_log(&log).await.unwrap();
    }

    async fn ended(&self, run: &str, status: Status, exit_code: Option<i32>) {
        self.document(run, status).await;
        let begun = RunMetadata::begun(id(run), "report", 1, "2026-11-22T02:00:00Z".parse().unwrap());
        self.logs.write_metadata(&id(run), &begun).await.unwrap();
        let lines = ["zero", "one\x1b[2J", "a\tb"];
        self.logs.append(&id(run), Channel::Stdout, &lines).await.unwrap();
        self.logs.append(&id(run), Channel::Stderr, &["oh"]).await.unwrap();
        let mut ended = begun.ended(status, "2026-11-22T02:00:01Z".parse().unwrap());
        ended.exit_code = exit_code;
        self.logs.write_metadata(&id(run), &ended).await.unwrap();
        let action = if status == Status::Fail { Action::Fail } else { Action::Success };
        let events = [Action::Run, action].map(|action| TaskLogEvent {
            message: EVIL.into(),
            exc_text: Some(EVIL.into()),
            worker_id: EVIL.into(),
            ..TaskLogEvent::new("report", action, id(run))
        });
        self.stores.task_log.append(&events).await.unwrap();
    }

    fn room(&self) -> &Path {
        self.room.path()
    }

    /// From its own stores.
    fn own(&self, arguments: &[&str]) -> Ran {
        let mut command = runnel(&[&["--app", "shop"], arguments].concat());
        command.current_dir(self.room()).env("RUNNEL_LOG_DIR", self.room().join("lines"));
        Ran::of(command.output().unwrap())
    }

    /// A worker that can be asked.
    async fn served(&self) -> String {
        let app = App::bare("shop").redis("memory://").run_logs_in(self.stores.clone()).setting("http_token", TOKEN);
        let logs = FileLogStore::new(self.room().join("lines"));
        let routes = app.log_store(logs).connect().await.unwrap().http().await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runnel::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        url
    }
}

fn far(url: &str, arguments: &[&str]) -> Ran {
    let mut command = runnel(&[&["--app", "shop"], arguments].concat());
    command.env("RUNNEL_API_URL", url).env("RUNNEL_HTTP_TOKEN", TOKEN);
    Ran::of(command.output().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ways_to_ask_tell_the_same() {
    let runs = Runs::open().await;
    let url = runs.served().await;
    for (arguments, code, told) in [
        (&["logs", "good"][..], 0, "zero\none\\u{1b}[2J\na    b\n"),
        (&["logs", "good", "--follow", "--tail", "1"], 0, "a    b\n"),
        (&["logs", "good", "--since", "1", "--output", "json"], 0, "{\"line\":1,\"text\":\"one\\u001b[2J\"}"),
        (&["logs", "bad", "--stderr", "--exit-code"], 7, "oh\n"),
        (&["logs", "good", "--exit-code", "--stderr"], 0, "oh\n"),
        (&["logs", "unknown"], 3, ""),
        (&["logs", "mute"], 3, ""),
        (&["logs", "../x"], 2, ""),
        (&["runs", "list", "--status", "fail"], 0, "bad"),
        (&["runs", "list", "--status", "fail,crashed"], 0, "bad"),
        (&["runs", "list", "--task", "other"], 0, "there are no such runs"),
        (&["runs", "list"], 0, "<b>"),
        (&["runs", "list", "--output", "json"], 0, "<b>"),
        (&["runs", "show", "bad"], 0, "status      FAIL"),
        (&["runs", "show", "bad", "--output", "json"], 0, "<b>"),
        (&["tasks", "log", "report"], 0, "<b>"),
        (&["tasks", "log", "report", "--output", "json"], 0, "<b>"),
        (&["runs", "show", "unknown"], 3, ""),
        (&["tasks", "log", "report", "--action", "fail"], 0, "fail"),
        (&["tasks", "state", "report"], 0, "fails_in_row    1"),
    ] {
        for (way, ran) in [("own", runs.own(arguments)), ("far", far(&url, arguments))] {
            // Where nobody else could have the lines, a worker that has no address is out of reach, and not gone.
            let code = if (way, arguments) == ("far", &["logs", "mute"][..]) { 1 } else { code };
            assert_eq!(ran.code, code, "{way} {arguments:?}: {ran:?}");
            assert!(ran.out.contains(told), "{way} {arguments:?}: {ran:?}");
            let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!format!("{}{}", ran.out, ran.err).contains(obeyed), "{way} {arguments:?}: {ran:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_nobody_fails_with_advice() {
    let runs = Runs::open().await;
    let url = runs.served().await;

    let nobody = far("http://127.0.0.1:1", &["runs", "list"]);
    let without_token = Ran::of(runnel(&["--app", "shop", "runs", "list", "--url", &url]).output().unwrap());
    let https = far("https://127.0.0.1:1", &["runs", "list"]);
    let memory = Ran::of(runnel(&["--app", "shop", "runs", "list", "--redis-url", "memory://"]).output().unwrap());
    let retried = far(&url, &["runs", "retry", "good"]);

    assert!(nobody.code == 1 && nobody.err.contains("is a worker running there"), "{nobody:?}");
    assert!(without_token.code == 1 && without_token.err.contains("http_token"), "{without_token:?}");
    assert!(https.code == 2 && https.err.contains("api_url"), "{https:?}");
    assert!(memory.code == 2 && memory.err.contains("--url"), "{memory:?}");
    assert!(retried.code == 1 && retried.err.contains("has ended well"), "{retried:?}");
}

/// Whether the first to come to that place is this test.
fn was_never_asked(place: &std::net::TcpListener) -> bool {
    let own = std::net::TcpStream::connect(place.local_addr().unwrap()).unwrap();
    place.accept().unwrap().1 == own.local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_goes_to_live_workers_and_not_where_a_document_says() {
    let (runs, server) = (Runs::open().await, Server::redis());
    let foreign = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let foreign_url = Some(format!("http://{}", foreign.local_addr().unwrap()));
    for (run, owner) in [("good", "alive"), ("mute", "gone")] {
        let log = runs.stores.run_logs.get(&id(run)).await.unwrap();
        let worker = WorkerRef { id: owner.into(), host: host.clone(), log_url: foreign_url.clone() };
        runs.stores.run_logs.put_run_log(&RunLog { worker, ..log }).await.unwrap();
    }
    let url = runs.served().await;
    let about = serde_json::json!({ "host": host, "http": url }).to_string();
    connected(&server.url())
        .await
        .announce("alive", Standing::Member, std::time::Duration::from_secs(60), &about)
        .await
        .unwrap();
    // Without the log_dir: the lines are with others.
    let by_broker = |run: &str| {
        let mut command = runnel(&["--app", "shop", "logs", run]);
        command.current_dir(runs.room()).env("RUNNEL_REDIS_URL", server.url()).env("RUNNEL_HTTP_TOKEN", TOKEN);
        Ran::of(command.output().unwrap())
    };

    let alive = by_broker("good");
    let gone = by_broker("mute");
    let by_url = far(&url, &["logs", "mute"]);

    assert!(alive.code == 0 && alive.out.starts_with("zero\n"), "{alive:?}");
    assert!(gone.code == 3 && gone.err.contains("not alive"), "{gone:?}");
    assert!(by_url.code == 1 && by_url.err.contains("503"), "{by_url:?}");
    assert!(was_never_asked(&foreign));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_here_of_a_run_that_was_resumed_elsewhere_is_told_and_what_is_not_is_said() {
    let runs = Runs::open().await;
    let log = runs.stores.run_logs.get(&id("bad")).await.unwrap();
    let worker = WorkerRef { id: "w2".into(), host: "other".into(), log_url: None };
    let resumed = RunLog { activation: 2, status: Status::Success, worker, ..log };
    runs.stores.run_logs.put_run_log(&resumed).await.unwrap();

    let told = runs.own(&["logs", "bad", "--exit-code"]);

    // Not the 7 of the activation before.
    assert_eq!(told.code, 3, "{told:?}");
    assert!(told.out.starts_with("zero\n"), "{told:?}");
    let why = "run bad was resumed after what is here (activation 2 now), and what it printed since is not: they are with \
               worker `w2`";
    assert!(told.err.contains(why), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_shown_with_the_times_and_errors_of_its_steps_and_branches() {
    let runs = Runs::open().await;
    let mut log = runs.stores.run_logs.create_run_log(NewRunLog::new(id("steps"), "ingest")).await.unwrap();
    let began = "2026-11-22T02:00:00Z".parse().unwrap();
    let attempt = |number: u32, millis: i64, message: &str| AttemptLog {
        finished_at: Some(began + chrono::TimeDelta::milliseconds(millis)),
        status: if message.is_empty() { Status::Success } else { Status::Fail },
        message: message.into(),
        user_defined_metrics: Parameters::from_iter([("rows".to_owned(), 7.into())]),
        ..AttemptLog::new(number, began)
    };
    let step =
        |name: &str, attempts: Vec<AttemptLog>| StepLog { status: Status::Success, attempts, ..StepLog::new(name) };
    let mut fan = step("fan", vec![attempt(1, 40, "")]);
    let mut branch = BranchLog::new("fan.eu");
    branch.steps.insert("fan.eu.load".into(), step("fan.eu.load", vec![attempt(1, 20, "")]));
    fan.branches.insert("fan.eu".into(), branch);
    log.put_step(step("load", vec![attempt(1, 1500, "no connection"), attempt(2, 30, "")]));
    log.put_step(fan);
    log.put_attempt(None, attempt(1, 1600, "step `load` failed: no connection"));
    assert!(log.set_parameters(None, Parameters::from_iter([("day".to_owned(), 22.into())])));
    runs.stores.run_logs.put_run_log(&log).await.unwrap();

    let shown = runs.own(&["runs", "show", "steps"]).out;

    let tail = &shown[shown.find("given").unwrap()..];
    assert_eq!(
        tail,
        "given day: 22\n\
         step load: SUCCESS  2026-11-22T02:00:00.000Z  0.030s\n\
         \x20 attempt 1: no connection\n\
         step fan: SUCCESS  2026-11-22T02:00:00.000Z  0.040s\n\
         \x20 branch fan.eu: CREATED\n\
         \x20   step load: SUCCESS  2026-11-22T02:00:00.000Z  0.020s\n\
         attempt 1: FAIL  2026-11-22T02:00:00.000Z  1.600s  step `load` failed: no connection\n\
         \x20 metric rows: 7\n"
    );
}
