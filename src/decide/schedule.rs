//! When jobs run.

/// Which instants of a crontab are caught up with that passed while nobody could run them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missed {
    /// None but the newest, and that only if it is at most `max_lateness` ago.
    #[default]
    Skip,
    /// The newest.
    Latest,
    /// So many of the newest, oldest first.
    All(u32),
}

/// Whether an instant is run again when its leader dies in the middle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// No.
    #[default]
    AtMostOnce,
    /// Yes.
    AtLeastOnce,
}

/// What happens when a run is due while one runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// It waits.
    Queue,
    /// Both run.
    Allow,
}
