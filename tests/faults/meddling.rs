//! What others do to our keys while workers run.

use std::time::Duration;

use redis::{Value, cmd};

use crate::lab::{Lab, PARTITIONS};
use crate::support::Options;
use crate::support::Process;

/// A worker in the middle of a backlog of 16 x 100 events of 5 ms each.
async fn in_the_middle() -> (Lab, Process) {
    let mut lab = Lab::open(Options::redis()).await.pace(Duration::from_millis(5));
    lab.feed(100).await;
    let worker = lab.worker();
    lab.until("a part is settled", |lab| lab.settled() > 200).await;
    (lab, worker)
}

fn tell(lab: &Lab, words: &[&str]) {
    let answer: redis::RedisResult<Value> = cmd(words[0]).arg(&words[1..]).query(&mut lab.server.raw());
    answer.unwrap_or_else(|error| panic!("{words:?}: {error}"));
}

#[tokio::test]
async fn flushed_scripts_are_loaded_again() {
    let (mut lab, mut worker) = in_the_middle().await;

    tell(&lab, &["SCRIPT", "FLUSH"]);

    lab.all_settled().await;
    assert_eq!(lab.stored().events, lab.fed());
    assert_eq!(lab.stored().duplicates, 0);
    assert!(worker.has_ended().is_none());
}

#[tokio::test]
async fn work_goes_on_after_everything_was_flushed() {
    let (mut lab, mut worker) = in_the_middle().await;

    tell(&lab, &["FLUSHALL"]);
    lab.reconnect().await;
    lab.feed(10).await;

    let count = u64::from(PARTITIONS) * 10;
    lab.until("what was sent afterwards is settled", |lab| lab.settled() == count).await;
    assert!(worker.has_ended().is_none());
}

#[tokio::test]
async fn a_destroyed_group_is_made_again_where_the_fence_says() {
    let (mut lab, mut worker) = in_the_middle().await;

    tell(&lab, &["XGROUP", "DESTROY", &lab.key(3), "summarise"]);

    lab.all_settled().await;
    assert_eq!(lab.stored().events, lab.fed());
    assert!(worker.has_ended().is_none());
}

#[tokio::test]
async fn a_group_that_is_moved_back_by_hand_repeats_events() {
    let (mut lab, mut worker) = in_the_middle().await;

    tell(&lab, &["XGROUP", "SETID", &lab.key(3), "summarise", "0"]);

    lab.all_settled().await;
    assert_eq!(lab.stored().events, lab.fed());
    assert!(worker.has_ended().is_none());
}

#[tokio::test]
async fn a_group_that_is_moved_forward_by_hand_skips_nothing() {
    let (mut lab, mut worker) = in_the_middle().await;

    tell(&lab, &["XGROUP", "SETID", &lab.key(3), "summarise", "$"]);

    let fed = lab.fed();
    lab.until("every aircraft is stored to its last event", |lab| lab.stored().events == fed).await;
    assert!(worker.has_ended().is_none());
}

#[tokio::test]
async fn what_a_foreign_consumer_has_read_before_is_processed_all_the_same() {
    let mut lab = Lab::open(Options::redis()).await;
    lab.feed(50).await;
    for partition in 0..PARTITIONS {
        let key = lab.key(partition);
        tell(&lab, &["XGROUP", "CREATE", &key, "summarise", "0"]);
        tell(&lab, &["XREADGROUP", "GROUP", "summarise", "stranger", "COUNT", "20", "STREAMS", &key, ">"]);
    }

    let mut worker = lab.worker();

    lab.all_settled().await;
    assert_eq!(lab.stored().events, lab.fed());
    assert!(worker.has_ended().is_none());
}
