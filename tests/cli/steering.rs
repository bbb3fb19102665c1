//! processor reset, pause, resume, skip, dead-letter and forget.

use runnel::EventId;
use runnel::broker::{Broker, StopKind};

use crate::shop::Shop;

async fn with_events() -> Shop {
    let shop = Shop::open().await;
    for _ in 0..3 {
        assert_eq!(shop.runs(&["send", "orders", "{}", "--partition", "0"]).code, 0);
    }
    shop
}

fn places(shop: &Shop) -> serde_json::Value {
    shop.tells(&["processor", "show", "billing"])["places"].clone()
}

fn first(shop: &Shop) -> EventId {
    shop.tells(&["stream", "show", "orders"])["content"][0]["first"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_is_refused_while_a_worker_owns_the_partition() {
    let shop = with_events().await;
    shop.owned_by("w1", 0).await;

    let refused = shop.runs(&["processor", "reset", "billing", "--start", "$"]);

    assert!(refused.code == 1 && refused.err.contains("w1 (0) own partitions of it"), "{refused:?}");
    assert_eq!((&places(&shop)[0]["lag"], &places(&shop)[0]["owner"]), (&3.into(), &"w1".into()));
    let other = shop.runs(&["processor", "reset", "billing", "--start", "$", "--partition", "1,2"]);
    assert_eq!(other.code, 0, "{other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_reset_takes_the_partition_and_moves_the_position() {
    let shop = with_events().await;
    shop.owned_by("w1", 0).await;

    let forced = shop.runs(&["processor", "reset", "billing", "--start", "$", "--force"]);

    assert_eq!(forced.code, 0, "{forced:?}");
    assert_eq!((&places(&shop)[0]["lag"], &places(&shop)[0]["owner"]), (&0.into(), &serde_json::Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_lasts_until_it_is_resumed_and_the_group_is_told() {
    let shop = with_events().await;
    shop.owned_by("w1", 0).await;
    let stopped = async || {
        let roll = shop.broker.beat(&shop.group, "w2", std::time::Duration::from_secs(9), None).await.unwrap();
        roll.stopped.into_iter().map(|(partition, stop)| (partition.0, stop.kind)).collect::<Vec<_>>()
    };

    assert_eq!(shop.runs(&["processor", "pause", "billing", "--partition", "0"]).code, 0);
    assert_eq!(places(&shop)[0]["stopped"], "paused");
    assert_eq!(stopped().await, [(0, StopKind::Paused)]);

    assert_eq!(shop.runs(&["processor", "resume", "billing"]).code, 0);
    assert_eq!(places(&shop)[0]["stopped"], serde_json::Value::Null);
    assert_eq!(stopped().await, []);
    let again = shop.runs(&["processor", "resume", "billing"]);
    assert!(again.code == 3 && again.err.contains("no partition of `billing` is stopped"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skip_goes_on_behind_the_failing_event() {
    let shop = with_events().await;
    let event = first(&shop);
    shop.stopped_at(0, event, StopKind::Quarantined, "declined").await;

    let skipped = shop.runs(&["processor", "skip", "billing"]);

    assert_eq!(skipped.code, 0, "{skipped:?}");
    let place = &places(&shop)[0];
    assert_eq!((&place["position"], &place["stopped"]), (&event.to_string().into(), &serde_json::Value::Null));
    let nothing = shop.runs(&["processor", "skip", "billing"]);
    assert!(nothing.code == 3 && nothing.err.contains("--partition"), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_event_is_kept_as_a_dead_letter_with_its_error() {
    let shop = with_events().await;
    let event = first(&shop);
    shop.stopped_at(0, event, StopKind::Quarantined, "declined").await;

    let given_up = shop.tells(&["processor", "dead-letter", "billing"]);
    let letters = shop.tells(&["dead", "list", "orders"]);
    let nothing = shop.runs(&["processor", "dead-letter", "billing"]);

    assert_eq!((&given_up[0]["position"], &given_up[0]["done"]), (&event.to_string().into(), &"dead-lettered".into()));
    assert_eq!(letters.as_array().unwrap().len(), 1);
    let letter = &letters[0];
    assert_eq!((&letter["event"], &letter["processor"]), (&event.to_string().into(), &"billing".into()));
    assert_eq!(
        (&letter["error"], &letter["worker"], &letter["fields"]["data"]),
        (&"declined".into(), &"".into(), &serde_json::json!({}))
    );
    assert_eq!((&places(&shop)[0]["lag"], &places(&shop)[0]["stopped"]), (&2.into(), &serde_json::Value::Null));
    assert!(nothing.code == 3 && nothing.err.contains("--partition"), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_become_a_letter_stays_and_it_is_told_why() {
    let shop = with_events().await;
    let give_up = |partition: &str, more: &[&str]| {
        let ran = shop.runs(&[&["processor", "dead-letter", "billing", "--partition", partition], more].concat());
        (ran.code, ran.err)
    };
    shop.owned_by("w1", 1).await;

    let (code, err) = give_up("0", &[]);
    assert!(code == 1 && err.contains("NOEVENT") && err.contains("no worker has ever owned"), "{err}");
    let (code, err) = give_up("1", &[]);
    assert!(code == 3 && err.contains("there is nothing to be given up"), "{err}");
    shop.owned_by("w1", 0).await;
    assert_eq!(give_up("0", &["--set", "dead_letter_size=1"]).0, 0);
    let (code, err) = give_up("0", &["--set", "dead_letter_size=1"]);
    assert!(code == 1 && err.contains("LETTERSFULL") && err.contains("dead retry"), "{err}");
    assert_eq!(give_up("9", &[]).0, 3);
    assert_eq!(places(&shop)[0]["lag"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_event_that_is_given_up_by_hand_is_kept_as_it_was_sent() {
    let shop = with_events().await;
    shop.owned_by("w1", 0).await;
    let event = first(&shop);
    for _ in 0..2 {
        assert_eq!(shop.runs(&["processor", "reset", "billing", "--start", "$", "--force"]).code, 0);
        assert_eq!(shop.runs(&["dead", "retry", "orders", "--all"]).code % 3, 0);
        if shop.tells(&["processor", "show", "billing"])["places"][0]["lag"] == 0 {
            assert_eq!(shop.runs(&["processor", "reset", "billing", "--start", "0", "--partition", "0"]).code, 0);
        }
        let given_up = shop.runs(&["processor", "dead-letter", "billing", "--partition", "0"]);
        assert_eq!(given_up.code, 0, "{given_up:?}");
    }

    let letters = shop.tells(&["dead", "list", "orders"]);
    assert_eq!(
        (&letters[0]["event"], &letters[0]["fields"]),
        (&event.to_string().into(), &serde_json::json!({"data": {}}))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_tells_what_was_where_and_who_has_lost_it() {
    let shop = with_events().await;
    let event = first(&shop);
    shop.owned_by("w1", 0).await;

    let to_the_end = shop.tells(&["processor", "reset", "billing", "--start", "$", "--force", "--partition", "0"]);
    let back = shop.tells(&["processor", "reset", "billing", "--start", "2026-01-01T00:00:00Z"]);

    assert_eq!((&to_the_end[0]["before"], &to_the_end[0]["taken_from"]), (&"0-0".into(), &"w1".into()));
    assert_eq!(back[0]["before"], to_the_end[0]["position"]);
    assert!(back[0]["position"].as_str().unwrap().parse::<EventId>().unwrap() < event);
    assert_eq!((&back[0]["taken_from"], &places(&shop)[0]["lag"]), (&serde_json::Value::Null, &3.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_to_a_time_to_come_skips_what_is_there_and_nothing_else() {
    let shop = with_events().await;
    shop.broker.register(&shop.group).await.unwrap();

    let reset = shop.runs(&["processor", "reset", "billing", "--start", "2100-01-01T00:00:00Z"]);

    assert!(reset.code == 0 && reset.err.contains("lies ahead"), "{reset:?}");
    assert_eq!(places(&shop)[0]["lag"], 0);
    assert_eq!(shop.runs(&["send", "orders", "{}", "--partition", "0"]).code, 0);
    let next: EventId =
        shop.tells(&["stream", "show", "orders"])["content"][0]["last"].as_str().unwrap().parse().unwrap();
    let position: EventId = places(&shop)[0]["position"].as_str().unwrap().parse().unwrap();
    assert!(position < next, "{position}: what is sent from now on is processed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_is_forgotten_once_nobody_owns_it() {
    let shop = with_events().await;
    let fence = shop.owned_by("w1", 0).await;

    let refused = shop.runs(&["processor", "forget", "billing"]);
    assert!(refused.code == 1 && refused.err.contains("worker w1 owns partition 0"), "{refused:?}");

    let place = runnel::broker::Place { group: shop.group.clone(), partition: runnel::Partition(0) };
    shop.broker.release(&place, &fence, None).await.unwrap();
    assert_eq!(shop.runs(&["processor", "forget", "billing"]).code, 0);
    assert_eq!(shop.tells(&["processor", "list"]), serde_json::json!([]));
    assert_eq!(shop.tells(&["status"])["streams"][0]["held_back_by"], serde_json::Value::Null);
}
