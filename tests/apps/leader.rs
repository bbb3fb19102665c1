//! One worker leads: it is replaced when it dies, leaves or is paused, and never by a mistake of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use runnel::broker::memory::{Fault, Operation};
use runnel::prelude::*;
use runnel::runs::{Cut, Ended};
use runnel::testing::{TestApp, takes};

use crate::shop::{MS, SECOND, instants, leader, three_workers};

/// A bid is made this often; a term lasts three of them.
const POLL: Duration = Duration::from_secs(4);
const TERM: Duration = Duration::from_secs(12);

/// A job of the leader every second.
fn app() -> App {
    let mut app = App::bare("shop");
    app.timer(SECOND, async || ()).name("beat").on_leader();
    app
}

/// How long it takes until somebody else leads.
async fn time_without(old: &str, shop: &TestApp) -> Duration {
    let before = runnel::clock::now();
    for _ in 0..6_000 {
        if shop.leader().await.is_some_and(|now| now != old) {
            return runnel::clock::now().since(before);
        }
        shop.advance(10 * MS).await;
    }
    panic!("nobody else ever led");
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_replaced_within_its_term_and_a_poll() {
    let mut shop = three_workers("2026-01-01T00:00:00Z", app()).await;
    shop.advance(Duration::from_secs(30)).await;
    let old = leader(&shop).await;

    shop.crash(&old);

    let took = time_without(&old, &shop).await;
    assert!(took <= TERM + POLL, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_drains_resigns_and_is_replaced_within_a_poll() {
    let mut shop = three_workers("2026-01-01T00:00:00Z", app()).await;
    shop.advance(Duration::from_secs(30)).await;
    let old = leader(&shop).await;

    shop.worker(&old).drain().await.unwrap();

    let took = time_without(&old, &shop).await;
    assert!(took <= POLL, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_paused_finds_itself_replaced_and_starts_nothing_under_its_old_term() {
    let mut shop = three_workers("2026-01-01T00:00:00Z", app()).await;
    shop.advance(Duration::from_secs(30)).await;
    let old = leader(&shop).await;

    shop.worker(&old).pause(true);
    shop.advance(Duration::from_secs(60)).await;
    let before = shop.fired("beat").len();
    shop.worker(&old).pause(false);
    shop.advance(Duration::from_secs(60)).await;

    let fired = shop.fired("beat");
    let late: Vec<_> = fired[before..].iter().filter(|run| *run.worker == *old).collect();
    assert!(late.is_empty() && fired.len() > before + 50, "{late:?}");
    let mut instants = instants(&shop, "beat");
    let all = instants.len();
    instants.sort();
    instants.dedup();
    assert_eq!(instants.len(), all, "an instant ran twice");
}

#[tokio::test(start_paused = true)]
async fn what_a_paused_leader_was_running_is_cut_short_when_it_wakes() {
    let mut app = App::bare("shop");
    app.crontab("0 0 * * * *", async || takes(Duration::from_secs(3600)).await).name("long").on_leader();
    let mut shop = three_workers("2026-01-01T00:59:00Z", app).await;
    shop.advance_to("2026-01-01T01:00:01Z").await;
    let old = shop.fired("long")[0].worker.clone();

    shop.worker(&old).pause(true);
    shop.advance(Duration::from_secs(60)).await;
    shop.worker(&old).pause(false);
    shop.advance(SECOND).await;

    assert_eq!(shop.fired("long")[0].outcome, Some(Ended::Terminated(Cut::Deposed)));
}

#[tokio::test(start_paused = true)]
async fn bids_whose_answers_are_lost_do_not_lengthen_the_term() {
    let mut shop = TestApp::at("2026-01-01T00:00:00Z", app()).await;
    shop.advance_to("2026-01-01T00:00:30Z").await;

    for _ in 0..10 {
        shop.worker("worker-1").link().next_fault(Operation::Bid, Fault::LostReply);
    }
    shop.advance_to("2026-01-01T00:02:00Z").await;

    // The last bid that was answered went out at 28 s: it is trusted for 10.8 s.
    let seconds: Vec<u32> = instants(&shop, "beat").iter().map(|at| seconds_of(at)).collect();
    let silence = seconds.windows(2).map(|pair| (pair[0], pair[1])).find(|(from, to)| to - from > 1);
    let (from, to) = silence.expect("it goes on as if it led");
    assert!(from <= 39 && to >= 60, "silent from {from} to {to}");
}

fn seconds_of(time: &str) -> u32 {
    let [hours, minutes, seconds] = [0, 3, 6].map(|at| time[at..at + 2].parse::<u32>().unwrap());
    (hours * 60 + minutes) * 60 + seconds
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_starts_nothing_once_another_may_lead() {
    let mut shop = three_workers("2026-01-01T00:00:00Z", app()).await;
    shop.advance(Duration::from_secs(30)).await;
    let old = leader(&shop).await;
    shop.worker(&old).link().cut();
    shop.advance(Duration::from_secs(60)).await;
    shop.worker(&old).link().heal();
    shop.advance(Duration::from_secs(30)).await;

    let terms: Vec<u64> = shop.fired("beat").iter().map(|run| run.term.unwrap()).collect();
    assert!(terms.is_sorted() && terms.last() > terms.first(), "{terms:?}");
}

/// How many run at once, and how many did at most.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

struct Present(Arc<Crowd>);

impl Present {
    fn among(crowd: &Arc<Crowd>) -> Self {
        let now = crowd.now.fetch_add(1, Ordering::SeqCst) + 1;
        crowd.most.fetch_max(now, Ordering::SeqCst);
        Self(crowd.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_has_left_off_before_the_next_begins_the_same() {
    let crowd = Arc::new(Crowd::default());
    let mut app = App::bare("shop");
    let within = crowd.clone();
    app.task(move || {
        let present = Present::among(&within);
        async move {
            takes(Duration::from_secs(50)).await;
            drop(present);
        }
    })
    .name("migrate")
    .on_leader();
    let mut shop = three_workers("2026-01-01T00:00:00Z", app).await;
    shop.advance(Duration::from_secs(20)).await;
    let old = leader(&shop).await;

    shop.worker(&old).link().cut();
    shop.advance(Duration::from_secs(120)).await;

    let runs = shop.fired("migrate");
    assert_eq!(runs.len(), 2, "the next leader runs it: {runs:?}");
    assert_eq!((runs[1].outcome.clone(), crowd.most.load(Ordering::SeqCst)), (Some(Ended::Success), 1));
}
