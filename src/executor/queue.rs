//! The queue of one owned partition, from which units are taken in the order of their ids.
//!
//! Taking is safe to drop: what has come stays in the queue until it is taken as a whole.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{self, Instant};
use crate::decide::batch::{Batch, Due};
use crate::event::Entry;
use crate::processor::Entries;

use super::chunks::Taker;
use super::committer::Committer;
use super::holding::Holding;
use super::ledger::Ledger;

pub(super) struct Queue {
    chunks: Taker,
    waiting: VecDeque<Entry>,
    holding: Arc<Holding>,
    committer: Committer,
    /// When the first of those that wait arrived: a batch is due some time after that.
    since: Instant,
    /// When the last chunk arrived.
    arrived: Instant,
    /// Whether ids settled by an owner before us may still come.
    mind_done: bool,
}

impl Queue {
    pub(super) fn new(chunks: Taker, holding: Arc<Holding>, committer: Committer, mind_done: bool) -> Self {
        let now = clock::now();
        Self { chunks, waiting: VecDeque::new(), holding, committer, since: now, arrived: now, mind_done }
    }

    fn ledger(&self) -> &Arc<Ledger> {
        &self.holding.ledger
    }

    /// Puts a unit back in front: it will be taken again.
    pub(super) fn put_back(&mut self, unit: Entries) {
        for entry in unit.into_iter().rev() {
            self.waiting.push_front(entry);
        }
    }

    /// The id of the event in front, if it has come.
    pub(super) fn front(&self) -> Option<&Entry> {
        self.waiting.front()
    }

    /// Up to `most` events, at most `within` after the first has come; none when the tenancy ends.
    pub(super) async fn take(&mut self, most: usize, within: Duration) -> Option<Entries> {
        let holding = self.holding.clone();
        if self.mind_done {
            self.skip_done();
        }
        if most == 1 && !self.waiting.is_empty() && !holding.close.is_cancelled() && !holding.abort.is_cancelled() {
            return self.waiting.pop_front().map(|entry| Entries::from_iter([entry]));
        }
        let batch = Batch::new(most, within);
        loop {
            if holding.close.is_cancelled() || holding.abort.is_cancelled() {
                return None;
            }
            let now = clock::now();
            let ready = self.ready(most);
            let due = match ready {
                // What comes next is settled already: the batch ends before it.
                n if n > 0 && n < most.min(self.waiting.len()) => Due::Now,
                n => batch.due(n, self.since, now),
            };
            if due == Due::Now {
                let unit = self.waiting.drain(..ready).collect();
                // What is left behind came with the last chunk.
                self.since = self.arrived;
                return Some(unit);
            }
            if !self.wait(due, now).await {
                return None;
            }
        }
    }

    /// How many of the events in front can be one unit: up to `most`, and none of them settled by an owner before us.
    fn ready(&self, most: usize) -> usize {
        let waiting = self.waiting.iter().take(most);
        if self.mind_done {
            waiting.take_while(|entry| !self.ledger().is_done(entry.id)).count()
        } else {
            waiting.len()
        }
    }

    /// Passes over what an owner before us has settled, as far as it is next. Not earlier: the position passes every
    /// lower event that was not started by then.
    fn skip_done(&mut self) {
        while let Some(id) = self.waiting.front().map(|entry| entry.id).filter(|id| self.ledger().is_done(*id)) {
            self.waiting.pop_front();
            let call = self.ledger().skipped(id);
            self.committer.call(self.ledger(), call);
        }
    }

    /// Waits for more. False: the tenancy ends.
    async fn wait(&mut self, due: Due, now: Instant) -> bool {
        let until = match due {
            Due::At(at) => Some(at),
            _ => None,
        };
        if let Some(chunk) = self.chunks.try_take() {
            self.arrived(chunk);
            return true;
        }
        // Nothing more is at hand: what is settled should not linger for company.
        let call = self.ledger().hurry();
        self.committer.call(&self.holding.ledger, call);
        // All are safe to drop: take loses nothing, the others only end the wait.
        tokio::select! {
            chunk = self.chunks.take() => match chunk {
                Some(chunk) => self.arrived(chunk),
                None => return false,
            },
            () = self.holding.close.cancelled() => return false,
            () = self.holding.abort.cancelled() => return false,
            () = clock::sleep_until(until.unwrap_or(now)), if until.is_some() => {}
        }
        true
    }

    fn arrived(&mut self, chunk: Vec<Entry>) {
        self.arrived = clock::now();
        if self.waiting.is_empty() {
            self.since = self.arrived;
        }
        self.waiting.extend(chunk);
        if self.mind_done {
            self.skip_done();
        }
    }
}
