//! Partitioned, strictly ordered event processing on Redis Streams.

pub mod broker;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod codec;
mod decide;
mod error;
pub mod event;
mod logs;
mod nearest;
mod python;
mod record;
mod route;
pub mod settings;
mod tasks;

pub use error::{Error, Failure, Result};
pub use event::{Event, EventId, Partition};
pub use record::Record;
pub use route::{Key, Partitioner};

// The derive and `json!`-free paths that the macros' output names.
#[doc(hidden)]
pub use serde_json as __serde_json;
