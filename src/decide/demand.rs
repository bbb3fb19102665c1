//! What to read next, on which connection, and for whom.
//!
//! A *wish* is one caller waiting for entries of one key. A wish whose key is known to have more is read *directly*,
//! at once, many wishes in one pipeline. Every other wish belongs to one of a few *blocking lines*: a line is one
//! connection with at most one blocking read under way, over all the keys that wait there.
//!
//! Promises: entries are delivered to a wish only if they follow the position it named, without a hole, never none and
//! never more than it asked for. No wish can starve another: a read names every key that waits on its line, the
//! server answers each key that has something, and whoever was answered must ask again to be in the next read.
//! A refusal reaches only the wishes it is about: a read over many keys that was refused is repeated key by key.
//!
//! Replies go in, reads and deliveries come out. It knows no connections and never waits.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use crate::event::{Entry, EventId};

mod commands;

pub(crate) use commands::Command;
use commands::{Asked, Slot, Waiting, blocking_read, pipeline};

/// Keys of one blocking read, as long as there are connections left to spread them over: each key costs the server
/// about a microsecond whenever the read is issued again.
const KEYS_PER_READ: usize = 64;

/// Hints make reading faster, never right or wrong, so beyond that many they are forgotten all at once.
const HINTS_KEPT: usize = 4096;

/// Names a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(u64);

/// One caller waiting for entries of one key.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// The key of a stream.
    pub(crate) key: Arc<str>,
    /// Entries after this one are wanted.
    pub(crate) after: EventId,
    /// So many at most.
    pub(crate) count: usize,
}

/// A connection, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Reads that do not block.
    Direct,
    /// The blocking reads of one set of keys.
    Blocking(usize),
}

/// What a command was answered.
#[derive(Debug)]
pub(crate) enum Reply<R> {
    /// Entries, by index into the command's keys. None at all: time ran out, or the read was woken.
    Entries(Vec<(usize, Vec<Entry>)>),
    /// The command as a whole was refused.
    Refused(R),
}

/// What follows from a reply.
#[derive(Debug)]
pub(crate) struct Step<R> {
    /// Wishes that are fulfilled or refused.
    pub(crate) deliveries: Vec<(Ticket, Result<Vec<Entry>, R>)>,
    /// Lines that have something new to read.
    pub(crate) joined: Vec<Line>,
}

/// The wishes of one line, oldest first, and what it is reading.
#[derive(Debug, Default)]
struct LineState {
    wishes: BTreeMap<Ticket, Waiting>,
    keys: HashMap<Arc<str>, usize>,
    reading: VecDeque<Asked>,
    /// A wish joined that the read under way does not cover.
    stale: bool,
}

impl LineState {
    fn insert(&mut self, ticket: Ticket, waiting: Waiting) {
        *self.keys.entry(waiting.wish.key.clone()).or_default() += 1;
        self.wishes.insert(ticket, waiting);
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let waiting = self.wishes.remove(&ticket)?;
        if let Some(wishes) = self.keys.get_mut(&waiting.wish.key) {
            *wishes -= 1;
            if *wishes == 0 {
                self.keys.remove(&waiting.wish.key);
            }
        }
        Some(waiting)
    }

    /// Whether the read under way will also answer this wish; a caller that dropped its read and repeats it gets
    /// back into the read it left.
    fn covers(&mut self, ticket: Ticket, wish: &Wish) -> bool {
        let slot = self
            .reading
            .iter_mut()
            .filter(|asked| asked.count <= wish.count)
            .find_map(|asked| asked.slots.iter_mut().find(|slot| slot.key == wish.key && slot.after <= wish.after));
        slot.map(|slot| slot.tickets.push(ticket)).is_some()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hint {
    /// There was more after this id when it was delivered, though the caller got less than it asked for.
    MoreAfter(EventId),
    /// Reading it was refused: in a blocking read it would stop all the others again.
    Refused,
}

/// Decides what each connection reads next.
#[derive(Debug)]
pub(crate) struct Demand {
    direct: LineState,
    blocking: Vec<LineState>,
    hints: HashMap<Arc<str>, Hint>,
    tickets: u64,
}

impl Demand {
    /// Nobody waits yet. There is one blocking line at least.
    pub(crate) fn over(blocking_lines: usize) -> Self {
        let blocking = (0..blocking_lines.max(1)).map(|_| LineState::default()).collect();
        Self { direct: LineState::default(), blocking, hints: HashMap::new(), tickets: 0 }
    }

    /// Every line there is.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line> + use<> {
        std::iter::once(Line::Direct).chain((0..self.blocking.len()).map(Line::Blocking))
    }

    /// Somebody waits; `flowing` says that the key probably has something. Answers the line that has to know.
    pub(crate) fn ask(&mut self, mut wish: Wish, flowing: bool) -> (Ticket, Line) {
        wish.count = wish.count.max(1);
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let hint = self.hints.remove(&wish.key);
        let alone = hint == Some(Hint::Refused);
        if flowing || alone || hint == Some(Hint::MoreAfter(wish.after)) {
            self.direct.insert(ticket, Waiting { wish, alone });
            (ticket, Line::Direct)
        } else {
            (ticket, self.block(ticket, wish))
        }
    }

    /// Somebody waits no longer. What arrives for it is dropped; no read is disturbed for that.
    pub(crate) fn withdraw(&mut self, ticket: Ticket) {
        for line in std::iter::once(&mut self.direct).chain(&mut self.blocking) {
            if line.remove(ticket).is_some() {
                return;
            }
        }
    }

    /// Whether anybody waits on this line.
    pub(crate) fn is_wanted(&self, line: Line) -> bool {
        !self.line(line).wishes.is_empty()
    }

    /// Whether the read under way should be interrupted, because it leaves out somebody who waits.
    pub(crate) fn is_stale(&self, line: Line) -> bool {
        let line = self.line(line);
        line.stale && !line.reading.is_empty()
    }

    /// What to read now on a line that reads nothing; empty if nobody waits there. A blocking line gets one command.
    pub(crate) fn next_read(&mut self, line: Line) -> Vec<Command> {
        let state = self.line_mut(line);
        debug_assert!(state.reading.is_empty(), "a line reads one thing after the other");
        state.stale = false;
        state.reading = match line {
            Line::Direct => pipeline(&state.wishes),
            Line::Blocking(_) => blocking_read(&state.wishes).into_iter().collect(),
        };
        state.reading.iter().map(Asked::command).collect()
    }

    /// The oldest command under way on this line was answered.
    pub(crate) fn answered<R: Clone>(&mut self, line: Line, reply: Reply<R>) -> Step<R> {
        let mut step = Step { deliveries: Vec::new(), joined: Vec::new() };
        let Some(asked) = self.line_mut(line).reading.pop_front() else { return step };
        match reply {
            Reply::Entries(found) => {
                for (slot, entries) in found {
                    if let Some(slot) = asked.slots.get(slot) {
                        self.hand_out(line, slot, entries, asked.count, &mut step);
                    }
                }
                if line == Line::Direct {
                    self.move_drained(&asked, &mut step);
                }
            }
            Reply::Refused(why) => self.refused(line, &asked, why, &mut step),
        }
        step
    }

    /// The connection is gone, and with it what it was reading. Everybody waits on.
    pub(crate) fn lost(&mut self, line: Line) {
        let state = self.line_mut(line);
        state.reading.clear();
        state.stale = false;
    }

    /// The server will not have us on this line: everybody there is told.
    pub(crate) fn refuse_all<R: Clone>(&mut self, line: Line, why: R) -> Step<R> {
        self.lost(line);
        let state = self.line_mut(line);
        state.keys.clear();
        let refused = std::mem::take(&mut state.wishes);
        Step { deliveries: refused.into_keys().map(|t| (t, Err(why.clone()))).collect(), joined: Vec::new() }
    }

    fn line(&self, line: Line) -> &LineState {
        match line {
            Line::Direct => &self.direct,
            Line::Blocking(n) => &self.blocking[n],
        }
    }

    fn line_mut(&mut self, line: Line) -> &mut LineState {
        match line {
            Line::Direct => &mut self.direct,
            Line::Blocking(n) => &mut self.blocking[n],
        }
    }

    /// Puts a wish on the line that reads its key already, else on the emptiest of as many as the keys need.
    fn block(&mut self, ticket: Ticket, wish: Wish) -> Line {
        let sharing = self.blocking.iter().position(|line| line.keys.contains_key(&wish.key));
        let chosen = sharing.unwrap_or_else(|| {
            let keys: usize = self.blocking.iter().map(|line| line.keys.len()).sum();
            let needed = (keys + 1).div_ceil(KEYS_PER_READ).clamp(1, self.blocking.len());
            (0..needed).min_by_key(|&n| self.blocking[n].keys.len()).unwrap_or(0)
        });
        let line = &mut self.blocking[chosen];
        if !line.reading.is_empty() && !line.covers(ticket, &wish) {
            line.stale = true;
        }
        line.insert(ticket, Waiting { wish, alone: false });
        Line::Blocking(chosen)
    }

    /// Gives the entries of one key to everybody whom they follow on.
    fn hand_out<R>(&mut self, line: Line, slot: &Slot, mut entries: Vec<Entry>, asked: usize, step: &mut Step<R>) {
        let Some((&last, others)) = slot.tickets.split_last() else { return };
        for &ticket in others {
            if let Some(part) = self.fulfil(line, ticket, &entries, asked) {
                step.deliveries.push((ticket, Ok(entries[part].to_vec())));
            }
        }
        if let Some(part) = self.fulfil(line, last, &entries, asked) {
            entries.truncate(part.end);
            entries.drain(..part.start);
            step.deliveries.push((last, Ok(entries)));
        }
    }

    /// The part of these entries that a wish gets, which is one no longer then. `None` leaves it waiting.
    fn fulfil(&mut self, line: Line, ticket: Ticket, entries: &[Entry], asked: usize) -> Option<Range<usize>> {
        let wish = &self.line(line).wishes.get(&ticket)?.wish;
        let from = entries.partition_point(|entry| entry.id <= wish.after);
        let to = entries.len().min(from.saturating_add(wish.count));
        let last = entries[from..to].last()?.id;
        let cut = to < entries.len();
        let full = entries.len() >= asked && to - from < wish.count;
        let fulfilled = self.line_mut(line).remove(ticket)?;
        if cut || full {
            self.hint(fulfilled.wish.key, Hint::MoreAfter(last));
        }
        Some(from..to)
    }

    /// Whoever was read directly and got nothing waits in a blocking read from now on.
    fn move_drained<R>(&mut self, asked: &Asked, step: &mut Step<R>) {
        for &ticket in asked.slots.iter().flat_map(|slot| &slot.tickets) {
            if let Some(waiting) = self.direct.remove(ticket) {
                let line = self.block(ticket, waiting.wish);
                if !step.joined.contains(&line) {
                    step.joined.push(line);
                }
            }
        }
    }

    /// One key alone is the culprit; among several it is found by reading each of them alone.
    fn refused<R: Clone>(&mut self, line: Line, asked: &Asked, why: R, step: &mut Step<R>) {
        let culprit = asked.slots.len() == 1;
        for slot in &asked.slots {
            for &ticket in &slot.tickets {
                let Some(waiting) = self.line_mut(line).remove(ticket) else { continue };
                if culprit {
                    self.hint(slot.key.clone(), Hint::Refused);
                    step.deliveries.push((ticket, Err(why.clone())));
                } else {
                    self.direct.insert(ticket, Waiting { alone: true, ..waiting });
                }
            }
        }
        if !culprit {
            step.joined.push(Line::Direct);
        }
    }

    fn hint(&mut self, key: Arc<str>, hint: Hint) {
        if self.hints.len() >= HINTS_KEPT {
            self.hints.clear();
        }
        self.hints.insert(key, hint);
    }
}

#[cfg(test)]
mod tests;
