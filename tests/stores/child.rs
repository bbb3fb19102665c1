//! What this binary does when it is started as a child of its own tests: it writes, for ever or once.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use runnel::runs::{Parameter, Parameters, RunLogStore, StepLog, open_store};

use crate::parallel;

const ROLE: &str = "STORES_CHILD_ROLE";
const STORE: &str = "STORES_CHILD_STORE";
const CONFIG: &str = "STORES_CHILD_CONFIG";

/// Starts a child.
pub fn start(role: &str, store: &str, config: &toml::Table) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child::does_what_its_parent_wants", "--nocapture"]);
    command.env(ROLE, role).env(STORE, store).env(CONFIG, config.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
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

/// Each change rewrites what is there and adds to it; the texts are long, so that a kill finds a write half-way.
async fn write_for_ever(store: Arc<dyn RunLogStore>) {
    let run = "r".parse().unwrap();
    let mut n = store.get(&run).await.unwrap().parameters.len();
    loop {
        n += 1;
        let text = Parameter::from(format!("{n} ").repeat(20_000));
        let set = Parameters::from_iter([("text".to_owned(), text), (format!("p{}", n % 50), Parameter::from(n))]);
        store.set_parameters(&run, set, None).await.unwrap();
        store.create_step_log(&run, StepLog::new(format!("s{}", n % 20))).await.unwrap();
        // The parent kills us at some point behind one of these.
        std::io::Write::write_all(&mut std::io::stdout(), b".").unwrap();
        std::io::Write::flush(&mut std::io::stdout()).unwrap();
    }
}
