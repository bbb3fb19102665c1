//! The scripts: each is one atomic decision, whose contract stands at the head of its file.
//!
//! A call goes by the script's digest. A server that does not have it (a restart, SCRIPT FLUSH, a fail-over) has
//! certainly not run it, so the call is sent again with the script's text. Never in MULTI: there a missing script
//! would leave the other commands applied.

use std::sync::LazyLock;

use redis::{Cmd, Value};

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

/// One call of a script.
pub(super) struct Call {
    script: &'static Script,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

impl Script {
    /// A call on these keys.
    pub(super) fn on<const N: usize>(&'static self, keys: [String; N]) -> Call {
        Call { script: self, keys: keys.into(), args: Vec::new() }
    }
}

impl Call {
    /// One more key.
    pub(super) fn key(mut self, key: String) -> Self {
        self.keys.push(key);
        self
    }

    /// One more argument.
    pub(super) fn arg(mut self, arg: impl ToString) -> Self {
        self.args.push(arg.to_string().into_bytes());
        self
    }

    /// One more argument, byte for byte.
    pub(super) fn bytes(mut self, arg: &[u8]) -> Self {
        self.args.push(arg.to_vec());
        self
    }

    /// What it works on, for messages.
    pub(super) fn subject(&self) -> &str {
        self.keys.first().map_or("", String::as_str)
    }

    fn command(&self, with_text: bool) -> Cmd {
        let mut command = match with_text {
            true => redis::cmd("EVAL"),
            false => redis::cmd("EVALSHA"),
        };
        command.arg(if with_text { self.script.body } else { self.script.digest.as_str() });
        command.arg(self.keys.len()).arg(&self.keys).arg(&self.args);
        command
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
            let mut pipeline = redis::Pipeline::with_capacity(missing.len());
            let mut told: Vec<&'static Script> = Vec::new();
            for &at in &missing {
                let script = calls[at].script;
                // The text goes with the first call of each script: the server keeps it for the others.
                let first = !told.iter().any(|known| std::ptr::eq(*known, script));
                if first {
                    told.push(script);
                }
                pipeline.add_command(calls[at].command(repair > 0 && first));
            }
            match self.ask_all(doing, &pipeline).await {
                Ok(all) => missing.iter().zip(all).for_each(|(&at, answer)| answers[at] = Some(answer)),
                Err(error) => missing.iter().for_each(|&at| answers[at] = Some(Err(error.clone()))),
            }
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
