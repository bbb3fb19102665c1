//! Real servers for tests: each in a process and directory of its own, gone when its [`Server`] is dropped or when the
//! test binary ends, however it ends.
//!
//! It waits for facts (a PING that is answered, a predicate that holds), never for time to pass. A server program that
//! is not installed is a failure with the line that installs it, never a silent skip.

// Every test binary compiles this file and uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

mod process;

pub use process::Process;

/// How long facts may take to come true before a test fails: long, since others may be at work on the machine as well.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Options {
    program: String,
    port: bool,
    password: Option<String>,
    directives: Vec<(String, String)>,
}

impl Options {
    /// A redis-server on a unix socket, without persistence.
    pub fn redis() -> Self {
        Self { program: "redis-server".into(), port: false, password: None, directives: Vec::new() }
    }

    /// A valkey-server on a unix socket, without persistence.
    pub fn valkey() -> Self {
        Self { program: "valkey-server".into(), ..Self::redis() }
    }

    /// Another program than the one of that name on the PATH.
    pub fn program(mut self, program: String) -> Self {
        self.program = program;
        self
    }

    /// Also listens on a free port of 127.0.0.1.
    pub fn port(mut self) -> Self {
        self.port = true;
        self
    }

    /// Asks for this password.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self.with("requirepass", password)
    }

    /// One more line of configuration: `.with("appendonly", "yes")`. Later ones win.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.directives.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What a crash of the process leaves behind: everything that was answered.
    pub fn durable(self) -> Self {
        self.with("appendonly", "yes").with("appendfsync", "always")
    }
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    options: Options,
    directory: tempfile::TempDir,
    port: Option<u16>,
    process: Option<Process>,
}

impl Server {
    /// A redis-server with nothing special.
    pub fn redis() -> Self {
        Self::start(Options::redis())
    }

    /// A valkey-server with nothing special.
    pub fn valkey() -> Self {
        Self::start(Options::valkey())
    }

    /// Starts it and waits until it answers.
    pub fn start(options: Options) -> Self {
        let directory =
            tempfile::Builder::new().prefix("runnel-").tempdir().expect("a temporary directory can be made");
        let mut server = Self { options, directory, port: None, process: None };
        // A port that was free may be somebody else's before the server has it.
        for _ in 0..10 {
            server.port = server.options.port.then(free_port);
            match server.try_launch() {
                Err(why) if server.port.is_some() && why.contains("Address already in use") => {}
                started => {
                    started.unwrap_or_else(|why| panic!("{why}"));
                    return server;
                }
            }
        }
        panic!("no port of 127.0.0.1 stays free for long enough: {}", server.log());
    }

    /// Its URL: that of its socket, password included.
    pub fn url(&self) -> String {
        match &self.options.password {
            Some(password) => format!("unix://{}?pass={password}", self.socket().display()),
            None => format!("unix://{}", self.socket().display()),
        }
    }

    /// Its URL over TCP, password included. It must have been started with [`Options::port`].
    pub fn tcp_url(&self) -> String {
        match &self.options.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port()),
            None => format!("redis://127.0.0.1:{}", self.port()),
        }
    }

    /// The port it listens on. It must have been started with [`Options::port`].
    pub fn port(&self) -> u16 {
        self.port.expect("a server whose port is asked for was started with Options::port")
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// Where it keeps its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("a server whose pid is asked for is running").pid()
    }

    /// A connection of its own, blocking and without any of our code: `redis::cmd(..).query(&mut server.raw())`.
    pub fn raw(&self) -> redis::Connection {
        let client = redis::Client::open(self.url()).expect("the socket's URL is well formed");
        client.get_connection().expect("a server that answered PING takes connections")
    }

    /// Sets one directive while it runs.
    pub fn config(&self, name: &str, value: &str) {
        let set: redis::RedisResult<()> = redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query(&mut self.raw());
        set.unwrap_or_else(|error| panic!("CONFIG SET {name} {value}: {error}"));
    }

    /// Stops it as a service manager would (SIGTERM) and waits until it is gone. `launch` starts it again.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// Kills it (SIGKILL) and waits until it is gone. `launch` starts it again.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Kills it and starts it again on the same socket, port and directory.
    pub fn restart(&mut self) {
        self.kill();
        self.launch();
    }

    /// Halts the process (SIGSTOP): connections stay open and nothing answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused process go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Starts it after `stop` or `kill`, and waits until it answers.
    pub fn launch(&mut self) {
        self.try_launch().unwrap_or_else(|why| panic!("{why}"));
    }

    fn try_launch(&mut self) -> Result<(), String> {
        assert!(self.process.is_none(), "the server is running already");
        let program = &self.options.program;
        let installed = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if installed.is_err() {
            return Err(format!("{program} is not installed; install it: sudo apt-get install {program}"));
        }
        let mut process = Process::start_server(self.directory.path(), Command::new(program).args(self.arguments()));
        let waited_for = Deadline::after(PATIENCE);
        while !answers(&self.socket()) {
            if process.has_ended().is_some() || waited_for.passed() {
                return Err(format!("{program} does not start: {}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.process = Some(process);
        Ok(())
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn arguments(&self) -> Vec<String> {
        let file = |name: &str| self.directory.path().join(name).display().to_string();
        let mut words = vec!["--unixsocket".into(), file("socket"), "--logfile".into(), file("log")];
        let port = self.port.unwrap_or(0).to_string();
        for (name, value) in [("port", port.as_str()), ("bind", "127.0.0.1"), ("save", ""), ("appendonly", "no")] {
            words.extend([format!("--{name}"), value.to_owned()]);
        }
        words.extend(["--dir".into(), self.directory.path().display().to_string()]);
        for (name, value) in &self.options.directives {
            words.extend([format!("--{name}"), value.clone()]);
        }
        words
    }

    fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("only a running server is sent signals").signal(signal);
    }

    fn end(&mut self, signal: Signal) {
        let mut process = self.process.take().expect("only a running server is stopped");
        process.signal(signal);
        process.wait();
        // A killed server leaves its socket behind; whoever connects to it must not take it for the next one.
        let _ = std::fs::remove_file(self.socket());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.end(Signal::KILL);
        }
    }
}

fn answers(socket: &Path) -> bool {
    let Ok(mut connection) = UnixStream::connect(socket) else { return false };
    let mut answer = [0; 7];
    let asked =
        connection.set_read_timeout(Some(Duration::from_secs(1))).and_then(|()| connection.write_all(b"PING\r\n"));
    asked.and_then(|()| connection.read_exact(&mut answer)).is_ok() && matches!(&answer, b"+PONG\r\n" | b"-NOAUTH")
}

/// A port of 127.0.0.1 on which nobody listens now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// Waits until `fact` holds, and fails the test with `what` if it does not come true.
pub async fn eventually(what: &str, mut fact: impl AsyncFnMut() -> bool) {
    eventually_some(what, async || fact().await.then_some(())).await;
}

/// Waits until `fact` answers something, and fails the test with `what` if it does not.
pub async fn eventually_some<T>(what: &str, mut fact: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Deadline::after(PATIENCE);
    loop {
        if let Some(found) = fact().await {
            return found;
        }
        assert!(!deadline.passed(), "did not come true within {PATIENCE:?}: {what}");
        runnel::clock::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for what should happen soon, and fails the test if it does not.
pub async fn in_time<T>(what: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, what).await;
    waited.unwrap_or_else(|_| panic!("did not happen within {PATIENCE:?}"))
}

/// A point on the system's clock: tests may pause the clock of the library.
struct Deadline(Duration);

impl Deadline {
    fn after(time: Duration) -> Self {
        Self(Self::now() + time)
    }

    fn passed(&self) -> bool {
        Self::now() > self.0
    }

    fn now() -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }
}
