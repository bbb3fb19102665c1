//! Programs in processes of their own, which end with the test binary.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A program in a process of its own. Dropping it kills it, and it ends with this process, however that ends: also if a
/// test binary is killed, and for those kept in a `static`, which is never dropped. A small shell becomes the program
/// and leaves a watcher behind, which kills it when our end of the lifeline closes.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lifeline: Option<ChildStdin>,
}

const BECOME_THE_PROGRAM: &str = r#"
    folder=$1
    shift
    exec 3<&0
    (read released <&3 || { kill -9 $$; [ -z "$folder" ] || rm -rf "$folder"; }) >/dev/null 2>&1 &
    exec "$@" 3<&- </dev/null
"#;

impl Process {
    /// Starts a command: its program, arguments, environment and folder count. It reads nothing.
    pub fn start(command: &Command, stdout: Stdio, stderr: Stdio) -> Self {
        Self::start_with(Path::new(""), command, stdout, stderr)
    }

    /// Starts a server, whose folder goes with it where nobody drops it.
    pub(super) fn start_server(folder: &Path, command: &Command) -> Self {
        Self::start_with(folder, command, Stdio::null(), Stdio::null())
    }

    fn start_with(folder: &Path, command: &Command, stdout: Stdio, stderr: Stdio) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", BECOME_THE_PROGRAM, "sh"]).arg(folder);
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            shell.current_dir(folder);
        }
        let mut child = shell.stdin(Stdio::piped()).stdout(stdout).stderr(stderr).spawn().expect("sh can be started");
        let lifeline = child.stdin.take();
        Self { child, lifeline }
    }

    /// Its id: that of the program.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it says, as it says it. Only once, and only where stdout is a pipe.
    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("stdout is a pipe that nobody has taken")
    }

    /// Sends it a signal. It must not have ended.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("a child of ours that was not waited for can be sent signals");
    }

    /// How it ended, if it did.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        let ended = self.child.try_wait().expect("a child of ours can be waited for");
        if ended.is_some() {
            self.let_go();
        }
        ended
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let ended = self.child.wait().expect("a child of ours can be waited for");
        self.let_go();
        ended
    }

    /// Kills it, and waits until it is gone.
    pub fn kill(&mut self) {
        // One that has ended by itself is no trouble.
        let _ = self.child.kill();
        self.wait();
    }

    /// Waits until it ends by itself. With what it said on stdout, where that is a pipe.
    pub fn output(mut self) -> Output {
        let mut stdout = Vec::new();
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_end(&mut stdout).expect("a pipe of ours can be read");
        }
        Output { status: self.wait(), stdout, stderr: Vec::new() }
    }

    /// Tells the watcher that it is gone: its pid may be somebody else's by now.
    fn let_go(&mut self) {
        if let Some(mut lifeline) = self.lifeline.take() {
            let _ = lifeline.write_all(b"released\n");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
