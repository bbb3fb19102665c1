//! Middleware: what an app wraps around every unit that a processor settles.
//!
//! A [`Middleware`] is called with a [`Unit`] (an event, or a batch) and with what comes [`Next`]: the middleware inside
//! it, and at last the processor's own function, which is where records are decoded. What it answers is what the
//! executor goes by. It knows nothing of how functions are called: that is behind [`Innermost`].

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::error::Error;
use crate::event::{Entry, Event, EventId};

use super::extract::Context;
use super::handler::Entries;

/// How a unit ended: settled, or failed with an error, for which retries and the processor's policy are.
pub type Outcome = Result<Settled, Error>;

/// How a unit was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settled {
    /// The processor's function has handled it.
    Handled,
    /// The function was not called, or an event loop skipped it: a middleware that filters answers this.
    Passed,
}

/// Wraps every unit that a processor settles, handlers' and event loops' alike.
///
/// It may look, change, filter (answer without calling `next`), time, and act once the outcome is known. An error or a
/// panic in it is a failure of the unit as any other; each retry runs the whole chain again, and a handler's timeout
/// covers it. Those of the app (`App::middleware`) are outside those of the processor (`Declared::middleware`), and of
/// each the one given first is outermost.
///
/// Around an event loop, `next.run(..)` ends when the loop settles its event. While the loop works on it the chain rests: its
/// own timers are looked at when the event is settled.
///
/// ```
/// use runnel::{Middleware, Next, Outcome, Settled, Unit, async_trait};
///
/// struct OnlyReal;
///
/// #[async_trait]
/// impl Middleware for OnlyReal {
///     async fn handle(&self, unit: &mut Unit, next: Next<'_>) -> Outcome {
///         unit.retain(|event| event.fields.get("is_test").is_none());
///         let settled = next.run(unit).await?;
///         if settled == Settled::Handled {
///             println!("{} is done", unit.id());
///         }
///         Ok(settled)
///     }
/// }
/// ```
#[async_trait]
pub trait Middleware: Send + Sync + 'static {
    /// Handles the unit, usually by `next.run(unit).await`.
    async fn handle(&self, unit: &mut Unit, next: Next<'_>) -> Outcome;
}

/// What is handled and settled as one: an event, or a batch of them.
#[derive(Debug)]
pub struct Unit {
    context: Context,
    events: Vec<Event>,
    /// The ids of those, whatever was written into them.
    ids: Vec<EventId>,
    removed: Vec<EventId>,
    is_batch: bool,
    is_called: bool,
    is_unreadable: bool,
    /// Whether its time runs: a handler's timeout counts that alone.
    timed: watch::Sender<bool>,
}

impl Unit {
    pub(crate) fn new(context: Context, entries: Entries, is_batch: bool) -> Self {
        let (partition, stream) = (context.tenancy.partition, context.tenancy.stream.clone());
        let ids = entries.iter().map(|entry| entry.id).collect();
        let event = |Entry { id, fields }| Event { id, fields, partition, stream: stream.clone() };
        let events = entries.into_iter().map(event).collect();
        let (removed, timed) = (Vec::new(), watch::Sender::new(true));
        Self { context, events, ids, removed, is_batch, is_called: false, is_unreadable: false, timed }
    }

    /// Where and as what it is handled.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The id of the event; of the first one of a batch.
    pub fn id(&self) -> EventId {
        self.context.id()
    }

    /// Which try this is: 1 for the first.
    pub fn attempt(&self) -> u32 {
        self.context.attempt()
    }

    /// Whether the function takes batches, or the event loop asked for one.
    pub fn is_batch(&self) -> bool {
        self.is_batch
    }

    /// The events, raw: decoding is the innermost part of `next`.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events, whose fields may be changed: the function sees them so, the stream and dead letters keep them as they were.
    pub fn events_mut(&mut self) -> &mut [Event] {
        &mut self.events
    }

    /// Removes events: they are settled with the others, and the function does not see them. Without any left, it is
    /// not called.
    pub fn retain(&mut self, mut keep: impl FnMut(&Event) -> bool) {
        let kept: Vec<bool> = self.events.iter().map(&mut keep).collect();
        let mut fates = kept.iter();
        self.events.retain(|_| *fates.next().expect("each event was asked about"));
        let mut fates = kept.iter();
        let (removed, is_called) = (&mut self.removed, self.is_called);
        self.ids.retain(|id| {
            let stays = *fates.next().expect("there is an id for each event");
            // What the function has seen can no longer be kept from it.
            if !stays && !is_called {
                removed.push(*id);
            }
            stays
        });
    }

    /// Those that were removed before the function was called.
    pub(crate) fn removed(&self) -> &[EventId] {
        &self.removed
    }

    /// Whether the function was called with it.
    pub(crate) fn is_called(&self) -> bool {
        self.is_called
    }

    /// Whether an event of it was no record: another try could not go better.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.is_unreadable
    }

    /// Notes that an event of it was no record.
    pub(crate) fn set_unreadable(&mut self) {
        self.is_unreadable = true;
    }

    /// Has its time run, or stand still while something is waited for that is not its handling.
    pub(crate) fn set_timed(&self, runs: bool) {
        self.timed.send_replace(runs);
    }

    /// Whether its time runs, now and later.
    pub(crate) fn timed(&self) -> watch::Receiver<bool> {
        self.timed.subscribe()
    }

    /// The entries as the function should see them.
    pub(crate) fn entries(&self) -> Entries {
        self.events.iter().map(|event| Entry { id: event.id, fields: event.fields.clone() }).collect()
    }
}

/// What comes next inside a middleware: another one, or the processor's function.
pub struct Next<'a> {
    rest: &'a [Arc<dyn Middleware>],
    innermost: &'a dyn Innermost,
}

impl Next<'_> {
    /// Goes on with the unit, and answers how it ended. Without events left there is nothing to go on with.
    pub async fn run(self, unit: &mut Unit) -> Outcome {
        if unit.events.is_empty() {
            return Ok(Settled::Passed);
        }
        match self.rest.split_first() {
            Some((first, rest)) => first.handle(unit, Next { rest, innermost: self.innermost }).await,
            None => {
                unit.is_called = true;
                self.innermost.run(unit).await
            }
        }
    }
}

impl std::fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Next").field("middleware", &self.rest.len()).finish_non_exhaustive()
    }
}

/// The processor's own function, as the innermost part of a chain.
#[async_trait]
pub(crate) trait Innermost: Send + Sync {
    /// Calls it.
    async fn run(&self, unit: &mut Unit) -> Outcome;
}

/// The middleware of a processor, the outermost first.
#[derive(Clone)]
pub(crate) struct Chain(Arc<[Arc<dyn Middleware>]>);

impl Default for Chain {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl Chain {
    /// This one with one more inside.
    pub(crate) fn with(&self, middleware: impl Middleware) -> Self {
        let innermost: Arc<dyn Middleware> = Arc::new(middleware);
        Self(self.0.iter().cloned().chain([innermost]).collect())
    }

    /// This one with all of another inside.
    pub(crate) fn around(&self, inner: &Self) -> Self {
        Self(self.0.iter().chain(&*inner.0).cloned().collect())
    }

    /// Whether there is none: then units need not be wrapped at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs a unit through it.
    pub(crate) async fn run(&self, unit: &mut Unit, innermost: &dyn Innermost) -> Outcome {
        Next { rest: &self.0, innermost }.run(unit).await
    }
}
