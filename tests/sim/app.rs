//! The app that is simulated: its processors take some time, write down what they were given, and fail where it was
//! drawn.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use runnel::prelude::*;
use runnel::testing::takes;
use runnel::{Delivery, Middleware, Missed, Next, Outcome, Unit, async_trait};

use super::draw::{Draw, Drawn, Style, Work, millis, work};
use super::facts::Heard;
use super::fleet::{AT_LEAST_ONCE, AT_MOST_ONCE, EVERY};
use super::world::PARTITIONS;

/// What is sent: its number says in which order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    pub key: String,
    pub seq: u64,
}

/// What the processors of all workers share.
#[derive(Debug, Default)]
pub struct Shared {
    pub seed: u64,
    pub heard: Mutex<Vec<Heard>>,
    /// Every event can be processed from now on.
    pub is_repaired: AtomicBool,
}

impl Shared {
    /// Works on a unit; answers how it ends.
    async fn work(&self, context: &Context, orders: &[Order]) -> Work {
        let place = (context.processor().to_owned(), context.partition().0);
        let hand = (context.worker().to_owned(), place, context.epoch());
        let seqs = orders.iter().map(|order| order.seq).collect();
        self.heard.lock().expect("no code panics while it holds this lock").push(Heard { hand, seqs });
        let mut ends = Work::Done;
        for order in orders {
            let is_repaired = self.is_repaired.load(Ordering::Relaxed);
            let (time, end) = work(self.seed, context.processor(), order.seq, context.attempt(), is_repaired);
            takes(time).await;
            if end != Work::Done {
                ends = end;
            }
        }
        ends
    }

    /// As a function of the user does.
    async fn process(&self, context: &Context, orders: &[Order]) -> Result {
        match self.work(context, orders).await {
            Work::Done | Work::Skipped => Ok(()),
            Work::Fails => Err("it was drawn to fail".into()),
            Work::Panics => panic!("{DRAWN}"),
        }
    }
}

/// What the panics that were drawn say.
pub const DRAWN: &str = "it was drawn to panic";

/// The app of a draw, its stream, and what its processors share.
pub fn declare(draw: &Draw) -> (App, Stream<Order>, Arc<Shared>) {
    let orders = Stream::new("orders", |order: &Order| (&order.key).into()).partitions(PARTITIONS);
    let shared = Arc::new(Shared { seed: draw.seed, ..Shared::default() });
    let text = |time: Duration| format!("{}ms", time.as_millis());
    let mut app = App::bare("shop")
        .setting("default_lock_expiry", text(draw.lock_expiry))
        .setting("default_commit_linger", text(draw.linger))
        .setting("default_prefetch_count", draw.prefetch.to_string())
        .setting("default_grace_period", "30s")
        .setting("leadership_poll_interval", "500ms")
        .setting("task_log_policy", if draw.is_recorded { "quarantine" } else { "off" });
    for processor in &draw.processors {
        declare_processor(&mut app, &orders, processor, shared.clone());
    }
    if draw.has_jobs {
        declare_jobs(&mut app);
    }
    (app, orders, shared)
}

/// Jobs of the leader, each at its work when the next instant comes, now and then.
fn declare_jobs(app: &mut App) {
    for (name, delivery) in [(AT_MOST_ONCE, Delivery::AtMostOnce), (AT_LEAST_ONCE, Delivery::AtLeastOnce)] {
        let job = app.crontab(format!("*/{EVERY} * * * * *"), async |run: RunContext| {
            takes(millis(run.instant().map_or(0, |instant| instant.timestamp().cast_unsigned() % 7) * 400)).await;
        });
        job.name(name).on_leader().missed(Missed::All(60)).delivery(delivery);
    }
    app.timer(millis(700), async || takes(millis(100)).await).name("timer").on_leader();
    app.task(async || takes(millis(2_000)).await).name("task").on_leader();
}

fn declare_processor(app: &mut App, orders: &Stream<Order>, drawn: &Drawn, shared: Arc<Shared>) {
    let one = shared.clone();
    let declared = match drawn.style {
        Style::One => app.processor(orders, move |order: Order, context: Context| {
            let shared = one.clone();
            async move { shared.process(&context, &[order]).await }
        }),
        Style::Batch(most, within) => app
            .processor(orders, move |orders: Vec<Order>, context: Context| {
                let shared = one.clone();
                async move { shared.process(&context, &orders).await }
            })
            .batch(most, within),
        Style::Loop => app.event_loop(orders, move |events: &mut Events<Order>| {
            let shared = one.clone();
            Box::pin(async move { one_by_one(&shared, events).await })
        }),
        Style::LoopOfBatches(most, within) => app.event_loop(orders, move |events: &mut Events<Order>| {
            let shared = one.clone();
            Box::pin(async move {
                while let Some(orders) = events.take(most, within).await? {
                    shared.process(&events.context(), &orders).await?;
                }
                Ok(())
            })
        }),
    };
    let declared =
        declared.name(drawn.name).exception_policy(drawn.policy).retry(drawn.attempts, millis(10), millis(200));
    let declared = if drawn.is_wrapped { declared.middleware(Lingering) } else { declared };
    if drawn.keeps_letters {
        declared.dead_letter();
    }
}

/// Takes its time once the outcome is known.
struct Lingering;

#[async_trait]
impl Middleware for Lingering {
    async fn handle(&self, unit: &mut Unit, next: Next<'_>) -> Outcome {
        let outcome = next.run(unit).await;
        takes(millis(1)).await;
        outcome
    }
}

/// Gives some events up by itself, and returns early now and then.
async fn one_by_one(shared: &Shared, events: &mut Events<Order>) -> Result {
    while let Some(order) = events.next().await? {
        let is_last = order.seq % 23 == 0;
        match shared.work(&events.context(), &[order]).await {
            Work::Done => {}
            Work::Skipped => events.skip(),
            Work::Fails => return Err("it was drawn to fail".into()),
            Work::Panics => panic!("{DRAWN}"),
        }
        if is_last {
            return Ok(());
        }
    }
    Ok(())
}
