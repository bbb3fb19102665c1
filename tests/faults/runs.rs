//! Runs whose worker is killed: each ends once, as crashed and soon, and whoever follows its lines is told.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use runnel::prelude::*;
use runnel::runs::output::{Channel, FileLogStore, LogStore, StreamOptions};
use runnel::runs::{Action, Status, TaskLogEvent};

use crate::lab::start;
use crate::support::{Process, Server, eventually, eventually_some, in_time};

const EXPIRY: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(500);
/// A lease, one look of the leader, and two seconds.
const FOUND_WITHIN: Duration = Duration::from_secs(1 + 2 + 2);
const KILLS: usize = 3;

/// What the parent tells a child: where its server is, and where lines are kept.
const URL: &str = "RUNS_TEST_URL";
const LINES: &str = "RUNS_TEST_LINES";

fn app(url: &str, lines: &Path) -> App {
    let app = App::bare("reports").redis(url).log_store(FileLogStore::new(lines));
    app.setting("default_lock_expiry", format!("{}ms", EXPIRY.as_millis()))
        .setting("leadership_poll_interval", format!("{}ms", POLL.as_millis()))
}

/// Not a test of its own: it is what the workers of the test below run, until their parent kills them or is gone. The
/// first report of each is done at once, and the second never.
#[tokio::test(flavor = "multi_thread")]
async fn reports_when_it_is_told_to() {
    let Some(url) = std::env::var_os(URL) else { return };
    let lines = std::env::var_os(LINES).expect("it is told");
    let mut app = app(&url.into_string().expect("the address is text"), Path::new(&lines));
    let has_reported = AtomicBool::new(false);
    let report = move |run: RunContext| {
        let is_first = !has_reported.swap(true, Ordering::Relaxed);
        async move {
            run.stdout("begun").await;
            match is_first {
                true => (),
                false => std::future::pending().await,
            }
        }
    };
    app.timer(Duration::from_millis(200), report).name("report");
    let connected = app.connect().await.expect("the parent has started the server");
    connected.work_until(std::future::pending()).await.expect("it is killed before it fails");
}

struct Office {
    server: Server,
    lines: tempfile::TempDir,
    app: App,
    workers: Vec<Process>,
}

impl Office {
    async fn open(workers: usize) -> Self {
        let (server, lines) = (Server::redis(), tempfile::tempdir().expect("there is room"));
        let app = app(&server.url(), lines.path());
        app.connect().await.expect("it was started the line before");
        let mut office = Self { server, lines, app, workers: Vec::new() };
        (0..workers).for_each(|_| office.start());
        office
    }

    fn start(&mut self) {
        let mut command = Command::new(std::env::current_exe().expect("a test knows where it is"));
        command.args(["--exact", "runs::reports_when_it_is_told_to"]);
        command.env(URL, self.server.url()).env(LINES, self.lines.path()).env("RUNNEL_LOG_LEVEL", "off");
        self.workers.push(start(&command));
    }

    /// What the task log has of the reports of a process. Workers are called `host-pid-chance`.
    async fn reports_of(&self, pid: u32) -> Vec<TaskLogEvent> {
        let is_its = |line: &TaskLogEvent| line.worker_id.rsplit('-').nth(1) == Some(&*pid.to_string());
        let all = self.app.task_log_of("report").all().all().await.expect("the server answers");
        all.into_iter().filter(is_its).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_killed_worker_ends_once_as_crashed_and_soon_and_so_do_its_lines() {
    let mut office = Office::open(3).await;
    let store = FileLogStore::new(office.lines.path());
    let (mut killed, mut found_after) = (Vec::new(), Vec::new());
    for _ in 0..KILLS {
        let mut victim = office.workers.remove(0);
        let pid = victim.pid();
        let begun =
            eventually_some("its second report is begun", async || office.reports_of(pid).await.get(2).cloned()).await;
        let run = begun.run_id.clone();
        // What a process holds that is killed is lost, so what it prints must be there first.
        eventually("it has printed something", async || {
            let lines: Result<Vec<_>, _> =
                store.stream(&run, Channel::Stdout, StreamOptions::default()).try_collect().await;
            lines.is_ok_and(|lines| !lines.is_empty())
        })
        .await;
        let followed = store.stream(&run, Channel::Stdout, StreamOptions::followed());

        let killed_at = Utc::now();
        victim.kill();
        killed.push(pid);

        let crash = eventually_some("it is found crashed", async || office.reports_of(pid).await.get(3).cloned()).await;
        let found = crash.end.expect("it says when it was found") - killed_at;
        found_after.push(found.to_std().expect("it is found after it was killed"));
        let lines: Vec<_> = in_time(followed.map_ok(|line| line.text).try_collect()).await.expect("they can be read");
        assert_eq!(lines, ["begun"]);
        let metadata = store.read_metadata(&run).await.expect("it can be read").expect("it has a log");
        assert_eq!((metadata.status, metadata.exit_code), (Status::Crashed, None));
        eventually("its document says so", async || {
            office.app.run_logs().get(&run).await.expect("it has a document").status == Status::Crashed
        })
        .await;
        office.start();
    }

    for pid in killed {
        let reports = office.reports_of(pid).await;
        let actions: Vec<_> = reports.iter().map(|line| line.action).collect();
        assert_eq!(actions, [Action::Run, Action::Success, Action::Run, Action::Crash]);
        assert_eq!(reports[3].run_id, reports[2].run_id);
    }
    // The best counts: a bound on what the product needs, not on what else the machine does.
    println!("found crashed after {found_after:.1?}, at most {FOUND_WITHIN:?}");
    assert!(found_after.iter().min() < Some(&FOUND_WITHIN), "{found_after:?}");
}
