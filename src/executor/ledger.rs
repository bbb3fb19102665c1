//! What is settled of one owned partition, and what of it Redis already knows.
//!
//! The lane writes into it, the committer takes from it; both are short and never wait while they hold it. One commit
//! of a partition is under way at a time, so everything that is settled meanwhile goes with the next one.

use std::sync::Mutex;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::broker::{Commit, Fence, FrontMark, Owned, Place};
use crate::decide::settlement::{MOST_OPEN, Settlement};
use crate::event::EventId;

use super::outbox::{Outbox, Piece};

/// Settled events that go into a commit at once, without waiting for the linger.
const ENOUGH: u64 = 64;

/// The settled part of one owned partition.
pub(super) struct Ledger {
    pub(super) place: Place,
    pub(super) fence: Fence,
    /// Which server gave it to us: how often the server had changed when it was asked.
    pub(super) server: u64,
    /// Cancelled when the place is no longer ours, by whatever has found out.
    pub(super) lost: CancellationToken,
    /// Dead letters that the partition may hold.
    letters_limit: u64,
    book: Mutex<Book>,
    answered: Notify,
}

struct Book {
    settlement: Settlement,
    outbox: Outbox,
    /// The commit under way was refused: there is no room for its letters.
    is_crowded: bool,
    entries_read: Option<u64>,
    seen: EventId,
    front: FrontMark,
    /// The number of the last commit that was made.
    n: u64,
    under_way: bool,
    /// Things said so far, said in the last commit that was made, and known to Redis.
    said: u64,
    sent: u64,
    known: u64,
    /// Events settled since the last commit was made.
    fresh: u64,
    /// The last commit when a renewal was sent at rest: only then the store's count is ours.
    renewing_after: Option<u64>,
    /// Whether the committer has it in its queue, and must not wait with it.
    queued: bool,
    urgent: bool,
}

/// What the lane should do after it said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Nothing: the committer knows.
    Nothing,
    /// Tell the committer; it may linger.
    Soon,
    /// Tell the committer to make haste.
    Now,
}

impl Ledger {
    pub(super) fn new(place: Place, fence: Fence, server: u64, letters_limit: u64, owned: &Owned) -> Self {
        let book = Book {
            settlement: Settlement::new(owned.position, owned.done.iter().copied()),
            outbox: Outbox::new(letters_limit),
            is_crowded: false,
            entries_read: owned.entries_read,
            seen: owned.seen.max(owned.position),
            front: FrontMark::Keep,
            n: owned.n,
            under_way: false,
            said: 0,
            sent: 0,
            known: 0,
            fresh: 0,
            renewing_after: None,
            queued: false,
            urgent: false,
        };
        let (lost, answered) = (CancellationToken::new(), Notify::new());
        Self { place, fence, server, lost, letters_limit, book: Mutex::new(book), answered }
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().expect("no code panics while it holds this lock")
    }

    /// Whether it was settled by an owner before us.
    pub(super) fn is_done(&self, id: EventId) -> bool {
        self.book().settlement.is_done(id)
    }

    /// A done event was met in reading.
    pub(super) fn skipped(&self, id: EventId) -> Call {
        let mut book = self.book();
        book.settlement.skipped(id);
        book.say(1, false)
    }

    /// A unit is going to be run; named by its last event.
    pub(super) fn started(&self, last: EventId) {
        let mut book = self.book();
        book.seen = book.seen.max(last);
        book.settlement.started(last);
    }

    /// A unit that was started is taken apart: its events will be started again, perhaps in other units.
    pub(super) fn put_back(&self, last: EventId) {
        self.book().settlement.put_back(last);
    }

    /// A unit of so many events is settled. `at_once`: nothing more starts before Redis knows.
    pub(super) fn settled(&self, last: EventId, entries: u64, at_once: bool) -> Call {
        let mut book = self.book();
        book.settlement.settled(last, entries);
        book.say(entries, at_once)
    }

    /// A unit is settled, and dead letters are kept of it. What does not fit into one commit waits for the next ones, and
    /// nothing else starts until then.
    pub(super) fn given_up(&self, last: EventId, pieces: Vec<Piece>, at_once: bool) -> Call {
        let mut book = self.book();
        book.settlement.put_back(last);
        pieces.iter().for_each(|piece| book.settlement.started(piece.last));
        let entries = pieces.iter().map(|piece| piece.entries).sum();
        book.outbox.put(pieces);
        book.settle_pieces();
        let at_once = at_once || book.outbox.is_waiting();
        book.say(entries, at_once)
    }

    /// The next commit says that this event is about to start, having failed so often.
    pub(super) fn mark_front(&self, id: EventId, fails: u32) -> Call {
        let mut book = self.book();
        book.front = FrontMark::Set { id, fails };
        book.seen = book.seen.max(id);
        book.say(0, true)
    }

    /// The queue ran empty: what is settled should not linger.
    pub(super) fn hurry(&self) -> Call {
        let mut book = self.book();
        match book.said > book.sent && !book.urgent {
            true => book.call(true),
            false => Call::Nothing,
        }
    }

    /// Whether one more unit may be started before more is committed.
    pub(super) fn may_start(&self) -> bool {
        self.book().may_start()
    }

    /// Waits until Redis knows everything said so far. False: the place is not ours any more.
    pub(super) async fn known(&self) -> bool {
        let mark = self.book().said;
        self.until(|book| book.known >= mark).await
    }

    /// Waits until one more unit may be started. False: the place is not ours any more.
    pub(super) async fn room(&self) -> bool {
        self.until(Book::may_start).await
    }

    /// Waits until there is no room for the dead letters of a commit. False: the place is not ours any more.
    pub(super) async fn crowded(&self) -> bool {
        self.until(|book| book.is_crowded).await
    }

    async fn until(&self, is_so: impl Fn(&Book) -> bool) -> bool {
        loop {
            let answered = self.answered.notified();
            if self.lost.is_cancelled() {
                return false;
            }
            if is_so(&self.book()) {
                return true;
            }
            // Both are safe to drop: they only wake us to look again.
            tokio::select! {
                () = answered => {}
                () = self.lost.cancelled() => {}
            }
        }
    }

    // --- the committer's side ----------------------------------------------------------------------------------------

    /// Whether it may be committed on this server. Another one may not have the events that were settled: a commit
    /// would pass those that get their ids there. Finds out before anybody else has told us.
    pub(super) fn is_of(&self, server: u64) -> bool {
        if self.server != server {
            self.lost.cancel();
        }
        !self.lost.is_cancelled()
    }

    pub(super) fn is_urgent(&self) -> bool {
        self.book().urgent
    }

    /// The commit to make now, if there is one to make and none is under way.
    pub(super) fn take(&self) -> Option<Commit> {
        let mut book = self.book();
        book.queued = false;
        if book.under_way || book.said == book.sent {
            return None;
        }
        let settled = book.settlement.take();
        let (position, entries, done, passed) = match settled {
            Some(s) => (s.position, s.entries, s.done, s.passed),
            None => (book.settlement.position(), 0, Vec::new(), Vec::new()),
        };
        book.entries_read = book.entries_read.map(|read| read + entries);
        book.n += 1;
        let letters = book.outbox.take();
        book.settle_pieces();
        // What could not come along is still to be sent.
        let has_more = book.outbox.is_ready();
        book.sent = book.said - u64::from(has_more);
        book.fresh = 0;
        book.urgent = has_more;
        book.under_way = true;
        Some(Commit {
            place: self.place.clone(),
            fence: self.fence.clone(),
            n: book.n,
            position,
            entries_read: book.entries_read,
            seen: book.seen.max(position),
            front: std::mem::replace(&mut book.front, FrontMark::Keep),
            done,
            passed,
            letters,
            letters_limit: self.letters_limit,
        })
    }

    /// The commit was applied. Answers whether there is more to commit.
    pub(super) fn applied(&self) -> Call {
        let call = {
            let mut book = self.book();
            book.under_way = false;
            book.is_crowded = false;
            book.known = book.sent;
            let (more, urgent) = (book.said > book.sent, book.urgent);
            if more && !book.queued { book.call(urgent) } else { Call::Nothing }
        };
        self.answered.notify_waiters();
        call
    }

    /// The commit was refused, since there is no room for its letters. It is under way until there is.
    pub(super) fn refused_for_room(&self) {
        self.book().is_crowded = true;
        self.answered.notify_waiters();
    }

    /// A renewal is going to be sent.
    pub(super) fn renewing(&self) {
        let mut book = self.book();
        book.renewing_after = book.is_at_rest().then_some(book.n);
    }

    /// A renewal has found this number of entries read. Only taken over if nothing was committed since it was sent: its
    /// answer may be heard after that of a later commit, whose count would be lost, and be missed as a gap.
    pub(super) fn repaired(&self, entries_read: Option<u64>) {
        let mut book = self.book();
        if book.is_at_rest() && book.renewing_after == Some(book.n) {
            book.entries_read = entries_read;
        }
    }

    pub(super) fn position(&self) -> EventId {
        self.book().settlement.position()
    }
}

impl Book {
    /// Everything that was said is known to the store.
    fn is_at_rest(&self) -> bool {
        !self.under_way && self.said == self.sent
    }

    fn may_start(&self) -> bool {
        self.settlement.may_start() && self.fresh < MOST_OPEN as u64 && !self.outbox.is_waiting()
    }

    /// Settles what goes with the letters of the next commit.
    fn settle_pieces(&mut self) {
        while let Some((last, entries)) = self.outbox.next() {
            self.settlement.settled(last, entries);
        }
    }

    fn say(&mut self, entries: u64, at_once: bool) -> Call {
        self.said += 1;
        self.fresh += entries;
        let urgent = at_once || self.fresh >= ENOUGH;
        match (self.queued, urgent && !self.urgent) {
            (true, false) => Call::Nothing,
            _ => self.call(urgent),
        }
    }

    /// While a commit is under way nothing is queued: its answer looks here again.
    fn call(&mut self, urgent: bool) -> Call {
        self.urgent |= urgent;
        if self.under_way {
            return Call::Nothing;
        }
        self.queued = true;
        if self.urgent { Call::Now } else { Call::Soon }
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
