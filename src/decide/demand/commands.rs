//! From the wishes of one line to the commands it sends.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use smallvec::SmallVec;

use super::{Ticket, Wish};
use crate::event::EventId;

/// Wishes of one direct pipeline: what waits behind it waits for all of their replies.
const WISHES_PER_PIPELINE: usize = 64;

/// One XREAD. No key appears twice, so that the reply tells which entries are whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// Entries of each key at most.
    pub(crate) count: usize,
    /// What is read after what.
    pub(crate) keys: Vec<(Arc<str>, EventId)>,
}

/// Whom a key of a command is read for.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) key: Arc<str>,
    pub(super) after: EventId,
    pub(super) tickets: SmallVec<[Ticket; 1]>,
}

/// A command under way.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) count: usize,
    pub(super) slots: Vec<Slot>,
}

impl Asked {
    pub(super) fn command(&self) -> Command {
        let keys = self.slots.iter().map(|s| (s.key.clone(), s.after)).collect();
        Command { count: self.count, keys }
    }
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) wish: Wish,
    /// Reads its key in a command of its own: a command over several keys, this among them, was refused.
    pub(super) alone: bool,
}

/// One command over every key that waits, each from the earliest position named for it.
///
/// Its count is the least anybody asked for: COUNT holds for all keys, and cutting replies would read entries twice.
/// That is no loss, because these keys are drained: the first few entries arrive this way, the rest directly.
pub(super) fn blocking_read(wishes: &BTreeMap<Ticket, Waiting>) -> Option<Asked> {
    let count = wishes.values().map(|waiting| waiting.wish.count).min()?;
    let mut slots: Vec<Slot> = Vec::with_capacity(wishes.len());
    let mut index: HashMap<&Arc<str>, usize> = HashMap::with_capacity(wishes.len());
    for (&ticket, Waiting { wish, .. }) in wishes {
        let at = *index.entry(&wish.key).or_insert_with(|| {
            slots.push(Slot { key: wish.key.clone(), after: wish.after, tickets: SmallVec::new() });
            slots.len() - 1
        });
        slots[at].after = slots[at].after.min(wish.after);
        slots[at].tickets.push(ticket);
    }
    Some(Asked { count, slots })
}

/// The oldest wishes, those of the same count in one command.
///
/// Wishes at different positions of one key get commands of their own: were only the earlier one read, a processor
/// that is behind would keep one that is ahead waiting until it has caught up.
pub(super) fn pipeline(wishes: &BTreeMap<Ticket, Waiting>) -> VecDeque<Asked> {
    let mut commands: VecDeque<Asked> = VecDeque::new();
    // Commands that read one suspicious key take nobody else in.
    let mut closed: Vec<bool> = Vec::new();
    for (&ticket, Waiting { wish, alone }) in wishes.iter().take(WISHES_PER_PIPELINE) {
        let room = (0..commands.len())
            .filter(|&n| !alone && !closed[n] && commands[n].count == wish.count)
            .find(|&n| commands[n].slots.iter().all(|slot| slot.key != wish.key || slot.after == wish.after));
        let at = room.unwrap_or_else(|| {
            commands.push_back(Asked { count: wish.count, slots: Vec::new() });
            closed.push(*alone);
            commands.len() - 1
        });
        let slots = &mut commands[at].slots;
        match slots.iter_mut().find(|slot| slot.key == wish.key) {
            Some(slot) => slot.tickets.push(ticket),
            None => {
                slots.push(Slot { key: wish.key.clone(), after: wish.after, tickets: SmallVec::from_elem(ticket, 1) })
            }
        }
    }
    commands
}
