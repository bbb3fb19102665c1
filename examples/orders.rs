//! A shop's orders on their way through three processors, each in a style of its own, for a few seconds.
//!
//! `cargo run --example orders` (`-- --for 10s` for longer) runs on whatever Redis is at hand, or on none, under a key
//! prefix of its own that it removes at the end. It shows
//!
//! - `billing`: one order at a time, with retries, a time limit, state of the app and the context of the event;
//! - `warehouse`: orders in batches that are settled as one;
//! - `ledger`: an event loop with its partition's totals in local variables, and a quarantine.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it tells what happens")]

use std::collections::HashSet;
use std::sync::Mutex;

use runnel::clock;
use runnel::prelude::*;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Order {
    order_id: u64,
    customer: String,
    cents: i64,
}

/// Orders of one customer stay in order.
#[runnel::stream]
static ORDERS: Stream<Order> = Stream::new("orders", |order| (&order.customer).into()).partitions(4);

/// The bank that the shop charges, and what it has charged before.
#[derive(Default)]
struct Bank(Mutex<HashSet<String>>);

impl Bank {
    /// Charges once for each idempotency key, however often it is asked. Its line is busy at first every tenth order, and
    /// it never takes the card of mallory.
    async fn charge(&self, order: &Order, key: String, attempt: u32) -> Result<()> {
        clock::sleep(Duration::from_millis(2)).await;
        if order.customer == "mallory" {
            return Err("the bank does not take this card".into());
        }
        if order.order_id.is_multiple_of(10) && attempt == 1 {
            return Err("the line to the bank is busy".into());
        }
        self.0.lock().map_err(|_| "the bank has lost its books")?.insert(key);
        Ok(())
    }
}

/// Handled again, in place and in order, until it works or has failed three times. Then the policy decides: the order is
/// given up, and the ones behind it go on.
#[runnel::processor(ORDERS, retry(attempts = 3, from = "50ms", to = "1s"), timeout = "2s", exception_policy = "ignore")]
async fn billing(order: Order, bank: State<Bank>, context: Context) -> Result<()> {
    let attempt = context.attempt();
    match bank.charge(&order, context.idempotency_key(), attempt).await {
        Ok(()) if attempt > 1 => println!("billing    order {} was charged at try {attempt}", order.order_id),
        Ok(()) => {}
        Err(error) => {
            println!("billing    order {} of {}, try {attempt} of 3: {error}", order.order_id, order.customer);
            return Err(error);
        }
    }
    Ok(())
}

/// Up to 50 orders, or what has come in half a second. They are settled as one.
#[runnel::processor(ORDERS, batch = 50, within = "500ms")]
async fn warehouse(orders: Vec<Order>, context: Context) -> Result<()> {
    println!("warehouse  packed {} orders of partition {} in one go", orders.len(), context.partition());
    Ok(())
}

/// One call for each partition. What is in its local variables belongs to the partition, and ends with the call.
#[runnel::processor(ORDERS, exception_policy = "quarantine")]
async fn ledger(events: &mut Events<Order>) -> Result<()> {
    let partition = events.context().partition();
    let (mut orders, mut cents) = (0, 0);
    while let Some(order) = events.next().await? {
        if order.cents < 0 {
            println!(
                "ledger     partition {partition} is in quarantine: order {} has a negative price",
                order.order_id
            );
            return Err("an order cannot have a negative price".into());
        }
        orders += 1;
        cents += order.cents;
    }
    println!("ledger     partition {partition} held {orders} orders worth {}.{:02}", cents / 100, cents % 100);
    Ok(())
}

/// Twenty orders a second. One of them is a mistake.
async fn customers() -> Result<()> {
    let names = ["alice", "bob", "carol", "dave", "erin", "mallory"];
    for order_id in 1.. {
        let customer = names[order_id as usize % names.len()].to_owned();
        let cents = if order_id == 33 { -5 } else { 995 };
        ORDERS.send(Order { order_id, customer, cents }).await?;
        clock::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let time = time_asked_for()?;
    let prefix = format!("orders-{}-{:08x}-", std::process::id(), fastrand::u32(..));
    let app = App::new("shop").state(Bank::default()).beside(customers).setting("key_prefix", prefix);

    let shop = app.connect_or("auto://").await?;
    shop.banner().into_iter().for_each(|banner| println!("{banner}"));
    println!("three processors and their customers run for {time:?}");
    let worked = shop
        .work_until(async {
            // Both are safe to drop: each only waits.
            tokio::select! {
                () = clock::sleep(time) => println!("the time is over: what runs is finished, settled and released"),
                _ = tokio::signal::ctrl_c() => println!("interrupted: what runs is finished, settled and released"),
            }
        })
        .await;

    for partition in shop.survey(ORDERS.name()).await? {
        for group in partition.groups {
            let stop = group.fence.and_then(|fence| fence.stop);
            let stop = stop.map(|stop| format!(", in quarantine since event {}", stop.at)).unwrap_or_default();
            let (waiting, processor) = (group.lag.unwrap_or_default(), group.name);
            println!("{processor:<10} partition {}: {waiting} orders wait{stop}", partition.partition);
        }
    }
    let keys = shop.erase().await?;
    println!("all {keys} keys of this run are removed");
    Ok(worked?)
}

/// `--for 5s`: how long it runs. Default: five seconds.
fn time_asked_for() -> Result<Duration> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let seconds = match words[..] {
        [] => Some(5),
        ["--for", time] => time.strip_suffix('s').and_then(|seconds| seconds.parse().ok()),
        _ => None,
    };
    seconds.map(Duration::from_secs).ok_or_else(|| "this example takes `--for 5s` and nothing else".into())
}
