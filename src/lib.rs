//! Partitioned, strictly ordered event processing on Redis Streams.

pub mod broker;
pub mod clock;
pub mod codec;
mod decide;
mod error;
pub mod event;
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
#[cfg(feature = "macros")]
pub use runnel_macros::Record;

// The derive and `json!`-free paths that the macros' output names.
#[doc(hidden)]
pub use record::primitive as __record;
#[doc(hidden)]
pub use serde_json as __serde_json;
