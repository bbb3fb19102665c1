//! runnel itself, as a program would use it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runnel::prelude::*;
use runnel::{App, Connected};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::contender::{Contender, Discipline, Ground};
use super::order::Order as Sample;

/// A way of running a processor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// A handler for each event; sending by `send_all`.
    Each,
    /// A handler for batches of 100.
    Batches,
    /// An event loop.
    Loop,
    /// A handler for each event, each committed before the next one starts.
    Strict,
    /// Sending by 256 tasks, one record a call.
    SingleSends,
}

/// runnel, in one of its manners.
pub(crate) struct Own {
    manner: Manner,
    runtime: Runtime,
    seen: Arc<Seen>,
    connected: Option<Arc<Connected>>,
}

#[derive(Default)]
struct Seen {
    events: AtomicUsize,
    sum: AtomicU64,
    wanted: AtomicUsize,
    all: Notify,
    ages: Mutex<Vec<Duration>>,
}

impl Seen {
    fn take(&self, order: &Sample) {
        self.sum.fetch_add(order.order_id + u64::from(order.item_ids[0]), Ordering::Relaxed);
        if self.events.fetch_add(1, Ordering::Relaxed) + 1 == self.wanted.load(Ordering::Relaxed) {
            self.all.notify_one();
        }
    }
}

const APP: &str = "bench";
const STREAM: &str = "orders";

fn orders(partitions: usize) -> Stream<Sample> {
    Stream::new(STREAM, |order: &Sample| order.order_id.into())
        .partitions(partitions as u32)
        .partition_size(u64::MAX / 2)
}

impl Own {
    pub(crate) fn new(manner: Manner) -> runnel::Result<Self> {
        let threads = if manner == Manner::SingleSends { 2 } else { 1 };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
        Ok(Self { manner, runtime, seen: Arc::default(), connected: None })
    }

    fn app(&self, ground: &Ground) -> App {
        let stream = orders(ground.partitions);
        let mut app = App::bare(APP).redis(format!("redis://127.0.0.1:{}", ground.port));
        let seen = self.seen.clone();
        match self.manner {
            Manner::Each | Manner::Strict | Manner::SingleSends => {
                let linger = Duration::from_millis(if self.manner == Manner::Strict { 0 } else { 5 });
                let handler = move |order: Sample| {
                    seen.take(&order);
                    std::future::ready(Ok::<_, runnel::Error>(()))
                };
                app.processor(&stream, handler).name("drain").commit_linger(linger);
            }
            Manner::Batches => {
                let handler = move |orders: Vec<Sample>| {
                    orders.iter().for_each(|order| seen.take(order));
                    std::future::ready(Ok::<_, runnel::Error>(()))
                };
                app.processor(&stream, handler).name("drain").batch(100, Duration::from_millis(20));
            }
            Manner::Loop => {
                app.event_loop(&stream, move |events: &mut Events<Sample>| {
                    let seen = seen.clone();
                    Box::pin(async move {
                        while let Some(order) = events.next().await? {
                            seen.take(&order);
                        }
                        Ok(())
                    })
                })
                .name("drain");
            }
        }
        app
    }

    fn connected(&self) -> runnel::Result<Arc<Connected>> {
        self.connected.clone().ok_or_else(|| "a contender is prepared before it is measured".into())
    }
}

impl Contender for Own {
    fn name(&self) -> &str {
        match self.manner {
            Manner::Each => "runnel send_all | handler",
            Manner::Batches => "runnel handler, batches of 100",
            Manner::Loop => "runnel event loop",
            Manner::Strict => "runnel handler, linger 0",
            Manner::SingleSends => "runnel send, 256 tasks",
        }
    }

    fn disciplines(&self) -> &[Discipline] {
        match self.manner {
            Manner::Each => &[Discipline::Send, Discipline::Drain, Discipline::Latency],
            Manner::SingleSends => &[Discipline::Send],
            _ => &[Discipline::Drain],
        }
    }

    fn prepare(&mut self, ground: &Ground) -> runnel::Result {
        self.seen = Arc::default();
        let app = self.app(ground);
        self.connected = Some(Arc::new(self.runtime.block_on(app.connect())?));
        Ok(())
    }

    fn send(&mut self, ground: &Ground) -> runnel::Result {
        let (connected, stream) = (self.connected()?, orders(ground.partitions));
        let samples = ground.orders();
        self.runtime.block_on(async {
            if self.manner != Manner::SingleSends {
                connected.stream(&stream).send_all(samples).await?;
                return Ok(());
            }
            let bound = Arc::new(connected.stream(&stream));
            let samples = Arc::new(Mutex::new(samples));
            let mut tasks = Vec::new();
            for _ in 0..256 {
                let (bound, samples) = (bound.clone(), samples.clone());
                tasks.push(runnel::spawn(async move {
                    loop {
                        let next = samples.lock().ok().and_then(|mut samples| samples.next());
                        let Some(sample) = next else { return Ok::<_, runnel::Error>(()) };
                        bound.send(sample).await?;
                    }
                }));
            }
            for task in tasks {
                task.await??;
            }
            Ok(())
        })
    }

    fn drain(&mut self, ground: &Ground) -> runnel::Result<usize> {
        let connected = self.connected()?;
        self.seen.wanted.store(ground.events, Ordering::Relaxed);
        let seen = self.seen.clone();
        self.runtime.block_on(connected.work_until(async move { seen.all.notified().await }))?;
        Ok(self.seen.events.load(Ordering::Relaxed))
    }

    fn keys(&self, ground: &Ground) -> Vec<String> {
        (0..ground.partitions).map(|n| format!("__strm:{{{APP}.{STREAM}.{}}}.{n}", n % 16)).collect()
    }

    fn receive(&mut self, ground: &Ground, events: usize) -> runnel::Result<Vec<Duration>> {
        let stream = orders(ground.partitions);
        let seen = Arc::new(Seen::default());
        seen.wanted.store(events, Ordering::Relaxed);
        let mut app = App::bare(APP).redis(format!("redis://127.0.0.1:{}", ground.port));
        let notes = seen.clone();
        let handler = move |order: Sample| {
            notes.ages.lock().map(|mut ages| ages.push(order.age())).ok();
            notes.take(&order);
            std::future::ready(Ok::<_, runnel::Error>(()))
        };
        app.processor(&stream, handler).name("receive");
        let done = seen.clone();
        self.runtime.block_on(async move {
            let connected = app.connect().await?;
            connected.work_until(async move { done.all.notified().await }).await
        })?;
        Ok(seen.ages.lock().map(|ages| ages.clone()).unwrap_or_default())
    }
}
