//! Events and batches that are runs of their own.

use runnel::Track;
use runnel::broker::memory::{Fault, Operation};
use runnel::prelude::*;
use runnel::runs::{Action, TaskLogEvent};
use runnel::testing::{TestApp, What, takes};

use crate::run_logs::{actions, lines};
use crate::shop::{MS, Order, SECOND, eventually, order, orders, orders_of_one};
use crate::task_log::refuse;

const START: &str = "2026-01-01T00:00:00Z";

#[tokio::test(start_paused = true)]
async fn each_event_or_batch_can_be_a_run() {
    let mut app = App::bare("shop");
    let orders = orders();
    app.processor(&orders, async |order: Order| match order.n {
        2 => Err(runnel::Error::from("no stock")),
        3 => {
            takes(10 * SECOND).await;
            Ok(())
        }
        _ => Ok(()),
    })
    .name("one")
    .track(Track::Event)
    .timeout(SECOND)
    .retry(2, MS, MS)
    .exception_policy(ExceptionPolicy::Ignore);
    app.processor(&orders, async |_: Vec<Order>| ()).name("many").batch(10, 100 * MS).track(Track::Batch);
    app.processor(&orders, async |_: Order| ()).name("none").track(Track::Off);
    let shop = TestApp::at(START, app).await;

    shop.send_all(&orders, orders_of_one(4)).await;
    shop.until_idle().await;
    shop.advance(SECOND).await;
    shop.until_idle().await;

    let one = lines(&shop, "one").await;
    let ended: Vec<_> = one.iter().filter(|line| line.action != Action::Run).map(|l| (l.attempt, l.action)).collect();
    let twice = |action| [(1, action), (2, action)];
    let expected = [(1, Action::Success), (1, Action::Success)].into_iter();
    let expected: Vec<_> = expected.chain(twice(Action::Fail)).chain(twice(Action::Terminate)).collect();
    assert_eq!(ended, expected);
    assert!(one.iter().any(|line| line.exc_text.as_deref() == Some("no stock")));
    let many = lines(&shop, "many").await;
    assert_eq!(actions(&many), [Action::Run, Action::Success]);
    assert_eq!(many[0].extra["events"], 4);
    assert!(lines(&shop, "none").await.is_empty());
}

/// Sends an event whose begin is refused for some time, and waits until it is handled all the same.
async fn is_handled_although_refused(shop: &mut TestApp, orders: &Stream<Order>) {
    shop.advance(SECOND).await;
    refuse(shop, 20);
    shop.send(orders, order("a", 1)).await;
    eventually(shop, "it is handled", |shop| shop.settled("one").len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_begin_cannot_be_written_waits_and_is_not_given_up() {
    let mut app = App::bare("shop");
    let orders = orders();
    app.processor(&orders, async |_: Order| ())
        .name("one")
        .track(Track::Event)
        .exception_policy(ExceptionPolicy::Ignore);
    let mut shop = TestApp::at(START, app).await;

    is_handled_although_refused(&mut shop, &orders).await;

    assert!(shop.failed("one").is_empty() && shop.ignored("one").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_time_in_which_a_begin_or_an_end_is_written_is_not_that_of_the_event() {
    let mut app = App::bare("shop");
    let orders = orders();
    app.processor(&orders, async |_: Order| takes(900 * MS).await)
        .name("one")
        .track(Track::Event)
        .timeout(SECOND)
        .exception_policy(ExceptionPolicy::Ignore);
    let mut shop = TestApp::at(START, app).await;

    is_handled_although_refused(&mut shop, &orders).await;
    shop.send(&orders, order("a", 2)).await;
    let starts = |shop: &TestApp| shop.seen().iter().filter(|seen| matches!(seen.what, What::Started { .. })).count();
    eventually(&shop, "it starts", |shop| starts(shop) == 2).await;
    shop.advance(500 * MS).await;
    shop.worker("worker-1").link().next_fault(Operation::Run, Fault::LostReply);
    eventually(&shop, "it is handled", |shop| shop.settled("one").len() == 2).await;

    assert_eq!((shop.failed("one"), shop.ignored("one")), (Vec::new(), Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn units_of_the_wrong_kind_cannot_be_tracked() {
    for (track, on_task_log, word) in [
        (Track::Batch, false, "track = \"event\""),
        (Track::Event, true, "must not feed it"),
        (Track::Batch, true, "must not feed it"),
    ] {
        let mut app = App::bare("shop").redis("memory://");
        match on_task_log {
            true => app.processor(&TASK_LOG, async |_: TaskLogEvent| ()).name("x").track(track),
            false => app.processor(&orders(), async |_: Order| ()).name("x").track(track),
        };
        let refused = app.connect().await.unwrap().work_until(async {}).await.unwrap_err().to_string();
        assert!(refused.contains(word), "{refused}");
    }
}
