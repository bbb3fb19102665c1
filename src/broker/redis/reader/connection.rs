//! One connection that reads: opened, greeted, asked, and thrown away at the first doubt.
//!
//! It promises that a call ends: every wait has a deadline, and whoever gets an error must drop the connection, since
//! the next bytes on it may belong to an earlier question. It repeats nothing and decides nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use redis::{ConnectionAddr, ConnectionInfo, ProtocolVersion};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::reply::{Answer, Parser};
use super::resp::{self, Malformed, Token};
use crate::decide::demand::Command;
use crate::event::Entry;

/// How long to wait for the next bytes of a server that has no reason to wait.
pub(super) const SILENCE: Duration = Duration::from_millis(1500);

/// Resolving, connecting, encryption.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// What `CLIENT LIST` shows.
pub(super) const NAME: &str = "runnel-reader";

/// A greeting is answered with a few hundred bytes.
const GREETING_LIMIT: usize = 64 * 1024;

/// The least room for one read from the socket.
const CHUNK: usize = 16 * 1024;

/// The most room made ahead, by the size of the last reply.
const AHEAD: usize = 1024 * 1024;

/// Replies below this are copied into a buffer of their own: an event waiting in a queue keeps its whole buffer.
const COPIED_BELOW: usize = 16 * 1024;

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Why a connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("nothing was heard for {0:?}")]
    Silent(Duration),
    #[error("the reply cannot be read")]
    Malformed(#[from] Malformed),
    /// The server is there, and cannot serve us for now, or not as whom it took us for.
    #[error("not now: {code} {message}")]
    NotNow { code: String, message: String },
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOpened {
    /// Trying again may help.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The server does not want us as we are.
    #[error("refused: {code} {message}")]
    Refused { code: String, message: String },
    /// We cannot speak what was configured.
    #[error("{0}")]
    Unsupported(&'static str),
}

/// What one XREAD was answered.
#[derive(Debug)]
pub(super) enum Reply {
    /// Entries, by index into the keys that were asked for.
    Entries(Vec<(usize, Vec<Entry>)>),
    Refused {
        code: String,
        message: String,
    },
}

/// An open connection that has been greeted.
pub(super) struct Connection {
    wire: Box<dyn Wire>,
    buffer: BytesMut,
    last_reply: usize,
    /// By which `CLIENT UNBLOCK` knows it; another one after each reconnect.
    pub(super) client_id: i64,
    _counted: Counted,
}

/// Counts an open connection for as long as it is there.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    /// Connects and says who we are; counted in `open` from then on.
    pub(super) async fn open(target: &ConnectionInfo, open: &Arc<AtomicUsize>) -> Result<Self, NotOpened> {
        let wire = match timeout(CONNECT_WITHIN, connect(target)).await {
            Ok(wire) => wire?,
            Err(_) => return Err(Lost::Silent(CONNECT_WITHIN).into()),
        };
        open.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(open.clone());
        let mut connection = Self { wire, buffer: BytesMut::new(), last_reply: 0, client_id: 0, _counted: counted };
        connection.greet(target).await?;
        Ok(connection)
    }

    /// Sends reads; their replies are fetched one by one with [`Connection::reply`]. With `block` the server may wait
    /// so long for entries.
    pub(super) async fn ask(&mut self, commands: &[Command], block: Option<Duration>) -> Result<(), Lost> {
        let mut packed = Vec::with_capacity(commands.iter().map(|c| 64 + 128 * c.keys.len()).sum());
        for command in commands {
            xread(command, block).write_packed_command(&mut packed);
        }
        self.send(&packed).await
    }

    /// The reply to the oldest read that has none yet. Its first bytes may take `patience`.
    pub(super) async fn reply(&mut self, command: &Command, patience: Duration) -> Result<Reply, Lost> {
        let mut parser = Parser::new();
        let mut patience = patience;
        let answer = loop {
            if !self.buffer.is_empty() {
                if let Some(answer) = parser.advance(&self.buffer)? {
                    break answer;
                }
                patience = SILENCE;
            }
            self.receive(patience).await?;
        };
        let reply = self.take(parser.end());
        match answer {
            Answer::Refused((from, to)) => {
                let (code, message) = resp::refusal(&reply[from as usize..to as usize]);
                Ok(Reply::Refused { code, message })
            }
            Answer::Streams(streams) => {
                // The server answers in the order of the keys and leaves out those that have nothing.
                let mut keys = command.keys.iter().enumerate();
                let mut entries = Vec::with_capacity(streams.len());
                for found in streams {
                    let (from, to) = found.key;
                    let name = &reply[from as usize..to as usize];
                    let slot = keys.by_ref().find(|(_, (key, _))| key.as_bytes() == name).map(|(slot, _)| slot);
                    entries.push((slot.ok_or(Malformed::Shape("a key nobody asked for"))?, found.entries(&reply)));
                }
                Ok(Reply::Entries(entries))
            }
        }
    }

    async fn greet(&mut self, target: &ConnectionInfo) -> Result<(), NotOpened> {
        let steps = greeting(target);
        let mut packed = Vec::new();
        steps.iter().for_each(|(command, _)| command.write_packed_command(&mut packed));
        self.send(&packed).await?;
        for (_, step) in steps {
            match (self.greeting_reply().await?, step) {
                // Unlike in the middle of reading, NOAUTH is final here: we have just said all that we know.
                (Greeted::Refused { code, message }, Step::Needed | Step::ClientId) => {
                    return Err(match means(&code, &message) {
                        Meaning::NotNow | Meaning::Woken if code != "NOAUTH" => Lost::NotNow { code, message }.into(),
                        _ => NotOpened::Refused { code, message },
                    });
                }
                (Greeted::Number(id), Step::ClientId) => self.client_id = id,
                (_, Step::ClientId) => return Err(Lost::Malformed(Malformed::Shape("no client id")).into()),
                (_, Step::Needed | Step::Courtesy) => {}
            }
        }
        Ok(())
    }

    async fn greeting_reply(&mut self) -> Result<Greeted, Lost> {
        loop {
            if let Some((first, end)) = resp::any_value(&self.buffer)? {
                let greeted = match first {
                    Token::Refusal((from, to)) => {
                        let (code, message) = resp::refusal(&self.buffer[from as usize..to as usize]);
                        Greeted::Refused { code, message }
                    }
                    Token::Number(number) => Greeted::Number(number),
                    _ => Greeted::Well,
                };
                self.buffer.advance(end);
                return Ok(greeted);
            }
            if self.buffer.len() > GREETING_LIMIT {
                return Err(Malformed::Shape("an endless greeting").into());
            }
            self.receive(SILENCE).await?;
        }
    }

    async fn send(&mut self, packed: &[u8]) -> Result<(), Lost> {
        timeout(SILENCE, self.wire.write_all(packed)).await.map_err(|_| Lost::Silent(SILENCE))??;
        Ok(())
    }

    async fn receive(&mut self, patience: Duration) -> Result<(), Lost> {
        if self.buffer.capacity() - self.buffer.len() < CHUNK {
            self.buffer.reserve(self.last_reply.clamp(4 * CHUNK, AHEAD));
        }
        let read =
            timeout(patience, self.wire.read_buf(&mut self.buffer)).await.map_err(|_| Lost::Silent(patience))??;
        if read == 0 { Err(Lost::Closed) } else { Ok(()) }
    }

    /// Takes a reply out of the buffer.
    fn take(&mut self, end: usize) -> Bytes {
        self.last_reply = end;
        if end >= COPIED_BELOW {
            return self.buffer.split_to(end).freeze();
        }
        let reply = Bytes::copy_from_slice(&self.buffer[..end]);
        self.buffer.advance(end);
        reply
    }
}

async fn connect(target: &ConnectionInfo) -> Result<Box<dyn Wire>, NotOpened> {
    match target.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(Lost::Io)?;
            stream.set_nodelay(true).map_err(Lost::Io)?;
            // A blocking read is silent for its whole length; a connection nobody reads on is silent for hours.
            let keepalive =
                TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5));
            SockRef::from(&stream).set_tcp_keepalive(&keepalive).map_err(Lost::Io)?;
            Ok(Box::new(stream))
        }
        ConnectionAddr::Unix(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(Lost::Io)?)),
        _ => Err(NotOpened::Unsupported("reading connections speak plain TCP and unix sockets only")),
    }
}

/// What the answer to a step of the greeting is good for.
#[derive(Clone, Copy)]
enum Step {
    Needed,
    /// Only for people who look at the server; a user without the permission can read all the same.
    Courtesy,
    ClientId,
}

/// What a step of the greeting was answered.
enum Greeted {
    Well,
    Number(i64),
    Refused { code: String, message: String },
}

fn greeting(target: &ConnectionInfo) -> Vec<(redis::Cmd, Step)> {
    let who = target.redis_settings();
    let mut steps = Vec::with_capacity(4);
    let mut needed = |command: redis::Cmd| steps.push((command, Step::Needed));
    if who.protocol() == ProtocolVersion::RESP2 {
        match (who.username(), who.password()) {
            (Some(user), Some(password)) => needed(redis::cmd("AUTH").arg(user).arg(password).take()),
            (None, Some(password)) => needed(redis::cmd("AUTH").arg(password).take()),
            (_, None) => {}
        }
    } else {
        let mut hello = redis::cmd("HELLO").arg(3).take();
        if let Some(password) = who.password() {
            hello.arg("AUTH").arg(who.username().unwrap_or("default")).arg(password);
        }
        needed(hello);
    }
    if who.db() != 0 {
        needed(redis::cmd("SELECT").arg(who.db()).take());
    }
    steps.push((redis::cmd("CLIENT").arg("SETNAME").arg(NAME).take(), Step::Courtesy));
    steps.push((redis::cmd("CLIENT").arg("ID").take(), Step::ClientId));
    steps
}

fn xread(command: &Command, block: Option<Duration>) -> redis::Cmd {
    let mut read = redis::cmd("XREAD");
    read.arg("COUNT").arg(command.count);
    if let Some(block) = block {
        // 0 would block for ever.
        read.arg("BLOCK").arg((block.as_millis() as u64).max(1));
    }
    read.arg("STREAMS");
    for (key, _) in &command.keys {
        read.arg(&**key);
    }
    for (_, after) in &command.keys {
        read.arg(after.to_string());
    }
    read
}

/// What a refusal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The blocking read was interrupted: by us, or because the server changed.
    Woken,
    /// Waiting helps, or greeting the server again.
    NotNow,
    /// It is about what we asked for.
    Answer,
}

/// Reads a refusal. NOAUTH is no answer: the server forgot who we are, or learned a password; the greeting will tell.
pub(super) fn means(code: &str, message: &str) -> Meaning {
    match code {
        "UNBLOCKED" => Meaning::Woken,
        "NOAUTH" => Meaning::NotNow,
        "LOADING" | "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "MISCONF" | "BUSY" | "OOM" => {
            Meaning::NotNow
        }
        "ERR" if message.starts_with("max number of clients") => Meaning::NotNow,
        _ => Meaning::Answer,
    }
}
