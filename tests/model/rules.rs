//! What may happen in the model, how much of it, and the protocol's rules, each of which can be taken away.

/// A model: bounds, hardships, rules.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    // How much of everything.
    pub workers: u8,
    pub events: u8,
    pub acquisitions: u8,
    /// Events read ahead.
    pub prefetch: u8,
    pub failovers: u8,

    // Hardships.
    /// Events are of so many keys, in turn; those of different keys run at the same time.
    pub keys: u8,
    /// Event 1 may fail, any number of times: its key waits, others go on.
    pub failing: bool,
    /// A copy of a worker's last request may arrive at any later moment.
    pub late_copies: bool,
    /// Events are appended as we go, and a fail-over may lose the last of them.
    pub lossy_tail: bool,
    /// After such a loss, ids are given out a second time.
    pub reused_ids: bool,
    /// Somebody reads with XREADGROUP NOACK in our group.
    pub foreign_reader: bool,

    // The protocol.
    /// The store takes commits of the current owner only.
    pub fenced: bool,
    pub numbering: Numbering,
    /// The position stays below everything unfinished.
    pub position_waits: bool,
    /// Effects are part of the commit.
    pub effects_in_commit: bool,
    /// What is done above the position is loaded at an acquisition.
    pub loads_done: bool,
    /// The position also moves over done events when there is nothing new to commit.
    pub moves_without_new_work: bool,
    /// After a fail-over everything is acquired anew, and nothing that was read is trusted.
    pub reacquires: bool,
    /// A group in which others read is taken up at our own copy of the position.
    pub distrusts_foreign: bool,
}

/// What the number of a commit is good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Numbering {
    /// The next number is applied, the last one was applied before, any other is a gap.
    Strict,
    /// Lower ones were applied before, all others are applied.
    NoGap,
    /// There is none.
    None,
}

impl Rules {
    /// Two workers, events in strict order, no hardships, and the protocol as it is.
    pub const PLAIN: Self = Self {
        workers: 2,
        events: 3,
        acquisitions: 3,
        prefetch: 3,
        failovers: 0,
        keys: 1,
        failing: false,
        late_copies: false,
        lossy_tail: false,
        reused_ids: false,
        foreign_reader: false,
        fenced: true,
        numbering: Numbering::Strict,
        position_waits: true,
        effects_in_commit: true,
        loads_done: true,
        moves_without_new_work: true,
        reacquires: false,
        distrusts_foreign: true,
    };

    /// Events of two keys, run at the same time.
    pub const TWO_KEYS: Self = Self { keys: 2, ..Self::PLAIN };
}
