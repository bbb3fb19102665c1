//! Middleware: what it sees, what it may change, and what its outcome does to the unit.

use std::sync::{Arc, Mutex};

use runnel::event::Fields;
use runnel::prelude::*;
use runnel::testing::{TestApp, takes};
use runnel::{Failure, Middleware, Next, Outcome, Settled, Unit, async_trait};

use super::shop::{MS, Order, SECOND, order, orders, orders_of_one, send_a_broken_order, starts};

type Log = Arc<Mutex<Vec<String>>>;

fn lines(log: &Log) -> Vec<String> {
    log.lock().unwrap().clone()
}

/// Notes what goes in and what comes out.
struct Noting(&'static str, Log);

#[async_trait]
impl Middleware for Noting {
    async fn handle(&self, unit: &mut Unit, next: Next<'_>) -> Outcome {
        let note = |text: String| self.1.lock().unwrap().push(format!("{} {text}", self.0));
        note(format!("before {}", unit.events().len()));
        let outcome = next.run(unit).await;
        note(format!("after {}", outcome.as_ref().map_or_else(|why| why.to_string(), |how| format!("{how:?}"))));
        outcome
    }
}

/// A middleware that is a function of the unit, called before what comes next.
struct Before<F>(F);

#[async_trait]
impl<F: Fn(&mut Unit) -> Option<Outcome> + Send + Sync + 'static> Middleware for Before<F> {
    async fn handle(&self, unit: &mut Unit, next: Next<'_>) -> Outcome {
        match (self.0)(unit) {
            Some(outcome) => outcome,
            None => next.run(unit).await,
        }
    }
}

/// A middleware that is a function of the unit, called after what comes next was settled.
struct After<F>(F);

#[async_trait]
impl<F: Fn(&Unit) -> Result + Send + Sync + 'static> Middleware for After<F> {
    async fn handle(&self, unit: &mut Unit, next: Next<'_>) -> Outcome {
        let settled = next.run(unit).await?;
        (self.0)(unit)?;
        Ok(settled)
    }
}

fn number(event: &Event) -> u32 {
    serde_json::from_slice::<Order>(event.fields.get("data").unwrap()).unwrap().n
}

/// A processor of either style that notes the numbers it is given.
fn noter<'a>(app: &'a mut App, orders: &Stream<Order>, style: Style, log: &Log) -> runnel::Declared<'a> {
    let log = log.clone();
    let note = move |orders: &[Order]| {
        let numbers: Vec<_> = orders.iter().map(|order| order.n.to_string()).collect();
        log.lock().unwrap().push(numbers.join(" "));
    };
    match style {
        Style::Handler => app.processor(orders, move |order: Order| {
            note(&[order]);
            std::future::ready(())
        }),
        Style::Batches => app
            .processor(orders, move |orders: Vec<Order>| {
                note(&orders);
                std::future::ready(())
            })
            .batch(10, SECOND),
        Style::Loop => app.event_loop(orders, move |events: &mut Events<Order>| {
            let note = note.clone();
            Box::pin(async move {
                while let Some(order) = events.next().await? {
                    note(&[order]);
                }
                Ok(())
            })
        }),
        Style::Takes => app.event_loop(orders, move |events: &mut Events<Order>| {
            let note = note.clone();
            Box::pin(async move {
                while let Some(orders) = events.take(10, SECOND).await? {
                    note(&orders);
                }
                Ok(())
            })
        }),
    }
    .name("noter")
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Style {
    Handler,
    Batches,
    Loop,
    Takes,
}

const ALL: [Style; 4] = [Style::Handler, Style::Batches, Style::Loop, Style::Takes];
const SINGLE: [Style; 2] = [Style::Handler, Style::Loop];

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
            unit.retain(|event| number(event) % 2 == 0);
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
                    while let Some(order) = events.next().await? {
                        match order.n {
                            0 => return Err("it fails".into()),
                            _ => panic!("it panics"),
                        }
                    }
                    Ok(())
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

/// What these tests wait for.
trait Until {
    async fn until_started_and_drained(&mut self, handled: usize);
}

impl Until for TestApp {
    /// Waits until so many units went in, then drains: a loop settles its last event at the end.
    async fn until_started_and_drained(&mut self, starts: usize) {
        let started = |shop: &TestApp| {
            let is_start = |seen: &&runnel::testing::Seen| matches!(seen.what, runnel::testing::What::Started { .. });
            shop.seen().iter().filter(is_start).count()
        };
        super::shop::eventually(self, "all is started", |shop| started(shop) >= starts).await;
        self.advance(2 * SECOND).await;
        let ends = self.drain().await;
        assert!(ends.iter().all(|end| end.is_ok()), "{ends:?}");
    }
}
