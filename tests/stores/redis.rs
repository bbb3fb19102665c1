//! The store on a real Redis.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use runnel::EventId;
use runnel::runs::stores::{RedisStore, RedisStoreOptions};
use runnel::runs::{
    Action, NewRunLog, RunEvent, RunId, RunLog, RunLogQuery, RunLogStore, Status, StepLog, StoreError, StoreRegistry,
    Stores, TaskLogEvent, TaskLogQuery, TaskLogRepo, open_store,
};
use runnel::settings::RedisUrl;

use crate::support::{Options, Server};

/// The table that opens the store on that server.
pub fn config(url: &str) -> toml::Table {
    toml::Table::from_iter(
        [("redis_url", url), ("app", "shop"), ("key_prefix", "t:")].map(|(k, v)| (k.into(), v.into())),
    )
}

async fn store(server: &Server, options: impl FnOnce(&mut RedisStoreOptions)) -> Arc<RedisStore> {
    let mut chosen = RedisStoreOptions::default();
    options(&mut chosen);
    Arc::new(RedisStore::connect(&RedisUrl::new(server.url()), "shop", "t:", chosen).await.unwrap())
}

async fn opened() -> (Arc<RedisStore>, Server) {
    let server = Server::redis();
    (store(&server, |options| options.retention = Some(crate::documents::KEPT)).await, server)
}

mod plain {
    use super::*;

    crate::all_of_documents!(opened().await);
    crate::all_of_lines!(opened().await);
    crate::suite! { opened().await, parallel: writers_of_one_run_lose_nothing readers_see_whole_documents }
}

/// As it is configured: with its cache, batches and retention.
mod configured {
    use super::*;

    async fn opened() -> (Stores, Server) {
        let server = Server::redis();
        (open_store("redis", config(&server.url())).await.unwrap(), server)
    }

    crate::all_of_documents!({
        let (stores, server) = opened().await;
        (stores.run_logs, server)
    });
    crate::all_of_lines!({
        let (stores, server) = opened().await;
        (stores.task_log, server)
    });
}

fn id(text: &str) -> RunId {
    text.parse().unwrap()
}

fn asks(server: &Server, words: &str) -> redis::Value {
    let mut words = words.split(' ');
    let mut question = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = question.arg(word));
    question.query(&mut server.raw()).unwrap()
}

fn task(run: &str, action: Action) -> TaskLogEvent {
    TaskLogEvent::new("load", action, id(run))
}

#[tokio::test]
async fn it_is_where_the_app_is_unless_told_otherwise() {
    let server = Server::start(Options::redis().password("canary"));
    let mut registry = StoreRegistry::default();
    registry.at_home_on(RedisUrl::new(server.url()), "shop", "t:");

    let stores = registry.open("redis", toml::Table::new()).await.unwrap();

    let summary = stores.run_logs.summary().to_string();
    assert!(summary.contains("unix://") && summary.contains("90 days") && !summary.contains("canary"), "{summary}");
    let problem = open_store("redis", toml::Table::new()).await.unwrap_err().to_string();
    assert_eq!(problem, "run_log_store.redis: missing field `redis_url`");
    let nobody = open_store("redis", config("redis://:canary@127.0.0.1:1")).await.unwrap_err();
    assert!(nobody.is_transient() && !format!("{nobody:?}").contains("canary"), "{nobody:?}");
}

#[tokio::test]
async fn a_run_that_has_ended_expires_and_one_that_is_resumed_does_not() {
    let server = Server::redis();
    let store = store(&server, |options| options.retention = Some(Duration::from_secs(1000))).await;
    let ttl = || asks(&server, "PTTL t:__rlog:{shop}.r");

    store.create_run_log(NewRunLog::new(id("r"), "load")).await.unwrap();
    assert_eq!(ttl(), redis::Value::Int(-1));
    store.update_run_log_status(&id("r"), Status::Fail).await.unwrap();
    assert!(matches!(ttl(), redis::Value::Int(900_000..=1_000_000)), "{:?}", ttl());
    store.update_run_log_status(&id("r"), Status::Processing).await.unwrap();
    assert_eq!(ttl(), redis::Value::Int(-1));
}

#[tokio::test]
async fn what_has_expired_is_purged_as_well() {
    let (plain, server) = opened().await;
    what_has_expired_is_purged(&*plain, &server).await;
    // The server lets them go on its own, at about the same time: without this, what finds them would be kept for ever.
    let server = Server::redis();
    let configured = open_store("redis", config(&server.url())).await.unwrap().run_logs;
    what_has_expired_is_purged(&*configured, &server).await;
}

async fn what_has_expired_is_purged(store: &dyn RunLogStore, server: &Server) {
    let old = Utc::now() - TimeDelta::days(200);
    for run in ["expired", "open"] {
        store.create_run_log(NewRunLog { created_at: old, ..NewRunLog::new(id(run), "load") }).await.unwrap();
    }
    asks(server, "DEL t:__rlog:{shop}.expired");

    assert_eq!(store.get_run_logs(&RunLogQuery::new().task("load")).await.unwrap().items.len(), 1);
    let report = store.purge(Utc::now()).await.unwrap();

    assert_eq!((report.deleted, report.still_open), (vec![id("expired")], 1));
    assert_eq!(asks(server, "ZCARD t:__ridx:{shop}.task.load"), redis::Value::Int(1));
}

#[tokio::test]
async fn each_run_is_found_by_how_it_stands_now() {
    let (store, server) = opened().await;
    let log = RunLog { tag: "a".into(), ..NewRunLog::new(id("r"), "load").into() };
    store.put_run_log(&log).await.unwrap();
    store.put_run_log(&RunLog { tag: "b".into(), status: Status::Success, ..log }).await.unwrap();

    let redis::Value::Array(keys) = asks(&server, "KEYS t:__ridx:{shop}.*") else { panic!() };
    assert_eq!(keys.len(), 4, "{keys:?}");
    let redis::Value::Array(names) = asks(&server, "SMEMBERS t:__ridx:{shop}") else { panic!() };
    assert_eq!(names.len(), 4, "{names:?}");
    store.delete_run_log(&id("r")).await.unwrap();
    let redis::Value::Array(keys) = asks(&server, "KEYS *") else { panic!() };
    assert!(keys.is_empty(), "{keys:?}");
}

/// How many scripts were run, and how many documents were read.
fn calls(server: &Server) -> (u32, u32) {
    let info: redis::InfoDict = redis::cmd("INFO").arg("commandstats").query(&mut server.raw()).unwrap();
    let of = |name: &str| {
        let stats: Option<String> = info.get(name);
        stats.map_or(0, |stats| stats.split(['=', ',']).nth(1).unwrap().parse::<u32>().unwrap())
    };
    // Those inside scripts are counted too, and there are none of these.
    (of("cmdstat_evalsha"), of("cmdstat_hgetall"))
}

#[tokio::test]
async fn a_run_costs_two_scripts_as_the_store_is_configured_one_for_its_begin_and_one_for_its_end() {
    let server = Server::redis();
    let store = open_store("redis", config(&server.url())).await.unwrap().run_logs;
    let pass = async |run: &str| {
        for (n, action) in [(1, Action::Run), (2, Action::Success)] {
            let _ = store.apply(EventId::new(n, 0), &RunEvent::Task(task(run, action))).await.unwrap();
        }
    };
    // The first one loads the script.
    pass("first").await;

    let before = calls(&server);
    pass("second").await;

    let after = calls(&server);
    assert_eq!((after.0 - before.0, after.1 - before.1), (2, 0));
    assert_eq!(store.get(&id("second")).await.unwrap().status, Status::Success);
}

#[tokio::test]
async fn an_event_is_applied_in_one_script_and_what_others_wrote_is_not_lost() {
    let (ours, server) = opened().await;
    let theirs = store(&server, |_| ()).await;
    let calls = || calls(&server);
    let entry = |n| EventId::new(n, 0);
    let _ = ours.apply(entry(1), &RunEvent::Task(task("r", Action::Run))).await.unwrap();

    let before = calls();
    for n in 2..12 {
        let head = runnel::runs::EventHead::beside(&task("r", Action::Run));
        let step = RunEvent::Step { head, log: StepLog::new(format!("s{n}")) };
        let _ = ours.apply(entry(n), &step).await.unwrap();
    }
    assert_eq!((calls().0 - before.0, calls().1 - before.1), (10, 0));

    theirs.create_step_log(&id("r"), StepLog::new("theirs")).await.unwrap();
    let _ = ours.apply(entry(20), &RunEvent::Task(task("r", Action::Success))).await.unwrap();
    let log = theirs.get(&id("r")).await.unwrap();
    assert_eq!((log.steps.len(), log.status), (11, Status::Success));
}

#[tokio::test]
async fn a_task_keeps_its_newest_lines_and_their_ids_alone() {
    let server = Server::redis();
    let store = store(&server, |options| options.lines_per_task = 10).await;
    let lines: Vec<_> = (0..600).map(|_| task("r", Action::Run)).collect();

    store.append(&lines).await.unwrap();
    store.append(&lines[595..]).await.unwrap();

    assert_eq!(store.query(&TaskLogQuery::new()).await.unwrap(), lines[590..]);
    assert_eq!(store.count(&TaskLogQuery::new()).await.unwrap(), 10);
    assert_eq!(asks(&server, "HLEN t:__rtid:{shop}.load"), redis::Value::Int(10));
    assert_eq!(store.delete(&TaskLogQuery::new().task("load")).await.unwrap(), 10);
    let redis::Value::Array(keys) = asks(&server, "KEYS *") else { panic!() };
    assert_eq!(keys, [redis::Value::BulkString(b"t:__rtid:{shop}".to_vec())], "only the number of the last line stays");
}

#[tokio::test]
async fn what_somebody_else_has_written_there_is_said_with_its_place() {
    let (store, server) = opened().await;
    store.create_run_log(NewRunLog::new(id("good"), "load")).await.unwrap();
    store.create_run_log(NewRunLog::new(id("bad"), "load")).await.unwrap();
    asks(&server, "HSET t:__rlog:{shop}.bad RunLog {\"run_id\":");
    asks(&server, "SET t:__rlog:{shop}.text x");

    let error = store.get(&id("bad")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { location, .. } if location.contains("`RunLog`")), "{error}");
    assert_eq!(store.get_run_logs(&RunLogQuery::new()).await.unwrap().items.len(), 1);
    let error = store.create_run_log(NewRunLog::new(id("text"), "load")).await.unwrap_err();
    assert!(!error.is_transient() && matches!(error, StoreError::Backend { .. }), "{error:?}");
    assert!(store.delete_run_log(&id("bad")).await.unwrap());
}

#[tokio::test]
async fn it_goes_on_when_the_server_has_lost_its_scripts_or_was_away() {
    let mut server = Server::start(Options::redis().durable());
    let store = store(&server, |_| ()).await;
    store.create_run_log(NewRunLog::new(id("r"), "load")).await.unwrap();
    asks(&server, "SCRIPT FLUSH");
    store.create_step_log(&id("r"), StepLog::new("a")).await.unwrap();
    server.kill();

    let error = store.create_step_log(&id("r"), StepLog::new("b")).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    server.launch();
    crate::support::eventually("it is written", async || {
        store.create_step_log(&id("r"), StepLog::new("b")).await.is_ok()
    })
    .await;

    assert_eq!(store.get(&id("r")).await.unwrap().steps.len(), 2);
}

/// What a run costs the server. Run by name: `cargo test --release --test stores -- --ignored --nocapture measure`.
#[tokio::test]
#[ignore = "a measurement, not a check"]
#[allow(clippy::disallowed_methods, reason = "it measures real time")]
async fn measure_runs() {
    use std::io::Write;

    const RUNS: u64 = 1000;
    let (store, server) = opened().await;
    let figure = |section: &str, name: &str| {
        let info: redis::InfoDict = redis::cmd("INFO").arg(section).query(&mut server.raw()).unwrap();
        info.get::<f64>(name).unwrap()
    };
    let cpu = || figure("cpu", "used_cpu_user") + figure("cpu", "used_cpu_sys");
    let say = |what: &str, value: f64| writeln!(std::io::stdout(), "{what}: {value:.1}").unwrap();
    let (mut entry, mut events, mut lines) = (0, 0, Vec::new());

    let (began, memory, time) = (cpu(), figure("memory", "used_memory"), std::time::Instant::now());
    for _ in 0..RUNS {
        let run =
            TaskLogEvent { worker_id: "worker-of-some-host".into(), ..task(RunId::fresh().as_str(), Action::Run) };
        let end =
            TaskLogEvent { event_id: RunId::fresh().as_str().parse().unwrap(), action: Action::Success, ..run.clone() };
        let step = |name: &str, status| RunEvent::Step {
            head: runnel::runs::EventHead::beside(&run),
            log: StepLog { status, ..StepLog::new(name) },
        };
        let mut all = vec![RunEvent::Task(run.clone())];
        for name in ["extract", "normalize", "load"] {
            all.extend([step(name, Status::Processing), step(name, Status::Success)]);
        }
        all.push(RunEvent::Task(end.clone()));
        for event in &all {
            entry += 1;
            let _ = store.apply(EventId::new(entry, 0), event).await.unwrap();
        }
        events += all.len();
        lines.extend([run, end]);
    }
    say("µs of the server's CPU for an event of a run", (cpu() - began) * 1e6 / events as f64);
    say("µs until it is applied", time.elapsed().as_secs_f64() * 1e6 / events as f64);
    say("bytes for a run of three steps", (figure("memory", "used_memory") - memory) / RUNS as f64);

    let (began, memory) = (cpu(), figure("memory", "used_memory"));
    for line in &lines {
        store.append(std::slice::from_ref(line)).await.unwrap();
    }
    say("µs of the server's CPU for a line", (cpu() - began) * 1e6 / lines.len() as f64);
    say("bytes for a line", (figure("memory", "used_memory") - memory) / lines.len() as f64);
}
