//! The scripts: each is one atomic decision, whose contract stands at the head of its file.
//!
//! A call goes by the script's digest. A server that does not have it (a restart, SCRIPT FLUSH, a fail-over) has
//! certainly not run it, so the call is sent again with the script's text, or once somebody else has brought that. Never
//! in MULTI: there a missing script would leave the other commands applied.

use std::collections::HashMap;
use std::fmt::Display;
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};

use redis::{Cmd, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::Connection;
use crate::broker::BrokerError;

/// One script, as every server gets it: allowed to go on when memory is full, since progress is what frees it, unless
/// it sends or keeps records.
pub(super) struct Script {
    body: &'static str,
    digest: LazyLock<String>,
}

macro_rules! script {
    ($doc:literal $name:ident, sends, $($file:literal),+) => {
        script!(@ "#!lua\n", $doc $name, $($file),+);
    };
    ($doc:literal $name:ident, $($file:literal),+) => {
        script!(@ "#!lua flags=allow-oom\n", $doc $name, $($file),+);
    };
    (@ $head:literal, $doc:literal $name:ident, $($file:literal),+) => {
        #[doc = $doc]
        pub(super) static $name: Script = {
            const BODY: &str = concat!($head, $(include_str!(concat!("scripts/", $file, ".lua"))),+);
            Script { body: BODY, digest: LazyLock::new(|| redis::Script::new(BODY).get_hash().to_owned()) }
        };
    };
}

script!("Takes a fence." ACQUIRE, "words", "acquire");
script!("Settles." COMMIT, "commit");
script!("Settles, and stores what was given up." COMMIT_WITH_LETTERS, "adding", "commit");
script!("Puts letters back." RETRY, sends, "words", "adding", "retry");
script!("Prolongs a lease." RENEW, "words", "renew");
script!("Gives a fence up." RELEASE, "words", "release");
script!("What an operator can do to a place." INTERVENE, "words", "adding", "intervene");
script!("Unregisters a processor from one partition." FORGET, "words", "forget");
script!("Cuts what everybody has settled." TRIM, "words", "trim");
script!("Stores the facts of a stream." DECLARE, "words", "declare");
script!("Adds a name to a list of streams or processors." ENLIST, "words", "enlist");
script!("A member is alive." BEAT, "words", "beat");
script!("Installs a plan." SWAP, "words", "swap");
script!("A member leaves." LEAVE, "words", "leave");
script!("Tells of a stopped place." NOTE_STOPPED, "words", "note_stopped");
script!("A worker is alive." ANNOUNCE, "words", "live", "announce");
script!("A run begins." BEGIN_RUN, sends, "words", "over", "begin_run");
script!("A run ends." END_RUN, "words", "over", "end_run");
script!("A worker joins the fleet." ENROLL, "words", "fleet", "live", "enroll");
script!("A worker bids to lead." BID, "words", "fleet", "bid");
script!("The leader gives up its term." RESIGN, "words", "fleet", "resign");
script!("Claims an instant of a job." CLAIM, "words", "fleet", "claim");
script!("Closes a claim." CLOSE, "words", "close");
script!("Stops a job, or lets it go on." STOP_JOB, "words", "stop_job");
script!("Writes parts of a document." WRITE_DOCUMENT, sends, "words", "write_document");
script!("Removes a document." REMOVE_DOCUMENT, "words", "remove_document");
script!("Adds lines." ADD_LINES, sends, "words", "add_lines");
script!("Removes lines." REMOVE_LINES, "words", "remove_lines");

/// How often a script may be missing in a row before that is an error: a server may lose it again while we repair.
const REPAIRS: usize = 3;

/// The bytes of a command's name and of its number of keys, generously.
const NAME_AND_COUNT: usize = 16;

/// One call of a script.
pub(super) struct Call {
    script: &'static Script,
    keys: Vec<String>,
    /// Its arguments, one behind the other, and where each of them ends. There is a call for every renewal and commit, so
    /// they are written once.
    args: Vec<u8>,
    ends: Vec<usize>,
}

impl Script {
    /// A call on these keys.
    pub(super) fn on<const N: usize>(&'static self, keys: [String; N]) -> Call {
        Call { script: self, keys: keys.into(), args: Vec::with_capacity(128), ends: Vec::with_capacity(8) }
    }
}

impl Call {
    /// One more key.
    pub(super) fn key(mut self, key: String) -> Self {
        self.keys.push(key);
        self
    }

    /// One more argument.
    pub(super) fn arg(mut self, arg: impl Display) -> Self {
        write!(self.args, "{arg}").expect("a vector takes all that is written");
        self.ends.push(self.args.len());
        self
    }

    /// One more argument, byte for byte.
    pub(super) fn bytes(mut self, arg: &[u8]) -> Self {
        self.args.extend_from_slice(arg);
        self.ends.push(self.args.len());
        self
    }

    /// What it works on, for messages.
    pub(super) fn subject(&self) -> &str {
        self.keys.first().map_or("", String::as_str)
    }

    fn command(&self, with_text: bool) -> Cmd {
        let script = if with_text { self.script.body } else { self.script.digest.as_str() };
        let size = script.len() + self.keys.iter().map(String::len).sum::<usize>() + self.args.len() + NAME_AND_COUNT;
        let arguments = 3 + self.keys.len() + self.ends.len();
        let mut command = match with_text {
            true => cmd("EVAL", arguments, size),
            false => cmd("EVALSHA", arguments, size),
        };
        command.arg(script).arg(self.keys.len()).arg(&self.keys);
        let mut from = 0;
        for &to in &self.ends {
            command.arg(&self.args[from..to]);
            from = to;
        }
        command
    }
}

/// A command, and room for all of it.
fn cmd(name: &str, arguments: usize, size: usize) -> Cmd {
    let mut command = Cmd::with_capacity(arguments, size);
    command.arg(name);
    command
}

/// Which texts are being brought to a server.
///
/// All partitions of a worker miss the same script at once when the server is new to it. One brings its text then, and the
/// others ask again when that is over, however it went: thousands of texts would fill the memory of both.
#[derive(Default)]
pub(super) struct Texts(Mutex<HashMap<&'static str, Arc<Semaphore>>>);

/// The turn to bring texts; until it is dropped others wait.
struct Bringing(#[expect(dead_code, reason = "held until the texts were brought")] Vec<OwnedSemaphorePermit>);

impl Texts {
    /// Whether these scripts' texts are to be brought. Where others bring all of them, it waits for that first, and the
    /// answer is no, unless it must be yes.
    async fn bring(&self, scripts: impl Iterator<Item = &'static Script>, must: bool) -> Option<Bringing> {
        let turns: Vec<_> = {
            let mut turns = self.0.lock().expect("no code panics while it holds this lock");
            let turn = |script: &'static Script| {
                turns.entry(script.digest.as_str()).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
            };
            scripts.map(turn).collect()
        };
        let ours: Vec<_> = turns.iter().filter_map(|turn| turn.clone().try_acquire_owned().ok()).collect();
        if must || !ours.is_empty() {
            return Some(Bringing(ours));
        }
        for turn in turns {
            // Whoever waits here holds no turn, so nobody waits for it.
            drop(turn.acquire().await);
        }
        None
    }
}

impl Connection {
    /// Runs one script.
    pub(super) async fn run(&self, doing: &'static str, call: Call) -> Result<Value, BrokerError> {
        let mut answers = self.run_all(doing, std::slice::from_ref(&call)).await;
        answers.pop().expect("one call has one answer")
    }

    /// Runs scripts in one go; the answers stand in the order of the calls.
    pub(super) async fn run_all(&self, doing: &'static str, calls: &[Call]) -> Vec<Result<Value, BrokerError>> {
        let mut answers: Vec<Option<Result<Value, BrokerError>>> = calls.iter().map(|_| None).collect();
        let mut missing: Vec<usize> = (0..calls.len()).collect();
        for repair in 0..=REPAIRS {
            let mut first_calls: Vec<usize> = Vec::new();
            for &at in &missing {
                if !first_calls.iter().any(|&first| std::ptr::eq(calls[first].script, calls[at].script)) {
                    first_calls.push(at);
                }
            }
            // The text goes with the first call of each script: the server keeps it for the others.
            let scripts = first_calls.iter().map(|&at| calls[at].script);
            let bringing = match repair {
                0 => None,
                _ => self.texts.bring(scripts, repair == REPAIRS).await,
            };
            let mut pipeline = redis::Pipeline::with_capacity(missing.len());
            for &at in &missing {
                pipeline.add_command(calls[at].command(bringing.is_some() && first_calls.contains(&at)));
            }
            match self.ask_all(doing, &pipeline).await {
                Ok(all) => missing.iter().zip(all).for_each(|(&at, answer)| answers[at] = Some(answer)),
                Err(error) => missing.iter().for_each(|&at| answers[at] = Some(Err(error.clone()))),
            }
            drop(bringing);
            missing.retain(
                |&at| matches!(&answers[at], Some(Err(BrokerError::Refused { code, .. })) if code == "NOSCRIPT"),
            );
            if missing.is_empty() {
                break;
            }
        }
        let named = |(call, answer): (&Call, Option<Result<Value, BrokerError>>)| {
            answer.expect("every call was answered above").map_err(|error| name_the_key(error, call.subject()))
        };
        calls.iter().zip(answers).map(named).collect()
    }
}

/// A refusal from inside a script does not say which key it was about; ours do.
pub(super) fn name_the_key(error: BrokerError, key: &str) -> BrokerError {
    match error {
        BrokerError::Refused { address, doing, code, message } if !message.contains(key) => {
            let message = format!("{message} (at {key})");
            BrokerError::Refused { address, doing, code, message }
        }
        other => other,
    }
}
