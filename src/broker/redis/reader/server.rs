//! Servers for the tests of this room: a real one on a socket of its own, and one that says what it is told to.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ConnectionInfo, IntoConnectionInfo};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;

use super::{Reader, Unblock};
use crate::broker::BrokerError;
use crate::clock;

/// Longer than any test: whatever arrives in time was woken or answered, not timed out.
pub(super) const LONG: Duration = Duration::from_secs(600);

const SOCKET: &str = "redis.sock";

/// A `redis-server` in a folder of its own; ends with this value.
pub(super) struct Server {
    folder: TempDir,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(super) async fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments = arguments.iter().map(|argument| argument.to_string()).collect();
        let mut server = Self { folder, arguments, process: None };
        server.start_again().await;
        server
    }

    /// After [`Server::stop`]: what was not saved is gone.
    pub(super) async fn start_again(&mut self) {
        let started = Command::new("redis-server")
            .args(["--save", "", "--daemonize", "no", "--unixsocket"])
            .arg(self.socket())
            .arg("--dir")
            .arg(self.folder.path())
            .args(if self.arguments.iter().any(|a| a == "--port") { &[][..] } else { &["--port", "0"] })
            .args(&self.arguments)
            .stdout(Stdio::null())
            .spawn();
        let process = self.process.insert(started.expect("redis-server is installed: apt-get install redis-server"));
        while UnixStream::connect(self.folder.path().join(SOCKET)).await.is_err() {
            assert!(process.try_wait().unwrap().is_none(), "redis-server does not start with these arguments");
            clock::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// Where it is; `more` as in `?db=3&pass=secret`.
    pub(super) fn target(&self, more: &str) -> ConnectionInfo {
        format!("unix://{}{more}", self.socket().display()).into_connection_info().unwrap()
    }

    pub(super) async fn commands(&self, more: &str) -> MultiplexedConnection {
        redis::Client::open(self.target(more)).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    pub(super) fn reader(&self, pool_size: usize, block: Duration) -> Reader {
        self.reader_as("", pool_size, block)
    }

    pub(super) fn reader_as(&self, more: &str, pool_size: usize, block: Duration) -> Reader {
        let commands = std::sync::Arc::new(self.waker(more));
        Reader::new(self.target(more), "test".into(), pool_size, block, commands)
    }

    /// A reader whose wake-ups fail once and come too early so many times.
    pub(super) fn reader_woken_late(&self, times: usize, block: Duration) -> Reader {
        let commands = std::sync::Arc::new(Late { calls: AtomicUsize::new(0), times, then: self.waker("") });
        Reader::new(self.target(""), "test".into(), 1, block, commands)
    }

    fn waker(&self, more: &str) -> Commands {
        Commands { client: redis::Client::open(self.target(more)).unwrap(), open: Mutex::default() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The command connection, made anew when it failed.
struct Commands {
    client: redis::Client,
    open: Mutex<Option<MultiplexedConnection>>,
}

#[async_trait::async_trait]
impl Unblock for Commands {
    async fn unblock(&self, client_id: i64) -> Result<bool, BrokerError> {
        let unclear = || BrokerError::Unclear { address: "test".into(), doing: "waking" };
        let mut open = self.open.lock().await;
        let mut connection = match open.take() {
            Some(connection) => connection,
            None => self.client.get_multiplexed_async_connection().await.map_err(|_| unclear())?,
        };
        let mut unblock = redis::cmd("CLIENT");
        let woken = unblock.arg("UNBLOCK").arg(client_id).query_async(&mut connection).await.map_err(|_| unclear())?;
        *open = Some(connection);
        Ok(woken)
    }
}

struct Late {
    calls: AtomicUsize,
    times: usize,
    then: Commands,
}

#[async_trait::async_trait]
impl Unblock for Late {
    async fn unblock(&self, client_id: i64) -> Result<bool, BrokerError> {
        match self.calls.fetch_add(1, Ordering::Relaxed) {
            0 => Err(BrokerError::Unclear { address: "test".into(), doing: "waking" }),
            call if call <= self.times => Ok(false),
            _ => self.then.unblock(client_id).await,
        }
    }
}

/// The reading connections the server knows, one line of `CLIENT LIST` each.
pub(super) async fn readers(commands: &mut MultiplexedConnection) -> Vec<String> {
    let all: String = redis::cmd("CLIENT").arg("LIST").query_async(commands).await.unwrap();
    all.lines().filter(|line| line.contains("name=runnel-reader")).map(str::to_owned).collect()
}

/// Waits until so many reading connections sit in a blocking read.
pub(super) async fn until_blocked(commands: &mut MultiplexedConnection, count: usize) {
    while readers(commands).await.iter().filter(|line| line.contains("flags=b")).count() != count {
        clock::sleep(Duration::from_millis(1)).await;
    }
}

/// A server that greets and then answers the reads of its first connection with the first texts, and so on. Where a
/// connection has no text left it stays silent; where there is none at all, it is not accepted.
pub(super) struct Scripted {
    _folder: TempDir,
    pub(super) target: ConnectionInfo,
    listener: UnixListener,
}

impl Scripted {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scripted.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let target = format!("unix://{}", path.display()).into_connection_info().unwrap();
        Self { _folder: folder, target, listener }
    }

    pub(super) fn reader(&self, block: Duration) -> Reader {
        Reader::new(self.target.clone(), "test".into(), 1, block, std::sync::Arc::new(NeverBlocked))
    }

    /// Never ends: to be dropped.
    pub(super) async fn play(&self, connections: &[&[&str]]) -> std::convert::Infallible {
        let mut kept = Vec::new();
        for texts in connections {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut received = [0; 4096];
            for text in [&["+OK\r\n:7\r\n"], *texts].concat() {
                assert_ne!(stream.read(&mut received).await.unwrap(), 0, "the reader goes on asking");
                stream.write_all(text.as_bytes()).await.unwrap();
            }
            kept.push(stream);
        }
        std::future::pending().await
    }
}

struct NeverBlocked;

#[async_trait::async_trait]
impl Unblock for NeverBlocked {
    async fn unblock(&self, _: i64) -> Result<bool, BrokerError> {
        Ok(false)
    }
}
