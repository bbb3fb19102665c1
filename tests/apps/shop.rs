//! What the apps of several files sell.

use runnel::broker::memory::Step;
use runnel::broker::{Broker, NewEntry};
use runnel::event::Fields;
use runnel::prelude::*;
use runnel::testing::{Moment, TestApp, What};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub customer: String,
    pub n: u32,
}

pub fn order(customer: &str, n: u32) -> Order {
    Order { customer: customer.into(), n }
}

/// Orders of one customer, in one partition.
pub fn orders_of_one(count: u32) -> impl Iterator<Item = Order> {
    (0..count).map(|n| order("a", n))
}

/// A stream with four partitions.
pub fn orders() -> Stream<Order> {
    Stream::new("orders", |o: &Order| (&o.customer).into()).partitions(4)
}

pub const SECOND: Duration = Duration::from_secs(1);
pub const MS: Duration = Duration::from_millis(1);

/// Waits until it is so, a minute of the test's time at most.
pub async fn eventually(shop: &TestApp, what: &str, is_so: impl Fn(&TestApp) -> bool) {
    for _ in 0..6_000 {
        if is_so(shop) {
            return;
        }
        shop.advance(10 * MS).await;
    }
    panic!("it never came to this: {what}");
}

/// Who started an event, and as which try.
pub fn starts(shop: &TestApp, id: EventId) -> Vec<(String, u32)> {
    let of = |seen: &runnel::testing::Seen| match seen.what {
        What::Started { attempt } if seen.ids.contains(&id) => Some((seen.worker.to_string(), attempt)),
        _ => None,
    };
    shop.seen().iter().filter_map(of).collect()
}

/// For each start of an event, the position that was committed before it.
pub fn positions_at_starts(shop: &TestApp) -> Vec<(EventId, EventId)> {
    let mut position = EventId::ZERO;
    let mut at_starts = Vec::new();
    for moment in shop.timeline() {
        match moment {
            Moment::Step(Step::Committed { position: to, .. }) => position = to,
            Moment::Seen(seen) if matches!(seen.what, What::Started { .. }) => at_starts.push((seen.ids[0], position)),
            _ => {}
        }
    }
    at_starts
}

/// An app with nothing in it yet, and three workers to run it.
pub async fn three_workers(time: &str, app: App) -> TestApp {
    let mut shop = TestApp::at(time, app).await;
    shop.add_worker("worker-2").await;
    shop.add_worker("worker-3").await;
    shop
}

/// The instants that a job was started for, as times of day by the server's clock.
pub fn instants(shop: &TestApp, job: &str) -> Vec<String> {
    let fired = shop.fired(job);
    fired.iter().map(|run| run.instant.expect("it has instants").format("%H:%M:%S").to_string()).collect()
}

/// When its runs started, likewise, to the millisecond.
pub fn started(shop: &TestApp, job: &str) -> Vec<String> {
    shop.fired(job).iter().map(|run| run.started.format("%H:%M:%S%.3f").to_string()).collect()
}

/// The worker that leads.
pub async fn leader(shop: &TestApp) -> String {
    for _ in 0..6_000 {
        if let Some(leader) = shop.leader().await {
            return leader;
        }
        shop.advance(10 * MS).await;
    }
    panic!("nobody leads");
}

/// Three orders of a customer, the second of which is no order.
pub async fn send_a_broken_order(shop: &TestApp, orders: &Stream<Order>, processor: &str) -> EventId {
    shop.send(orders, order("a", 0)).await;
    let partitions = shop.memory().snapshot().partitions;
    let partition = partitions.iter().find(|found| !found.entries.is_empty()).expect("one was sent").partition;
    let place = shop.place(processor, partition).await;
    let broken = NewEntry { partition, id: None, fields: Fields::from_pairs([("data", "no order")]) };
    let appended = shop.memory().connect().append(&place.group.stream, vec![broken]).await.unwrap();
    shop.send(orders, order("a", 2)).await;
    *appended.ids[0].as_ref().unwrap()
}
