//! What this binary does when it is started as a child of its own tests: it writes, for ever or once.

use std::process::{Command, Stdio};
use std::sync::Arc;

use runnel::runs::{Parameter, Parameters, RunLogStore, StepLog, open_store};

use crate::parallel;
use crate::support::Process;

const ROLE: &str = "STORES_CHILD_ROLE";
const STORE: &str = "STORES_CHILD_STORE";
const CONFIG: &str = "STORES_CHILD_CONFIG";
const FIRST: &str = "STORES_CHILD_FIRST";

/// Starts a child.
pub fn start(role: &str, store: &str, config: &toml::Table) -> Process {
    Process::start(&command(role, store, config), Stdio::null(), Stdio::inherit())
}

/// Starts a child whose writes have these numbers. It says so after each.
pub fn start_writing(first: usize, store: &str, config: &toml::Table) -> Process {
    let mut command = command("write-for-ever", store, config);
    Process::start(command.env(FIRST, first.to_string()), Stdio::piped(), Stdio::inherit())
}

fn command(role: &str, store: &str, config: &toml::Table) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child::does_what_its_parent_wants", "--nocapture"]);
    command.env(ROLE, role).env(STORE, store).env(CONFIG, config.to_string());
    command
}

/// Not a test of its own: it is what [`start`] runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "the parent says by variables what the child is to do")]
async fn does_what_its_parent_wants() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let config = std::env::var(CONFIG).unwrap().parse().unwrap();
    let store = open_store(&std::env::var(STORE).unwrap(), config).await.unwrap().run_logs;
    match role.as_str() {
        "write-for-ever" => write_for_ever(store).await,
        writer => {
            let mut writers = tokio::task::JoinSet::new();
            for n in 0..64 {
                let (store, name) = (Arc::clone(&store), format!("{writer}-{n}"));
                writers.spawn(async move { parallel::write(&store, "r", &name).await });
            }
            while let Some(written) = writers.join_next().await {
                written.unwrap();
            }
        }
    }
}

/// What a child says when a write is done. Nothing else that it says has it.
pub const WRITTEN: u8 = b'!';

/// The text of the write of that number: long, so that a kill finds a write half-way.
pub fn text(number: usize) -> String {
    format!("{number} ").repeat(20_000)
}

/// The parameter and the step of the write of that number.
pub fn names(number: usize) -> (String, String) {
    (format!("p{}", number % 50), format!("s{}", number % 20))
}

/// Each change rewrites what is there and adds to it. The numbers go on where the last child was killed.
#[allow(clippy::disallowed_methods, reason = "as above")]
async fn write_for_ever(store: Arc<dyn RunLogStore>) {
    let run = "r".parse().unwrap();
    let first = std::env::var(FIRST).unwrap().parse().unwrap();
    for n in first.. {
        let (parameter, step) = names(n);
        let set = [("text".to_owned(), text(n).into()), (parameter, Parameter::from(n))];
        store.set_parameters(&run, Parameters::from_iter(set), None).await.unwrap();
        store.create_step_log(&run, StepLog::new(step)).await.unwrap();
        // The parent kills us at some point behind one of these.
        std::io::Write::write_all(&mut std::io::stdout(), &[WRITTEN]).unwrap();
        std::io::Write::flush(&mut std::io::stdout()).unwrap();
    }
}
