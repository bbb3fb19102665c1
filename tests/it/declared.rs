//! What is declared against what is in Redis, and settings that cannot work: refused before anything starts, with the
//! sentence that helps.

use runnel::Failure;
use runnel::prelude::*;

use crate::crew::{Journal, Worker, chain};
use crate::ground::{Ground, Product, order, orders};

on_both!(another_declaration_of_a_live_stream_is_refused, another_codec_is_allowed);

async fn another_declaration_of_a_live_stream_is_refused(product: Product) {
    let ground = Ground::shared(product);
    ground.app().stream(&orders(4)).send(order("ada", 1)).await.unwrap();

    for (declared, words) in [
        (orders(8), "has partition count 4 in Redis, but this process declares 8"),
        (orders(4).slot_groups(3), "has slot groups 16 in Redis, but this process declares 3"),
        (
            orders(4).partitioner(Partitioner::Python),
            "has partitioner xxh64 in Redis, but this process declares python",
        ),
        (orders(4).python_compatible(), "has key layout runnel's own keys in Redis"),
    ] {
        let sent = ground.app().stream(&declared).send(order("ada", 2)).await.unwrap_err();
        let worked = Worker::start(ground.noting(&declared, &Journal::default())).await.ended().await.unwrap_err();
        for failure in [sent, worked] {
            let text = chain(&failure);
            assert!(matches!(failure, Failure::Disagreement(_)), "{text}");
            assert!(text.contains("stream `orders`") && text.contains(words), "{text}");
            assert!(text.contains("declare the same here") || text.contains(".python_compatible()"), "{text}");
        }
    }
    let key = ground.key("META");
    let _: u32 = ground.does(&format!("HSET {key} version 99"));
    let text = chain(&ground.app().stream(&orders(4)).send(order("ada", 2)).await.unwrap_err());
    assert!(text.contains("layout version 99") && text.contains("another key_prefix"), "{text}");
}

async fn another_codec_is_allowed(product: Product) {
    let ground = Ground::shared(product);
    ground.app().stream(&orders(1)).send(order("ada", 1)).await.unwrap();
    let other = orders(1).codec(Json.gzip());

    ground.app().stream(&other).send(order("ada", 2)).await.unwrap();

    assert_eq!(ground.does::<u32>("XLEN P/0"), 2);
}

/// What connecting with this setting is refused with. Nothing is there to connect to.
async fn refused(name: &str, value: &str) -> String {
    let app = App::bare("shop").redis("memory://").setting(name, value);
    chain(&app.connect().await.unwrap_err())
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_with_their_name_and_what_was_expected() {
    for (name, value, words) in [
        ("default_lock_expirry", "5s", ["`default_lock_expirry`", "did you mean `default_lock_expiry`?"]),
        ("default_lock_expiry", "soon", ["default_lock_expiry is `soon`", "expected"]),
        ("default_lock_expiry", "0s", ["`default_lock_expiry` is 0", "at least 500ms"]),
        ("default_prefetch_count", "0", ["`default_prefetch_count` is 0", "at least 1"]),
        ("default_partition_count", "-1", ["default_partition_count is `-1`", "expected"]),
        ("slot_groups", "99999999", ["`slot_groups` is 99999999", "at most 16384"]),
        ("default_read_timeout", "9s", ["`default_read_timeout` (9s)", "`default_grace_period` (8s)"]),
        ("default_commit_linger", "4s", ["`default_commit_linger` (4s)", "`default_lock_expiry` (10s)"]),
        ("key_prefix", "a{b}", ["`key_prefix`", "`{`"]),
        ("default_codec", "jsn", ["default_codec is `jsn`", "expected"]),
        ("default_partitioner", "random", ["default_partitioner is `random`", "expected"]),
        ("on_full", "explode", ["on_full is `explode`", "expected"]),
    ] {
        let text = refused(name, value).await;
        assert!(words.iter().all(|word| text.contains(word)), "{name}={value}: {text}");
    }
}

#[tokio::test]
async fn names_that_would_break_a_key_are_refused() {
    let long = "x".repeat(10_000);
    for name in ["", "a b", "a{b", "a:b", "a.b", "a\0b", "__own", &long] {
        let refused = App::bare(name).redis("memory://").connect().await.unwrap_err().to_string();
        assert!(refused.contains("cannot be the name of an app"), "{refused}");
        let stream = Stream::new(name, |_: &crate::ground::Order| 1.into());
        let app = App::bare("shop").redis("memory://");
        let refused = app.stream(&stream).send(order("ada", 1)).await.unwrap_err().to_string();
        assert!(refused.contains("cannot be the name of a stream"), "{refused}");
    }
}
