//! The process environment: the only place that reads it.

use std::ffi::OsString;

/// One variable, if it is set.
#[allow(clippy::disallowed_methods, reason = "this is where settings come from")]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The variables that are meant for us: those that begin with `RUNNEL_`, in order.
pub(super) fn ours() -> Vec<(String, OsString)> {
    let mut found: Vec<(String, OsString)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with("RUNNEL_"))
        .collect();
    found.sort();
    found
}
