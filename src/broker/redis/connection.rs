//! Commands to one server: connects, notices, reconnects, and says exactly what became of a question.
//!
//! It promises that [`BrokerError::Unavailable`] means "certainly not sent". Nothing is ever sent twice: whoever asked
//! knows whether that is safe. A connection on which a question went unanswered is not used again, because a
//! black hole looks like a slow server; the next question opens a new one, whose greeting is the probe.
//!
//! Each new connection asks who the server is. When that differs from before, or cannot be known, or when an answer
//! says that the server has changed its role, `changes` rises: nothing read or owned before may be trusted then.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, Pipeline, RedisConnectionInfo, RedisError, ServerError, Value,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;

use super::scripts::Texts;
use super::target::Target;
use crate::broker::BrokerError;
use crate::clock;
use crate::tasks::{Gate, Tasks};

/// How long to wait for a server, in the ways there are to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For a connection to stand and the server to greet.
    pub(super) connect: Duration,
    /// For an answer. Past it the answer is unclear.
    pub(super) answer: Duration,
}

/// Waits between attempts to connect: from, doubled each time, to.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What we are called in CLIENT LIST.
const CLIENT_NAME: &str = "runnel";

/// One server, reached by one connection at a time, which all callers share.
pub(super) struct Connection {
    target: Target,
    patience: Patience,
    current: Mutex<Option<Arc<Link>>>,
    /// Held while connecting: one attempt at a time, whose outcome all that wait for it share.
    reconnect: tokio::sync::Mutex<Reconnect>,
    attempts: AtomicU64,
    changes: watch::Sender<u64>,
    pub(super) texts: Texts,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("target", &self.target).finish_non_exhaustive()
    }
}

struct Reconnect {
    identity: Option<Identity>,
    failure: Option<BrokerError>,
    wait: Duration,
    not_before: clock::Instant,
}

/// Who a server is: changes at a restart and at a fail-over. `None` where we may not know.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity(Option<(String, String)>);

impl Identity {
    /// Not knowing is no proof of being the same.
    fn is_surely(&self, other: &Self) -> bool {
        self.0.is_some() && self == other
    }
}

/// One connection that stands, or did.
struct Link {
    connection: MultiplexedConnection,
    /// Set when the connection ends: that is how we know before asking.
    ended: Arc<AtomicBool>,
    /// Ends the connection's task when nobody waits for an answer on it any more.
    _driver: Tasks,
}

impl Connection {
    /// Connects, trying once.
    pub(super) async fn open(target: Target, patience: Patience) -> Result<Self, BrokerError> {
        let reconnect =
            Reconnect { identity: None, failure: None, wait: Duration::ZERO, not_before: clock::Instant::default() };
        let connection = Self {
            target,
            patience,
            current: Mutex::default(),
            reconnect: tokio::sync::Mutex::new(reconnect),
            attempts: AtomicU64::new(0),
            changes: watch::Sender::new(0),
            texts: Texts::default(),
        };
        connection.link().await?;
        Ok(connection)
    }

    /// Whom we speak to.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Rises when the server may be another one than before.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Asks one question.
    pub(super) async fn ask(&self, doing: &'static str, question: &Cmd) -> Result<Value, BrokerError> {
        let link = self.link().await?;
        let answer = link.connection.clone().send_packed_command(question).await;
        answer.map_err(|error| self.unanswered(&link, doing, &error)).and_then(|value| self.judged(&link, doing, value))
    }

    /// Asks many questions in one go. Each has its own answer; one error for all means that none came.
    pub(super) async fn ask_all(
        &self,
        doing: &'static str,
        questions: &Pipeline,
    ) -> Result<Vec<Result<Value, BrokerError>>, BrokerError> {
        if questions.is_empty() {
            return Ok(Vec::new());
        }
        let link = self.link().await?;
        let answers = link.connection.clone().send_packed_commands(questions, 0, questions.len()).await;
        let answers = answers.map_err(|error| self.unanswered(&link, doing, &error))?;
        Ok(answers.into_iter().map(|value| self.judged(&link, doing, value)).collect())
    }

    /// An answer that this version cannot read.
    pub(super) fn unexpected(&self, doing: &'static str, detail: impl Into<String>) -> BrokerError {
        BrokerError::Unexpected { address: self.target.address.clone(), doing, detail: detail.into() }
    }

    /// The connection that stands, or a new one.
    async fn link(&self) -> Result<Arc<Link>, BrokerError> {
        match self.standing() {
            Some(link) => Ok(link),
            // On the heap: it is rare, and every question would have room for it.
            None => Box::pin(self.new_link()).await,
        }
    }

    /// The connection that somebody else has made meanwhile, or a new one.
    async fn new_link(&self) -> Result<Arc<Link>, BrokerError> {
        let attempts_before = self.attempts.load(Ordering::SeqCst);
        let mut reconnect = self.reconnect.lock().await;
        if let Some(link) = self.standing() {
            return Ok(link);
        }
        // Somebody tried while we waited for our turn. Trying again for each caller would queue them up behind a
        // server that is down.
        if let Some(failure) = &reconnect.failure
            && self.attempts.load(Ordering::SeqCst) != attempts_before
        {
            return Err(failure.clone());
        }
        clock::sleep_until(reconnect.not_before).await;
        let outcome = self.connect().await;
        self.attempts.fetch_add(1, Ordering::SeqCst);
        match outcome {
            Ok((link, identity)) => {
                let link = Arc::new(link);
                *self.current.lock().expect("no code panics while it holds this lock") = Some(link.clone());
                (reconnect.failure, reconnect.wait) = (None, Duration::ZERO);
                self.compare(&mut reconnect, identity);
                Ok(link)
            }
            Err(failure) => {
                reconnect.wait = (reconnect.wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT);
                reconnect.not_before = clock::now() + reconnect.wait.mul_f64(0.75 + fastrand::f64() / 2.0);
                reconnect.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }

    /// Whether the connection has not been lost, as far as is known.
    pub(super) fn stands(&self) -> bool {
        self.standing().is_some()
    }

    /// Makes sure that the server is the one we knew, when another connection had a reason to doubt it. Otherwise
    /// `changes` has risen when this is answered.
    pub(super) async fn verify(&self) -> Result<(), BrokerError> {
        let link = self.link().await?;
        let mut questions = redis::pipe();
        questions.cmd("INFO").arg("server").cmd("INFO").arg("replication");
        let answers = link.connection.clone().send_packed_commands(&questions, 0, questions.len()).await;
        let answers = answers.map_err(|error| self.unanswered(&link, "asking the server who it is", &error))?;
        let mut reconnect = self.reconnect.lock().await;
        self.compare(&mut reconnect, identity(answers));
        Ok(())
    }

    fn compare(&self, reconnect: &mut Reconnect, now: Identity) {
        let before = reconnect.identity.replace(now.clone());
        if before.is_some_and(|before| !before.is_surely(&now)) {
            tracing::warn!(address = %self.target.address, "the server is another one than before, or may be");
            self.changes.send_modify(|n| *n += 1);
        }
    }

    fn standing(&self) -> Option<Arc<Link>> {
        let current = self.current.lock().expect("no code panics while it holds this lock");
        current.as_ref().filter(|link| !link.ended.load(Ordering::SeqCst)).cloned()
    }

    /// Others that wait for answers on it go on waiting; nobody asks on it any more. Answers whether we were first.
    fn abandon(&self, link: &Arc<Link>) -> bool {
        let mut current = self.current.lock().expect("no code panics while it holds this lock");
        let first = current.as_ref().is_some_and(|current| Arc::ptr_eq(current, link));
        if first {
            *current = None;
        }
        first
    }

    async fn connect(&self) -> Result<(Link, Identity), BrokerError> {
        let connecting = async {
            let mut link = match self.target.info.addr() {
                ConnectionAddr::Unix(path) => Link::over(UnixStream::connect(path).await?, self.patience).await?,
                ConnectionAddr::Tcp(host, port) => Link::over(tcp(host, *port).await?, self.patience).await?,
                _ => return Err(std::io::Error::from(std::io::ErrorKind::Unsupported).into()),
            };
            let greeting = greeting(self.target.info.redis_settings());
            let answers = link.connection.send_packed_commands(&greeting, 0, greeting.len()).await?;
            Ok::<_, RedisError>((link, greeting, answers))
        };
        let unavailable = |source: Arc<dyn std::error::Error + Send + Sync>| BrokerError::Unavailable {
            address: self.target.address.clone(),
            source,
        };
        let (link, greeting, answers) = match tokio::time::timeout(self.patience.connect, connecting).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return Err(unavailable(Arc::new(Plain::from(&error)))),
            Err(_) => {
                let waited = format!("it did not greet within {:?}", self.patience.connect);
                return Err(unavailable(Arc::new(Plain(waited))));
            }
        };
        let identity = self.greeted(&greeting, answers)?;
        Ok((link, identity))
    }

    /// What the server said to our greeting: a refusal to let us in, or who it is.
    fn greeted(&self, greeting: &Pipeline, answers: Vec<Value>) -> Result<Identity, BrokerError> {
        for (question, answer) in greeting.cmd_iter().zip(&answers) {
            let name = question.args_iter().next();
            let essential = !matches!(name, Some(redis::Arg::Simple(b"CLIENT" | b"INFO")));
            if let (true, Value::ServerError(error)) = (essential, answer) {
                return Err(self.refused("connecting", error));
            }
        }
        Ok(identity(answers))
    }

    fn judged(&self, link: &Arc<Link>, doing: &'static str, value: Value) -> Result<Value, BrokerError> {
        let Value::ServerError(error) = value else { return Ok(value) };
        let other_server = matches!(error.code(), "READONLY" | "MASTERDOWN" | "MOVED" | "UNBLOCKED" | "NOAUTH");
        if other_server && self.abandon(link) {
            tracing::warn!(address = %self.target.address, code = error.code(), "the server has changed, reconnecting");
            self.changes.send_modify(|n| *n += 1);
        }
        Err(self.refused(doing, &error))
    }

    fn refused(&self, doing: &'static str, error: &ServerError) -> BrokerError {
        let message = error.details().unwrap_or_default();
        // What a user may not do inside a script is a plain error to Redis and Valkey, in words of their own.
        let forbidden = ["ACL failure in script", "The user executing the script can't"];
        let code = if forbidden.iter().any(|words| message.starts_with(words)) { "NOPERM" } else { error.code() };
        BrokerError::Refused {
            address: self.target.address.clone(),
            doing,
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    fn unanswered(&self, link: &Arc<Link>, doing: &'static str, error: &RedisError) -> BrokerError {
        if self.abandon(link) {
            tracing::warn!(address = %self.target.address, %error, "no answer, reconnecting");
        }
        BrokerError::Unclear { address: self.target.address.clone(), doing }
    }
}

impl Link {
    async fn over<S>(stream: S, patience: Patience) -> Result<Self, RedisError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(patience.answer));
        // Nothing is sent yet: the greeting is ours, so that refusals keep their code.
        let silent = RedisConnectionInfo::default().set_skip_set_lib_name();
        let (connection, driver) = MultiplexedConnection::new_with_config(&silent, stream, config).await?;
        let mut tasks = Tasks::behind(&Gate::default());
        let ended: Arc<AtomicBool> = Arc::default();
        let ends = ended.clone();
        tasks.start(async move {
            driver.await;
            ends.store(true, Ordering::SeqCst);
        });
        Ok(Self { connection, ended, _driver: tasks })
    }
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, RedisError> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5));
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

/// Lets us in, and asks who it is. What a user may lack the right to (CLIENT, INFO) is not needed to go on.
fn greeting(login: &RedisConnectionInfo) -> Pipeline {
    let mut greeting = redis::pipe();
    match (login.username(), login.password()) {
        (Some(user), password) => _ = greeting.cmd("AUTH").arg(user).arg(password.unwrap_or_default()),
        (None, Some(password)) => _ = greeting.cmd("AUTH").arg(password),
        (None, None) => {}
    }
    if login.db() != 0 {
        greeting.cmd("SELECT").arg(login.db());
    }
    greeting.cmd("PING").cmd("CLIENT").arg("SETNAME").arg(CLIENT_NAME);
    greeting.cmd("INFO").arg("server").cmd("INFO").arg("replication");
    greeting
}

fn identity(answers: Vec<Value>) -> Identity {
    let mut info = String::new();
    for answer in answers {
        if let Value::BulkString(text) = answer {
            info.push_str(&String::from_utf8_lossy(&text));
        }
    }
    let field = |name| super::server::info_field(&info, name).map(str::to_owned);
    Identity(field("run_id").zip(field("master_replid")))
}

/// The words of an error without the error: a `RedisError` of a connection attempt might show what was sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Plain(String);

impl From<&RedisError> for Plain {
    fn from(error: &RedisError) -> Self {
        Self(error.detail().map_or_else(|| error.to_string(), str::to_owned))
    }
}
