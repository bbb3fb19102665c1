//! Which event is in hand where code runs just now: so that log lines can name it.
//!
//! A span for each event would cost as much as all the rest of processing it; this costs two stores.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::event::EventId;

/// Names the event in hand. Its owner sets it; whatever runs within [`InHand::around`] can ask for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct InHand(Arc<(AtomicU64, AtomicU64)>);

tokio::task_local!(static HERE: InHand);

impl InHand {
    /// This event from now on; [`EventId::ZERO`] for none.
    pub(crate) fn set(&self, id: EventId) {
        self.0.0.store(id.ms, Ordering::Relaxed);
        self.0.1.store(id.seq, Ordering::Relaxed);
    }

    /// Runs a future in which this is the event in hand.
    pub(crate) fn around<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        HERE.scope(self.clone(), future)
    }
}

/// The event in hand here, if there is one.
pub(crate) fn here() -> Option<EventId> {
    let id =
        HERE.try_with(|hand| EventId::new(hand.0.0.load(Ordering::Relaxed), hand.0.1.load(Ordering::Relaxed))).ok()?;
    (id != EventId::ZERO).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn code_sees_the_event_in_hand_only_where_there_is_one() {
        let hand = InHand::default();
        hand.set(EventId::new(7, 1));

        assert_eq!(here(), None);
        assert_eq!(hand.around(async { here() }).await, Some(EventId::new(7, 1)));
        hand.set(EventId::ZERO);
        assert_eq!(hand.around(async { here() }).await, None);
    }
}
