//! dead list, show, retry and drop, where the types of the records are not known.

use std::sync::Arc;

use runnel::EventId;
use runnel::broker::{Broker, Group};
use runnel::event::Fields;
use serde_json::Value;

use crate::shop::Shop;

fn id(ms: u64) -> EventId {
    EventId::new(ms, 0)
}

fn order(n: u64) -> Fields {
    Fields::from_pairs([("data", format!("{{\"id\":{n}}}"))])
}

/// Letters of two processors in two partitions.
async fn with_letters() -> Shop {
    let shop = Shop::open().await;
    shop.gives_up("billing", 0, &[(id(5), "declined", order(5)), (id(3), "no stock", order(3))]).await;
    shop.gives_up("packing", 0, &[(id(4), "no box", order(4))]).await;
    shop.gives_up("billing", 2, &[(id(9), "declined\nby the bank", order(9))]).await;
    shop
}

/// Each letter that is listed with these arguments, as partition, processor and event.
fn listed(shop: &Shop, arguments: &[&str]) -> Vec<(u64, String, String)> {
    let told = shop.tells(&[&["dead", "list", "orders"], arguments].concat());
    let text = |letter: &Value, name: &str| letter[name].as_str().unwrap().to_owned();
    let letters = told.as_array().unwrap().iter();
    letters.map(|one| (one["partition"].as_u64().unwrap(), text(one, "processor"), text(one, "event"))).collect()
}

fn letter_ids(shop: &Shop) -> Vec<String> {
    let told = shop.tells(&["dead", "list", "orders"]);
    told.as_array().unwrap().iter().map(|letter| letter["letter"].as_str().unwrap().to_owned()).collect()
}

/// The records that lie in a partition.
async fn records(shop: &Shop, partition: u32) -> Vec<String> {
    let (stream, partition) = (&shop.group.stream, runnel::Partition(partition));
    let entries = shop.broker.range(stream, partition, EventId::ZERO, EventId::MAX, 1000, false).await.unwrap();
    entries.iter().map(|entry| String::from_utf8_lossy(entry.fields.get("data").unwrap()).into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_listed_with_who_gave_up_what_and_why() {
    let shop = with_letters().await;

    let told = shop.tells(&["dead", "list", "orders"]);
    let shown = shop.runs(&["dead", "list", "orders"]);

    assert_eq!(told.as_array().unwrap().len(), 4);
    let last = &told[3];
    assert_eq!((&last["partition"], &last["event"], &last["processor"]), (&2.into(), &"9-0".into(), &"billing".into()));
    assert_eq!((&last["attempts"], &last["at"]), (&3.into(), &"2026-11-22T02:44:52.410Z".into()));
    assert_eq!((&last["error"], &last["fields"]["data"]["id"]), (&"declined\nby the bank".into(), &9.into()));
    assert!(shown.out.contains("declined …") && !shown.out.contains("by the bank"), "{}", shown.out);
    assert_eq!(shown.out.lines().count(), 5, "{}", shown.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_chosen_by_processor_partition_and_time_and_limited() {
    let shop = with_letters().await;
    let of_two = [(0, "billing".to_owned(), "5-0".to_owned()), (0, "billing".to_owned(), "3-0".to_owned())];

    assert_eq!(listed(&shop, &["--processor", "billing", "--partition", "0"]), of_two);
    assert_eq!(listed(&shop, &["--limit", "2"]), of_two);
    let letters = letter_ids(&shop);
    assert_eq!(listed(&shop, &["--partition", "0", "--to", &letters[1]]), of_two);
    assert_eq!(listed(&shop, &["--from", &letters[3]]), [(2, "billing".to_owned(), "9-0".to_owned())]);
    assert_eq!(listed(&shop, &["--to", "2020-01-01T00:00:00Z"]), []);
    assert_eq!(listed(&shop, &["--from", "2020-01-01T00:00:00Z"]).len(), 4);
    let limited = shop.runs(&["dead", "list", "orders", "--limit", "1"]);
    assert!(limited.out.contains("these are the first 1; --limit shows more"), "{}", limited.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_shown_by_its_own_id_or_by_that_of_its_event() {
    let shop = with_letters().await;
    let letter = letter_ids(&shop).remove(3);

    let by_event = shop.runs(&["dead", "show", "orders", "9-0"]);
    let by_letter = shop.runs(&["dead", "show", "orders", &letter]);
    let told = shop.tells(&["dead", "show", "orders", "9-0"]);
    let none = shop.runs(&["dead", "show", "orders", "77-0"]);

    assert_eq!(by_event.out, by_letter.out);
    for part in [&*letter, "9-0", "billing", "w7", "declined\n", "by the bank\n", "data = {\"id\":9}"] {
        assert!(by_event.out.contains(part), "{part}\nin\n{}", by_event.out);
    }
    assert_eq!((&told[0]["letter"], &told[0]["fields"]["data"]["id"]), (&letter.into(), &9.into()));
    assert!(none.code == 3 && none.err.contains("no dead letter 77-0"), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_letters_reach_no_terminal_as_commands() {
    let shop = Shop::open().await;
    let evil = "\x1b[2J\u{202e}\u{9b}31m";
    let fields = Fields::from_pairs([(evil.as_bytes(), evil.as_bytes()), (b"raw", &[0xff, 0x1b][..])]);
    shop.gives_up("billing", 0, &[(id(5), evil, fields)]).await;
    shop.writes_among_letters("__letter", "nonsense");

    for arguments in [
        &["dead", "list", "orders"][..],
        &["dead", "list", "orders", "--output", "json"],
        &["dead", "show", "orders", "5-0"],
        &["dead", "show", "orders", "5-0", "--output", "json"],
    ] {
        let ran = shop.runs(arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!ran.out.contains(obeyed), "{ran:?}");
    }
    let shown = shop.runs(&["dead", "list", "orders"]);
    assert!(shown.out.contains("no dead letter:"), "{}", shown.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn retried_events_go_back_in_the_order_they_had_and_once() {
    let shop = with_letters().await;

    let retried = shop.tells(&["dead", "retry", "orders", "--processor", "billing"]);
    let again = shop.runs(&["dead", "retry", "orders", "--processor", "billing"]);

    assert_eq!((&retried["letters"], &retried["done"], &retried["gone"]), (&3.into(), &3.into(), &0.into()));
    assert_eq!(records(&shop, 0).await, [r#"{"id":3}"#, r#"{"id":5}"#]);
    assert_eq!(records(&shop, 2).await, [r#"{"id":9}"#]);
    assert_eq!(again.code, 3, "{again:?}");
    assert_eq!(listed(&shop, &[]), [(0, "packing".to_owned(), "4-0".to_owned())]);
    assert_eq!(records(&shop, 0).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn named_letters_are_retried_and_those_that_are_gone_are_told() {
    let shop = with_letters().await;
    let letter = letter_ids(&shop).remove(0);

    let first = shop.runs(&["dead", "retry", "orders", &letter, "4-0", "77-0"]);
    let again = shop.runs(&["dead", "retry", "orders", &letter, "4-0"]);

    assert!(first.code == 0 && first.out.contains("2 of 2 letters went back into stream orders"), "{first:?}");
    assert!(first.out.contains("no letter (any more) for 77-0"), "{first:?}");
    assert!(again.code == 3 && again.err.contains("none of these dead letters"), "{again:?}");
    assert_eq!(records(&shop, 0).await, [r#"{"id":4}"#, r#"{"id":5}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_dropped_for_good() {
    let shop = with_letters().await;

    let dropped = shop.tells(&["dead", "drop", "orders", "--from", "2020-01-01T00:00:00Z", "--partition", "0"]);

    assert_eq!((&dropped["action"], &dropped["done"]), (&"dropped".into(), &3.into()));
    assert_eq!(listed(&shop, &[]), [(2, "billing".to_owned(), "9-0".to_owned())]);
    assert_eq!(records(&shop, 0).await, [] as [&str; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_to_letters_that_nobody_has_named() {
    let shop = with_letters().await;

    for verb in ["retry", "drop"] {
        let refused = shop.runs(&["dead", verb, "orders"]);
        assert!(refused.code == 2 && refused.err.contains("or say --all"), "{refused:?}");
        let both = shop.runs(&["dead", verb, "orders", "--all", "--processor", "billing"]);
        assert_eq!(both.code, 2, "{both:?}");
        let misspelt = shop.runs(&["dead", verb, "orders", "--processor", "biling"]);
        assert!(misspelt.code == 3 && misspelt.err.contains("did you mean `billing`?"), "{misspelt:?}");
        let none = shop.runs(&["dead", verb, "orders", "--partition", "3"]);
        assert_eq!(none.code, 3, "{none:?}");
        let by_key = shop.runs(&["dead", verb, "orders", "--key", "7"]);
        assert!(by_key.code == 2 && by_key.err.contains("myapp dead list orders --key"), "{by_key:?}");
    }
    let stream = shop.runs(&["dead", "list", "oders"]);
    assert!(stream.code == 3 && stream.err.contains("did you mean `orders`?"), "{stream:?}");
    assert_eq!(listed(&shop, &[]).len(), 4);
    assert_eq!(shop.runs(&["dead", "retry", "orders", "--all"]).code, 0);
    assert_eq!(listed(&shop, &[]), []);
    assert_eq!(records(&shop, 0).await, [r#"{"id":3}"#, r#"{"id":4}"#, r#"{"id":5}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_ends_before_it_begins_is_refused() {
    let shop = with_letters().await;

    for verb in ["list", "retry", "drop"] {
        let refused =
            shop.runs(&["dead", verb, "orders", "--from", "2026-11-22T10:00:00Z", "--to", "2026-11-22T09:00:00Z"]);
        assert!(refused.code == 2 && refused.err.contains("--to lies before --from"), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_that_letters_have_as_a_stream_is_understood() {
    let shop = with_letters().await;
    let letters = Arc::new(shop.group.stream.dead_letters());
    shop.broker.register(&Group { stream: letters, processor: "given_up".into() }).await.unwrap();

    let told = shop.tells(&["processor", "show", "given_up", "--stream", "orders.dead"]);
    assert_eq!(told["stream"], "orders.dead");
    for command in [["dead", "list"], ["stream", "show"]] {
        let refused = shop.runs(&[&command[..], &["orders.dead"]].concat());
        let advice = "`orders.dead` are the dead letters of stream `orders`: `dead list orders` shows them";
        assert!(refused.code == 3 && refused.err.contains(advice), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_letters_than_one_page_are_all_found_and_keep_their_order() {
    let shop = Shop::open().await;
    let many: Vec<_> = (1..=350).rev().map(|n| (id(n), "declined", order(n))).collect();
    shop.gives_up("billing", 1, &many).await;

    let shown = shop.runs(&["dead", "list", "orders"]);
    let listed = listed(&shop, &[]);
    let retried = shop.tells(&["dead", "retry", "orders", "--all"]);

    assert_eq!(shown.out.lines().count(), 102, "a hundred, the titles, and the word that there is more");
    assert_eq!((listed.len(), &retried["done"]), (350, &350.into()));
    let wanted: Vec<String> = (1..=350).map(|n| format!("{{\"id\":{n}}}")).collect();
    assert_eq!(records(&shop, 1).await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_letter_is_left_alone_by_a_retry_and_dropped_by_name() {
    let shop = with_letters().await;
    let alien = shop.writes_among_letters("other", "thing");

    let retried = shop.tells(&["dead", "retry", "orders", "--all"]);
    let alone = shop.runs(&["dead", "retry", "orders", "--all"]);
    let dropped = shop.runs(&["dead", "drop", "orders", &alien]);

    assert_eq!((&retried["done"], &retried["no_letters"]), (&4.into(), &1.into()));
    assert!(alone.code == 3 && alone.err.contains("written by something else"), "{alone:?}");
    assert!(dropped.code == 0 && letter_ids(&shop).is_empty(), "{dropped:?}");
}
