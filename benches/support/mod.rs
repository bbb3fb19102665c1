//! What the benchmarks stand on: a server of their own, a raw client to compare with, rounds, and figures.

pub(crate) mod client;
pub(crate) mod contender;
pub(crate) mod costs;
pub(crate) mod figures;
pub(crate) mod measure;
pub(crate) mod order;
pub(crate) mod own;
pub(crate) mod raw;
pub(crate) mod server;
