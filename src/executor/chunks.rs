//! Events on their way from whoever reads a partition to whoever works it off: a channel that holds one chunk.
//!
//! There is one giver and one taker, and each sees that the other is gone. A channel of tokio's would do, but for its
//! memory: it makes room for 32 messages ahead, which is more than all that a partition without events needs otherwise.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::event::Entry;

/// The two ends of a channel for chunks.
pub(super) fn channel() -> (Giver, Taker) {
    let slot = Arc::new(Slot::default());
    (Giver(slot.clone()), Taker(slot))
}

/// Gives chunks, one after the other was taken.
pub(super) struct Giver(Arc<Slot>);

/// Takes them.
pub(super) struct Taker(Arc<Slot>);

#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    /// There is a chunk, or there will be none any more. Like the other bell it is rung once for each change, and kept for
    /// who is not waiting yet; whoever hears it looks again.
    given: Notify,
    /// There is room, or nobody will take any more.
    taken: Notify,
}

#[derive(Default)]
struct State {
    chunk: Option<Vec<Entry>>,
    giver_is_gone: bool,
    taker_is_gone: bool,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds this lock")
    }
}

impl Giver {
    /// Waits until there is room for a chunk. None: nobody takes any more. Safe to drop.
    pub(super) async fn room(&self) -> Option<Room<'_>> {
        loop {
            {
                let state = self.0.state();
                if state.taker_is_gone {
                    return None;
                }
                if state.chunk.is_none() {
                    return Some(Room(self));
                }
            }
            self.0.taken.notified().await;
        }
    }

    /// Waits until nobody takes any more. Safe to drop.
    pub(super) async fn closed(&self) {
        while !self.0.state().taker_is_gone {
            self.0.taken.notified().await;
        }
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        self.0.state().giver_is_gone = true;
        self.0.given.notify_one();
    }
}

/// Room for one chunk: only its giver could fill it.
pub(super) struct Room<'a>(&'a Giver);

impl Room<'_> {
    pub(super) fn give(self, chunk: Vec<Entry>) {
        let slot = &self.0.0;
        slot.state().chunk = Some(chunk);
        slot.given.notify_one();
    }
}

impl Taker {
    /// The chunk that has come, if there is one.
    pub(super) fn try_take(&mut self) -> Option<Vec<Entry>> {
        let chunk = self.0.state().chunk.take();
        if chunk.is_some() {
            self.0.taken.notify_one();
        }
        chunk
    }

    /// Waits for the next chunk. None: there will be none any more. Safe to drop.
    pub(super) async fn take(&mut self) -> Option<Vec<Entry>> {
        loop {
            if let Some(chunk) = self.try_take() {
                return Some(chunk);
            }
            if self.0.state().giver_is_gone {
                return None;
            }
            self.0.given.notified().await;
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.0.state().taker_is_gone = true;
        self.0.taken.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::event::{EventId, Fields};

    fn chunk(ms: u64) -> Vec<Entry> {
        vec![Entry { id: EventId::new(ms, 0), fields: Fields::default() }]
    }

    fn ids(chunk: Option<Vec<Entry>>) -> Vec<u64> {
        chunk.into_iter().flatten().map(|entry| entry.id.ms).collect()
    }

    async fn give(giver: &Giver, ms: u64) {
        giver.room().await.expect("somebody takes").give(chunk(ms));
    }

    #[tokio::test]
    async fn there_is_room_for_the_next_chunk_once_one_was_taken() {
        let (giver, mut taker) = channel();
        give(&giver, 1).await;

        assert!(giver.room().now_or_never().is_none());
        assert_eq!(ids(taker.try_take()), [1]);
        assert!(giver.room().now_or_never().is_some());
    }

    #[tokio::test]
    async fn all_chunks_come_in_order_and_then_the_end() {
        let (giver, mut taker) = channel();
        let giving = async move {
            for ms in 1..=100 {
                give(&giver, ms).await;
            }
        };
        let taking = async {
            let mut came = Vec::new();
            while let Some(chunk) = taker.take().await {
                came.extend(ids(Some(chunk)));
            }
            came
        };

        let ((), came) = futures::join!(giving, taking);

        assert_eq!(came, Vec::from_iter(1..=100));
    }

    #[tokio::test]
    async fn what_was_given_before_the_giver_went_is_still_taken() {
        let (giver, mut taker) = channel();
        give(&giver, 1).await;
        drop(giver);

        assert_eq!(ids(taker.take().await), [1]);
        assert!(taker.take().await.is_none());
    }

    #[tokio::test]
    async fn a_giver_that_waits_for_room_or_the_end_learns_that_the_taker_is_gone() {
        let (giver, taker) = channel();
        give(&giver, 1).await;
        // Both wait, the second with a bell that the first may have heard.
        let (mut room, mut closed) = (Box::pin(giver.room()), Box::pin(giver.closed()));
        assert!(room.as_mut().now_or_never().is_none());
        assert!(closed.as_mut().now_or_never().is_none());
        drop(room);

        drop(taker);

        closed.await;
        assert!(giver.room().await.is_none());
    }

    #[tokio::test]
    async fn a_wait_that_is_dropped_loses_nothing() {
        let (giver, mut taker) = channel();
        let mut wait = Box::pin(taker.take());
        assert!(wait.as_mut().now_or_never().is_none());
        give(&giver, 1).await;
        drop(wait);

        assert_eq!(ids(taker.take().await), [1]);
    }
}
