//! A worker whose runs print more than there is memory: by themselves, with `tracing`, and from child processes.

use std::sync::Mutex;

use super::memory::{ALLOWED, measured, megabytes};
use super::*;
use runnel::prelude::*;
use runnel::runs::output::{FileLogStore, LogLine};
use support::{Options, Server};
use tempfile::TempDir;
use tokio::sync::Notify;
use tracing_subscriber::layer::SubscriberExt;

/// A line with its line break is four kB.
const LONG: usize = 4095;

/// Who prints.
#[derive(Clone, Copy, Debug)]
enum Printer {
    Itself,
    ItsChild,
    Events,
}

impl Printer {
    const ALL: [Self; 3] = [Self::Itself, Self::ItsChild, Self::Events];

    fn role(self) -> String {
        format!("worker {self:?}")
    }

    /// How much of it, in lines. Events take much longer to be written down, byte by byte, in a program that is not
    /// optimised.
    fn lines(self) -> usize {
        megabytes() * 256 / if let Self::Events = self { 8 } else { 1 }
    }

    async fn print(self, run: &RunContext) -> Result<()> {
        let line = "x".repeat(LONG);
        match self {
            Self::Itself => {
                for _ in 0..self.lines() {
                    run.stdout(&line).await;
                }
            }
            Self::ItsChild => {
                let script = run.command("sh").args(["-c", "yes \"$0\" | head -n \"$1\"", &line]);
                script.arg(self.lines().to_string()).run().await?.checked()?;
            }
            Self::Events => {
                for n in 0..self.lines() {
                    tracing::info!("{line}");
                    if n % 256 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The worker: in a process of its own, until its only task has ended.
pub async fn work(role: &str, url: &str, store: FileLogStore) {
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(runnel::log::layer())).unwrap();
    let printer = Printer::ALL.into_iter().find(|printer| printer.role() == role).unwrap();
    let mut app = App::bare("flood").redis(url).log_store(store);
    let (before, printed) = (Arc::new(Mutex::new(0)), Arc::new(Notify::new()));
    let (resting, done) = (before.clone(), printed.clone());
    let print = move |run: RunContext| {
        let done = done.clone();
        *resting.lock().unwrap() = measured("VmRSS");
        async move {
            let result = printer.print(&run).await;
            done.notify_one();
            result
        }
    };
    app.task(print).name("flood");

    app.connect().await.unwrap().work_until(async move { printed.notified().await }).await.unwrap();

    let before = *before.lock().unwrap();
    assert!(before > 0, "it has run");
    println!("grew by {} kB", measured("VmHWM").saturating_sub(before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_run_prints_two_hundred_megabytes_keeps_all_of_it_in_little_memory() {
    let server = Server::start(Options::redis());
    for printer in Printer::ALL {
        let folder = TempDir::new().unwrap();
        let child = child::command(&printer.role(), folder.path()).env(child::SERVER, server.url()).output().unwrap();

        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{printer:?}: {said}{}", String::from_utf8_lossy(&child.stderr));
        let store = FileLogStore::new(folder.path());
        let [log] = &store.list().await.unwrap()[..] else { panic!("{printer:?}: one run has printed") };
        let sealed = log.metadata.clone().unwrap();
        let count = async |count: (usize, usize), line: std::result::Result<LogLine, LogError>| {
            let is_whole = line.unwrap().text.ends_with(&"x".repeat(LONG));
            (count.0 + usize::from(is_whole), count.1 + 1)
        };
        let (whole, all) = store.stream_stdout(&log.run_id, StreamOptions::default()).fold((0, 0), count).await;
        // Only events may be dropped, and then it is said how many.
        let dropped = sealed.dropped_lines as usize;
        assert_eq!((sealed.status, sealed.stdout_lines), (Status::Success, all as u64), "{printer:?}");
        assert_eq!(whole + dropped, printer.lines(), "{printer:?}");
        assert!(dropped == 0 || matches!(printer, Printer::Events), "{printer:?}: {dropped} lines dropped");
        let grew = said.lines().find_map(|line| line.strip_prefix("grew by ")?.strip_suffix(" kB")).unwrap();
        println!("{printer:?}: {} lines of 4 kB, {dropped} dropped; memory grew by {grew} kB", printer.lines());
        assert!(grew.parse::<u64>().unwrap() < ALLOWED, "{printer:?}: memory grew by {grew} kB");
    }
}
