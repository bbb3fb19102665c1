//! Event loops: what settles an event, what does not, and what errors do.

use std::sync::{Arc, Mutex};

use runnel::prelude::*;
use runnel::testing::{TestApp, takes};

use super::shop::{Order, SECOND, eventually, orders, orders_of_one, send_a_broken_order, starts};

type Log = Arc<Mutex<Vec<u32>>>;

#[tokio::test(start_paused = true)]
async fn a_loop_that_returns_early_has_settled_its_event_and_is_started_again() {
    let (orders, log) = (orders(), Log::default());
    let mut app = App::bare("shop");
    let seen = log.clone();
    app.event_loop(&orders, move |events: &mut Events<Order>| {
        let seen = seen.clone();
        Box::pin(async move {
            if let Some(order) = events.next().await? {
                seen.lock().unwrap().push(order.n);
            }
            Ok(())
        })
    })
    .name("totals");
    let shop = TestApp::start(app).await;

    shop.send_all(&orders, orders_of_one(5)).await;
    shop.until_idle().await;

    assert_eq!(*log.lock().unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!(shop.settled("totals").len(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_next_stays_and_whatever_is_returned_counts_as_that_failure() {
    let orders = orders();
    let errors = Arc::new(Mutex::new(Vec::new()));
    let mut app = App::bare("shop");
    let noted = errors.clone();
    app.event_loop(&orders, move |events: &mut Events<Order>| {
        let noted = noted.clone();
        Box::pin(async move {
            loop {
                match events.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(()),
                    Err(error) => {
                        noted.lock().unwrap().push(error.to_string());
                        let again = events.next().await.map(|_| ()).unwrap_err();
                        noted.lock().unwrap().push(again.to_string());
                        return Ok(());
                    }
                }
            }
        })
    })
    .name("totals")
    .exception_policy(ExceptionPolicy::Quarantine);
    let shop = TestApp::start(app).await;

    let broken = send_a_broken_order(&shop, &orders, "totals").await;
    shop.until_idle().await;

    let errors = errors.lock().unwrap().clone();
    assert!(errors.len() == 2 && errors[0] == errors[1] && errors[0].contains(&broken.to_string()), "{errors:?}");
    let quarantined: Vec<_> = shop.quarantined("totals").await.into_iter().map(|(_, id)| id).collect();
    assert_eq!(quarantined, [broken]);
    assert_eq!(shop.settled("totals").len(), 1, "the one before it");
}

#[tokio::test(start_paused = true)]
async fn a_loop_can_skip_what_it_cannot_read() {
    let (orders, log) = (orders(), Log::default());
    let mut app = App::bare("shop");
    let seen = log.clone();
    app.event_loop(&orders, move |events: &mut Events<Order>| {
        let seen = seen.clone();
        Box::pin(async move {
            loop {
                match events.next().await {
                    Ok(Some(order)) => seen.lock().unwrap().push(order.n),
                    Ok(None) => return Ok(()),
                    Err(_) => events.skip(),
                }
            }
        })
    })
    .name("totals");
    let shop = TestApp::start(app).await;

    send_a_broken_order(&shop, &orders, "totals").await;
    eventually(&shop, "all is read", |_| log.lock().unwrap().len() == 2).await;

    assert_eq!(*log.lock().unwrap(), [0, 2]);
    assert_eq!(shop.failed("totals"), []);
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_loop_is_dropped_is_delivered_again() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.event_loop(&orders, |events: &mut Events<Order>| {
        Box::pin(async move {
            while let Some(order) = events.next().await? {
                let hangs = order.n == 1 && events.context().worker() == "worker-1";
                takes(if hangs { 1_000 * SECOND } else { Duration::ZERO }).await;
            }
            Ok(())
        })
    })
    .name("totals")
    .grace_period(SECOND);
    let mut shop = TestApp::start(app).await;
    let ids = shop.send_all(&orders, orders_of_one(3)).await;
    eventually(&shop, "the second is in hand", |shop| starts(shop, ids[1]).len() == 1).await;

    shop.worker("worker-1").drain().await.unwrap();
    shop.add_worker("worker-2").await;
    shop.until_idle().await;

    let workers: Vec<_> = starts(&shop, ids[1]).into_iter().map(|(worker, _)| worker).collect();
    assert_eq!(workers, ["worker-1", "worker-2"]);
    assert_eq!(starts(&shop, ids[0]).len(), 1, "what was settled before is not repeated");
}
