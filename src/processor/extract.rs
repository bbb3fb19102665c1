//! What a function may ask for beside its event: [`Context`], [`State`], [`Key`].

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::broker::Epoch;
use crate::error::Error;
use crate::event::{EventId, Partition};
use crate::in_hand::InHand;
use crate::route::Key;
use crate::runs::RunContext;
use crate::stream::current::Handle;
use crate::witness::{Seen, What, Witness};

/// Values that the app holds for its functions, one of each type.
#[derive(Clone, Default)]
pub(crate) struct States(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl States {
    /// Holds a value; answers false if there was one of that type.
    pub(crate) fn hold<T: Send + Sync + 'static>(&mut self, value: T) -> bool {
        self.0.insert(TypeId::of::<T>(), Arc::new(value)).is_none()
    }

    fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.get(&TypeId::of::<T>()).cloned().and_then(|any| any.downcast().ok())
    }

    /// The value of that type, or the error that says that there is none.
    pub(crate) fn state<T: Send + Sync + 'static>(&self) -> Result<State<T>, Error> {
        self.get().map(State).ok_or_else(|| NoState(type_name::<T>()).into())
    }

    pub(crate) fn has(&self, id: TypeId) -> bool {
        self.0.contains_key(&id)
    }
}

/// A value the app holds, shared by everything that asks for its type: a pool, a client, a configuration.
///
/// Given with `App::state` or `App::state_with`. Asking for a type that the app does not hold is refused at start.
pub struct State<T>(Arc<T>);

impl<T> Deref for State<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for State<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One tenancy: a partition, owned by one worker for one processor.
pub(crate) struct Tenancy {
    pub(crate) handle: Handle,
    pub(crate) states: Arc<States>,
    pub(crate) worker: Arc<str>,
    pub(crate) stream: Arc<str>,
    pub(crate) processor: Arc<str>,
    pub(crate) partition: Partition,
    pub(crate) epoch: Epoch,
    /// Cleared when the lease can no longer be trusted, or another owner was seen.
    pub(crate) is_ours: Arc<AtomicBool>,
    pub(crate) witness: Witness,
    pub(crate) in_hand: InHand,
    /// The run that the tenancy is.
    pub(crate) run: RunContext,
}

impl Tenancy {
    /// Tells who watches, if somebody does.
    pub(crate) fn see(&self, ids: impl FnOnce() -> Vec<EventId>, what: impl FnOnce() -> What) {
        self.witness.see(|| Seen {
            worker: self.worker.clone(),
            processor: self.processor.clone(),
            stream: self.stream.clone(),
            partition: self.partition,
            epoch: self.epoch,
            ids: ids(),
            what: what(),
        });
    }
}

/// Where and as what a function runs just now.
#[derive(Clone)]
pub struct Context {
    pub(crate) tenancy: Arc<Tenancy>,
    pub(crate) id: EventId,
    pub(crate) attempt: u32,
    /// The id it had when it was sent at first, if it was given up and put back.
    pub(crate) retried: Option<EventId>,
}

impl Context {
    /// The id of the event; of the first one of a batch.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// Which try of the event this is: 1 for the first, also after a crash of its worker.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// For an event that was given up and put back (`dead retry`): the id it had when it was sent at first.
    pub fn retried(&self) -> Option<EventId> {
        self.retried
    }

    /// The partition.
    pub fn partition(&self) -> Partition {
        self.tenancy.partition
    }

    /// The stream's name.
    pub fn stream(&self) -> &str {
        &self.tenancy.stream
    }

    /// The processor's name.
    pub fn processor(&self) -> &str {
        &self.tenancy.processor
    }

    /// This worker's name.
    pub fn worker(&self) -> &str {
        &self.tenancy.worker
    }

    /// Rises at each change of owner: a store that refuses lower ones refuses zombies.
    pub fn epoch(&self) -> u64 {
        self.tenancy.epoch.0
    }

    /// The same for every try of this event by this processor, and for nothing else: `shop/orders/7/1795315492410-0/billing`.
    /// Also after it was given up and put back.
    pub fn idempotency_key(&self) -> String {
        let t = &*self.tenancy;
        format!("{}/{}/{}/{}/{}", t.handle.app(), t.stream, t.partition, self.retried.unwrap_or(self.id), t.processor)
    }

    /// Whether this worker may still believe that the partition is its own. Ask before an effect that must not repeat;
    /// the answer can be outdated by the time it is used.
    pub fn still_owner(&self) -> bool {
        self.tenancy.is_ours.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("key", &self.idempotency_key()).field("attempt", &self.attempt).finish()
    }
}

/// What there is to extract from.
pub struct Parts<'a> {
    pub(crate) context: &'a Context,
    pub(crate) key: &'a dyn Fn() -> Option<Key>,
}

/// A state that a function asks for and its app does not hold.
#[derive(Debug, thiserror::Error)]
#[error("the app holds no state of type `{0}`: give it with `App::state(..)` or `App::state_with(..)`")]
struct NoState(&'static str);

/// A key asked for where there is none.
#[derive(Debug, thiserror::Error)]
#[error("there is no one key here: `Key` works for handlers of one record")]
struct NoKey;

/// Something a function may have as a parameter beside its event.
#[diagnostic::on_unimplemented(
    message = "a processor cannot ask for `{Self}`",
    label = "expected `Context`, `State<T>`, `Key` or `RunContext`",
    note = "values of your own are held by the app: ask for `State<{Self}>`, and give it with `App::state(..)`"
)]
pub trait Extract: Sized + Send + 'static {
    /// The state it needs the app to hold, checked at start: its type and the type's name.
    fn needs() -> Option<(TypeId, &'static str)> {
        None
    }

    /// Takes it.
    fn extract(parts: &Parts<'_>) -> Result<Self, Error>;
}

impl Extract for Context {
    fn extract(parts: &Parts<'_>) -> Result<Self, Error> {
        Ok(parts.context.clone())
    }
}

impl<T: Send + Sync + 'static> Extract for State<T> {
    fn needs() -> Option<(TypeId, &'static str)> {
        Some((TypeId::of::<T>(), type_name::<T>()))
    }

    fn extract(parts: &Parts<'_>) -> Result<Self, Error> {
        parts.context.tenancy.states.state()
    }
}

impl Extract for RunContext {
    fn extract(parts: &Parts<'_>) -> Result<Self, Error> {
        Ok(parts.context.tenancy.run.clone())
    }
}

impl Extract for Key {
    fn extract(parts: &Parts<'_>) -> Result<Self, Error> {
        (parts.key)().ok_or_else(|| NoKey.into())
    }
}

/// The sentence for a state that is missing at start.
pub(crate) fn missing_state(name: &'static str) -> String {
    NoState(name).to_string()
}
