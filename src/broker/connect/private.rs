//! A server of our own that ends with us, also when we are killed.
//!
//! It listens on a unix socket in a fresh directory that only we can enter, and keeps nothing. Between us and it stands
//! a small shell that reads a pipe whose other end only we hold; its script says the rest.

use std::ffi::OsStr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::clock;
use crate::settings::RedisUrl;

const SCRIPT: &str = include_str!("private.sh");

/// A started server is asked this often whether it answers, and this many times.
const POLL: Duration = Duration::from_millis(20);
const POLLS: u32 = 250;

/// The servers that can be started from these directories, the first of each name.
pub(super) fn programs(path: &OsStr) -> Vec<PathBuf> {
    let find = |name: &str| {
        std::env::split_paths(path)
            // A relative directory would start whatever lies where we happen to stand.
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(name))
            .find(|file| file.metadata().is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0))
    };
    ["valkey-server", "redis-server"].into_iter().filter_map(find).collect()
}

/// A server that runs as long as this value lives.
#[derive(Debug)]
pub(crate) struct PrivateServer {
    directory: PathBuf,
    shell: Child,
}

impl PrivateServer {
    /// Starts it and waits until it answers; else says why it did not.
    pub(super) async fn start(program: &Path) -> Result<Self, String> {
        let directory = fresh_directory().map_err(|error| format!("has no directory to run in: {error}"))?;
        let shell = match spawn(program, &directory) {
            Ok(shell) => shell,
            Err(error) => {
                let _ = std::fs::remove_dir_all(&directory);
                return Err(format!("cannot be started through sh: {error}"));
            }
        };
        let server = Self { directory, shell };
        for _ in 0..POLLS {
            if server.answers().await {
                return Ok(server);
            }
            if server.directory.join("ended").exists() {
                return Err(format!("ended at once: {}", server.last_words()));
            }
            clock::sleep(POLL).await;
        }
        Err("was started and did not answer".into())
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> RedisUrl {
        RedisUrl::new(format!("unix://{}", self.socket().display()))
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    async fn answers(&self) -> bool {
        let Ok(mut connection) = tokio::net::UnixStream::connect(self.socket()).await else { return false };
        let mut answer = [0; 5];
        connection.write_all(b"PING\r\n").await.is_ok()
            && connection.read_exact(&mut answer).await.is_ok()
            && answer == *b"+PONG"
    }

    fn last_words(&self) -> String {
        let log = std::fs::read(self.directory.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        log.lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .map_or_else(|| "it said nothing".into(), crate::settings::shown)
    }
}

impl Drop for PrivateServer {
    /// Closes the pipe and waits for the shell, which kills the server and removes the directory.
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        // In place of a shell that was killed.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn spawn(program: &Path, directory: &Path) -> std::io::Result<Child> {
    Command::new("sh")
        .args(["-c", SCRIPT, "sh"])
        .arg(directory)
        .arg(program)
        .args(["--port", "0", "--unixsocketperm", "700", "--save", "", "--appendonly", "no", "--daemonize", "no"])
        .args(["--maxmemory-policy", "noeviction", "--unixsocket"])
        .arg(directory.join("socket"))
        .arg("--dir")
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C is sent to our whole group. The server must outlive it: there is work to be drained.
        .process_group(0)
        .spawn()
}

/// A new directory that only we can enter, with a path short enough for a socket.
fn fresh_directory() -> std::io::Result<PathBuf> {
    let asked = std::env::temp_dir();
    let parent = if asked.is_absolute() && asked.as_os_str().len() <= 60 { asked } else { PathBuf::from("/tmp") };
    let directory = parent.join(format!("runnel-{}-{:016x}", std::process::id(), fastrand::u64(..)));
    // Creation fails where something of that name exists: nobody can have prepared it for us.
    std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
    Ok(directory)
}
