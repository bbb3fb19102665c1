//! One owned partition as the rest of the executor sees it: its lease, its ledger, and the switches that end it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use crate::broker::Renew;
use crate::clock::Instant;
use crate::decide::lease::Lease;
use crate::event::EventId;

use super::ledger::Ledger;

/// What an executor keeps of a partition it owns.
pub(super) struct Holding {
    pub(super) ledger: Arc<Ledger>,
    lease: Mutex<Lease>,
    read: Mutex<EventId>,
    /// Cleared when the lease cannot be trusted any more; users see it as `still_owner`.
    pub(super) is_ours: Arc<AtomicBool>,
    /// Take nothing new; finish, commit and release.
    pub(super) close: CancellationToken,
    /// Drop what runs. Also cancelled when the place is lost.
    pub(super) abort: CancellationToken,
}

impl Holding {
    pub(super) fn new(ledger: Arc<Ledger>, lease: Lease, read: EventId) -> Self {
        let abort = ledger.lost.child_token();
        Self {
            ledger,
            lease: Mutex::new(lease),
            read: Mutex::new(read),
            is_ours: Arc::new(AtomicBool::new(true)),
            close: CancellationToken::new(),
            abort,
        }
    }

    fn lease(&self) -> std::sync::MutexGuard<'_, Lease> {
        self.lease.lock().expect("no code panics while it holds this lock")
    }

    /// Whether an event may still be started.
    pub(super) fn may_start(&self, now: Instant) -> bool {
        self.lease().may_start(now)
    }

    pub(super) fn renewed(&self, sent: Instant) {
        self.lease().renewed(sent);
    }

    /// Draws the consequences of time: past the trust window nothing is ours for sure; past the grace what runs is dropped.
    pub(super) fn watch(&self, now: Instant) {
        let (lease, is_lost) = (*self.lease(), self.ledger.lost.is_cancelled());
        self.is_ours.store(lease.may_start(now) && !is_lost, Ordering::Relaxed);
        if now >= lease.cancel_at() && !is_lost {
            tracing::warn!(processor = %self.ledger.place.group.processor, partition = %self.ledger.place.partition,
                epoch = %self.ledger.fence.epoch, "the lease could not be renewed in time: dropping what runs");
            self.ledger.lost.cancel();
        }
    }

    /// When [`Self::watch`] has something to decide next.
    pub(super) fn watch_at(&self, now: Instant) -> Instant {
        let lease = *self.lease();
        if lease.may_start(now) { lease.trusted_until() } else { lease.cancel_at() }
    }

    pub(super) fn has_read(&self, id: EventId) {
        *self.read.lock().expect("no code panics while it holds this lock") = id;
    }

    pub(super) fn renewal(&self, ttl: std::time::Duration) -> Renew {
        let read = *self.read.lock().expect("no code panics while it holds this lock");
        self.ledger.renewing();
        Renew { place: self.ledger.place.clone(), fence: self.ledger.fence.clone(), ttl, read }
    }
}
