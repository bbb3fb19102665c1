//! Much of everything: long backlogs and large events through workers that are processes of their own, so that the
//! memory of each is known. Nothing is lost, nothing is trimmed unread, a sender that is faster than its consumers is
//! held back, and memory stays where it was.
//!
//! Without `RUNNEL_TEST_SCALE` these are 200,000 events; 25 makes five millions. The figures are printed:
//! `cargo test --test volume -- --nocapture`.

#![allow(clippy::unwrap_used, reason = "in a test binary everything is a test")]
#![allow(clippy::disallowed_methods, reason = "the size of a run and the role of a child come from the environment")]
#![allow(clippy::print_stdout, reason = "the figures are half of what this is for")]

#[path = "../support/mod.rs"]
mod support;

mod facts;
mod worker;

use std::time::Duration;

use runnel::clock;

use facts::{Facts, mib};
use support::{Server, eventually};
use worker::{Bulk, Event, Kind, Process, bulk, events};

/// Events that `send_all` may have on their way when it looks whether a partition is full.
const IN_FLIGHT: u64 = 4 * 128;

fn scale() -> u64 {
    std::env::var("RUNNEL_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1).max(1)
}

#[test]
fn a_long_backlog_passes_through_flat_workers_and_holds_its_sender_back() {
    if worker::run_if_told() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(long_backlog(200_000 * scale()));
}

async fn long_backlog(total: u64) {
    let server = Server::redis();
    let facts = Facts::of(&server, "events");
    let workers = [1, 2].map(|_| Process::start(Kind::Steady, &server.url()));
    eventually("both workers own eight partitions", async || facts.owned_by_each() == [8, 8]).await;
    let app = runnel::App::bare(worker::APP).redis(server.url());
    let sender = app.connect().await.unwrap();
    let stream = events();

    let began = clock::now();
    let mut rounds = Vec::new();
    for first in (0..total).step_by(2_000) {
        let batch = (first..(first + 2_000).min(total)).map(Event::number);
        sender.stream(&stream).send_all(batch).await.unwrap();
        let memory = workers.each_ref().map(|worker| worker.memory());
        rounds.push(Round { took: clock::now().since(began), longest: facts.longest(), memory });
    }
    let sent_in = clock::now().since(began);
    let left_when_sent = facts.lag().unwrap();
    facts.until_all_is_settled().await;
    let settled_in = clock::now().since(began);
    let seen = Seen::by(workers.map(Process::end), total);

    let longest = rounds.iter().map(|round| round.longest).max().unwrap();
    let free = total.min(worker::PARTITION_SIZE * 8) / 2_000;
    let unheld = rounds[free as usize / 2].took / (free as u32 / 2 + 1) * rounds.len() as u32;
    println!("{total} events, 16 partitions of {} at most, 2 workers", worker::PARTITION_SIZE);
    println!("  sent in {sent_in:.1?}, at the sender's own pace about {unheld:.1?}; settled in {settled_in:.1?}");
    println!("  longest partition {longest}; {left_when_sent} events were left when the last was sent");
    let warm: [u64; 2] = [0, 1].map(|n| most(&rounds, 0.2..0.4, |round| round.memory[n]));
    let late: [u64; 2] = [0, 1].map(|n| most(&rounds, 0.8..1.0, |round| round.memory[n]));
    println!(
        "  memory of the workers, warm: {} and {}; at the end: {} and {}",
        mib(warm[0]),
        mib(warm[1]),
        mib(late[0]),
        mib(late[1])
    );

    assert_eq!((seen.missing, seen.repeated), (0, 0), "every event is handled exactly once");
    assert_eq!(seen.out_of_order, 0, "events of one key are handled in their order");
    assert_eq!(facts.lag(), Some(0));
    assert!(longest <= worker::PARTITION_SIZE + IN_FLIGHT, "{longest}");
    assert!(longest >= worker::PARTITION_SIZE, "no partition was ever full: the consumers were not slower");
    let room = 16 * (worker::PARTITION_SIZE + IN_FLIGHT);
    assert!(left_when_sent <= room, "{left_when_sent}");
    // Each partition's handler takes that long for what was settled meanwhile, if the keys were spread evenly.
    let handled = total - left_when_sent;
    assert!(
        sent_in >= worker::PACE * (handled / 16 / worker::PACED) as u32 / 2,
        "the sender was not held back: {sent_in:?}"
    );
    for (warm, late) in warm.into_iter().zip(late) {
        assert!(late <= warm + warm / 8, "a worker grew from {} to {}", mib(warm), mib(late));
    }
}

/// How it stood after a batch was sent.
struct Round {
    took: Duration,
    longest: u64,
    memory: [u64; 2],
}

/// The most of something in a part of the rounds.
fn most(rounds: &[Round], part: std::ops::Range<f64>, of: impl Fn(&Round) -> u64) -> u64 {
    let at = |share: f64| (rounds.len() as f64 * share) as usize;
    rounds[at(part.start)..at(part.end)].iter().map(of).max().unwrap()
}

/// What the workers handled, against what was sent.
struct Seen {
    missing: u64,
    repeated: u64,
    out_of_order: u64,
}

impl Seen {
    fn by(workers: impl IntoIterator<Item = Vec<Event>>, total: u64) -> Self {
        let mut times = vec![0u8; total as usize];
        let mut out_of_order = 0;
        for handled in workers {
            let mut last = vec![None; worker::KEYS as usize];
            for event in handled {
                times[event.seq as usize] = times[event.seq as usize].saturating_add(1);
                let before = last[event.key as usize].replace(event.seq);
                out_of_order += u64::from(before.is_some_and(|before| before >= event.seq));
            }
        }
        let count = |is_so: fn(u8) -> bool| times.iter().filter(|&&times| is_so(times)).count() as u64;
        Self { missing: count(|times| times == 0), repeated: count(|times| times > 1), out_of_order }
    }
}

#[test]
fn events_of_a_megabyte_stay_within_what_may_be_read_ahead() {
    if worker::run_if_told() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(large_events(320 * scale().min(8)));
}

async fn large_events(total: u64) {
    let server = Server::redis();
    let facts = Facts::of(&server, "bulk");
    let sender = runnel::App::bare(worker::APP).redis(server.url()).connect().await.unwrap();
    let idle = Process::start(Kind::Bulk, &server.url());
    eventually("the worker owns all", async || facts.owned_by_each() == [16]).await;
    let before = idle.memory();
    idle.end();
    let stream = bulk();
    for first in (0..total).step_by(16) {
        sender.stream(&stream).send_all((first..first + 16).map(Bulk::number)).await.unwrap();
    }
    assert_eq!(facts.lag(), Some(total));

    let began = clock::now();
    let worker = Process::start(Kind::Bulk, &server.url());
    facts.until_all_is_settled().await;
    let (took, peak) = (clock::now().since(began), worker.peak());
    let handled = worker.end().len() as u64;

    println!("{total} events of 1 MB in 16 partitions: {took:.1?}, {} idle, {} at most", mib(before), mib(peak));
    assert_eq!(handled, total);
    // What may be read ahead; a reply that is still arriving, and the buffer that grew for it; the event in hand of each
    // partition, as it was read and as it was decoded. All of it is a third of what was sent.
    assert!(peak <= before + 6 * worker::AHEAD, "{} at most, {} idle", mib(peak), mib(before));
}
