//! How long things take that users wait for. Each is measured three times and the best counts: a bound on what the
//! product needs, not on what else the machine does.

use std::time::Duration;

use runnel::clock;
use rustix::process::Signal;

use crate::lab::{EXPIRY, Lab};
use crate::support::Options;

/// Tells the measured times, and asserts on the best.
fn best_below(what: &str, bound: Duration, measured: &[Duration]) {
    let best = measured.iter().min().expect("it was measured");
    println!("{what}: {measured:.0?}, at most {bound:?}");
    assert!(*best < bound, "{what}: {measured:.0?} are all above {bound:?}");
}

#[tokio::test]
async fn a_worker_has_processed_its_first_event_half_a_second_after_its_start() {
    let mut measured = Vec::new();
    for _ in 0..3 {
        let mut lab = Lab::open(Options::redis()).await;
        lab.feed(1).await;

        let began = clock::now();
        let _worker = lab.worker();
        lab.until("the first event is settled", |lab| lab.settled() > 0).await;

        measured.push(clock::now().since(began));
    }
    best_below("start to first event", Duration::from_millis(500), &measured);
}

#[tokio::test]
async fn partitions_of_a_worker_that_drains_pause_for_less_than_half_a_second() {
    let mut measured = Vec::new();
    for _ in 0..3 {
        let mut lab = Lab::open(Options::redis()).await;
        let (_stays, mut leaves) = (lab.worker(), lab.worker());
        lab.shared_by(2).await;

        lab.forget_gaps();
        leaves.signal(Signal::TERM);
        lab.shared_by(1).await;

        assert_eq!(lab.watched.iter().filter(|watched| watched.moved).count(), 8);
        lab.until("the worker has drained", |_| true).await;
        assert!(crate::support::eventually_some("it ends", async || leaves.has_ended()).await.success());
        measured.push(lab.longest_gap(true));
    }
    best_below("graceful hand-over", Duration::from_millis(500), &measured);
}

#[tokio::test]
async fn partitions_of_a_killed_worker_go_on_soon_after_their_leases_lapse() {
    let mut measured = Vec::new();
    for _ in 0..2 {
        let mut lab = Lab::open(Options::redis()).await;
        let (_stays, killed) = (lab.worker(), lab.worker());
        lab.shared_by(2).await;

        lab.forget_gaps();
        drop(killed);
        lab.shared_by(1).await;

        measured.push(lab.longest_gap(true));
    }
    best_below("after SIGKILL", EXPIRY + Duration::from_millis(3500), &measured);
}

#[tokio::test]
async fn partitions_that_do_not_move_do_not_pause_while_others_do() {
    let (mut joined, mut left, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        let mut lab = Lab::open(Options::redis()).await;
        let _stays = lab.worker();
        lab.shared_by(1).await;

        lab.forget_gaps();
        let leaves = lab.worker();
        lab.shared_by(2).await;
        assert_eq!(lab.watched.iter().filter(|watched| watched.moved).count(), 8);
        joined.push(lab.longest_gap(false));
        moved.push(lab.longest_gap(true));

        lab.forget_gaps();
        leaves.signal(Signal::TERM);
        lab.shared_by(1).await;
        left.push(lab.longest_gap(false));
    }
    best_below("pause of partitions that move to a joining worker", Duration::from_millis(500), &moved);
    best_below("pause of the others when one joins", Duration::from_millis(200), &joined);
    best_below("pause of the others when one leaves", Duration::from_millis(200), &left);
}
