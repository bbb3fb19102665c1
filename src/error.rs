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
    /// The store of the run logs cannot be opened.
    #[error("the run log store cannot be opened")]
    RunLogStore(#[source] Error),
    /// A run cannot be resumed; a new one can be started.
    #[error("{0}")]
    RetryValidation(String),
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

/// An error that no further try could make good: retries end with it, and the policy decides at once.
///
/// It counts wherever it stands among the causes of what a processor's or a job's function returns. What it wraps is
/// shown as it is.
///
/// ```
/// use runnel::prelude::*;
///
/// async fn charge(amount: &str) -> Result<()> {
///     let amount: f64 = amount.parse().terminal()?;
///     if amount < 0.0 {
///         return Err(runnel::Terminal("nobody can be charged less than nothing").into());
///     }
///     Ok(())
/// }
/// ```
pub struct Terminal {
    cause: Cause,
}

/// What a [`Terminal`](struct@Terminal) wraps. It is a link of the chain of its own, because boxes of other crates forget the type of what
/// they hold, and only let its causes be seen.
struct Cause(Error);

/// Wraps an error that no further try could make good: see the type of the same name.
#[allow(non_snake_case, reason = "it stands for the constructor of the type, and takes anything that is an error")]
pub fn Terminal(error: impl Into<Error>) -> Terminal {
    Terminal { cause: Cause(error.into()) }
}

impl Terminal {
    /// Whether this error, or one of its causes, says that no further try could make it good.
    pub fn is_in(error: &(dyn std::error::Error + 'static)) -> bool {
        std::iter::successors(Some(error), |error| error.source())
            .any(|error| error.is::<Self>() || error.is::<Cause>())
    }
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Terminal").field(&self.cause).finish()
    }
}

impl std::fmt::Display for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.cause.fmt(f)
    }
}

impl std::error::Error for Terminal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl std::fmt::Debug for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// `.terminal()?` in place of `?`: what failed is not tried again.
pub trait TerminalExt<T> {
    /// Wraps the error in [`Terminal`](struct@Terminal).
    fn terminal(self) -> std::result::Result<T, Terminal>;
}

impl<T, E: Into<Error>> TerminalExt<T> for std::result::Result<T, E> {
    fn terminal(self) -> std::result::Result<T, Terminal> {
        self.map_err(Terminal)
    }
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

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot charge")]
    struct Charging(#[source] Error);

    #[test]
    fn a_terminal_error_is_found_among_the_causes_and_shown_as_what_it_wraps() {
        let terminal = || "x".parse::<u8>().terminal().unwrap_err();

        assert!(Terminal::is_in(&terminal()));
        let deep = Charging(Box::new(terminal()));
        assert!(Terminal::is_in(&deep));
        assert_eq!(chain(&deep), "cannot charge: invalid digit found in string");
        assert!(!Terminal::is_in(&Charging("no network".into())));
    }

    #[test]
    fn a_terminal_error_is_found_where_only_its_causes_can_be_seen() {
        let terminal = Terminal("no such customer");
        let seen = std::error::Error::source(&terminal).unwrap();

        assert!(!seen.is::<Terminal>() && Terminal::is_in(seen));
    }
}
