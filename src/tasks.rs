//! Tasks that end with their owner.
//!
//! Dropping a [`Tasks`] aborts what it started, so that a dropped worker leaves nothing behind: that is how the
//! simulation crashes one, and what a user expects who drops the future of `Worker::run`.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::task::JoinSet;

/// Holds the tasks of a worker back while it is "paused", as SIGSTOP would. Only the simulation pauses it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Option<Arc<Mutex<GateState>>>);

#[derive(Debug, Default)]
struct GateState {
    closed: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    /// A gate that can be closed.
    #[cfg(feature = "testing")]
    pub(crate) fn closable() -> Self {
        Self(Some(Arc::default()))
    }

    /// Nothing behind it is polled until it is opened.
    #[cfg(feature = "testing")]
    pub(crate) fn set_closed(&self, closed: bool) {
        let Some(state) = &self.0 else { return };
        let mut state = state.lock().expect("no code panics while it holds this lock");
        state.closed = closed;
        if !closed {
            state.waiting.drain(..).for_each(Waker::wake);
        }
    }

    /// Whether it is closed now.
    #[cfg(feature = "testing")]
    pub(crate) fn is_closed(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.lock().expect("no code panics while it holds this lock").closed)
    }

    fn is_closed_for(&self, waker: &Waker) -> bool {
        let Some(state) = &self.0 else { return false };
        let mut state = state.lock().expect("no code panics while it holds this lock");
        if state.closed {
            state.waiting.push(waker.clone());
        }
        state.closed
    }

    /// The future, polled only while the gate is open.
    pub(crate) fn behind<F: Future>(&self, future: F) -> Behind<F> {
        Behind { gate: self.clone(), future: Box::pin(future) }
    }
}

/// A future behind a [`Gate`].
pub(crate) struct Behind<F> {
    gate: Gate,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Behind<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.gate.is_closed_for(cx.waker()) {
            return Poll::Pending;
        }
        self.future.as_mut().poll(cx)
    }
}

/// A set of tasks with one owner.
#[derive(Debug)]
pub(crate) struct Tasks<T = ()> {
    set: JoinSet<T>,
    gate: Gate,
    last: Option<tokio::task::AbortHandle>,
}

impl<T: Send + 'static> Tasks<T> {
    /// An empty set behind that gate.
    pub(crate) fn behind(gate: &Gate) -> Self {
        Self { set: JoinSet::new(), gate: gate.clone(), last: None }
    }

    /// Starts a task.
    pub(crate) fn start(&mut self, future: impl Future<Output = T> + Send + 'static) -> tokio::task::AbortHandle {
        let task = self.set.spawn(self.gate.behind(future));
        self.last = Some(task.clone());
        task
    }

    /// Waits for the next task to end; `None` if there is none. A panic is passed on as an error.
    pub(crate) async fn next(&mut self) -> Option<Result<T, tokio::task::JoinError>> {
        self.set.join_next().await
    }

    /// How many have not ended, or not been asked for.
    pub(crate) fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Whether the last task that was started has ended.
    #[cfg(feature = "testing")]
    pub(crate) fn is_finished(&self) -> bool {
        self.last.as_ref().is_none_or(tokio::task::AbortHandle::is_finished)
    }

    /// Ends all of them now.
    pub(crate) fn abort(&mut self) {
        self.set.abort_all();
    }
}
