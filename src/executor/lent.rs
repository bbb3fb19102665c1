//! The executor's side of the events that are lent to a loop: takes units, hands them out, settles them.
//!
//! Whatever is awaited here may be dropped, since loops may cancel `Events::next`: all that is known of the unit in
//! hand lies in the [`Turn`], and the next call goes on from there.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::codec::DecodeError;
use crate::event::EventId;
use crate::processor::events::Unsettled;
use crate::processor::{Context, Entries, Feed, Settled, UnitError};

use super::event_loop::{Back, InHand, Turn};
use super::failing::{Fault, Judged};
use super::hand::Hand;
use super::wrapped::{Driven, Wrapped};

/// The function's side of a turn. The function's future must own it, so it gives back what it was lent when it is dropped.
pub(super) struct Lent {
    turn: Option<Box<Turn>>,
    back: Back,
}

impl Lent {
    pub(super) fn new(turn: Box<Turn>, back: Back) -> Self {
        Self { turn: Some(turn), back }
    }

    fn turn(&mut self) -> &mut Turn {
        self.turn.as_mut().expect("it is only given back when this is dropped")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.back.lock().expect("no code panics while it holds this lock") = self.turn.take();
    }
}

#[async_trait]
impl Feed for Lent {
    async fn next(&mut self, most: usize, within: Duration) -> Result<Option<Entries>, Unsettled> {
        let turn = self.turn();
        turn.settle_what_was_lent().await?;
        Ok(turn.lend(most, within).await)
    }

    fn refusal(&self, most: usize, within: Duration) -> Option<String> {
        let grace = self.turn.as_ref().map(|turn| turn.lane.manner.grace_period)?;
        if most == 0 {
            return Some("`take(0, ..)` would never be full".into());
        }
        (within >= grace)
            .then(|| format!("`take` within {within:?}: that must be shorter than `grace_period` ({grace:?})"))
    }

    fn note_decode_error(&mut self, id: EventId, error: DecodeError) {
        let turn = self.turn();
        turn.broken = Some(Fault::of(UnitError::Decode(id, error), &turn.lane.context));
    }

    fn skip(&mut self) {
        let turn = self.turn();
        turn.broken = None;
        match turn.in_hand.take_if(|in_hand| in_hand.is_out) {
            // Middleware is told when the next event is asked for: nothing can be waited for here.
            Some(in_hand) if in_hand.wrapped.is_some() => {
                turn.in_hand = Some(InHand { is_skipped: true, ..in_hand });
            }
            Some(in_hand) => turn.lane.handled(&in_hand.hand),
            None => {}
        }
    }

    fn context(&self) -> Context {
        self.turn.as_ref().map(|turn| turn.lane.context.clone()).expect("it is only given back when this is dropped")
    }
}

impl Turn {
    /// Settles what the function had, by asking for more. Safe to drop.
    async fn settle_what_was_lent(&mut self) -> Result<(), Unsettled> {
        let Some(in_hand) = self.in_hand.as_mut().filter(|in_hand| in_hand.is_out) else { return Ok(()) };
        let Some(wrapped) = &mut in_hand.wrapped else {
            if let Some(in_hand) = self.in_hand.take() {
                self.lane.handled(&in_hand.hand);
            }
            return Ok(());
        };
        wrapped.tell(|| Ok(if in_hand.is_skipped { Settled::Passed } else { Settled::Handled }));
        let end = wrapped.ended().await;
        let Some(in_hand) = self.in_hand.take() else { return Ok(()) };
        self.settle(in_hand.hand, end).map_err(|(hand, fault)| {
            // The function goes on with this error, or skips the event.
            let (id, error) = (hand.first(), Arc::from(fault.error));
            self.broken = Some(Fault::told(Unsettled::failure(id, &error).into()));
            self.in_hand = Some(InHand { hand, wrapped: None, is_out: true, is_skipped: false });
            Unsettled { id, error }
        })
    }

    /// The next events for the function; none when the tenancy ends. Safe to drop.
    async fn lend(&mut self, most: usize, within: Duration) -> Option<Entries> {
        loop {
            if let Some(at) = self.retry_at {
                self.lane.wait_for_retry(at).await?;
                self.retry_at = None;
            }
            if self.in_hand.is_none() {
                let unit = self.lane.next_unit(most, within).await?;
                let (hand, given) = self.lane.take_in_hand(unit, true);
                if given.is_empty() {
                    self.lane.passed(&hand);
                    continue;
                }
                // It has killed enough workers: the policy decides without the function.
                if let Some(fault) = self.lane.verdict_before(hand.first()) {
                    self.judge(hand, fault)?;
                    continue;
                }
                self.lane.context = self.lane.starts(&hand);
                if self.chain.is_empty() {
                    self.in_hand = Some(InHand { hand, wrapped: None, is_out: true, is_skipped: false });
                    self.taken += given.len() as u64;
                    return Some(given);
                }
                let wrapped = Some(Wrapped::new(self.chain.clone(), self.lane.context.clone(), given, most > 1));
                self.in_hand = Some(InHand { hand, wrapped, is_out: false, is_skipped: false });
            }
            if let Some(given) = self.drive(most).await? {
                return Some(given);
            }
        }
    }

    /// Drives the middleware of what is in hand until the function is given it. `Some(None)`: take another unit. None: the
    /// tenancy ends. Safe to drop.
    async fn drive(&mut self, most: usize) -> Option<Option<Entries>> {
        // Whoever asked for so many does not wait for them any more.
        if let Some(in_hand) = self.in_hand.take_if(|in_hand| in_hand.hand.ids.len() > most) {
            self.lane.put_back(in_hand.hand);
        }
        let Some(InHand { wrapped: Some(wrapped), .. }) = &mut self.in_hand else { return Some(None) };
        let driven = wrapped.handed_out().await;
        match driven {
            Driven::HandedOut(given) => {
                self.taken += given.len() as u64;
                self.in_hand.iter_mut().for_each(|in_hand| in_hand.is_out = true);
                Some(Some(given))
            }
            Driven::Ended(end) => {
                let hand = self.in_hand.take()?.hand;
                match self.settle(hand, end) {
                    Ok(()) => Some(None),
                    Err((hand, fault)) => self.judge(hand, fault).map(|()| None),
                }
            }
        }
    }

    /// A unit has failed before the function had it. None: the lane ends. Nothing is awaited here: the wait for another
    /// try may be dropped.
    fn judge(&mut self, hand: Hand, fault: Fault) -> Option<()> {
        match self.lane.judge(&hand, fault) {
            Judged::GoOn => {}
            Judged::Again(at) => {
                self.lane.put_back(hand);
                self.retry_at = Some(at);
            }
            Judged::End(ending) => {
                self.lane.ending = Some(ending);
                return None;
            }
        }
        Some(())
    }
}
