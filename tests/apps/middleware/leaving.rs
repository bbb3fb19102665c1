//! Event loops that skip, or that let go of `next` while middleware is at work.

use runnel::prelude::*;
use runnel::testing::{TestApp, takes};
use runnel::{Failure, Middleware, Next, Outcome, Unit, async_trait};

use super::{After, Log, Until, lines, number};
use crate::shop::{MS, Order, order, orders, orders_of_one, starts};

#[tokio::test(start_paused = true)]
async fn a_loop_can_skip_what_middleware_failed_after() {
    let (orders, log) = (orders(), Log::default());
    let mut app = App::bare("shop");
    let noted = log.clone();
    app.event_loop(&orders, move |events: &mut Events<Order>| {
        let noted = noted.clone();
        Box::pin(async move {
            loop {
                match events.next().await {
                    Ok(Some(order)) => noted.lock().unwrap().push(order.n.to_string()),
                    Ok(None) => return Ok(()),
                    Err(error) => {
                        noted.lock().unwrap().push(error.to_string());
                        assert!(matches!(error, Failure::Middleware { .. }) && events.next().await.is_err());
                        events.skip();
                    }
                }
            }
        })
    })
    .name("noter")
    .middleware(After(|unit: &Unit| if number(&unit.events()[0]) == 0 { Err("no".into()) } else { Ok(()) }));
    let mut shop = TestApp::start(app).await;

    let ids = shop.send_all(&orders, orders_of_one(2)).await;
    shop.until_started_and_drained(2).await;

    let failed = format!("a middleware failed after event {} was processed", ids[0]);
    assert_eq!(lines(&log), ["0".to_owned(), failed, "1".to_owned()]);
    assert_eq!(shop.failed("noter"), []);
}

#[tokio::test(start_paused = true)]
async fn a_loop_may_cancel_next_while_middleware_is_at_work() {
    let (orders, log) = (orders(), Log::default());
    let mut app = App::bare("shop");
    let noted = log.clone();
    app.event_loop(&orders, move |events: &mut Events<Order>| {
        let noted = noted.clone();
        Box::pin(async move {
            loop {
                // Safe to drop: that is what is tested.
                tokio::select! {
                    next = events.next() => match next? {
                        Some(order) => noted.lock().unwrap().push(order.n.to_string()),
                        None => return Ok(()),
                    },
                    () = takes(30 * MS) => {}
                }
            }
        })
    })
    .name("noter")
    .middleware(Slowly(100 * MS));
    let mut shop = TestApp::start(app).await;

    let ids = shop.send_all(&orders, orders_of_one(5)).await;
    shop.until_started_and_drained(5).await;

    assert_eq!(lines(&log), ["0", "1", "2", "3", "4"]);
    assert!(ids.iter().all(|id| starts(&shop, *id).len() == 1), "the chain goes on where it was");
}

#[tokio::test(start_paused = true)]
async fn events_of_a_batch_that_is_no_longer_waited_for_are_not_lost() {
    let (orders, log) = (orders(), Log::default());
    let mut app = App::bare("shop");
    let noted = log.clone();
    app.event_loop(&orders, move |events: &mut Events<Order>| {
        let noted = noted.clone();
        Box::pin(async move {
            // Safe to drop: that is what is tested. The middleware takes longer than this.
            tokio::select! {
                _ = events.take(5, MS) => panic!("it should still be with its middleware"),
                () = takes(50 * MS) => {}
            }
            while let Some(order) = events.next().await? {
                noted.lock().unwrap().push(order.n.to_string());
            }
            Ok(())
        })
    })
    .name("noter")
    .middleware(Slowly(100 * MS));
    let shop = TestApp::without_workers(app).await;
    shop.send_all(&orders, orders_of_one(5)).await;

    let mut shop = shop;
    shop.add_worker("worker-1").await;
    shop.until_started_and_drained(5).await;

    assert_eq!(lines(&log), ["0", "1", "2", "3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn an_error_after_asking_for_more_is_not_about_the_event_before() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.event_loop(&orders, |events: &mut Events<Order>| {
        Box::pin(async move {
            let has_first = events.next().await?.is_some();
            // Safe to drop: the middleware of the first one goes on when it can.
            tokio::select! {
                next = events.next() => next.map(|_| ()).map_err(Into::into),
                () = takes(10 * MS), if has_first => Err("tired".into()),
            }
        })
    })
    .name("noter")
    .middleware(Slowly(100 * MS))
    .exception_policy(ExceptionPolicy::Ignore);
    let mut shop = TestApp::start(app).await;

    let sent = shop.send(&orders, order("a", 1)).await;
    shop.until_started_and_drained(1).await;

    assert_eq!(shop.settled("noter").into_iter().map(|(_, id)| id).collect::<Vec<_>>(), [sent]);
    assert_eq!((shop.failed("noter"), shop.ignored("noter")), (vec![], vec![]));
}

/// Takes its time before the function is called.
struct Slowly(Duration);

#[async_trait]
impl Middleware for Slowly {
    async fn handle(&self, unit: &mut Unit, next: Next<'_>) -> Outcome {
        takes(self.0).await;
        let settled = next.run(unit).await;
        takes(self.0).await;
        settled
    }
}
