//! How a command ends that did not do what was asked, and the exit code that tells it.

use std::fmt;
use std::io;

use crate::broker::BrokerError;
use crate::error::Failure;
use crate::logs::escape;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum End {
    /// Something failed.
    Failed(Failure),
    /// It was not done, for a reason that is no failure of anything.
    Refused(String),
    /// It was asked in a way that cannot be understood.
    Usage(String),
    /// Nobody reads what we write any more (`| head`): no failure.
    Closed,
    /// Nothing failed here; what was asked about ended with this code.
    Exit(u8),
    /// The result cannot be written.
    Unwritten(io::Error),
}

impl End {
    /// 0 ok, 1 failed, 2 usage, 3 not found, 69 Redis unavailable, 70 halted.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Failed(failure) => code_of(failure),
            Self::Usage(_) => 2,
            Self::Closed => 0,
            Self::Exit(code) => *code,
            Self::Refused(_) | Self::Unwritten(_) => 1,
        }
    }

    /// The error and its causes for a person on stderr; nothing where nothing failed.
    pub(crate) fn report(&self) -> String {
        let mut text = match self {
            Self::Closed | Self::Exit(_) => return String::new(),
            end => format!("error: {end}\n"),
        };
        if let Self::Failed(failure) = self {
            let mut cause = std::error::Error::source(failure);
            // The text of an unusable store has its cause in it.
            while let Some(error) = cause.filter(|_| !matches!(failure, Failure::Unusable { .. })) {
                text.push_str(&format!("  because: {error}\n"));
                cause = error.source();
            }
        }
        text.lines().map(|line| escape(line) + "\n").collect()
    }
}

fn code_of(failure: &Failure) -> u8 {
    let unavailable =
        |error: &BrokerError| matches!(error, BrokerError::Unavailable { .. } | BrokerError::Unclear { .. });
    match failure {
        Failure::NotFound(_) => 3,
        Failure::Halted(_) => 70,
        Failure::Invalid(_) => 2,
        Failure::Unusable { .. } => 69,
        Failure::Broker { source, .. } if unavailable(source) => 69,
        _ => 1,
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::Usage(text) | Self::Refused(text) => f.write_str(text),
            Self::Closed => f.write_str("nobody reads the output"),
            Self::Exit(code) => write!(f, "it ended with code {code}"),
            Self::Unwritten(error) => write!(f, "the result cannot be written: {error}"),
        }
    }
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Unwritten(error) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn each_way_to_end_has_its_code() {
        let gone = || BrokerError::Unavailable { address: "h".into(), source: Arc::new(io::Error::other("refused")) };
        for (end, code) in [
            (End::from(Failure::NotFound("x".into())), 3),
            (End::from(Failure::Halted("x".into())), 70),
            (End::from(Failure::Invalid("x".into())), 2),
            (End::from(Failure::Full("x".into())), 1),
            (End::from(Failure::Broker { doing: "look".into(), source: gone() }), 69),
            (End::from(Failure::Unusable { text: "x".into(), source: gone() }), 69),
            (End::from(io::Error::from(io::ErrorKind::BrokenPipe)), 0),
            (End::Refused("x".into()), 1),
            (End::Usage("x".into()), 2),
            (End::from(io::Error::other("disk full")), 1),
        ] {
            assert_eq!(end.code(), code, "{end:?}");
        }
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_without_control_characters() {
        let source = Arc::new(io::Error::other("refused\x1b[2J"));
        let failure =
            Failure::Broker { doing: "look".into(), source: BrokerError::Unavailable { address: "h".into(), source } };

        let report = End::from(failure).report();

        assert_eq!(report.lines().count(), 3, "{report}");
        assert!(report.contains("because: refused\\u{1b}[2J"), "{report}");
    }
}
