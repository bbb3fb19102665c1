//! Partitioned, strictly ordered event processing on Redis Streams.

mod app;
pub mod broker;
pub mod clock;
pub mod codec;
mod decide;
mod error;
pub mod event;
mod executor;
mod logs;
mod nearest;
pub mod processor;
mod python;
mod record;
mod route;
pub mod settings;
mod stream;
mod tasks;
mod worker;

pub use app::{App, AppStream, Declared, Setup};
pub use error::{Error, Failure, Result};
pub use event::{Event, EventId, Partition};
pub use processor::{Context, Events, State};
pub use record::Record;
pub use route::{Key, Partitioner};
pub use settings::ExceptionPolicy;
pub use stream::{Bound, Stream, current::spawn};

#[cfg(feature = "macros")]
pub use runnel_macros::{processor, stream};

// What the macros' output names.
#[cfg(feature = "macros")]
#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
#[doc(hidden)]
pub use serde_json as __serde_json;
