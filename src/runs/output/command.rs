//! Child processes of a run: what they print is the run's, line by line, and nothing of it is lost.
//!
//! When the run's log is slow, the pipe fills up and the child waits. The child is the head of a process group of its own;
//! whoever drops the future that runs it kills the group, children of children included. Of what it printed without a line
//! break at the end, the rest is a line too.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::lines::Cutter;
use super::{Channel, LogError, RunOutput};
use crate::clock;

/// How long a pipe may be silent after the child has ended, when somebody else still holds it open.
const SILENCE: Duration = Duration::from_secs(1);

type LineHandler = Box<dyn FnMut(&str) + Send>;

/// A child process whose output belongs to a run.
///
/// Its standard input is empty. Run it with [`run`](Self::run).
pub struct RunCommand {
    output: RunOutput,
    program: String,
    command: Command,
    handlers: Vec<(String, LineHandler)>,
}

/// How a child process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitReport {
    /// What ran.
    pub program: String,
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl ExitReport {
    fn of(program: String, status: ExitStatus) -> Self {
        Self { program, code: status.code(), signal: status.signal() }
    }

    /// Whether it ended with exit code 0.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// This, or an error if it did not end with exit code 0.
    pub fn checked(self) -> Result<Self, CommandError> {
        match self.succeeded() {
            true => Ok(self),
            false => Err(CommandError::Failed { report: self }),
        }
    }
}

impl fmt::Display for ExitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "`{}` ended with exit code {code}", self.program),
            (None, Some(signal)) => write!(f, "`{}` was ended by signal {signal}", self.program),
            (None, None) => write!(f, "`{}` ended in an unknown way", self.program),
        }
    }
}

/// Why a child process did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// It could not be started.
    #[error("`{program}` cannot be started")]
    Start {
        /// What was to run.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It was lost sight of.
    #[error("`{program}` runs, but it cannot be followed")]
    Follow {
        /// What runs.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The run's log takes no more.
    #[error("what `{program}` prints cannot be kept")]
    Log {
        /// What runs.
        program: String,
        /// Why.
        #[source]
        source: LogError,
    },
    /// It ended, but not well.
    #[error("{report}")]
    Failed {
        /// How.
        report: ExitReport,
    },
}

impl RunCommand {
    /// This program, printing to the log of this run.
    pub fn new(output: RunOutput, program: impl AsRef<OsStr>) -> Self {
        let name = program.as_ref().to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        Self { output, program: name, command, handlers: Vec::new() }
    }

    /// With this argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// With these arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// With this variable, beside those of this process.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// In this folder.
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Shows the rest of each line of standard output that begins so: `on_line("PROGRESS:", ..)`. The line is in the log as
    /// well. The handler must not block.
    pub fn on_line(mut self, prefix: impl Into<String>, handler: impl FnMut(&str) + Send + 'static) -> Self {
        self.handlers.push((prefix.into(), Box::new(handler)));
        self
    }

    /// Runs it to its end, and keeps its exit code as that of the run. One that is not 0 is no error here: see
    /// [`ExitReport::checked`].
    pub async fn run(mut self) -> Result<ExitReport, CommandError> {
        let program = self.program.clone();
        let started = self.command.spawn();
        let mut child = started.map_err(|source| CommandError::Start { program: program.clone(), source })?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());

        let (over, ended) = watch::channel(false);
        let out = Pipe { output: &self.output, channel: Channel::Stdout, program: &program, ended: ended.clone() };
        let err = Pipe { channel: Channel::Stderr, ended, ..out.clone() };
        let (report, left_out, left_err) = tokio::try_join!(
            end_of(&mut child, &program, over),
            out.drain(stdout, &mut self.handlers),
            err.drain(stderr, &mut []),
        )?;
        if !left_out && !left_err {
            // Its id is free for others from now on.
            group.0 = None;
        }
        if let Some(code) = report.code {
            self.output.set_exit_code(code);
        }
        Ok(report)
    }
}

impl fmt::Debug for RunCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments and variables may be secrets.
        f.debug_struct("RunCommand").field("program", &self.program).finish_non_exhaustive()
    }
}

/// Waits for the end of the child, and says it to those who read its pipes.
async fn end_of(child: &mut Child, program: &str, over: watch::Sender<bool>) -> Result<ExitReport, CommandError> {
    let status = child.wait().await;
    let status = status.map_err(|source| CommandError::Follow { program: program.to_owned(), source })?;
    over.send_replace(true);
    Ok(ExitReport::of(program.to_owned(), status))
}

/// Kills the process group of a child when it is dropped.
///
/// As long as the child was not waited for, or somebody of its group still holds a pipe, the number of the group is not
/// given to others.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // That there is nobody left is what we want.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Brings what comes out of a pipe to the log.
#[derive(Clone)]
struct Pipe<'a> {
    output: &'a RunOutput,
    channel: Channel,
    program: &'a str,
    ended: watch::Receiver<bool>,
}

impl Pipe<'_> {
    /// To the end of the pipe; or, if the child has ended and others hold the pipe, until they are silent. Answers whether
    /// there are such others.
    async fn drain(
        mut self,
        pipe: Option<impl AsyncRead + Unpin>,
        handlers: &mut [(String, LineHandler)],
    ) -> Result<bool, CommandError> {
        let Some(mut pipe) = pipe else { return Ok(false) };
        let mut cutter = Cutter::default();
        let mut block = vec![0; 16 * 1024];
        loop {
            // Safe to drop: a read that is dropped has taken nothing.
            let read = tokio::select! {
                biased;
                read = pipe.read(&mut block) => Some(read),
                () = silence(&mut self.ended) => None,
            };
            let mut lines = Vec::new();
            let mut take = |_: usize, line: &[u8]| lines.push(String::from_utf8_lossy(line).into_owned());
            let (over, left) = match read {
                Some(Ok(0)) => (true, false),
                Some(Ok(taken)) => {
                    cutter.push(&block[..taken], &mut take);
                    (false, false)
                }
                Some(Err(source)) => return Err(CommandError::Follow { program: self.program.to_owned(), source }),
                None => (true, true),
            };
            if over {
                cutter.finish(&mut take);
            }
            self.print(&lines, handlers).await?;
            if over {
                return Ok(left);
            }
        }
    }

    async fn print(&self, lines: &[String], handlers: &mut [(String, LineHandler)]) -> Result<(), CommandError> {
        for line in lines {
            for (prefix, handler) in handlers.iter_mut() {
                if let Some(rest) = line.strip_prefix(prefix.as_str()) {
                    handler(rest);
                }
            }
            let printed = self.output.print(self.channel, line).await;
            printed.map_err(|source| CommandError::Log { program: self.program.to_owned(), source })?;
        }
        Ok(())
    }
}

/// Waits for the end of the child, and then for a while.
async fn silence(ended: &mut watch::Receiver<bool>) {
    // An error would mean that nobody waits for the child any more; then its end is near as well.
    let _ = ended.wait_for(|ended| *ended).await;
    clock::sleep(SILENCE).await;
}
