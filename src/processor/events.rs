//! The event loop: a function that is lent the events of one partition, with its state in local variables.
//!
//! [`Events`] is lent, never owned: it has no public constructor, and as a `&mut` borrow it cannot be moved into a
//! spawned task. `next` settles the event before; what is in hand when the function ends is settled by `Ok(())`,
//! fails by an error or a panic, and is delivered again when the future is dropped.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::codec::DecodeError;
use crate::error::{Error, Failure};
use crate::event::{Entry, Event, EventId};
use crate::record::Record;
use crate::stream::Declaration;

use super::extract::{Context, Extract, Parts};
use super::handler::{Entries, FromUnit, Reading, Unit_, reading};

/// Where a loop's events come from and are settled: the executor's side of it.
#[async_trait]
pub(crate) trait Feed: Send {
    /// Settles what is in hand, then waits for up to `most` events, at most `within` after the first. None when the
    /// tenancy ends. Safe to drop: what was settled stays so, what was not taken stays in the queue. An error says that
    /// what is in hand could not be settled: it stays in hand.
    async fn next(&mut self, most: usize, within: Duration) -> Result<Option<Entries>, Unsettled>;

    /// Whether a batch of that size and time can be had.
    fn refusal(&self, most: usize, within: Duration) -> Option<String>;

    /// Notes what the loop cannot go on from.
    fn note_decode_error(&mut self, id: EventId, error: DecodeError);

    /// Gives up what is in hand: it is settled as if it had been processed.
    fn skip(&mut self);

    /// The context of what is in hand.
    fn context(&self) -> Context;
}

/// A unit that the loop is done with, and its middleware is not.
#[derive(Clone, Debug)]
pub(crate) struct Unsettled {
    pub(crate) id: EventId,
    pub(crate) error: Arc<dyn std::error::Error + Send + Sync>,
}

impl Unsettled {
    pub(crate) fn failure(id: EventId, error: &Arc<dyn std::error::Error + Send + Sync>) -> Failure {
        Failure::Middleware { id, source: error.clone() }
    }
}

/// What a loop cannot go on from.
enum Broken {
    Decode(EventId, Arc<DecodeError>),
    Unsettled(Unsettled),
}

/// The events of one partition, lent to an event loop.
pub struct Events<T> {
    feed: Box<dyn Feed>,
    #[allow(clippy::type_complexity)] // Named once, here: it is what forgets the record's type.
    read: Arc<dyn Fn(Entries, &Context) -> Result<Vec<T>, (EventId, DecodeError)> + Send + Sync>,
    current: Option<Entry>,
    broken: Option<Broken>,
}

impl<T: Send> Events<T> {
    /// Settles the event before, then waits for the next one. `None`: the partition moved, or the worker drains.
    ///
    /// Safe to cancel. Errors are sticky: after one, it is answered again and any return counts as that failure,
    /// unless [`Events::skip`] was called.
    pub async fn next(&mut self) -> Result<Option<T>, Failure> {
        Ok(self.fetch(1, Duration::ZERO).await?.and_then(|mut one| one.pop()))
    }

    /// Settles what was in hand, then waits for `n` events, or for those that have come `within` after the first.
    /// They are settled as one. `within` must be shorter than the grace period.
    pub async fn take(&mut self, n: usize, within: Duration) -> Result<Option<Vec<T>>, Failure> {
        match self.feed.refusal(n, within) {
            Some(why) => Err(Failure::Invalid(why)),
            None => self.fetch(n, within).await,
        }
    }

    async fn fetch(&mut self, most: usize, within: Duration) -> Result<Option<Vec<T>>, Failure> {
        if self.broken.is_some() {
            return self.told().map(|()| None);
        }
        self.current = None;
        let unit = match self.feed.next(most, within).await {
            Ok(None) => return Ok(None),
            Ok(Some(unit)) => unit,
            Err(unsettled) => {
                self.broken = Some(Broken::Unsettled(unsettled));
                return self.told().map(|()| None);
            }
        };
        self.current = unit.first().cloned();
        let context = self.feed.context();
        match (self.read)(unit, &context) {
            Ok(values) => Ok(Some(values)),
            Err((id, error)) => {
                self.broken = Some(Broken::Decode(id, Arc::new(error)));
                self.told().map(|()| None)
            }
        }
    }

    /// The error that stays until it is skipped.
    fn told(&self) -> Result<(), Failure> {
        match &self.broken {
            None => Ok(()),
            Some(Broken::Unsettled(Unsettled { id, error })) => Err(Unsettled::failure(*id, error)),
            Some(Broken::Decode(id, error)) => {
                let stream = self.feed.context().stream().to_owned();
                Err(Failure::Decode { stream, id: *id, source: DecodeError::Shared(error.clone()) })
            }
        }
    }

    /// The raw event in hand; the first one of a batch.
    pub fn current(&self) -> Option<Event> {
        let entry = self.current.clone()?;
        let context = self.feed.context();
        let tenancy = &context.tenancy;
        Some(Event { id: entry.id, fields: entry.fields, partition: tenancy.partition, stream: tenancy.stream.clone() })
    }

    /// The context of the event in hand.
    pub fn context(&self) -> Context {
        self.feed.context()
    }

    /// Gives up what is in hand, also after an error: it is settled as if it had been processed, and the loop may go on.
    pub fn skip(&mut self) {
        self.broken = None;
        self.current = None;
        self.feed.skip();
    }
}

impl<T> Drop for Events<T> {
    fn drop(&mut self) {
        // The error outlives the loop: whatever the function returns, the event it could not read has failed.
        if let Some(Broken::Decode(id, error)) = self.broken.take() {
            self.feed.note_decode_error(id, DecodeError::Shared(error));
        }
    }
}

/// The future of an event loop.
pub type LoopFuture<'a> = BoxFuture<'a, Result<(), Error>>;

/// An event loop whose types are forgotten.
pub(crate) trait Loop: Send + Sync {
    /// Runs it once, over what the feed brings.
    fn run(&self, feed: Box<dyn Feed>, context: Context) -> BoxFuture<'static, Result<(), Error>>;

    /// The states it needs.
    fn needs(&self) -> Vec<(std::any::TypeId, &'static str)>;
}

/// A typed event loop of a stream.
pub(crate) struct TypedLoop<R, K, T, F> {
    declaration: Arc<Declaration<R>>,
    function: Arc<F>,
    needs: Vec<(std::any::TypeId, &'static str)>,
    item: std::marker::PhantomData<fn(K) -> T>,
}

impl<R, K, T, F> TypedLoop<R, K, T, F>
where
    R: Record,
    T: FromUnit<R, K>,
    F: for<'a> Fn(&'a mut Events<T>, &Parts<'_>) -> Result<LoopFuture<'a>, Error> + Send + Sync + 'static,
{
    pub(crate) fn new(
        declaration: Arc<Declaration<R>>,
        function: F,
        needs: Vec<(std::any::TypeId, &'static str)>,
    ) -> Self {
        Self { declaration, function: Arc::new(function), needs, item: std::marker::PhantomData }
    }
}

impl<R, K: 'static, T, F> Loop for TypedLoop<R, K, T, F>
where
    R: Record,
    T: FromUnit<R, K>,
    F: for<'a> Fn(&'a mut Events<T>, &Parts<'_>) -> Result<LoopFuture<'a>, Error> + Send + Sync + 'static,
{
    fn run(&self, feed: Box<dyn Feed>, context: Context) -> BoxFuture<'static, Result<(), Error>> {
        let reading: Reading<R> = reading(&self.declaration, &context);
        let function = self.function.clone();
        let read = move |unit: Entries, context: &Context| {
            unit.into_iter()
                .map(|entry| T::from_unit(Unit_ { entries: Entries::from_iter([entry]), context }, &reading))
                .collect::<Result<Vec<T>, _>>()
        };
        let mut events = Events { feed, read: Arc::new(read), current: None, broken: None };
        Box::pin(async move {
            let started = {
                let parts = Parts { context: &context, key: &|| None };
                function(&mut events, &parts)
            };
            started?.await
        })
    }

    fn needs(&self) -> Vec<(std::any::TypeId, &'static str)> {
        self.needs.clone()
    }
}

/// The states that a list of extractors needs; for the macros.
#[doc(hidden)]
pub fn needs_of<E: Extract>() -> Option<(std::any::TypeId, &'static str)> {
    E::needs()
}
