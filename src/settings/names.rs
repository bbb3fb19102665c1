//! What apps, streams and processors may be called.
//!
//! Names become parts of Redis keys, where braces mark the slot, and dots and colons part the names from each other.

use crate::error::Failure;

/// What is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// An app.
    App,
    /// A stream with keys of our own.
    Stream,
    /// A stream with the keys of runnel for Python, where names with dots are common.
    PythonStream,
    /// A processor.
    Processor,
    /// A task, timer, crontab or job on demand.
    Job,
}

impl Named {
    fn word(self) -> &'static str {
        match self {
            Self::App => "an app",
            Self::Stream | Self::PythonStream => "a stream",
            Self::Processor => "a processor",
            Self::Job => "a job",
        }
    }
}

/// The longest name, in bytes: five of them must fit into a key that people can still read.
const LONGEST: usize = 200;

/// Refuses a name that cannot be part of a key.
pub(crate) fn check_name(kind: Named, name: &str) -> Result<(), Failure> {
    match why_not(kind, name) {
        None => Ok(()),
        Some(why) => {
            Err(Failure::Invalid(format!("`{}` cannot be the name of {}: {why}", super::shown(name), kind.word())))
        }
    }
}

fn why_not(kind: Named, name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("it is empty".into());
    }
    if name.len() > LONGEST {
        return Some(format!("it has {} bytes, and may have {LONGEST}", name.len()));
    }
    if name.starts_with("__") {
        return Some("names that begin with `__` are runnel's own".into());
    }
    if kind == Named::PythonStream && name.ends_with(".dead") {
        return Some("names that end with `.dead` mean the dead letters of another stream".into());
    }
    let dots_allowed = kind == Named::PythonStream;
    name.chars().find_map(|c| why_not_letter(c, dots_allowed))
}

fn why_not_letter(c: char, dots_allowed: bool) -> Option<String> {
    match c {
        '.' if dots_allowed => None,
        '.' => Some("it has a `.`, which parts the names in a key (streams of runnel for Python may have it)".into()),
        '{' | '}' | ':' => Some(format!("it has a `{c}`, which has a meaning of its own in a key")),
        c if c.is_whitespace() => Some("it has white space".into()),
        c if c.is_control() => Some("it has a control character".into()),
        _ => None,
    }
}

/// Why this cannot stand before every key.
pub(super) fn why_no_prefix(prefix: &str) -> Option<String> {
    if prefix.len() > LONGEST {
        return Some(format!("it has {} bytes, and may have {LONGEST}", prefix.len()));
    }
    // `staging:` is what most teams write; what follows the prefix is never looked for by a colon.
    prefix.chars().filter(|&c| c != ':').find_map(|c| why_not_letter(c, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_allowed() {
        for name in ["orders", "order-lines", "order_lines2", "Bestellungen-ü", "_x", &"x".repeat(200)] {
            for kind in [Named::App, Named::Stream, Named::Processor] {
                check_name(kind, name).unwrap();
            }
        }
        check_name(Named::PythonStream, "shop.orders").unwrap();
        check_name(Named::PythonStream, "shop.dead.orders").unwrap();
    }

    #[test]
    fn no_stream_is_called_like_the_dead_letters_of_another() {
        for kind in [Named::Stream, Named::PythonStream] {
            assert!(check_name(kind, "orders.dead").is_err());
        }
        check_name(Named::Stream, "dead").unwrap();
    }

    #[test]
    fn a_prefix_may_be_parted_as_is_usual() {
        assert_eq!(why_no_prefix("staging:eu.1:"), None);
        assert!(why_no_prefix("{staging}:").is_some());
    }

    #[test]
    fn names_that_would_break_a_key_are_refused() {
        let long = "x".repeat(10_000);
        for name in ["", "a{b", "a}", "a:b", "a.b", "a b", "a\tb", "a\u{a0}b", "a\0b", "a\x1bb", "__own", "__", &long] {
            let refused = check_name(Named::Stream, name).unwrap_err().to_string();
            assert!(refused.contains("cannot be the name of a stream"), "{refused}");
            assert!(!refused.contains(char::is_control) && refused.len() < 300, "{refused}");
        }
        assert!(check_name(Named::PythonStream, "a{b").is_err());
        assert!(check_name(Named::PythonStream, "shop.dead").is_err());
    }
}
