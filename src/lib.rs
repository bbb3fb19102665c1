#![doc = include_str!("../README.md")]
#![warn(unreachable_pub)]
#![cfg_attr(
    not(all(feature = "cli", feature = "http")),
    allow(dead_code, reason = "the command line and HTTP ask for much that nobody else asks for")
)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr))]

mod app;
#[doc = include_str!("architecture.md")]
mod architecture {}
pub mod broker;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod codec;
mod decide;
mod error;
pub mod event;
mod executor;
#[cfg(feature = "http")]
mod http;
// The guide's code blocks, compiled and run by `cargo test --doc`; those of testing need its feature.
#[cfg(all(doctest, feature = "macros", feature = "testing"))]
mod guide {
    #[doc = include_str!("../docs/src/delivery.md")]
    mod delivery {}
    #[doc = include_str!("../docs/src/failures.md")]
    mod failures {}
    #[cfg(feature = "http")]
    #[doc = include_str!("../docs/src/http.md")]
    mod http {}
    #[doc = include_str!("../docs/src/introduction.md")]
    mod introduction {}
    #[doc = include_str!("../docs/src/jobs.md")]
    mod jobs {}
    #[doc = include_str!("../docs/src/processors.md")]
    mod processors {}
    #[doc = include_str!("../docs/src/production.md")]
    mod production {}
    #[doc = include_str!("../docs/src/python.md")]
    mod python {}
    #[doc = include_str!("../docs/src/runs.md")]
    mod runs {}
    #[doc = include_str!("../docs/src/streams.md")]
    mod streams {}
    #[doc = include_str!("../docs/src/testing.md")]
    mod testing {}
    #[doc = include_str!("../docs/src/troubleshooting.md")]
    mod troubleshooting {}
    #[doc = include_str!("../docs/src/tutorial.md")]
    mod tutorial {}
}
mod in_hand;
pub mod job;
/// For programs with a subscriber of their own: the layer that brings what runs say with `tracing` to their logs.
pub mod log {
    pub use crate::runs::output::capture::{filtered_layer, is_captured, layer};
}
mod logs;
mod nearest;
pub mod processor;
mod python;
mod record;
mod route;
mod runner;
pub mod runs;
pub mod settings;
mod stream;
mod tasks;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg_attr(not(feature = "testing"), allow(unreachable_pub, reason = "`testing` shows these words to users"))]
mod witness;
mod worker;

pub use app::{App, AppStream, Declared, DeclaredJob, OnDemand, Runner, Setup, Whole};
/// What implementations of [`Middleware`] are marked with.
pub use async_trait::async_trait;
#[cfg(feature = "cli")]
pub use cli::program as main;
pub use decide::schedule::{Delivery, Missed, Overlap, UnknownChoice};
pub use error::{Error, Failure, Result, Terminal, TerminalExt};
pub use event::{Event, EventId, Partition};
pub use job::{RetryPolicy, TraceInfo, inaction};
pub use processor::{Context, DeadLetter, Events, Middleware, Next, Outcome, Settled, State, Track, Unit};
pub use record::Record;
pub use route::{Key, Partitioner};
#[cfg(feature = "macros")]
pub use runnel_macros::Record;
pub use runner::{RunFailed, RunReport};
pub use runs::{RunContext, TASK_LOG};
pub use settings::ExceptionPolicy;
pub use stream::{Bound, Stream, current::spawn};
pub use worker::Connected;

/// What programs that use runnel want at hand: `use runnel::prelude::*;`.
///
/// It brings serde's derives and chrono's times along, since records are made of them; the derives still need `serde`
/// as a dependency of your own.
pub mod prelude {
    pub use std::process::ExitCode;
    pub use std::time::Duration;

    pub use chrono::{DateTime, Utc};
    pub use serde::{Deserialize, Serialize};

    pub use crate::codec::{Codec, Json};
    pub use crate::{
        App, Context, DeadLetter, Event, EventId, Events, ExceptionPolicy, Key, Partition, Partitioner, Record, Result,
        RunContext, State, Stream, TASK_LOG, TerminalExt, inaction,
    };
}

#[cfg(feature = "macros")]
pub use runnel_macros::{crontab, job, processor, stream, task, test, timer};

// What the macros' output names.
#[cfg(feature = "macros")]
#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
#[doc(hidden)]
pub use record::primitive as __record;
#[doc(hidden)]
pub use serde_json as __serde_json;
