//! What went wrong in a database, and whether it may go well later.

use std::io::ErrorKind;
use std::time::Duration;

use crate::runs::stores::StoreError;

/// The error of something that was asked of a database.
pub(super) fn failed(doing: impl Into<String>, error: sqlx::Error) -> StoreError {
    let transient = is_transient(&error);
    StoreError::Backend { doing: doing.into(), transient, source: error.into() }
}

/// No answer came in time.
pub(super) fn no_answer(doing: impl Into<String>, waited: Duration) -> StoreError {
    let source = format!("the database did not answer within {} s", waited.as_secs()).into();
    StoreError::Backend { doing: doing.into(), transient: true, source }
}

/// No connection was to be had in time: the pool does not tell why.
pub(super) fn no_connection(doing: impl Into<String>) -> StoreError {
    let source = "no connection was to be had in time: the server may be down, or all of `max_connections` are in use";
    StoreError::Backend { doing: doing.into(), transient: true, source: source.into() }
}

/// Whether it may go well later without anybody's help.
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => !matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem),
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_transient_code(&code)),
        // What was said on a connection was not understood: another connection may do better.
        sqlx::Error::Protocol(_) | sqlx::Error::BeginFailed => true,
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// PostgreSQL's codes are five characters, of which two are the class; SQLite's are numbers, of which the lowest byte is.
fn is_transient_code(code: &str) -> bool {
    if code.len() == 5 {
        // Connection, rollback, resources, state of an object (a lock), operator, system; and a server that may only be
        // read, as it is after a failover until addresses are changed.
        let class = code.get(..2).unwrap_or_default();
        return ["08", "40", "53", "55", "57", "58"].contains(&class) || code == "25006";
    }
    // Busy, locked, out of memory, input or output, disk full, cannot be opened, locks in disorder.
    code.parse::<u32>().is_ok_and(|code| [5, 6, 7, 10, 13, 14, 15].contains(&(code & 0xff)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_told_from_what_does_not() {
        for code in ["08006", "40P01", "53300", "55P03", "57P01", "57014", "25006", "5", "517", "6", "266", "13"] {
            assert!(is_transient_code(code), "{code}");
        }
        for code in ["28P01", "3D000", "42501", "42P01", "22021", "23505", "1", "8", "11", "2067", "26", "x", ""] {
            assert!(!is_transient_code(code), "{code}");
        }
        assert!(is_transient(&sqlx::Error::Io(ErrorKind::ConnectionRefused.into())));
        assert!(!is_transient(&sqlx::Error::Io(ErrorKind::PermissionDenied.into())));
    }
}
