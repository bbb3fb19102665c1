//! The address of a store, and texts that may carry one, without their secrets.

use std::borrow::Cow;
use std::fmt;

/// What is used where no address is given.
pub const DEFAULT_REDIS_URL: &str = "redis://127.0.0.1:6379";

/// The address of a store. Printing it never shows its password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// Keeps the text as it is; what it means is decided where it is connected to.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole text, secrets included.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What stands before `://`; empty if nothing does.
    pub fn scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(scheme, _)| scheme)
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value as it may be shown to a person: secrets masked, control characters escaped, not endless.
pub(crate) fn shown(value: &str) -> String {
    let masked = if value.contains("://") || value.contains('@') { mask(value) } else { value.to_owned() };
    let mut text: String =
        masked.chars().take(80).flat_map(|c| if c.is_control() { escaped(c) } else { vec![c] }).collect();
    if masked.chars().nth(80).is_some() {
        text.push_str("...");
    }
    text
}

fn escaped(c: char) -> Vec<char> {
    c.escape_default().collect()
}

/// The address with `***` in place of what lets somebody in: everything between `//` and the last `@`, the user's name
/// apart, and the values of parameters that are named like a secret.
pub(crate) fn mask(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let (place, parameters) = match rest.find(['?', '#']) {
        // An `@` behind a `?`: either a password with a question mark or a parameter with an `@`. Nobody can say where
        // the secret ends, so all of it is one.
        Some(at) if rest[at..].contains('@') => return format!("{scheme}***"),
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let place = match place.rsplit_once('@') {
        Some((credentials, host)) => {
            let user = credentials.split_once(':').map_or("", |(user, _)| user);
            Cow::Owned(format!("{user}:***@{host}"))
        }
        None => Cow::Borrowed(place),
    };
    format!("{scheme}{place}{}", mask_parameters(parameters))
}

fn mask_parameters(parameters: &str) -> String {
    let mut masked = String::with_capacity(parameters.len());
    for part in parameters.split_inclusive(['?', '#', '&', ';']) {
        let end = part.len() - usize::from(part.ends_with(['?', '#', '&', ';']));
        match part[..end].split_once('=') {
            Some((name, _)) if is_secret(name) => {
                masked.push_str(name);
                masked.push_str("=***");
                masked.push_str(&part[end..]);
            }
            _ => masked.push_str(part),
        }
    }
    masked
}

/// Whether what has that name is a secret. One that hides its name behind escapes is.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains('%')
        || name.ends_with("sig")
        || ["pass", "pwd", "token", "secret", "key", "auth", "signature"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        for (url, shown) in [
            ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
            ("redis://:canary@h:1/2", "redis://:***@h:1/2"),
            ("redis://ann:canary@h", "redis://ann:***@h"),
            ("redis://canary@h", "redis://:***@h"),
            ("redis://ann:can/ary@h/0", "redis://ann:***@h/0"),
            ("redis://ann:can@ary@[::1]:6379", "redis://ann:***@[::1]:6379"),
            ("redis://ann:can?ary@h/0", "redis://***"),
            ("redis://ann:can#ary@h/0", "redis://***"),
            ("redis://h/0?password=can@ary", "redis://***"),
            ("unix:///run/r.sock?user=ann&pass=canary&db=1", "unix:///run/r.sock?user=ann&pass=***&db=1"),
            ("redis://h?PASSWORD=canary", "redis://h?PASSWORD=***"),
            ("redis://h?a=1&api_key=canary&b=2", "redis://h?a=1&api_key=***&b=2"),
            ("redis://h#token=canary", "redis://h#token=***"),
            ("redis://h?p%61ss=canary", "redis://h?p%61ss=***"),
            ("ann:canary@h:6379", "ann:***@h:6379"),
            ("", ""),
            ("://", "://"),
        ] {
            assert_eq!(RedisUrl::new(url).to_string(), shown, "{url}");
            assert_eq!(format!("{:?}", RedisUrl::new(url)), shown, "{url}");
        }
    }

    #[test]
    fn a_value_is_shown_without_control_characters_and_not_endlessly() {
        assert_eq!(shown("a\x1b[31m\0b"), "a\\u{1b}[31m\\u{0}b");
        assert_eq!(shown(&"x".repeat(10_000)).len(), 83);
        assert_eq!(shown("redis://:canary@h"), "redis://:***@h");
    }
}
