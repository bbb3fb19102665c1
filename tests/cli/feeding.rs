//! send and sendmany into streams whose records nobody here knows.

use std::io::Write;
use std::process::Stdio;

use runnel::broker::Broker;

use crate::shop::{Ran, Shop, orders};

fn events(shop: &Shop) -> u64 {
    shop.tells(&["stream", "show", "orders"])["events"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_lies_in_one_partition_where_its_program_would_place_it() {
    let shop = Shop::open().await;
    for _ in 0..3 {
        let sent = shop.runs(&["send", "orders", "{\"id\":\"ann\"}", "--key", "id"]);
        assert!(sent.code == 0 && sent.out.contains('-'), "{sent:?}");
    }
    let expected = runnel::Partitioner::Xxh64.place(&"ann".into(), 4).unwrap();

    let content = &shop.tells(&["stream", "show", "orders"])["content"];

    assert_eq!(content[expected.0 as usize]["events"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_known_is_refused_with_the_reason() {
    let shop = Shop::open().await;
    let no_key = shop.runs(&["send", "orders", "{}"]);
    let bad = shop.runs(&["send", "orders", "{\"a\":1}", "--key", "id"]);
    let broken = shop.runs(&["send", "orders", "{", "--partition", "0"]);
    let outside = shop.runs(&["send", "orders", "{}", "--partition", "4"]);

    assert!(no_key.code == 2 && no_key.err.contains("name its field with --key, or a --partition"), "{no_key:?}");
    assert!(bad.code == 1 && bad.err.contains("missing field 'id'; nothing was sent"), "{bad:?}");
    assert!(broken.code == 1 && broken.err.contains("EOF while parsing"), "{broken:?}");
    assert!(outside.code == 3 && outside.err.contains("has partitions 0 to 3"), "{outside:?}");
    assert_eq!(events(&shop), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioner_of_another_program_is_refused_by_name() {
    let shop = Shop::open().await;
    let facts = runnel::broker::StreamFacts { name: "rides".into(), ..orders("own:by_city", "json") };
    shop.broker.declare(&facts).await.unwrap();

    let by_key = shop.runs(&["send", "rides", "{\"id\":1}", "--key", "id"]);

    assert!(by_key.code == 2 && by_key.err.contains("own:by_city"), "{by_key:?}");
    assert_eq!(shop.runs(&["send", "rides", "{\"id\":1}", "--partition", "2"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_bad_line_sends_nothing_and_names_the_line() {
    let shop = Shop::open().await;
    let mut lines: Vec<String> = (1..=40).map(|n| format!("{{\"id\":{n}}}")).collect();
    lines[16] = "{\"amount\":1}".into();
    shop.write("data.jsonl", &lines.join("\n"));

    let refused = shop.runs(&["sendmany", "orders", "data.jsonl", "--key", "id"]);

    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("data.jsonl:17: missing field 'id'"), "{}", refused.err);
    assert!(refused.err.contains("nothing was sent: 1 of 40 lines are bad"), "{}", refused.err);
    assert_eq!(events(&shop), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_whole_and_in_order() {
    let shop = Shop::open().await;
    let lines: String = (0..1_234).map(|n| format!("{{\"id\":{n}}}\n\n")).collect();
    shop.write("data.jsonl", &lines);

    let sent = shop.tells(&["sendmany", "orders", "data.jsonl", "--partition", "1"]);

    assert_eq!(sent["sent"], 1_234);
    let tail = shop.runs(&["stream", "tail", "orders", "--no-follow", "--output", "json"]);
    let id =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["fields"]["data"]["id"].as_u64().unwrap();
    assert_eq!(tail.out.lines().map(id).collect::<Vec<_>>(), (0..1_234).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn stdin_is_sent_up_to_its_first_bad_line() {
    let shop = Shop::open().await;
    let mut command = shop.command(&["--app", "shop", "sendmany", "orders", "-", "--key", "id"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"{\"id\":1}\n{\"id\":2}\nnonsense\n{\"id\":3}\n").unwrap();

    let ran = Ran::of(child.wait_with_output().unwrap());

    assert!(ran.code == 1 && ran.err.contains("-:3: ") && ran.err.contains("2 events were sent before"), "{ran:?}");
    assert_eq!(events(&shop), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_partition_is_told_with_who_holds_it() {
    let shop = Shop::open().await;
    shop.owned_by("w1", 0).await;
    let send =
        ["send", "orders", "{}", "--partition", "0", "--set", "default_partition_size=2", "--set", "on_full=fail"];
    assert_eq!((shop.runs(&send).code, shop.runs(&send).code), (0, 0));

    let full = shop.runs(&send);

    assert!(full.code == 1 && full.err.contains("partition 0 of stream `orders` is full (2 events"), "{full:?}");
    assert_eq!(events(&shop), 2);
}
