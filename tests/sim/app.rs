//! The app that is simulated: its processors take some time, write down what they were given, and fail where it was
//! drawn.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use runnel::prelude::*;
use runnel::testing::takes;
use runnel::{Middleware, Next, Outcome, Unit, async_trait};

use super::draw::{Draw, Drawn, Style, Work, millis, work};
use super::facts::Heard;
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
        // It would be a second stream beside the one that is looked at.
        .setting("task_log_policy", "off");
    for processor in &draw.processors {
        declare_processor(&mut app, &orders, processor, shared.clone());
    }
    (app, orders, shared)
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
