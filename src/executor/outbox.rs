//! Dead letters on their way into commits: in order, and no more in one commit than a store should be given at once.
//!
//! A unit of which some letters have to wait is settled event by event, so that each goes with its letter.

use std::collections::VecDeque;

use crate::broker::NewLetter;
use crate::event::EventId;

/// Letters of one commit.
const MOST: u64 = 500;
/// No commit takes more than this part of what a partition may hold: it is stored as a whole, when there is room for all
/// of it.
const PART: u64 = 20;
/// Their bytes; one that is larger goes alone.
const MOST_BYTES: usize = 1 << 20;

/// A letter, and what is settled with it.
pub(super) struct Piece {
    /// Everything up to here.
    pub(super) last: EventId,
    /// So many entries.
    pub(super) entries: u64,
    letter: NewLetter,
}

impl Piece {
    /// A unit of these events, cut between its letters, each of which belongs to one of them. The last piece settles what
    /// is left.
    pub(super) fn of(unit: &[EventId], letters: Vec<(EventId, NewLetter)>) -> Vec<Self> {
        let mut before = 0;
        let count = letters.len();
        let cut = |(number, (id, letter)): (usize, (EventId, NewLetter))| {
            let up_to = if number + 1 == count { unit.len() } else { unit.partition_point(|other| *other <= id) };
            let entries = (up_to - before) as u64;
            before = up_to;
            Self { last: unit[up_to - 1], entries, letter }
        };
        letters.into_iter().enumerate().map(cut).collect()
    }

    fn size(&self) -> usize {
        self.letter.about.len() + self.letter.fields.size()
    }
}

/// Letters of one partition that are in no commit yet.
pub(super) struct Outbox {
    /// Letters that one commit takes.
    most: usize,
    /// These go with the next commit.
    ready: Vec<NewLetter>,
    bytes: usize,
    waiting: VecDeque<Piece>,
}

impl Outbox {
    /// For a partition that may hold so many letters.
    pub(super) fn new(limit: u64) -> Self {
        let most = (limit / PART).clamp(1, MOST) as usize;
        Self { most, ready: Vec::new(), bytes: 0, waiting: VecDeque::new() }
    }

    /// Takes letters; they go behind those that wait.
    pub(super) fn put(&mut self, pieces: Vec<Piece>) {
        self.waiting.extend(pieces);
    }

    /// The next piece that goes with the next commit, if it still fits: what it settles is settled now.
    pub(super) fn next(&mut self) -> Option<(EventId, u64)> {
        let size = self.waiting.front()?.size();
        let fits = self.ready.is_empty() || (self.ready.len() < self.most && self.bytes + size <= MOST_BYTES);
        let piece = fits.then(|| self.waiting.pop_front())??;
        self.bytes += size;
        self.ready.push(piece.letter);
        Some((piece.last, piece.entries))
    }

    /// The letters of the commit that is made now.
    pub(super) fn take(&mut self) -> Vec<NewLetter> {
        self.bytes = 0;
        std::mem::take(&mut self.ready)
    }

    /// Whether some go with the next commit.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether some have to wait for a later one.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Fields;

    fn id(n: u64) -> EventId {
        EventId::new(n, 0)
    }

    fn letter(n: u64, size: usize) -> (EventId, NewLetter) {
        (id(n), NewLetter { id: id(n), about: vec![b'x'; size].into(), fields: Fields::default() })
    }

    /// How many letters each commit takes.
    fn commits(outbox: &mut Outbox) -> Vec<usize> {
        std::iter::from_fn(|| {
            while outbox.next().is_some() {}
            Some(outbox.take().len()).filter(|taken| *taken > 0)
        })
        .collect()
    }

    fn filled(limit: u64, sizes: impl IntoIterator<Item = usize>) -> Outbox {
        let letters: Vec<_> = (1..).zip(sizes).map(|(n, size)| letter(n, size)).collect();
        let unit: Vec<_> = letters.iter().map(|(id, _)| *id).collect();
        let mut outbox = Outbox::new(limit);
        outbox.put(Piece::of(&unit, letters));
        outbox
    }

    #[test]
    fn a_commit_takes_five_hundred_letters_at_most() {
        assert_eq!(commits(&mut filled(10_000, [1; 1_200])), [500, 500, 200]);
    }

    #[test]
    fn a_commit_takes_a_megabyte_at_most_and_a_larger_letter_goes_alone() {
        let half = MOST_BYTES / 2;

        assert_eq!(commits(&mut filled(10_000, [half, half, 1, 3 * half, 1])), [2, 1, 1, 1]);
    }

    #[test]
    fn a_commit_takes_no_more_than_a_part_of_what_there_may_be() {
        assert_eq!(commits(&mut filled(60, [1; 7])), [3, 3, 1]);
        assert_eq!(commits(&mut filled(1, [1; 2])), [1, 1]);
    }

    #[test]
    fn each_piece_settles_up_to_its_event_and_the_last_one_the_rest() {
        let unit: Vec<_> = (1..=6).map(id).collect();

        let pieces = Piece::of(&unit, vec![letter(2, 1), letter(3, 1), letter(5, 1)]);

        let settled: Vec<_> = pieces.iter().map(|piece| (piece.last, piece.entries)).collect();
        assert_eq!(settled, [(id(2), 2), (id(3), 1), (id(6), 3)]);
    }
}
