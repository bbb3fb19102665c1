//! A place to be asked at, and the connections to it. All of them end with whoever serves.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::error::Failure;
use crate::settings::{Settings, http_address};
use crate::tasks::{Gate, Tasks};

/// Connections at once; who comes then waits in the queue of the system.
const MOST: usize = 512;
/// How long a question may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// After the system has refused a connection: it may be out of files.
const PAUSE: Duration = Duration::from_millis(200);

/// A place to be asked at.
#[derive(Debug)]
pub(crate) struct Listening {
    listener: TcpListener,
    url: String,
}

impl Listening {
    /// At the address of setting `http`; none if that is not set.
    pub(crate) async fn open(settings: &Settings) -> Result<Option<Self>, Failure> {
        if settings.http.is_empty() {
            return Ok(None);
        }
        let refused = |why: String| {
            Failure::Invalid(format!(
                "cannot answer HTTP at {} (setting `http`): {why}. Each worker of a machine needs a port of its own; port 0 \
                 is any that is free",
                settings.http
            ))
        };
        let wanted = http_address(&settings.http).ok_or_else(|| refused("it is no address".into()))?;
        let listener = TcpListener::bind(wanted).await.map_err(|error| refused(error.to_string()))?;
        let address = listener.local_addr().map_err(|error| refused(error.to_string()))?;
        Ok(Some(Self { listener, url: url(address) }))
    }

    /// Where others find it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Answers until `closing`, and then what was asked before that. Dropped, it cuts everybody off.
    pub(crate) async fn serve(self, router: Router, closing: CancellationToken) {
        let mut connections = Tasks::behind(&Gate::default());
        while !closing.is_cancelled() {
            // All are safe to drop: a connection that was not accepted stays in the queue of the system.
            tokio::select! {
                () = closing.cancelled() => {}
                _ = connections.next(), if !connections.is_empty() => {}
                accepted = self.listener.accept(), if connections.len() < MOST => match accepted {
                    Ok((stream, _)) => _ = connections.start(answer(stream, router.clone(), closing.clone())),
                    Err(error) => {
                        tracing::debug!(%error, "a connection was not accepted");
                        clock::sleep(PAUSE).await;
                    }
                },
            }
        }
        drop(self.listener);
        while connections.next().await.is_some() {}
    }
}

/// Answers on one connection, until its client or we have enough.
async fn answer(stream: TcpStream, router: Router, closing: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let done = tokio::select! {
        done = &mut connection => done,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = done {
        tracing::trace!(%error, "a connection has ended");
    }
}

/// An address that means every one of this machine is told by the machine's name.
fn url(address: SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("http://{}:{}", rustix::system::uname().nodename().to_string_lossy(), address.port()),
        false => format!("http://{address}"),
    }
}
