//! Every way to write a processor, and the two ways to name one.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub)]
#![forbid(unsafe_code)]

use runnel::{App, Context, DeadLetter, Event, Events, Key, Result, State, Stream};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Order {
    order_id: u64,
}

#[runnel::stream]
static ORDERS: Stream<Order> = Stream::new("orders", |o| o.order_id.into());

/// A stream whose record is itself a `Vec`.
#[runnel::stream]
static SAMPLES: Stream<Vec<f64>> = Stream::new("samples", |s| (s.len() as u64).into());

/// Its documentation.
#[runnel::processor(ORDERS)]
async fn printer(order: Order) -> Result<()> {
    println!("{}", order.order_id);
    Ok(())
}

#[runnel::processor(
    ORDERS,
    retry(attempts = 5, from = "200ms", to = "30s"),
    timeout = "10s",
    start = "2026-11-01T09:00:00Z"
)]
async fn with_options(Order { order_id }: Order, ctx: Context, limit: State<u64>, key: Key) -> Result<()> {
    let _ = (order_id > *limit, ctx.attempt(), key);
    Ok(())
}

#[runnel::processor(
    ORDERS,
    retry(attempts = 2),
    batch = 500,
    within = "2s",
    exception_policy = "ignore",
    name = "stock"
)]
async fn warehouse(orders: Vec<Order>) {
    drop(orders);
}

/// Looks at each unit and lets it go on.
#[derive(Debug)]
struct Looking;

#[runnel::async_trait]
impl runnel::Middleware for Looking {
    async fn handle(&self, unit: &mut runnel::Unit, next: runnel::Next<'_>) -> runnel::Outcome {
        next.run(unit).await
    }
}

#[runnel::processor(ORDERS, on_error = "dead_letter", middleware = [Looking, Looking])]
async fn billing(order: Order) -> Result<()> {
    let _ = order.order_id;
    Ok(())
}

#[runnel::processor(ORDERS.dead_letters())]
async fn given_up(letter: DeadLetter<Order>) -> Result<()> {
    let _ = letter.record()?.order_id;
    Ok(())
}

#[runnel::processor(ORDERS.dead_letters())]
async fn given_up_in_a_loop(events: &mut Events<DeadLetter<Order>>) -> Result<()> {
    while let Some(letter) = events.next().await? {
        drop(letter);
    }
    Ok(())
}

#[runnel::processor(ORDERS, batch = 10)]
async fn raw_batch(events: Vec<Event>) -> Result<(), std::fmt::Error> {
    drop(events);
    Ok(())
}

#[runnel::processor(SAMPLES)]
async fn one_sample(sample: Vec<f64>) {
    drop(sample);
}

#[runnel::processor(SAMPLES, batch = 10)]
async fn samples(samples: Vec<Vec<f64>>) {
    drop(samples);
}

#[runnel::processor(
    ORDERS,
    exception_policy = "quarantine",
    max_crashes = 5,
    prefetch_count = 1_000,
    commit_linger = "0",
    lock_expiry = "20s",
    grace_period = "16s",
    join_delay = "3s",
    assignment_sleep = "100ms",
    assignment_attempts = 40,
    start = "$"
)]
async fn totals(events: &mut Events<Order>, limit: State<u64>) -> Result<()> {
    let mut total = 0;
    while let Some(order) = events.next().await? {
        total += order.order_id.min(*limit);
    }
    println!("{total}");
    Ok(())
}

#[runnel::processor(ORDERS)]
async fn raw_totals(events: &mut Events<Event>) {
    let _ = events.next().await;
}

/// Handlers in a module of their own.
pub mod handlers {
    use super::*;

    /// Visible.
    #[runnel::processor(super::ORDERS)]
    #[inline]
    pub async fn r#match(_: Event) -> Result {
        Err("no")?
    }

    #[runnel::processor({ &crate::ORDERS }.clone())]
    #[deprecated]
    pub(crate) async fn cloned(_: Event, #[allow(unused)] ctx: Context) {}
}

macro_rules! processor_of {
    ($stream:expr, $name:ident, $ty:ty, $time:literal) => {
        #[runnel::processor($stream, timeout = $time)]
        async fn $name(_: $ty) {}
    };
}

processor_of!(ORDERS, through_a_macro, Order, "5s");

fn names(app: &App) -> String {
    format!("{app:?}")
}

fn main() {
    let all = names(&App::new("shop"));
    for name in [
        "printer",
        "with_options",
        "stock",
        "raw_batch",
        "one_sample",
        "samples",
        "totals",
        "raw_totals",
        "match",
        "cloned",
        "through_a_macro",
        "billing",
        "given_up",
        "given_up_in_a_loop",
    ] {
        assert!(all.contains(&format!("{name:?}")), "{name} is not in {all}");
    }

    let some = names(&App::bare("shop").with::<printer>().with::<handlers::r#match>());
    assert!(some.contains(r#"["printer", "match"]"#), "{some}");

    // The functions are still functions.
    drop(printer(Order { order_id: 1 }));
    drop(warehouse(Vec::new()));
}
