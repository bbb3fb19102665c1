//! What middleware sees of units that are settled, and what it may do to them.

use std::sync::{Arc, Mutex};

use runnel::event::Fields;
use runnel::prelude::*;
use runnel::testing::{TestApp, takes};
use runnel::{Middleware, Next, Outcome, Settled, Unit, async_trait};

use super::{ALL, Before, Log, Noting, SINGLE, Style, Until, lines, noter, number};
use crate::shop::{Order, SECOND, order, orders, orders_of_one};

#[tokio::test(start_paused = true)]
async fn those_of_the_app_are_outside_and_the_first_one_outermost() {
    for style in SINGLE {
        let (orders, log) = (orders(), Log::default());
        let mut app = App::bare("shop").middleware(Noting("a", log.clone())).middleware(Noting("b", log.clone()));
        noter(&mut app, &orders, style, &log).middleware(Noting("c", log.clone())).middleware(Noting("d", log.clone()));
        let mut shop = TestApp::start(app).await;

        shop.send(&orders, order("a", 7)).await;
        shop.until_started_and_drained(1).await;

        let inward = ["a before 1", "b before 1", "c before 1", "d before 1"];
        let outward = ["d after Handled", "c after Handled", "b after Handled", "a after Handled"];
        assert_eq!(lines(&log), [&inward[..], &["7"], &outward].concat(), "{style:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_filtered_is_settled_uncalled() {
    for style in SINGLE {
        let (orders, log) = (orders(), Log::default());
        let mut app = App::bare("shop");
        let odd = Before(|unit: &mut Unit| (number(&unit.events()[0]) % 2 == 1).then_some(Ok(Settled::Passed)));
        noter(&mut app, &orders, style, &log).middleware(odd);
        let mut shop = TestApp::start(app).await;

        let ids = shop.send_all(&orders, orders_of_one(4)).await;
        shop.until_started_and_drained(2).await;

        assert_eq!(lines(&log), ["0", "2"], "{style:?}");
        let passed: Vec<_> = shop.passed("noter").into_iter().map(|(_, id)| id).collect();
        assert_eq!(passed, [ids[1], ids[3]], "{style:?}");
        assert_eq!(shop.settled("noter").len(), 2, "{style:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_of_a_batch_is_settled_with_the_rest() {
    for style in [Style::Batches, Style::Takes] {
        let (orders, log) = (orders(), Log::default());
        let mut app = App::bare("shop");
        let even = Before(|unit: &mut Unit| {
            assert!(unit.is_batch());
            unit.retain(|event| number(event).is_multiple_of(2));
            None
        });
        noter(&mut app, &orders, style, &log).middleware(even).middleware(Noting("inside", log.clone()));
        let mut shop = TestApp::start(app).await;

        shop.send_all(&orders, orders_of_one(10)).await;
        shop.until_started_and_drained(1).await;

        assert_eq!(lines(&log), ["inside before 5", "0 2 4 6 8", "inside after Handled"], "{style:?}");
        assert_eq!((shop.settled("noter").len(), shop.passed("noter").len()), (5, 5), "{style:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_events_left_nothing_is_called() {
    for style in ALL {
        let (orders, log) = (orders(), Log::default());
        let mut app = App::bare("shop");
        let none = Before(|unit: &mut Unit| {
            unit.retain(|_| false);
            None
        });
        noter(&mut app, &orders, style, &log).middleware(none).middleware(Noting("inside", log.clone()));
        let shop = TestApp::start(app).await;

        shop.send_all(&orders, orders_of_one(3)).await;
        shop.until_idle().await;

        assert_eq!(lines(&log), Vec::<String>::new(), "{style:?}");
        assert_eq!(shop.passed("noter").len(), 3, "{style:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn changed_fields_are_what_the_function_sees() {
    for style in ALL {
        let (orders, log) = (orders(), Log::default());
        let mut app = App::bare("shop");
        let change = Before(|unit: &mut Unit| {
            for event in unit.events_mut() {
                let order = order("a", number(event) + 100);
                event.fields = Fields::from_pairs([("data", serde_json::to_vec(&order).unwrap())]);
            }
            None
        });
        noter(&mut app, &orders, style, &log).middleware(change);
        let mut shop = TestApp::start(app).await;

        shop.send(&orders, order("a", 7)).await;
        shop.until_started_and_drained(1).await;

        assert_eq!(lines(&log), ["107"], "{style:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn middleware_can_time_what_is_inside() {
    struct Timing(Arc<Mutex<Vec<Duration>>>);
    #[async_trait]
    impl Middleware for Timing {
        async fn handle(&self, unit: &mut Unit, next: Next<'_>) -> Outcome {
            let start = runnel::clock::now();
            let outcome = next.run(unit).await;
            self.0.lock().unwrap().push(runnel::clock::now().since(start));
            outcome
        }
    }
    for style in SINGLE {
        let (orders, times) = (orders(), Arc::new(Mutex::new(Vec::new())));
        let mut app = App::bare("shop").middleware(Timing(times.clone()));
        match style {
            Style::Handler => app.processor(&orders, async |_: Order| takes(3 * SECOND).await),
            _ => app.event_loop(&orders, |events: &mut Events<Order>| {
                Box::pin(async move {
                    while events.next().await?.is_some() {
                        takes(3 * SECOND).await;
                    }
                    Ok(())
                })
            }),
        }
        .name("slow");
        let mut shop = TestApp::start(app).await;

        shop.send(&orders, order("a", 1)).await;
        shop.until_started_and_drained(1).await;

        let times = times.lock().unwrap().clone();
        assert!(times.len() == 1 && times[0] >= 3 * SECOND && times[0] < 4 * SECOND, "{style:?}: {times:?}");
    }
}
