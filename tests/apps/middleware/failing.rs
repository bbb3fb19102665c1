//! Units that fail: before their function, in it, after it.

use runnel::prelude::*;
use runnel::testing::{TestApp, takes};
use runnel::{Middleware, Next, Outcome, Settled, Unit, async_trait};

use super::{ALL, After, Before, Log, Noting, SINGLE, Style, Until, lines, noter};
use crate::shop::{MS, Order, SECOND, order, orders, orders_of_one, send_a_broken_order, starts};

#[tokio::test(start_paused = true)]
async fn errors_and_panics_before_the_function_are_tried_again() {
    for style in ALL {
        let (orders, log) = (orders(), Log::default());
        let mut app = App::bare("shop");
        let fail = Before(|unit: &mut Unit| match unit.attempt() {
            1 => Some(Err("not yet".into())),
            2 => panic!("not now"),
            _ => None,
        });
        noter(&mut app, &orders, style, &log).middleware(fail).retry(3, MS, MS);
        let mut shop = TestApp::start(app).await;

        shop.send(&orders, order("a", 7)).await;
        shop.until_started_and_drained(1).await;

        let failed: Vec<_> = shop.failed("noter").into_iter().map(|(_, why)| why).collect();
        assert_eq!(failed, ["not yet", "a middleware panicked: not now"], "{style:?}");
        assert_eq!(lines(&log), ["7"], "{style:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_the_function_is_a_failure_of_its_unit() {
    for style in ALL {
        let (orders, log) = (orders(), Log::default());
        let mut app = App::bare("shop");
        let fail = After(|unit: &Unit| if unit.attempt() == 1 { Err("not published".into()) } else { Ok(()) });
        noter(&mut app, &orders, style, &log).middleware(fail).retry(2, MS, MS);
        let mut shop = TestApp::start(app).await;

        shop.send(&orders, order("a", 7)).await;
        shop.until_started_and_drained(2).await;

        let failed: Vec<_> = shop.failed("noter").into_iter().map(|(_, why)| why).collect();
        assert!(failed.len() == 1 && failed[0].contains("not published"), "{style:?}: {failed:?}");
        assert_eq!(lines(&log), ["7", "7"], "{style:?}");
        assert_eq!(shop.settled("noter").len(), 1, "{style:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_failure_of_a_function_is_an_outcome_that_can_be_forgiven() {
    for style in SINGLE {
        let (orders, log) = (orders(), Log::default());
        let mut app = App::bare("shop").middleware(Noting("outside", log.clone()));
        match style {
            Style::Handler => app.processor(&orders, async |order: Order| match order.n {
                0 => Err(runnel::Error::from("it fails")),
                _ => panic!("it panics"),
            }),
            _ => app.event_loop(&orders, |events: &mut Events<Order>| {
                Box::pin(async move {
                    match events.next().await? {
                        Some(Order { n: 0, .. }) => Err("it fails".into()),
                        Some(_) => panic!("it panics"),
                        None => Ok(()),
                    }
                })
            }),
        }
        .name("noter")
        .middleware(Forgiving(log.clone()));
        let mut shop = TestApp::start(app).await;

        shop.send_all(&orders, orders_of_one(2)).await;
        shop.until_started_and_drained(2).await;

        let seen: Vec<_> = lines(&log).into_iter().filter(|line| line.starts_with("forgiven")).collect();
        assert!(seen[0] == "forgiven: it fails" && seen[1].contains("the processor panicked: it panics"), "{seen:?}");
        assert_eq!((shop.settled("noter").len(), shop.failed("noter")), (2, vec![]), "{style:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_decoded_is_an_outcome_too() {
    for style in SINGLE {
        let (orders, log) = (orders(), Log::default());
        let mut app = App::bare("shop");
        noter(&mut app, &orders, style, &log)
            .middleware(Noting("outside", log.clone()))
            .retry(5, MS, MS)
            .exception_policy(ExceptionPolicy::Ignore);
        let shop = TestApp::start(app).await;

        let broken = send_a_broken_order(&shop, &orders, "noter").await;
        shop.until_idle().await;

        let told = format!("outside after event {broken} of stream `orders` cannot be decoded");
        assert_eq!(lines(&log).iter().filter(|line| **line == told).count(), 1, "{style:?}: {:?}", lines(&log));
        assert_eq!(starts(&shop, broken).len(), 1, "{style:?}: its bytes do not change");
    }
}

#[tokio::test(start_paused = true)]
async fn the_timeout_of_a_handler_covers_its_middleware() {
    struct Slow;
    #[async_trait]
    impl Middleware for Slow {
        async fn handle(&self, unit: &mut Unit, next: Next<'_>) -> Outcome {
            let settled = next.run(unit).await?;
            takes(10 * SECOND).await;
            Ok(settled)
        }
    }
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |_: Order| {}).name("quick").middleware(Slow).timeout(SECOND);
    let shop = TestApp::start(app).await;

    shop.send(&orders, order("a", 1)).await;
    shop.until_idle().await;

    let failed = shop.failed("quick");
    assert!(failed.len() == 1 && failed[0].1.contains("longer than its timeout of 1s"), "{failed:?}");
}

/// Notes an error and settles all the same.
struct Forgiving(Log);

#[async_trait]
impl Middleware for Forgiving {
    async fn handle(&self, unit: &mut Unit, next: Next<'_>) -> Outcome {
        let outcome = next.run(unit).await;
        outcome.or_else(|error| {
            self.0.lock().unwrap().push(format!("forgiven: {error}"));
            Ok(Settled::Handled)
        })
    }
}
