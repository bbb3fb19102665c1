//! Middleware: what it sees, what it may change, and what its outcome does to the unit.

use std::sync::{Arc, Mutex};

use runnel::prelude::*;
use runnel::testing::{Seen, TestApp, What};
use runnel::{Middleware, Next, Outcome, Unit, async_trait};

use crate::shop::{Order, SECOND, eventually};

mod failing;
mod leaving;
mod passing;

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

/// What these tests wait for.
trait Until {
    async fn until_started_and_drained(&mut self, handled: usize);
}

impl Until for TestApp {
    /// Waits until so many units went in, then drains: a loop settles its last event at the end.
    async fn until_started_and_drained(&mut self, starts: usize) {
        let started = |shop: &TestApp| {
            let is_start = |seen: &&Seen| matches!(seen.what, What::Started { .. });
            shop.seen().iter().filter(is_start).count()
        };
        eventually(self, "all is started", |shop| started(shop) >= starts).await;
        self.advance(2 * SECOND).await;
        let ends = self.drain().await;
        assert!(ends.iter().all(|end| end.is_ok()), "{ends:?}");
    }
}
