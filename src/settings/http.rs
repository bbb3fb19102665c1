//! What the settings say about HTTP: where it is answered, and who may ask.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::validate::Problem;
use super::{Settings, shown};

/// A text that is printed nowhere.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { "***" })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A shorter token could be guessed by trying.
const SHORTEST_TOKEN: usize = 16;

/// The address to listen at. Names other than `localhost` are refused: what they stand for may change, and with it who
/// can reach us.
pub(crate) fn address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?)),
        None => text.parse().ok(),
    }
}

/// Everything that is wrong with the settings about HTTP.
pub(super) fn problems(settings: &Settings, found: &mut Vec<Problem>) {
    let mut refuse = |names: &[&'static str], text: String| found.push(Problem { settings: names.to_vec(), text });
    let token = settings.http_token.expose();
    let can_be_sent = token.bytes().all(|byte| byte.is_ascii_graphic());
    if !token.is_empty() && (token.len() < SHORTEST_TOKEN || !can_be_sent) {
        let text = format!("`http_token` must have at least {SHORTEST_TOKEN} characters, all of them visible ones of ASCII");
        refuse(&["http_token"], text);
    }
    if !settings.api_url.is_empty() && !settings.api_url.starts_with("http://") {
        let url = shown(&settings.api_url);
        refuse(&["api_url"], format!("`api_url` is `{url}`: expected an address like `http://127.0.0.1:8080`"));
    }
    if settings.http.is_empty() {
        return;
    }
    let wanted = shown(&settings.http);
    if !cfg!(feature = "http") {
        refuse(&["http"], "`http` is set, and this program was built without the feature `http`".into());
    }
    match address(&settings.http) {
        None => refuse(&["http"], format!("`http` is `{wanted}`: expected an address like `127.0.0.1:8080`")),
        Some(address) if !address.ip().is_loopback() && token.is_empty() => refuse(
            &["http", "http_token"],
            format!(
                "`http` is `{wanted}`, which other machines can reach, and there is no `http_token`: set RUNNEL_HTTP_TOKEN, or \
                 listen at 127.0.0.1:{} and let something in front of it decide who may ask",
                address.port()
            ),
        ),
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.validate().err().map(|refused| refused.to_string()).unwrap_or_default()
    }

    #[test]
    #[cfg(feature = "http")]
    fn only_this_machine_may_ask_without_a_token() {
        for open in ["127.0.0.1:8080", "[::1]:0", "localhost:80", "127.9.9.9:1"] {
            assert_eq!(refusal(|s| s.http = open.into()), "", "{open}");
        }
        for closed in ["0.0.0.0:8080", "[::]:8080", "10.0.0.7:80", "192.168.1.1:80"] {
            let refused = refusal(|s| s.http = closed.into());
            assert!(refused.contains("RUNNEL_HTTP_TOKEN"), "{closed}: {refused}");
            let token = |s: &mut Settings| (s.http, s.http_token) = (closed.into(), Secret::new("x".repeat(16)));
            assert_eq!(refusal(token), "", "{closed}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for wrong in ["8080", ":8080", "127.0.0.1", "localhost", "example.com:80", "127.0.0.1:99999", "a\x1bb:1"] {
            let refused = refusal(|s| s.http = wrong.into());
            assert!(refused.contains("`http` is `"), "{wrong:?}: {refused}");
            assert!(!refused.contains('\x1b'), "{refused}");
        }
        assert!(refusal(|s| s.api_url = "https://h".into()).contains("`api_url`"));
    }

    #[test]
    fn a_token_that_is_short_or_cannot_be_sent_is_refused_and_never_shown() {
        for token in ["canary", "canary canary canary canary", "canary-canary-canary\n"] {
            let refused = refusal(|s| s.http_token = Secret::new(token));
            assert!(refused.contains("`http_token`") && !refused.contains("canary"), "{refused}");
        }
        let token = Secret::new("canary-canary-canary");
        assert_eq!(format!("{token} {token:?} {}", Secret::default()), "*** *** ");
    }
}
