//! What is measured, and on what ground: every contender does the same work on the same server.

use std::time::Duration;

use super::client::Client;
use super::order::Order;

/// A way to send, to process, or both.
pub(crate) trait Contender {
    /// As the tables have it.
    fn name(&self) -> &str;

    /// What of it is measured. What is not is still done, to give `drain` something to drain.
    fn disciplines(&self) -> &[Discipline];

    /// Makes streams, groups and connections: what a process does once, before events flow. Not measured. The server is
    /// empty.
    fn prepare(&mut self, ground: &Ground) -> runnel::Result;

    /// Appends orders 0 to `ground.events`, each to its partition. Returns when all are acknowledged.
    fn send(&mut self, ground: &Ground) -> runnel::Result;

    /// Processes and settles all that `send` appended, and says how many it saw.
    fn drain(&mut self, ground: &Ground) -> runnel::Result<usize>;

    /// The stream keys of the partitions, in order: for latency a raw producer appends to them.
    fn keys(&self, ground: &Ground) -> Vec<String>;

    /// Waits for `events` orders that arrive one by one, and says how old each was on arrival.
    fn receive(&mut self, ground: &Ground, events: usize) -> runnel::Result<Vec<Duration>>;
}

/// What is measured of a contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Discipline {
    Send,
    Drain,
    Latency,
}

/// Where all of them compete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground {
    pub(crate) port: u16,
    pub(crate) partitions: usize,
    pub(crate) events: usize,
}

impl Ground {
    pub(crate) fn client(&self) -> runnel::Result<Client> {
        Ok(Client::connect(self.port)?)
    }

    pub(crate) fn orders(&self) -> impl Iterator<Item = Order> + use<> {
        (0..self.events).map(Order::number)
    }
}
