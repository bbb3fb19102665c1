//! A processor works events off: what is lost where its tenancies, batches or events are runs.
//!
//! Throughput is that between its first event and its last. CPU time is that of the whole worker, from its start until it
//! has drained: so the tenancies' begin and end are in it, and what is projected of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use runnel::prelude::*;
use runnel::{App, Track};
use tokio::sync::Notify;

use crate::client::Client;
use crate::costs::{Meter, Spent, median, us};
use crate::order::Order;

const PARTITIONS: u32 = 16;
const BATCH: usize = 100;
/// Where each unit is written down fewer events do.
const FEWER: usize = 20;

/// A way of tracking.
struct Contender {
    name: &'static str,
    track: Track,
    in_batches: bool,
    /// Whom it is compared with.
    base: usize,
}

const ALL: [Contender; 5] = [
    Contender { name: "handler, track = off", track: Track::Off, in_batches: false, base: 0 },
    Contender { name: "handler, track = tenancy", track: Track::Tenancy, in_batches: false, base: 0 },
    Contender { name: "handler, track = event", track: Track::Event, in_batches: false, base: 0 },
    Contender { name: "batches of 100, track = off", track: Track::Off, in_batches: true, base: 3 },
    Contender { name: "batches of 100, track = batch", track: Track::Batch, in_batches: true, base: 3 },
];

/// One round of one of them.
struct Sample {
    contender: usize,
    events: usize,
    /// From the first event to the last.
    working: Duration,
    spent: Spent,
}

impl Sample {
    fn rate(&self) -> f64 {
        self.events as f64 / self.working.as_secs_f64()
    }

    fn redis(&self) -> f64 {
        us(self.spent.redis_cpu) / self.events as f64
    }

    fn client(&self) -> f64 {
        us(self.spent.client_cpu) / self.events as f64
    }
}

pub(super) fn compare(port: u16, rounds: usize, events: usize) -> runnel::Result {
    let mut samples = Vec::new();
    for round in 0..rounds {
        for turn in 0..ALL.len() {
            let number = (round + turn) % ALL.len();
            let fewer = if matches!(ALL[number].track, Track::Event | Track::Batch) { FEWER } else { 1 };
            samples.push(run(number, port, events.div_ceil(fewer))?);
        }
    }

    println!("{events} events, {PARTITIONS} partitions, medians of {rounds} rounds; fewer events where units are runs");
    println!(
        "{:<34}{:>8}{:>11}{:>12}{:>11}{:>11}{:>11}{:>9}",
        "", "ratio", "CPU ratio", "events/s", "Redis µs", "client µs", "quartiles", ""
    );
    for (number, contender) in ALL.iter().enumerate() {
        let of = |number: usize| samples.iter().filter(move |sample| sample.contender == number);
        let beside = |figure: fn(&Sample) -> f64| {
            of(number).zip(of(contender.base)).map(move |(own, base)| figure(own) / figure(base))
        };
        let (low, high) = quartiles(beside(Sample::rate));
        println!(
            "{:<34}{:>8.3}{:>11.3}{:>12.0}{:>11.3}{:>11.3}{:>11.3}{:>9.3}",
            contender.name,
            median(beside(Sample::rate)),
            median(beside(|sample| sample.redis() + sample.client())),
            median(of(number).map(Sample::rate)),
            median(of(number).map(Sample::redis)),
            median(of(number).map(Sample::client)),
            low,
            high,
        );
    }
    println!("target: a ratio above 0.98 where tenancies are runs; quartiles are those of the ratio");
    Ok(())
}

fn quartiles(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |quarter: usize| values.get((values.len() - 1) * quarter / 4).copied().unwrap_or(f64::NAN);
    (at(1), at(3))
}

#[derive(Default)]
struct Seen {
    events: AtomicUsize,
    first: OnceLock<Instant>,
    last: OnceLock<Instant>,
    all: Notify,
}

impl Seen {
    fn take(&self, events: usize, wanted: usize) {
        let before = self.events.fetch_add(events, Ordering::Relaxed);
        if before == 0 {
            self.first.get_or_init(Instant::now);
        }
        if before + events == wanted {
            self.last.get_or_init(Instant::now);
            self.all.notify_one();
        }
    }
}

fn run(number: usize, port: u16, events: usize) -> runnel::Result<Sample> {
    let mut control = Client::connect(port)?;
    control.call("FLUSHALL SYNC")?;
    let Contender { track, in_batches, .. } = ALL[number];
    let seen: Arc<Seen> = Arc::default();
    let orders = Stream::new("orders", |order: &Order| order.order_id.into())
        .partitions(PARTITIONS)
        .partition_size(u64::MAX / 2);
    let mut app = App::bare("processors").redis(format!("redis://127.0.0.1:{port}"));
    let notes = seen.clone();
    match in_batches {
        false => {
            let handler = move |_: Order| {
                notes.take(1, events);
                std::future::ready(Ok::<_, runnel::Error>(()))
            };
            app.processor(&orders, handler).name("drain").track(track);
        }
        true => {
            let handler = move |orders: Vec<Order>| {
                notes.take(orders.len(), events);
                std::future::ready(Ok::<_, runnel::Error>(()))
            };
            app.processor(&orders, handler).name("drain").batch(BATCH, Duration::from_millis(20)).track(track);
        }
    }

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let spent = runtime.block_on(async {
        let connected = app.connect().await?;
        connected.stream(&orders).send_all((0..events).map(Order::number)).await?;
        let meter = Meter::start(&mut control)?;
        connected.work_until(seen.all.notified()).await?;
        Ok::<_, runnel::Error>(meter.stop(&mut control)?)
    })?;
    let (Some(first), Some(last)) = (seen.first.get(), seen.last.get()) else {
        return Err(format!("{} saw {:?} of {events} events", ALL[number].name, seen.events).into());
    };
    Ok(Sample { contender: number, events, working: *last - *first, spent })
}
