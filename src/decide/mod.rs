//! Everything that decides: pure machines, no IO, no clock, no async.

pub(crate) mod demand;
