//! What needs the types and functions of the records: keys of dead letters, and replays. The program is the example
//! `quickstart`, whose processor `printer` says what it has processed.

use std::process::Stdio;

use runnel::EventId;
use runnel::broker::{Broker, NewEntry};
use runnel::event::{Fields, Partition};
use rustix::process::Signal;
use serde_json::Value;

use crate::shop::{Ran, Shop};
use crate::support::{Process, eventually};

fn order(n: u64) -> String {
    format!(r#"{{"order_id":{n},"created_at":"2026-11-22T10:00:00Z","amount":1.5}}"#)
}

/// The orders that a run has processed.
fn processed(out: &str) -> Vec<u64> {
    let lines = out.lines().filter_map(|line| line.strip_prefix("processed order "));
    let mut found: Vec<u64> = lines.map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    found.sort_unstable();
    found
}

/// What stands behind the lines that the processor has printed.
fn told(out: &str) -> Value {
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

/// Sends orders with these numbers.
fn send(shop: &Shop, numbers: std::ops::Range<u64>) {
    let lines: String = numbers.map(|n| order(n) + "\n").collect();
    shop.write("orders.jsonl", &lines);
    let sent = shop.own(&["sendmany", "orders", "orders.jsonl"]);
    assert_eq!(sent.code, 0, "{sent:?}");
}

fn groups(shop: &Shop) -> Vec<String> {
    let told = shop.tells(&["processor", "list"]);
    told.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_chosen_by_the_key_of_their_record() {
    let shop = Shop::typed().await;
    send(&shop, 7..9);
    let content = shop.tells(&["stream", "show", "orders"])["content"].clone();
    let full = content.as_array().unwrap().iter().filter(|partition| partition["events"] != 0);
    let partitions: Vec<u32> = full.map(|partition| partition["partition"].as_u64().unwrap() as u32).collect();
    for &partition in &partitions {
        shop.owned_by("w1", partition).await;
        let given_up = shop.own(&["processor", "dead-letter", "printer", "--partition", &partition.to_string()]);
        assert_eq!(given_up.code, 0, "{given_up:?}");
    }
    let unreadable = Fields::from_pairs([("data", "no order")]);
    shop.gives_up("packing", partitions[0], &[(EventId::new(1, 0), "no box", unreadable)]).await;

    let by_key = shop.own(&["dead", "list", "orders", "--key", "7", "--output", "json"]);
    let none = shop.own(&["dead", "retry", "orders", "--key", "70"]);
    let retried = shop.own(&["dead", "retry", "orders", "--key", "7", "--output", "json"]);

    let letters: Value = serde_json::from_str(&by_key.out).unwrap();
    assert_eq!(letters.as_array().unwrap().len(), 1, "{by_key:?}");
    assert_eq!((&letters[0]["fields"]["data"]["order_id"], &letters[0]["processor"]), (&7.into(), &"printer".into()));
    assert_eq!(none.code, 3, "{none:?}");
    assert_eq!(told(&retried.out)["done"], 1);
    let left = shop.tells(&["dead", "list", "orders"]);
    let left: Vec<&Value> = left.as_array().unwrap().iter().map(|letter| &letter["processor"]).collect();
    assert!(left.contains(&&"packing".into()) && left.len() == 2, "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_replayed_beside_a_live_worker_that_notices_nothing() {
    let shop = Shop::typed().await;
    // The program's own orders begin at 1.
    send(&shop, 1000..1040);
    let worker = Process::start(&shop.own_command(&["worker"]), Stdio::piped(), Stdio::null());
    let settled = || shop.tells(&["processor", "list"])[0]["lag"] == 0;
    eventually("the worker has settled what there was", async || settled()).await;
    let owners = || shop.tells(&["processor", "show", "printer"])["owners"].clone();
    let before = owners();

    let replayed =
        shop.own(&["processor", "replay", "printer", "--into", "again", "--from", "0-0", "--output", "json"]);

    assert_eq!(replayed.code, 0, "{replayed:?}");
    let again = processed(&replayed.out);
    assert!(again.ends_with(&(1000..1040).collect::<Vec<_>>()), "{again:?}");
    assert_eq!((&told(&replayed.out)["handled"], &told(&replayed.out)["kept"]), (&again.len().into(), &false.into()));
    assert_eq!((owners(), groups(&shop)), (before, vec!["printer".to_owned()]));
    worker.signal(Signal::TERM);
    let ended = Ran::of(worker.output());
    let mut once = processed(&ended.out);
    once.dedup();
    assert_eq!((ended.code, &once), (0, &processed(&ended.out)), "nothing was processed twice");
    assert!(once.ends_with(&(1000..1040).collect::<Vec<_>>()), "{once:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_keeps_to_its_range_and_partition() {
    let shop = Shop::typed().await;
    let entry = |partition, ms, n| NewEntry {
        partition: Partition(partition),
        id: Some(EventId::new(ms, 0)),
        fields: Fields::from_pairs([("data", order(n))]),
    };
    let entries = (1..=20).flat_map(|n| [entry(3, n * 1000, n), entry(4, n * 1000, 100 + n)]).collect();
    shop.broker.append(&shop.group.stream, entries).await.unwrap();

    let replay =
        |arguments: &[&str]| shop.own(&[&["processor", "replay", "printer", "--into", "again"], arguments].concat());
    let by_id = replay(&["--from", "5000-0", "--to", "8000-0", "--partition", "3"]);
    let by_time = replay(&["--from", "1970-01-01T00:00:19Z", "--to", "1970-01-01T00:00:20Z"]);
    let none = replay(&["--from", "5000-1", "--to", "5999-0"]);
    let kept = replay(&["--from", "20000-0", "--keep", "--output", "json"]);
    let again = replay(&["--from", "20000-0"]);

    assert_eq!((by_id.code, processed(&by_id.out)), (0, vec![5, 6, 7, 8]), "{by_id:?}");
    assert!(by_id.out.contains("4 events of stream orders were handled by printer as again"), "{by_id:?}");
    assert_eq!((by_time.code, processed(&by_time.out)), (0, vec![19, 119]), "{by_time:?}");
    assert!(none.code == 3 && none.err.contains("nothing to be replayed"), "{none:?}");
    assert_eq!((kept.code, &told(&kept.out)["kept"]), (0, &true.into()), "{kept:?}");
    assert_eq!(groups(&shop), ["again"]);
    let places = shop.tells(&["processor", "show", "again"])["places"].clone();
    assert_eq!((&places[3]["position"], &places[3]["owner"]), (&"20000-0".into(), &Value::Null));
    assert!(again.code == 2 && again.err.contains("processor forget again"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_fails_stops_there_and_leaves_nothing_behind() {
    let shop = Shop::typed().await;
    send(&shop, 0..3);
    let bad = NewEntry { partition: Partition(1), id: None, fields: Fields::from_pairs([("data", "no order")]) };
    let bad = shop.broker.append(&shop.group.stream, vec![bad]).await.unwrap().ids.remove(0).unwrap();

    let failed = shop.own(&["processor", "replay", "printer", "--into", "again", "--from", "0-0"]);

    assert_eq!((failed.code, processed(&failed.out)), (70, vec![0, 1, 2]), "{failed:?}");
    assert!(failed.err.contains(&format!("has stopped in partition 1 at event {bad}")), "{failed:?}");
    assert!(failed.err.contains(&format!("--from {bad} --partition 1")), "{failed:?}");
    assert!(groups(&shop).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_cannot_be_is_refused_before_anything_is_moved() {
    let shop = Shop::typed().await;
    send(&shop, 0..3);
    shop.owned_by("w1", 0).await;
    let replay = |processor: &str, into: &str| {
        let ran = shop.own(&["processor", "replay", processor, "--into", into, "--from", "0-0"]);
        assert_eq!(processed(&ran.out), [] as [u64; 0]);
        (ran.code, ran.err)
    };

    let (code, err) = replay("prnter", "again");
    assert!(code == 3 && err.contains("did you mean `printer`?"), "{err}");
    let (code, err) = replay("printer", "printer");
    assert!(code == 2 && err.contains("like `printer-replay`"), "{err}");
    let (code, err) = replay("printer", "a:b");
    assert!(code == 2 && err.contains("`a:b` cannot be the name"), "{err}");
    let package = shop.runs(&["processor", "replay", "printer", "--into", "again", "--from", "0-0"]);
    assert!(package.code == 2 && package.err.contains("your own program"), "{package:?}");
    let time = shop.own(&["processor", "replay", "printer", "--into", "again", "--from", "yesterday"]);
    assert!(time.code == 2 && time.err.contains("neither an id like"), "{time:?}");
    assert_eq!(groups(&shop), ["printer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_run_by_hand_without_redis_is_in_a_store_that_lasts() {
    let shop = Shop::typed().await;
    shop.write(
        "runnel.toml",
        "[run_log_store]\ntype = \"file-system\"\n[run_log_store.config]\nlog_folder = \"runs\"\n",
    );
    let on_nothing = |arguments: &[&str]| {
        let mut command = shop.own_command(arguments);
        Ran::of(command.env("RUNNEL_REDIS_URL", "memory://").output().unwrap())
    };

    let ran = on_nothing(&["jobs", "run", "sender"]);
    let listed = on_nothing(&["runs", "list", "--task", "sender"]);

    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(listed.code == 0 && listed.out.contains("SUCCESS"), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_says_of_a_job_that_is_not_there_is_warned_of() {
    let shop = Shop::typed().await;
    shop.write("runnel.toml", "[job.ingest]\nretry_steps = [\"load\"]\n");

    let ran = shop.own(&["config", "show"]);

    let why = "app `myapp` has no job on demand `ingest`: its section has no effect";
    assert!(ran.code == 0 && ran.err.contains(why), "{ran:?}");
}
