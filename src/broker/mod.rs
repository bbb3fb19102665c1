//! Everything that speaks to a store: one trait, `redis/` and its in-memory twin `memory/`.
//!
//! The operations are those of the domain (append, read, acquire, commit ...), each one atomic step. A broker decides
//! nothing beyond what such a step must. It exists twice because the twin is what a newcomer runs with nothing
//! installed, what users test their apps with, and the world in which whole workers are simulated; the conformance
//! suite keeps the two alike.
//!
//! Every operation may be dropped at any await: it then may or may not have happened. All but [`Broker::append`] may
//! be sent again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub mod facts;
pub mod fence;
pub mod redis;
