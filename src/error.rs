//! What can go wrong, for people and for programs.
//!
//! Library functions return [`Failure`], an enum to match on. User code returns [`Error`], the box that takes
//! anything: `anyhow`, `eyre`, strings.

use crate::broker::BrokerError;
use crate::codec::{DecodeError, EncodeError};

/// What user code returns: anything that is an error.
pub type Error = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What user code returns: `Ok(())` settles, an error fails the event or the run.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// What a library function could not do, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The store did not do what was asked.
    #[error("runnel failed to {doing}")]
    Broker {
        /// What was being done: "send to stream `orders`".
        doing: String,
        /// Why.
        #[source]
        source: BrokerError,
    },
    /// The store cannot be used: it is not there, or does not let us in. The text says what to do.
    #[error("{text}")]
    Unusable {
        /// What was tried, on whose word, why it failed, what to do now.
        text: String,
        /// Why.
        #[source]
        source: BrokerError,
    },
    /// A record cannot be written.
    #[error("a record of stream `{stream}` cannot be encoded")]
    Encode {
        /// The stream.
        stream: String,
        /// Why.
        #[source]
        source: EncodeError,
    },
    /// An event is no record of its stream.
    #[error("event {id} of stream `{stream}` cannot be decoded")]
    Decode {
        /// The stream.
        stream: String,
        /// The event.
        id: crate::event::EventId,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// What an event loop was done with could not be settled: a middleware failed after it.
    #[error("a middleware failed after event {id} was processed")]
    Middleware {
        /// The event; the first one of a batch.
        id: crate::event::EventId,
        /// Its error.
        #[source]
        source: std::sync::Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A setting, a name or a combination of them that cannot work.
    #[error("{0}")]
    Invalid(String),
    /// A process disagrees with what is in Redis about a stream.
    #[error("{0}")]
    Disagreement(String),
    /// A partition is at its size, and stayed so.
    #[error("{0}")]
    Full(String),
    /// A static stream was used where no app runs.
    #[error(
        "no app is running here, so stream `{stream}` has nowhere to send to: call it from a processor or job, or after \
         `runnel::main`; in a task of your own use `runnel::spawn`; anywhere else name the app: `app.stream(&{stream}).send(..)`"
    )]
    NoApp {
        /// The stream.
        stream: String,
    },
    /// A state that is made at start could not be made.
    #[error("the state of type `{name}` could not be made at start")]
    State {
        /// The type's name.
        name: String,
        /// Why.
        #[source]
        source: Error,
    },
    /// There is nothing of that name.
    #[error("{0}")]
    NotFound(String),
    /// A partition was halted by its policy; the worker has drained.
    #[error("{0}")]
    Halted(String),
    /// The loop's partition is gone: moved to another worker, or fenced. Return from the processor.
    #[error("partition {partition} of processor `{processor}` is no longer owned by this worker")]
    Lost {
        /// The processor.
        processor: String,
        /// The partition.
        partition: crate::event::Partition,
    },
}

/// Says what was being done when the store failed.
pub(crate) trait Doing<T> {
    /// "send to stream `orders`".
    fn doing(self, what: impl FnOnce() -> String) -> std::result::Result<T, Failure>;
}

impl<T> Doing<T> for std::result::Result<T, BrokerError> {
    fn doing(self, what: impl FnOnce() -> String) -> std::result::Result<T, Failure> {
        self.map_err(|source| Failure::Broker { doing: what(), source })
    }
}

/// An error and its causes in one line: `cannot charge: connection refused`.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        // Some errors print their cause themselves.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = next.source();
    }
    text
}
