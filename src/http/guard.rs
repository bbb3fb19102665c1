//! Who may ask, and what every answer says to browsers.
//!
//! Where there is a token, who brings it may ask, under whatever name a proxy in front is known. Where there is none,
//! only this machine can reach us, and what is left to fear is a page of somebody else in a browser on it: its requests
//! come under its own name (`Host`, where that name was made to mean this machine) or from its own place (`Origin`).

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Api, Refusal};

/// What every answer says: nothing of it is a page, and nobody may guess otherwise or keep it.
const SAID: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
];

pub(super) async fn guard(State(api): State<Api>, request: Request<Body>, next: Next) -> Response {
    let mut response = match refusal(&api, &request) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    for (name, text) in SAID {
        response.headers_mut().insert(name, HeaderValue::from_static(text));
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn refusal(api: &Api, request: &Request<Body>) -> Option<Refusal> {
    let headers = request.headers();
    let token = api.0.token.expose();
    let host = request.uri().authority().cloned().or_else(|| host(headers));
    if token.is_empty() && !host.as_ref().is_some_and(is_this_machine) {
        let text = "without an http_token this is for this machine alone: ask 127.0.0.1 or localhost";
        return Some(Refusal::new(StatusCode::FORBIDDEN, "wrong_host", text));
    }
    if headers.get(header::ORIGIN).is_some_and(|origin| !is_origin_of(origin, host.as_ref())) {
        let text = "pages of another place may not ask";
        return Some(Refusal::new(StatusCode::FORBIDDEN, "wrong_origin", text));
    }
    // Whoever looks whether we live needs not know more.
    let is_open = token.is_empty() || request.uri().path() == "/healthz";
    (!is_open && !brings(headers, token))
        .then(|| Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", "this needs the http_token: Authorization: Bearer .."))
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    headers.get(header::HOST)?.to_str().ok()?.parse().ok()
}

fn is_this_machine(host: &Authority) -> bool {
    let name = host.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Whether a page of that origin is one of the place that was asked.
fn is_origin_of(origin: &HeaderValue, host: Option<&Authority>) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    match (origin, host) {
        (Some((_, place)), Some(host)) => place.eq_ignore_ascii_case(host.as_str()),
        _ => false,
    }
}

fn brings(headers: &HeaderMap, token: &str) -> bool {
    let Some(said) = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes) else { return false };
    let Some((scheme, given)) = said.split_at_checked("Bearer ".len()) else { return false };
    scheme.eq_ignore_ascii_case(b"Bearer ") && is_same(given, token.as_bytes())
}

/// Looks at all of it, however early the two differ: how long it takes tells nobody how much was right.
fn is_same(given: &[u8], wanted: &[u8]) -> bool {
    let mut difference = u8::from(given.len() != wanted.len());
    for (at, byte) in wanted.iter().enumerate() {
        difference |= byte ^ given.get(at).copied().unwrap_or(!byte);
    }
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        for (given, same) in [("canary", true), ("canarx", false), ("canar", false), ("canaryy", false), ("", false)] {
            assert_eq!(is_same(given.as_bytes(), b"canary"), same, "{given:?}");
        }
    }

    #[test]
    fn names_of_this_machine_are_told_from_those_that_look_like_them() {
        for (host, ours) in [
            ("127.0.0.1:8080", true),
            ("localhost", true),
            ("[::1]:80", true),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:8080", false),
            ("evil.example", false),
            ("10.0.0.7", false),
        ] {
            assert_eq!(is_this_machine(&host.parse().unwrap()), ours, "{host}");
        }
    }

    #[test]
    fn a_page_may_ask_the_place_it_comes_from() {
        let host: Authority = "127.0.0.1:8080".parse().unwrap();
        for (origin, same) in [
            ("http://127.0.0.1:8080", true),
            ("https://127.0.0.1:8080", true),
            ("http://127.0.0.1:8081", false),
            ("http://evil.example", false),
            ("null", false),
        ] {
            assert_eq!(is_origin_of(&HeaderValue::from_static(origin), Some(&host)), same, "{origin}");
        }
    }
}
