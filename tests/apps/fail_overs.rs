//! Servers that come back with less than they had: what workers knew of them counts no more.

use std::collections::BTreeMap;

use runnel::prelude::*;
use runnel::testing::TestApp;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    id: u32,
}

/// How many partitions each worker owns.
fn owned(shop: &TestApp) -> BTreeMap<String, usize> {
    let mut owned = BTreeMap::new();
    let partitions = shop.memory().snapshot().partitions.into_iter().filter(|found| found.stream == "orders");
    for (_, fence, _) in partitions.flat_map(|found| found.fences) {
        *owned.entry(fence.worker.expect("every partition has an owner")).or_default() += 1;
    }
    owned
}

#[tokio::test(start_paused = true)]
async fn plans_are_heard_of_at_once_from_a_server_whose_clock_is_behind_that_of_the_one_before() {
    let orders = Stream::new("orders", |order: &Order| order.id.into()).partitions(6);
    let mut app = App::bare("shop");
    app.processor(&orders, async |_: Order| {}).name("billing");
    let mut shop = TestApp::start(app).await;
    shop.advance(Duration::from_secs(20)).await;
    let replica = shop.memory().checkpoint();
    shop.advance(Duration::from_secs(3600)).await;
    shop.add_worker("worker-2").await;
    shop.advance(Duration::from_secs(20)).await;

    shop.memory().roll_back(&replica);
    shop.memory().jump(-3_600_000);
    shop.advance(Duration::from_secs(60)).await;
    assert_eq!(owned(&shop).into_values().collect::<Vec<_>>(), [3, 3]);
    shop.add_worker("worker-3").await;
    shop.advance(Duration::from_secs(1)).await;

    assert_eq!(owned(&shop).into_values().collect::<Vec<_>>(), [2, 2, 2], "much sooner than beats alone would tell");
}
