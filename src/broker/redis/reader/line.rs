//! The life of one reading connection: open it when somebody waits, read what demand says, deliver, go on.
//!
//! A lost connection is made anew, with waits that grow to a second, for as long as somebody waits on it; reading
//! changes nothing on the server, so what was asked is asked again. Only the end of the task ends it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};

use super::Shared;
use super::connection::{Connection, Lost, Meaning, NotOpened, Reply, SILENCE, means};
use super::resp::Malformed;
use crate::broker::BrokerError;
use crate::clock;
use crate::decide::demand::{self, Command, Line};

/// Waits between attempts to connect: the first, doubled up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Waits between attempts to wake a read, once it has been tried a few times: the first, doubled up to the last.
const WAKE_AGAIN: Duration = Duration::from_millis(1);
const WAKE_LAST: Duration = Duration::from_millis(64);

/// Serves one line for ever.
pub(super) async fn serve(shared: Arc<Shared>, line: Line) -> Infallible {
    let mut server = Server { shared, line, connection: None, was_open: false, troubled: false, wait: FIRST_WAIT };
    loop {
        if !server.shared.demand(|demand| demand.is_wanted(line)) {
            server.shared.bell(line).notified().await;
            continue;
        }
        if let Err(lost) = server.round().await {
            server.start_over(lost).await;
        }
    }
}

struct Server {
    shared: Arc<Shared>,
    line: Line,
    connection: Option<Connection>,
    /// Whether there was a connection before: the next one may lead to a changed server.
    was_open: bool,
    /// Whether it was said that there is trouble; said once, until reading goes on.
    troubled: bool,
    wait: Duration,
}

impl Server {
    /// One read, from its question to its last reply.
    async fn round(&mut self) -> Result<(), NotOpened> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(open(&self.shared, &mut self.was_open).await?),
        };
        let commands = self.shared.demand(|demand| demand.next_read(self.line));
        if commands.is_empty() {
            return Ok(());
        }
        let client_id = connection.client_id;
        // Both are safe to drop: a read that nobody answers for is repeated, and a wake-up that comes too late makes
        // the next read return early, with nothing, and be issued again.
        tokio::select! {
            read = read(&self.shared, self.line, connection, &commands) => read?,
            never = wake(&self.shared, self.line, client_id) => match never {},
        }
        self.wait = FIRST_WAIT;
        if std::mem::take(&mut self.troubled) {
            info!(address = self.shared.address, line = ?self.line, "reading goes on");
        }
        // Callers that were just answered mostly ask again at once; let them into the next read.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn start_over(&mut self, why: NotOpened) {
        let (address, line) = (self.shared.address.as_str(), self.line);
        self.connection = None;
        match std::mem::replace(&mut self.troubled, true) {
            false => warn!(address, ?line, error = %chain(&why), "no reading connection, trying until there is one"),
            true => debug!(address, ?line, error = %chain(&why), "still no reading connection"),
        }
        match why {
            NotOpened::Lost(_) => self.shared.demand(|demand| demand.lost(line)),
            NotOpened::Refused { code, message } => {
                let why =
                    BrokerError::Refused { address: address.to_owned(), doing: "connecting to read", code, message };
                self.shared.apply(|demand| demand.refuse_all(line, why));
            }
            NotOpened::Unsupported(what) => {
                let source = Arc::new(std::io::Error::new(std::io::ErrorKind::Unsupported, what));
                let why = BrokerError::Unavailable { address: address.to_owned(), source };
                self.shared.apply(|demand| demand.refuse_all(line, why));
            }
        }
        // Spread, so that a fleet does not come back all at once.
        clock::sleep(self.wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        self.wait = (self.wait * 2).min(LAST_WAIT);
    }
}

/// Tells of a reconnect before anything is read, so that nobody takes entries of another server for those of the old.
async fn open(shared: &Shared, was_open: &mut bool) -> Result<Connection, NotOpened> {
    let connection = Connection::open(&shared.target, &shared.open).await?;
    if std::mem::replace(was_open, true) {
        shared.reconnects.send_modify(|n| *n += 1);
    }
    Ok(connection)
}

/// Asks, and delivers each reply when it is complete.
async fn read(shared: &Shared, line: Line, connection: &mut Connection, commands: &[Command]) -> Result<(), Lost> {
    let block = matches!(line, Line::Blocking(_)).then_some(shared.block);
    let patience = block.unwrap_or_default() + SILENCE;
    connection.ask(commands, block).await?;
    for command in commands {
        let reply = match connection.reply(command, patience).await {
            Ok(Reply::Entries(entries)) => demand::Reply::Entries(entries),
            Ok(Reply::Refused { code, message }) => match means(&code, &message) {
                Meaning::NotNow => return Err(Lost::NotNow { code, message }),
                Meaning::Woken => {
                    // Our own wake-ups end reads without an error: this is the server, which has changed its role.
                    shared.reconnects.send_modify(|n| *n += 1);
                    demand::Reply::Entries(Vec::new())
                }
                Meaning::Answer => demand::Reply::Refused(shared.refused(code, message)),
            },
            Err(Lost::Malformed(too_large @ Malformed::TooLarge)) => {
                // Asking the same again would fail for ever: alone, each key may do; and if not, its reader must know.
                let why = shared.unexpected(too_large.to_string());
                shared.apply(|demand| demand.answered(line, demand::Reply::Refused(why)));
                return Err(too_large.into());
            }
            Err(lost) => return Err(lost),
        };
        shared.apply(|demand| demand.answered(line, reply));
    }
    Ok(())
}

/// Interrupts the blocking read under way when somebody waits whom it leaves out. One wake-up serves all of them.
///
/// Ends only by being dropped, when the read has returned.
async fn wake(shared: &Shared, line: Line, client_id: i64) -> Infallible {
    let mut pause = WAKE_AGAIN;
    let mut too_early = 0;
    loop {
        shared.bell(line).notified().await;
        while shared.demand(|demand| demand.is_stale(line)) {
            match shared.commands.unblock(client_id).await {
                Ok(true) => return std::future::pending().await,
                // The read has not reached the server, or its reply is on the way to us.
                Ok(false) if too_early < 3 => {
                    too_early += 1;
                    tokio::task::yield_now().await;
                    continue;
                }
                Ok(false) => {}
                Err(error) => debug!(?line, %error, "cannot wake a blocking read, trying again until it ends"),
            }
            clock::sleep(pause).await;
            pause = (pause * 2).min(WAKE_LAST);
        }
    }
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
