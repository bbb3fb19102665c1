//! The smallest whole app: a stream, a timer that sends, and a processor.
//!
//! `cargo run --example quickstart` runs it on whatever Redis is at hand, or on none; Ctrl-C drains it. `--for 5s` ends
//! it after that time. `-- status`, `-- send orders '{..}'` and the rest of the command line work as well: see
//! `-- --help`.

#![allow(clippy::print_stdout, reason = "it shows what was processed")]

use runnel::prelude::*;

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    order_id: u64,
    created_at: DateTime<Utc>,
    amount: f64,
}

#[runnel::stream]
static ORDERS: Stream<Order> = Stream::new("orders", |o| o.order_id.into());

#[runnel::timer(interval = "1s")]
async fn sender() -> Result<()> {
    ORDERS.send(Order { order_id: 1, created_at: Utc::now(), amount: 9.99 }).await?;
    Ok(())
}

#[runnel::processor(ORDERS)]
async fn printer(order: Order) -> Result<()> {
    println!("processed order {} of {}", order.order_id, order.created_at);
    Ok(())
}

fn main() -> ExitCode {
    runnel::main(App::new("myapp"))
}
