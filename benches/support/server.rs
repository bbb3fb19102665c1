//! A redis-server for one run, with nothing that could disturb it: no persistence, a port and a directory of its own.

use std::io;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::client::Client;

/// Ends when it is dropped, or when this process does.
pub(crate) struct Server {
    pub(crate) port: u16,
    shell: Child,
    _directory: tempfile::TempDir,
}

/// The shell kills the server when our end of the pipe closes, also if that is because we were killed.
const KEEPER: &str = r#""$@" </dev/null >/dev/null & read -r _; kill -9 $!"#;

impl Server {
    pub(crate) fn start() -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let shell = Command::new("sh")
            .args(["-c", KEEPER, "sh", "redis-server", "--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(directory.path())
            .stdin(Stdio::piped())
            .spawn()?;
        let server = Self { port, shell, _directory: directory };
        server.answers()?;
        Ok(server)
    }

    fn answers(&self) -> io::Result<()> {
        for _ in 0..500 {
            if Client::connect(self.port).and_then(|mut client| client.call("PING")).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::other("redis-server does not answer; install it with: sudo apt-get install redis-server"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // Nothing is left to do for a server that cannot be waited for.
        let _ = self.shell.wait();
    }
}
