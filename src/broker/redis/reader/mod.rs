//! Reading streams on connections of our own.
//!
//! Each [`Reader::read`] waits for entries of one key. All that wait together share few connections: one that reads
//! at once where more is known to be there, and some that block over many keys. Which key is read where is decided in
//! [`demand`](crate::decide::demand); here is what does it.
//!
//! Promises: reading changes nothing in the store, so a read may be dropped and repeated at any time. A lost
//! connection fails nobody: it is made anew and everything is asked again. Only refusals reach the callers, those of a
//! key only the callers of that key. Everything ends when the [`Reader`] is dropped.
//!
//! It does not know partitions or positions, and does not bound memory: a reply is as large as what was asked for.
//!
//! Why not the connections of the `redis` crate: its replies are trees of values, which cost more than all the rest of
//! reading, and it reconnects without telling, when a reader must doubt its position.

mod connection;
mod line;
mod reply;
mod resp;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, oneshot, watch};

use crate::broker::BrokerError;
use crate::decide::demand::{Demand, Line, Step, Ticket, Wish};
use crate::event::{Entry, EventId};
use crate::tasks::{Gate, Tasks};

/// Ends a blocking read early, from another connection.
#[async_trait]
pub(crate) trait Unblock: Send + Sync + 'static {
    /// `CLIENT UNBLOCK id`, without ERROR. Whether that client was blocked.
    async fn unblock(&self, client_id: i64) -> Result<bool, BrokerError>;
}

/// Reads streams for everybody in this process. Clones share the connections.
#[derive(Clone)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
    /// One task a line, begun with the first read. They hold `shared`, not this.
    tasks: Arc<OnceLock<Tasks<Infallible>>>,
}

type Answer = oneshot::Sender<Result<Vec<Entry>, BrokerError>>;

/// What the callers and the lines have in common.
struct Shared {
    target: redis::ConnectionInfo,
    address: String,
    block: Duration,
    commands: Arc<dyn Unblock>,
    state: Mutex<State>,
    /// Rung when a line has something new to do; its own first, the direct line's last.
    bells: Vec<Notify>,
    reconnects: watch::Sender<u64>,
    open: Arc<AtomicUsize>,
}

struct State {
    demand: Demand,
    answers: HashMap<Ticket, Answer>,
}

impl Reader {
    /// Connects to nothing yet: connections are opened when somebody waits. At most `pool_size` of them block, for
    /// `block` at a time; one more reads directly.
    pub(crate) fn new(
        target: redis::ConnectionInfo,
        address_for_messages: String,
        pool_size: usize,
        block: Duration,
        commands: Arc<dyn Unblock>,
    ) -> Self {
        let demand = Demand::over(pool_size);
        let shared = Shared {
            target,
            address: address_for_messages,
            block,
            commands,
            bells: demand.lines().map(|_| Notify::new()).collect(),
            state: Mutex::new(State { demand, answers: HashMap::new() }),
            reconnects: watch::Sender::new(0),
            open: Arc::default(),
        };
        Self { shared: Arc::new(shared), tasks: Arc::default() }
    }

    /// Waits until the stream at `key` has entries after `after`, and answers the first `count` at most, never none.
    ///
    /// `flowing` says that something is probably there already. Waits through outages; fails only when the server
    /// refuses this key, or us. May be dropped and repeated.
    pub(crate) async fn read(
        &self,
        key: &Arc<str>,
        after: EventId,
        count: usize,
        flowing: bool,
    ) -> Result<Vec<Entry>, BrokerError> {
        self.tasks.get_or_init(|| self.shared.clone().serve_all());
        let (answer, answered) = oneshot::channel();
        let waiting = self.shared.ask(Wish { key: key.clone(), after, count }, flowing, answer);
        let answer = answered.await;
        drop(waiting);
        answer.unwrap_or_else(|_| Err(self.shared.unexpected("the end of reading".to_owned())))
    }

    /// Rises when a reading connection had to be made anew, or was told that the server changed: the server may be
    /// another one now, with other streams.
    pub(crate) fn reconnects(&self) -> watch::Receiver<u64> {
        self.shared.reconnects.subscribe()
    }

    /// Connections that are open now.
    #[cfg(test)]
    pub(crate) fn connections(&self) -> usize {
        self.shared.open.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Somebody waits for an answer; dropped, nobody does any more.
struct Waiting<'a> {
    shared: &'a Shared,
    ticket: Ticket,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if state.answers.remove(&self.ticket).is_some() {
            state.demand.withdraw(self.ticket);
        }
    }
}

impl Shared {
    fn serve_all(self: Arc<Self>) -> Tasks<Infallible> {
        let mut tasks = Tasks::behind(&Gate::default());
        for line in self.demand(|demand| demand.lines()) {
            tasks.start(line::serve(self.clone(), line));
        }
        tasks
    }

    fn ask(&self, wish: Wish, flowing: bool, answer: Answer) -> Waiting<'_> {
        let mut state = self.state();
        let (ticket, line) = state.demand.ask(wish, flowing);
        state.answers.insert(ticket, answer);
        drop(state);
        self.bell(line).notify_one();
        Waiting { shared: self, ticket }
    }

    /// Asks or tells demand something.
    fn demand<T>(&self, with: impl FnOnce(&mut Demand) -> T) -> T {
        with(&mut self.state().demand)
    }

    /// Tells demand something and does what follows from it.
    fn apply(&self, tell: impl FnOnce(&mut Demand) -> Step<BrokerError>) {
        let mut state = self.state();
        let step = tell(&mut state.demand);
        for (ticket, answer) in step.deliveries {
            if let Some(waiting) = state.answers.remove(&ticket) {
                // Who has gone meanwhile will read the same again.
                let _ = waiting.send(answer);
            }
        }
        drop(state);
        step.joined.into_iter().for_each(|line| self.bell(line).notify_one());
    }

    fn bell(&self, line: Line) -> &Notify {
        match line {
            Line::Direct => &self.bells[self.bells.len() - 1],
            Line::Blocking(n) => &self.bells[n],
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds this lock")
    }

    fn refused(&self, code: String, message: String) -> BrokerError {
        BrokerError::Refused { address: self.address.clone(), doing: "reading events", code, message }
    }

    fn unexpected(&self, detail: String) -> BrokerError {
        BrokerError::Unexpected { address: self.address.clone(), doing: "reading events", detail }
    }
}

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
