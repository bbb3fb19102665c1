//! One question over HTTP to a worker: a connection of its own, an answer that may go on for long.
//!
//! It speaks to workers, and nothing else: no TLS, no redirects, no proxies.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use futures::StreamExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::clock;
use crate::tasks::{Gate, Tasks};

/// How long it may take to connect, and again until the answer begins.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// That is no address that could be asked.
    #[error("`{url}` is no address of a worker: expected one like `http://127.0.0.1:8080`")]
    Address {
        /// As it was given.
        url: String,
    },
    /// Nobody there took the question.
    #[error("cannot ask {place}")]
    Unreachable {
        /// Host and port.
        place: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Somebody took the question and did not answer it.
    #[error("{place} did not answer")]
    Broken {
        /// Host and port.
        place: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
}

/// What is asked.
pub(crate) struct Wish<'a> {
    pub(crate) method: Method,
    /// The path with what stands behind its `?`.
    pub(crate) path: &'a str,
    pub(crate) headers: HeaderMap,
}

/// Asks a worker. Its connection ends with the body of the answer.
pub(crate) async fn ask(url: &str, wish: Wish<'_>) -> Result<Response<Body>, Unanswered> {
    let (place, prefix) = parsed(url).ok_or_else(|| Unanswered::Address { url: crate::settings::shown(url) })?;
    let told = place.to_string();
    let unreachable = |source| Unanswered::Unreachable { place: told.clone(), source };
    let port = place.port_u16().unwrap_or(80);
    let host = place.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let stream = within(TcpStream::connect((host, port))).await.map_err(unreachable)?;
    let broken = |source| Unanswered::Broken { place: told.clone(), source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut tasks = Tasks::behind(&Gate::default());
    tasks.start(async move {
        // Its failure is that of the answer.
        let _ = connection.await;
    });
    let mut request = Request::new(Body::empty());
    *request.method_mut() = wish.method;
    let uri = format!("{prefix}{}", wish.path).parse::<Uri>();
    *request.uri_mut() = uri.map_err(|_| Unanswered::Address { url: crate::settings::shown(url) })?;
    *request.headers_mut() = wish.headers;
    let host = HeaderValue::try_from(place.as_str()).map_err(|_| Unanswered::Address { url: told.clone() })?;
    request.headers_mut().insert(header::HOST, host);
    let answer = within(async { Ok(sender.send_request(request).await) }).await.map_err(unreachable)?;
    let (parts, body) = answer.map_err(broken)?.into_parts();
    let pieces = Body::new(body).into_data_stream();
    // The connection lives as long as the answer is read.
    let body = pieces.map(move |piece| {
        let _alive = (&tasks, &sender);
        piece
    });
    Ok(Response::from_parts(parts, Body::from_stream(body)))
}

/// Not longer than can be waited for.
async fn within<T>(what: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    // Safe to drop: a connection that nobody uses has changed nothing, and a question is asked again by whoever asked.
    tokio::select! {
        done = what => done,
        () = clock::sleep(PATIENCE) => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "it takes too long")),
    }
}

/// Host and port, and what stands before each path.
fn parsed(url: &str) -> Option<(Authority, String)> {
    let uri: Uri = url.parse().ok()?;
    let is_plain = uri.scheme_str() == Some("http") && uri.query().is_none();
    let place = uri.authority().filter(|place| is_plain && !place.as_str().contains('@'))?.clone();
    Some((place, uri.path().trim_end_matches('/').to_owned()))
}

/// Whether only the machine where it is used can be meant by it.
pub(crate) fn is_of_one_machine(url: &str) -> bool {
    let Some((place, _)) = parsed(url) else { return false };
    let host = place.host().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// All of a short answer.
pub(crate) async fn whole(body: Body) -> Result<Bytes, axum::Error> {
    /// More than the longest page of documents.
    const MOST: usize = 256 << 20;
    axum::body::to_bytes(body, MOST).await
}

/// A value as it may stand behind a `?`.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_workers_are_told_from_others() {
        assert_eq!(parsed("http://h:1/runnel/").unwrap().1, "/runnel");
        for wrong in ["", "h:1", "https://h", "ftp://h", "http://", "http://ann:canary@h", "http://h?x=1", "/x"] {
            assert!(parsed(wrong).is_none(), "{wrong}");
        }
        assert!(is_of_one_machine("http://[::1]:80") && !is_of_one_machine("http://a1:80"));
    }

    #[test]
    fn a_value_cannot_become_a_parameter() {
        assert_eq!(encoded("a&b=ü c%"), "a%26b%3D%C3%BC%20c%25");
    }
}
