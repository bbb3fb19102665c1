//! Servers that are killed, paused, and that cut connections, under workers that have a backlog.

use std::time::Duration;

use runnel::clock;

use crate::lab::{EXPIRY, Lab, Stored};
use crate::support::Options;

/// Two workers in the middle of a backlog of 16 x 200 events of 5 ms each.
async fn in_the_middle(options: Options) -> (Lab, [crate::support::Process; 2]) {
    let mut lab = Lab::open(options).await.pace(Duration::from_millis(5));
    lab.feed(200).await;
    let workers = [lab.worker(), lab.worker()];
    lab.until("a part is settled", |lab| lab.settled() > 200 && lab.owners.len() == 2).await;
    (lab, workers)
}

/// Everything is settled in the end, stored once, and nobody has died of it.
async fn nothing_is_lost(mut lab: Lab, mut workers: [crate::support::Process; 2]) {
    lab.all_settled().await;
    let Stored { events, duplicates } = lab.stored();
    println!("{events} events, {duplicates} came more than once");
    assert_eq!(events, lab.fed());
    assert!(workers.iter_mut().all(|worker| worker.has_ended().is_none()), "a worker has ended");
}

#[tokio::test]
async fn nothing_is_lost_when_a_server_that_syncs_always_is_killed() {
    let (mut lab, workers) = in_the_middle(Options::redis().durable()).await;

    lab.server.restart();

    lab.reconnect().await;
    nothing_is_lost(lab, workers).await;
}

#[tokio::test]
async fn nothing_is_lost_when_a_server_that_syncs_every_second_is_killed() {
    let options = Options::redis().with("appendonly", "yes").with("appendfsync", "everysec");
    let (mut lab, workers) = in_the_middle(options).await;

    lab.server.restart();

    lab.reconnect().await;
    nothing_is_lost(lab, workers).await;
}

#[tokio::test]
async fn work_goes_on_after_a_server_has_lost_everything() {
    let (mut lab, mut workers) = in_the_middle(Options::redis()).await;

    lab.server.restart();
    lab.reconnect().await;
    lab.feed(10).await;

    let count = u64::from(crate::lab::PARTITIONS) * 10;
    lab.until("what was sent afterwards is settled", |lab| lab.settled() == count).await;
    assert_eq!(lab.stored().events, count);
    assert!(workers.iter_mut().all(|worker| worker.has_ended().is_none()), "a worker has ended");
}

#[tokio::test]
async fn nothing_is_lost_when_the_server_stands_still_beyond_every_lease() {
    let (lab, workers) = in_the_middle(Options::redis()).await;

    lab.server.pause();
    clock::sleep(EXPIRY * 2).await;
    lab.server.resume();

    nothing_is_lost(lab, workers).await;
}

#[tokio::test]
async fn nothing_is_lost_when_every_connection_is_cut() {
    let (mut lab, workers) = in_the_middle(Options::redis()).await;

    for _ in 0..3 {
        let before = lab.settled();
        let mut raw = lab.server.raw();
        let _: redis::RedisResult<u64> =
            redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]).query(&mut raw);
        lab.until("it goes on", |lab| lab.settled() > before + 50).await;
    }

    nothing_is_lost(lab, workers).await;
}
