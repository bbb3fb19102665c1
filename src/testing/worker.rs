//! What tests do to one worker.

use crate::broker::memory::MemoryBroker;
use crate::error::Failure;

use super::TestWorker;

impl TestWorker {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its connection to the store, to be given faults or cut.
    pub fn link(&self) -> &MemoryBroker {
        &self.link
    }

    /// Stops it in the middle of whatever it does, as SIGSTOP would; or lets it go on.
    pub fn pause(&self, paused: bool) {
        self.gate.set_closed(paused);
    }

    /// Tells it to drain, as SIGTERM would, without waiting.
    pub fn tell_to_drain(&self) {
        self.switches.drain.cancel();
    }

    /// Drains it and answers how it ended.
    pub async fn drain(&mut self) -> Result<(), Failure> {
        self.switches.drain.cancel();
        self.ended().await
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// If it panicked.
    pub async fn ended(&mut self) -> Result<(), Failure> {
        match self.running.next().await {
            Some(Ok(end)) => end,
            Some(Err(error)) => panic!("a worker panicked: {error}"),
            None => Ok(()),
        }
    }

    /// Whether it goes on: it has not ended, is not paused and not told to drain.
    pub(super) fn works(&self) -> bool {
        !self.has_ended() && !self.switches.drain.is_cancelled() && !self.gate.is_closed()
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.running.is_finished()
    }
}
