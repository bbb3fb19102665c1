//! Keys of ours that somebody else has written: the message names the key and what to do, nothing else stops, nothing
//! spins, and once the key is repaired work goes on.

use runnel::prelude::*;

use crate::crew::{Journal, Worker, chain};
use crate::ground::{Ground, Product, order, orders};
use crate::logs::Logs;

on_both!(
    a_partition_that_is_no_stream_is_named_and_the_others_go_on,
    a_fence_that_is_no_hash_is_named_and_the_others_go_on,
    a_fence_with_broken_fields_is_named_and_the_others_go_on,
    a_fence_that_breaks_under_its_owner_is_named,
    a_done_set_that_is_no_set_is_named,
    facts_that_are_no_hash_end_the_start,
    facts_that_cannot_be_read_end_the_start,
    a_set_of_processors_that_is_no_set_ends_the_start,
    rosters_of_other_types_are_named_and_calm,
    a_broken_plan_is_told_and_replaced,
    a_generation_that_is_no_number_is_named_and_calm,
    sending_to_a_key_that_is_no_stream_names_it,
);

/// A customer of each of two partitions.
fn customer_of(partition: u32) -> String {
    let names = (0..100).map(|n| format!("c{n}"));
    names
        .into_iter()
        .find(|name| Partitioner::Xxh64.place(&name.as_str().into(), 2).unwrap() == Partition(partition))
        .unwrap()
}

/// Looks on for a second of the server's clock: at most ten lines a second, and nothing spins.
async fn is_calm(ground: &Ground, logs: &Logs) {
    let (lines, commands) = (logs.len(), ground.commands());
    ground.a_while(Duration::from_secs(1)).await;
    let (lines, commands) = (logs.len() - lines, ground.commands() - commands);
    assert!(lines <= 10, "{lines} lines in a second");
    assert!(commands <= 300, "{commands} commands in a second");
}

/// Breaks a key of partition 0 before a worker starts: that is told with these words, partition 1 goes on, and after
/// the repair partition 0 does, too.
async fn is_told_and_heals(product: Product, broken: &[&str], words: &[&str], repair: &str) {
    let (ground, logs, journal) = (Ground::alone(product.options()), Logs::hear(), Journal::default());
    let app = ground.noting(&orders(2), &journal);
    app.stream(&orders(2)).send(order(&customer_of(1), 1)).await.unwrap();
    broken.iter().for_each(|command| _ = ground.does::<redis::Value>(command));

    let worker = Worker::start(app.clone()).await;
    logs.say(&[&["ERROR", "processor=billing", "partition=0"], words].concat()).await;
    journal.reaches(1).await;
    is_calm(&ground, &logs).await;

    let _: redis::Value = ground.does(repair);
    app.stream(&orders(2)).send(order(&customer_of(0), 2)).await.unwrap();
    journal.reaches(2).await;
    worker.drain().await.unwrap();
    assert_eq!(journal.numbers(), [1, 2]);
}

async fn a_partition_that_is_no_stream_is_named_and_the_others_go_on(product: Product) {
    let words = ["__strm:{shop.orders.0}.0 is a string, not a stream", "delete or rename"];
    is_told_and_heals(product, &["SET P/0 mine"], &words, "DEL P/0").await;
}

async fn a_fence_that_is_no_hash_is_named_and_the_others_go_on(product: Product) {
    let words = ["__own:{shop.orders.0}.0.billing is a list, not a hash", "delete or rename"];
    is_told_and_heals(product, &["RPUSH OWN/0 mine"], &words, "DEL OWN/0").await;
}

async fn a_fence_with_broken_fields_is_named_and_the_others_go_on(product: Product) {
    for (field, value) in [("epoch", "abc"), ("cursor", "5"), ("until", "-1"), ("fails", "1e9"), ("owner", "somebody")]
    {
        let words =
            ["BADFENCE", "__own:{shop.orders.0}.0.billing", "repair it, or delete the key while no worker runs"];
        is_told_and_heals(product, &[&format!("HSET OWN/0 {field} {value}")], &words, "DEL OWN/0").await;
    }
}

async fn a_fence_that_breaks_under_its_owner_is_named(product: Product) {
    let (ground, logs, journal) = (Ground::shared(product), Logs::hear(), Journal::default());
    let app = ground.noting(&orders(1), &journal);
    let worker = Worker::start(app.clone()).await;
    let first = app.stream(&orders(1)).send(order("ada", 1)).await.unwrap();
    ground.settled(0, first).await;

    let _: u32 = ground.does("HSET OWN/0 cursor nonsense");
    logs.say(&["`cursor`", "__own:{shop.orders.0}.0.billing", "repair it"]).await;
    let _: u32 = ground.does("DEL OWN/0");
    let last = app.stream(&orders(1)).send(order("ada", 2)).await.unwrap();
    ground.settled(0, last).await;

    worker.drain().await.unwrap();
    assert!(journal.numbers().starts_with(&[1]) && journal.numbers().ends_with(&[2]));
}

async fn a_done_set_that_is_no_set_is_named(product: Product) {
    let words = ["__done:{shop.orders.0}.0.billing is a string, not a set"];
    is_told_and_heals(product, &["SET DONE/0 mine"], &words, "DEL DONE/0").await;
}

/// What a worker ends with that cannot start.
async fn refusal(ground: &Ground) -> String {
    let worker = Worker::start(ground.noting(&orders(1), &Journal::default())).await;
    chain(&worker.ended().await.unwrap_err())
}

async fn facts_that_are_no_hash_end_the_start(product: Product) {
    let ground = Ground::shared(product);
    let _: () = ground.does("SET META mine");

    let text = refusal(&ground).await;

    for part in ["`orders`", "__meta:shop.orders is a string, not a hash", "delete or rename"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

async fn facts_that_cannot_be_read_end_the_start(product: Product) {
    for (command, words) in [
        ("HSET META partitions many", ["`partitions`", "__meta:shop.orders"]),
        ("HSET META keys theirs", ["`keys`", "__meta:shop.orders"]),
        ("HDEL META partitioner", ["`partitioner` is missing", "__meta:shop.orders"]),
    ] {
        let ground = Ground::shared(product);
        ground.app().stream(&orders(1)).send(order("ada", 1)).await.unwrap();
        let _: redis::Value = ground.does(command);

        let text = refusal(&ground).await;

        assert!(words.iter().all(|word| text.contains(word)), "{command}: {text}");
    }
}

async fn a_set_of_processors_that_is_no_set_ends_the_start(product: Product) {
    let ground = Ground::shared(product);
    let _: u32 = ground.does("HSET GRPS/0 a b");

    let text = refusal(&ground).await;

    for part in ["`billing`", "`orders`", "__grps:{shop.orders.0}.0 is a hash, not a set", "delete or rename"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

async fn rosters_of_other_types_are_named_and_calm(product: Product) {
    for (command, key, words) in [
        ("SET MEMB mine", "MEMB", "__memb:{shop.orders.billing} is a string, not a hash"),
        ("RPUSH BEAT mine", "BEAT", "__beat:{shop.orders.billing} is a list, not a zset"),
        ("SET CTRL mine", "CTRL", "__ctrl:{shop.orders.billing}"),
    ] {
        let (ground, logs, journal) = (Ground::alone(product.options()), Logs::hear(), Journal::default());
        let app = ground.noting(&orders(1), &journal);
        let _: redis::Value = ground.does(command);

        let worker = Worker::start(app.clone()).await;
        logs.say(&["WARN", words]).await;
        is_calm(&ground, &logs).await;
        let _: u32 = ground.does(&format!("DEL {key}"));
        app.stream(&orders(1)).send(order("ada", 1)).await.unwrap();
        journal.reaches(1).await;
        worker.drain().await.unwrap();
    }
}

async fn a_broken_plan_is_told_and_replaced(product: Product) {
    for (plan, words) in [
        ("nonsense", "cannot be read"),
        (r#"{"nobody":"0-1"}"#, ""),
        (r#"{"nobody":"0-99999999"}"#, "cannot be read"),
        (r#"{"nobody":7,"b":"1-0","c":"x"}"#, "cannot be read"),
    ] {
        let (ground, logs, journal) = (Ground::shared(product), Logs::hear(), Journal::default());
        let app = ground.noting(&orders(2), &journal);
        let _: u32 = ground.does(&format!("HSET MEMB plan {plan} gen 7"));

        let worker = Worker::start(app.clone()).await;
        app.stream(&orders(2)).send_all([order(&customer_of(0), 1), order(&customer_of(1), 1)]).await.unwrap();
        journal.reaches(2).await;
        worker.drain().await.unwrap();

        assert!(words.is_empty() || logs.line(&["WARN", "part of the plan", words]).is_some(), "{plan}");
    }
}

async fn a_generation_that_is_no_number_is_named_and_calm(product: Product) {
    let (ground, logs, journal) = (Ground::alone(product.options()), Logs::hear(), Journal::default());
    let app = ground.noting(&orders(1), &journal);
    let _: u32 = ground.does("HSET MEMB gen nonsense");

    let worker = Worker::start(app.clone()).await;
    logs.say(&["WARN", "__memb:{shop.orders.billing}", "generation"]).await;
    is_calm(&ground, &logs).await;
    let _: u32 = ground.does("DEL MEMB");
    app.stream(&orders(1)).send(order("ada", 1)).await.unwrap();
    journal.reaches(1).await;
    worker.drain().await.unwrap();
}

async fn sending_to_a_key_that_is_no_stream_names_it(product: Product) {
    let ground = Ground::shared(product);
    let _: () = ground.does("SET P/0 mine");
    let app = ground.app();

    for refused in [
        app.stream(&orders(1)).send(order("ada", 1)).await.map(|_| ()),
        app.stream(&orders(1)).send_all([order("ada", 1)]).await.map(|_| ()),
    ] {
        let text = chain(&refused.unwrap_err());
        for part in ["`orders`", "WRONGTYPE", "__strm:{shop.orders.0}.0", "delete or rename"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
