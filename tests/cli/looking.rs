//! status, stream, processor list and show, workers, config, completions; errors and exit codes.

use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use runnel::EventId;
use runnel::broker::{Broker, Group, Standing, StopKind};
use runnel::event::Fields;

use crate::shop::{Ran, Shop, runnel};
use crate::support::{Options, Server, free_port};

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_who_owns_what_what_is_stopped_and_what_holds_trimming_back() {
    let shop = Shop::open().await;
    for partition in ["0", "1", "1"] {
        shop.runs(&["send", "orders", "{\"id\":1}", "--partition", partition]);
    }
    shop.owned_by("w1", 0).await;
    let event: EventId =
        shop.tells(&["stream", "show", "orders"])["content"][1]["first"].as_str().unwrap().parse().unwrap();
    shop.stopped_at(1, event, StopKind::Halted, "card \u{1b}[2Jdeclined").await;
    shop.broker.announce("w1", Standing::Member, Duration::from_secs(60), r#"{"host":"a1","pid":7}"#).await.unwrap();

    let told = shop.tells(&["status"]);
    let shown = shop.runs(&["status"]);

    let orders = &told["streams"][0];
    assert_eq!((&orders["name"], &orders["events"]), (&"orders".into(), &3.into()));
    assert_eq!(orders["held_back_by"], serde_json::json!({ "processor": "billing", "events": 3 }));
    let billing = &orders["processors"][0];
    assert_eq!((&billing["lag"], &billing["owners"]), (&3.into(), &serde_json::json!({ "w1": [0] })));
    let stop = &billing["stopped"][0];
    assert_eq!(
        (&stop["partition"], &stop["kind"], &stop["error"]),
        (&1.into(), &"halted".into(), &"card \u{1b}[2Jdeclined".into())
    );
    assert_eq!(told["workers"][0]["about"]["host"], "a1");
    for part in ["w1: 0", "halted", "card \\u{1b}[2Jdeclined", "billing (3 events)", "host=a1 pid=7"] {
        assert!(shown.out.contains(part), "{part}\nin\n{}", shown.out);
    }
    assert!(!shown.out.contains('\u{1b}'), "{}", shown.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_of_dead_letters_and_who_looks_after_them() {
    let shop = Shop::open().await;
    let fields = Fields::from_pairs([("data", "{}")]);
    let given_up = [(EventId::new(5, 0), "declined", fields.clone()), (EventId::new(6, 0), "declined", fields)];
    shop.gives_up("billing", 2, &given_up).await;
    let letters = Arc::new(shop.group.stream.dead_letters());
    shop.broker.register(&Group { stream: letters, processor: "given_up".into() }).await.unwrap();

    let told = shop.tells(&["status"]);
    let shown = shop.runs(&["status"]).out;

    let orders = &told["streams"][0];
    assert_eq!((&orders["dead_letters"], &orders["events"]), (&2.into(), &0.into()));
    let processors = orders["processors"].as_array().unwrap();
    let names: Vec<_> = processors.iter().map(|one| (one["name"].as_str(), one["stream"].as_str())).collect();
    assert_eq!(names, [(Some("billing"), Some("orders")), (Some("given_up"), Some("orders.dead"))]);
    assert!(shown.contains("DEAD LETTERS") && shown.contains("given_up"), "{shown}");
    let stream = shop.runs(&["stream", "show", "orders"]).out;
    assert!(stream.contains("2 dead letters"), "{stream}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_name_is_answered_with_the_nearest_and_exits_3() {
    let shop = Shop::open().await;
    shop.owned_by("w1", 0).await;

    let stream = shop.runs(&["stream", "show", "oders"]);
    let processor = shop.runs(&["processor", "show", "biling"]);

    assert_eq!((stream.code, processor.code), (3, 3));
    assert!(stream.err.contains("there is no stream `oders`; did you mean `orders`?"), "{}", stream.err);
    assert!(processor.err.contains("there is no processor `biling`; did you mean `billing`?"), "{}", processor.err);
    assert!(stream.out.is_empty());
}

#[test]
fn a_server_that_is_not_there_is_told_with_what_to_do_and_exits_69() {
    let url = format!("redis://:canary@127.0.0.1:{}", free_port());
    let ran = Ran::of(runnel(&["--app", "shop", "status"]).env("RUNNEL_REDIS_URL", url).output().unwrap());

    assert_eq!(ran.code, 69, "{ran:?}");
    for part in ["redis://:***@127.0.0.1", "RUNNEL_REDIS_URL", "refused", "apt install redis-server", "--dev"] {
        assert!(ran.err.contains(part), "{part}\nin\n{}", ran.err);
    }
    assert!(!ran.err.contains("canary") && ran.out.is_empty(), "{ran:?}");
}

#[test]
fn a_wrong_password_is_told_and_shown_to_nobody() {
    let server = Server::start(Options::redis().password("right"));
    for url in
        [format!("unix://{}?pass=canary", server.socket().display()), format!("unix://{}", server.socket().display())]
    {
        let ran = Ran::of(runnel(&["--app", "shop", "--redis-url", &url, "status"]).output().unwrap());

        assert_eq!(ran.code, 69, "{ran:?}");
        assert!(
            ran.err.contains("does not accept this user and password") && ran.err.contains("command line"),
            "{ran:?}"
        );
        assert!(!format!("{ran:?}").contains("canary"), "{ran:?}");
    }
}

#[test]
fn an_evicting_server_is_refused_unless_that_is_allowed() {
    let server = Server::start(Options::redis().with("maxmemory-policy", "allkeys-lru"));
    let url = server.url();
    let refused = Ran::of(runnel(&["--app", "shop", "--redis-url", &url, "status"]).output().unwrap());
    let allowed = ["--app", "shop", "--redis-url", &url, "--set", "allow_eviction=true", "status"];

    assert!(refused.code != 0 && refused.err.contains("allkeys-lru"), "{refused:?}");
    assert_eq!(Ran::of(runnel(&allowed).output().unwrap()).code, 0);
}

#[test]
fn bad_settings_are_all_told_before_anything_starts() {
    let room = tempfile::tempdir().unwrap();
    std::fs::write(room.path().join("runnel.toml"), "slot_group = 3\n").unwrap();
    let mut command = runnel(&["--app", "shop", "status", "--set", "on_full=explode"]);
    let ran = Ran::of(command.env("RUNNEL_MAX_CRASHES", "many").current_dir(room.path()).output().unwrap());

    assert_eq!(ran.code, 2, "{ran:?}");
    for part in
        ["runnel.toml:1", "did you mean `slot_groups`?", "RUNNEL_MAX_CRASHES is `many`", "command line: on_full"]
    {
        assert!(ran.err.contains(part), "{part}\nin\n{}", ran.err);
    }
}

#[test]
fn config_show_names_each_source_and_no_password() {
    let room = tempfile::tempdir().unwrap();
    std::fs::write(room.path().join("mine.toml"), "\nmax_crashes = 5\n").unwrap();
    let mut command = runnel(&["config", "show", "--key-prefix", "test-", "--output", "json"]);
    command.env("RUNNEL_REDIS_URL", "redis://ann:canary@h").env("RUNNEL_CONFIG", room.path().join("mine.toml"));
    let ran = Ran::of(command.env("RUNNEL_LOG_LEVLE", "canary").output().unwrap());

    let told: Vec<serde_json::Value> = serde_json::from_str(&ran.out).unwrap();
    let from = |name: &str| {
        let found = told.iter().find(|setting| setting["name"] == name).unwrap();
        (found["value"].as_str().unwrap().to_owned(), found["from"].as_str().unwrap().to_owned())
    };
    assert_eq!(from("redis_url"), ("redis://ann:***@h".into(), "RUNNEL_REDIS_URL".into()));
    assert_eq!(from("key_prefix"), ("test-".into(), "command line".into()));
    assert!(from("max_crashes").0 == "5" && from("max_crashes").1.ends_with("mine.toml:2"));
    assert_eq!(from("slot_groups").1, "default");
    assert!(ran.err.contains("did you mean `RUNNEL_LOG_LEVEL`?"), "{}", ran.err);
    assert!(!format!("{ran:?}").contains("canary"));
}

#[test]
fn a_command_that_is_not_understood_exits_2_and_help_0() {
    let code = |arguments: &[&str]| Ran::of(runnel(arguments).output().unwrap()).code;

    assert_eq!(code(&["--app", "shop", "stats"]), 2);
    assert_eq!(code(&["status"]), 2);
    assert_eq!(code(&["--app", "a{b", "status"]), 2);
    assert_eq!(code(&["--help"]), 0);
    assert_eq!(code(&["completions", "bash"]), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_ends_the_output_quietly() {
    let shop = Shop::open().await;
    let lines: String = (0..20_000).map(|n| format!("{{\"id\":{n}}}\n")).collect();
    shop.write("orders.jsonl", &lines);
    assert_eq!(shop.runs(&["sendmany", "orders", "orders.jsonl", "--key", "id"]).code, 0);
    let tail = ["--app", "shop", "stream", "tail", "orders", "--no-follow"];
    let mut child = shop.command(&tail).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();

    let mut first = [0; 10];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    drop(child.stdout.take());

    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_shows_events_as_they_come() {
    let shop = Shop::open().await;
    let mut tail =
        shop.command(&["--app", "shop", "stream", "tail", "orders", "--from", "0", "--count", "2", "--output", "json"]);
    let child = tail.stdout(Stdio::piped()).spawn().unwrap();
    for partition in ["1", "3"] {
        assert_eq!(shop.runs(&["send", "orders", "{\"id\":7}", "--partition", partition]).code, 0);
    }

    let ran = Ran::of(child.wait_with_output().unwrap());
    let mut told: Vec<serde_json::Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    told.sort_by_key(|event| event["partition"].as_u64());
    assert_eq!(told.iter().map(|event| event["partition"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(told[0]["fields"]["data"]["id"], 7);
}
