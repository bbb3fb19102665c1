//! A unit within its middleware, while an event loop works on it.
//!
//! The chain of middleware is one future, kept beside the unit. It is driven until its innermost part hands the events
//! out; it rests while the loop has them; it is told how that went, and driven to its end. Whoever drives it may be
//! dropped at any time and go on later: nothing is kept anywhere else.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::task::Poll;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::event::EventId;
use crate::processor::middleware::Innermost;
use crate::processor::{Chain, Context, Entries, Outcome, Settled, Unit};

use super::failing::Fault;

/// How a chain ended.
pub(super) struct End {
    pub(super) outcome: Outcome,
    /// What it removed before the events were handed out.
    pub(super) removed: Vec<EventId>,
    /// Whether they were handed out.
    pub(super) is_called: bool,
}

/// What driving a chain came to.
pub(super) enum Driven {
    /// The loop is to be given these events.
    HandedOut(Entries),
    /// It ended, without the loop or after it.
    Ended(End),
}

/// A unit and the chain around it.
pub(super) struct Wrapped {
    chain: BoxFuture<'static, End>,
    handed: oneshot::Receiver<Entries>,
    tell: Option<oneshot::Sender<Outcome>>,
}

impl Wrapped {
    pub(super) fn new(chain: Chain, context: Context, given: Entries, is_batch: bool) -> Self {
        let ((hand_out, handed), (tell, told)) = (oneshot::channel(), oneshot::channel());
        let desk = Desk(Mutex::new(Some((hand_out, told))));
        let chain = async move {
            let mut unit = Unit::new(context, given, is_batch);
            let outcome = run(&chain, &mut unit, &desk).await;
            End { outcome, removed: unit.removed().to_vec(), is_called: unit.is_called() }
        };
        Self { chain: chain.boxed(), handed, tell: Some(tell) }
    }

    /// Drives it until it hands the events out, or ends. Safe to drop. Not for one that has ended.
    pub(super) async fn handed_out(&mut self) -> Driven {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(end) = self.chain.poll_unpin(cx) {
                return Poll::Ready(Driven::Ended(end));
            }
            self.handed.try_recv().map_or(Poll::Pending, |entries| Poll::Ready(Driven::HandedOut(entries)))
        })
        .await
    }

    /// Whether it was told how the loop has ended.
    pub(super) fn is_told(&self) -> bool {
        self.tell.is_none()
    }

    /// Tells it how the loop has ended with what it was given. Only the first word counts.
    pub(super) fn tell(&mut self, outcome: impl FnOnce() -> Outcome) {
        if let Some(tell) = self.tell.take() {
            // Nobody listens any more where a middleware has let go of what comes next.
            let _ = tell.send(outcome());
        }
    }

    /// Drives it to its end, after it was told. Safe to drop. Not for one that has ended.
    pub(super) async fn ended(&mut self) -> End {
        (&mut self.chain).await
    }
}

/// Runs a unit through a chain; a panic of it is an error.
pub(super) async fn run(chain: &Chain, unit: &mut Unit, innermost: &dyn Innermost) -> Outcome {
    let caught = AssertUnwindSafe(chain.run(unit, innermost)).catch_unwind().await;
    caught.unwrap_or_else(|panic| Err(Fault::panicked("a middleware", panic).error))
}

/// The two ways between the chain and the loop.
type Ways = (oneshot::Sender<Entries>, oneshot::Receiver<Outcome>);

/// The innermost part of a chain around an event loop: hands out, and waits for what comes of it.
struct Desk(Mutex<Option<Ways>>);

#[async_trait]
impl Innermost for Desk {
    async fn run(&self, unit: &mut Unit) -> Outcome {
        let ways = self.0.lock().expect("no code panics while it holds this lock").take();
        let (hand_out, told) = ways.expect("`Next` can be run once");
        if hand_out.send(unit.entries()).is_err() {
            return Ok(Settled::Passed);
        }
        // It only fails while everything is being dropped.
        told.await.unwrap_or_else(|_| Err(Error::from("the event loop was dropped")))
    }
}
