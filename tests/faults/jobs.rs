//! Jobs of the fleet while leaders are killed: what is promised of each instant.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use redis::Commands;
use runnel::clock;
use rustix::process::Signal;

use crate::lab::{example, scale, start};
use crate::support::{Process, Server, eventually, eventually_some};

/// A leader is killed whenever the crontabs have fired for so many seconds since the last one.
const SECONDS_BETWEEN: u64 = 5;
const JOBS: [&str; 2] = ["at_most_once", "at_least_once"];

struct Fleet {
    server: Server,
    room: tempfile::TempDir,
    workers: BTreeMap<u32, Process>,
}

impl Fleet {
    fn open(count: usize) -> Self {
        let room = tempfile::tempdir().expect("there is room for a file");
        let mut fleet = Self { server: Server::redis(), room, workers: BTreeMap::new() };
        (0..count).for_each(|_| fleet.start());
        fleet
    }

    fn start(&mut self) {
        let mut command = Command::new(example("clockwork"));
        command
            .arg("worker")
            .env("RUNNEL_REDIS_URL", self.server.url())
            .env("RUNNEL_LEADERSHIP_POLL_INTERVAL", "500ms")
            .env("RUNNEL_LOG_LEVEL", "error")
            .env("CLOCKWORK_LOG", self.room.path().join("fired"));
        let worker = start(&command);
        self.workers.insert(worker.pid(), worker);
    }

    /// The process that leads, if one that is alive does. Workers are called `host-pid-chance`.
    fn leader(&self) -> Option<u32> {
        let name: Option<String> = self.server.raw().hget("__lead:{clockwork}", "owner").expect("the lead is a hash");
        let pid = name?.rsplit('-').nth(1)?.parse().ok()?;
        self.workers.contains_key(&pid).then_some(pid)
    }

    /// The last instant of each job that was claimed, in seconds.
    fn claimed(&self) -> Vec<(&'static str, u64)> {
        let fired = |job| self.server.raw().hget::<_, _, Option<u64>>("__cron:{clockwork}", format!("fired:{job}"));
        JOBS.iter().map(|job| (*job, fired(job).expect("jobs are a hash").unwrap_or_default() / 1_000)).collect()
    }

    /// Kills the leader. Answers what it had claimed last, for each job.
    fn kill(&mut self, leader: u32) -> Vec<(&'static str, u64)> {
        let mut leader = self.workers.remove(&leader).expect("it is one of them");
        // However long it takes to look: no other leader has claimed anything meanwhile.
        self.workers.values().for_each(|worker| worker.signal(Signal::STOP));
        leader.kill();
        let claimed = self.claimed();
        self.workers.values().for_each(|worker| worker.signal(Signal::CONT));
        claimed
    }

    /// The instants for which each job was started, as often as it was.
    fn fired(&self, job: &str) -> Vec<u64> {
        let text = std::fs::read_to_string(self.room.path().join("fired")).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.strip_prefix(job)?.strip_prefix(' '));
        lines.map(|line| line.split(' ').next().and_then(|at| at.parse().ok()).expect("an instant")).collect()
    }

    /// Waits until both jobs have fired at an instant that lies so far behind now's newest.
    async fn fires_for(&self, seconds: u64) {
        let newest = |job| self.fired(job).into_iter().max().unwrap_or_default();
        let goals = JOBS.map(|job| (job, newest(job).max(clock::wall() / 1_000) + seconds));
        eventually("the crontabs go on", async || goals.iter().all(|(job, goal)| newest(job) >= *goal)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_instant_of_the_fleet_fires_as_promised_while_leaders_are_killed() {
    let mut fleet = Fleet::open(3);
    fleet.fires_for(1).await;
    let kills = 2 * scale();
    let mut claimed_by_the_dead = BTreeSet::new();

    for _ in 0..kills {
        fleet.fires_for(SECONDS_BETWEEN).await;
        let leader = eventually_some("somebody leads", async || fleet.leader()).await;
        claimed_by_the_dead.extend(fleet.kill(leader));
        fleet.start();
    }
    fleet.fires_for(SECONDS_BETWEEN).await;

    for job in JOBS {
        let fired = fleet.fired(job);
        let once: BTreeSet<u64> = fired.iter().copied().collect();
        let (first, last) = (*once.first().expect("it fired"), *once.last().expect("it fired"));
        let missing: Vec<u64> = (first..=last).filter(|instant| !once.contains(instant)).collect();
        let repeats = fired.len() - once.len();
        println!(
            "{job}: {} instants, {} missing, {repeats} repeated, {kills} leaders killed",
            once.len(),
            missing.len()
        );
        match job {
            "at_most_once" => {
                assert_eq!(repeats, 0, "an instant was run twice");
                let unexplained = missing.iter().find(|instant| !claimed_by_the_dead.contains(&(job, **instant)));
                assert_eq!(unexplained, None, "it was never claimed by a leader that died");
                assert!(missing.len() <= kills as usize, "{} missing for {kills} kills", missing.len());
            }
            _ => {
                assert_eq!(missing, [0; 0], "an instant was never run");
                assert!(repeats <= kills as usize, "{repeats} repeats for {kills} kills");
            }
        }
    }
}

#[test]
fn a_program_lists_its_own_jobs_with_instants_to_come_and_runs_one_when_asked() {
    let fleet = Fleet::open(0);
    let clockwork = |arguments: &[&str]| {
        let mut command = Command::new(example("clockwork"));
        command.args(arguments).env("RUNNEL_REDIS_URL", fleet.server.url());
        let output = command.env("CLOCKWORK_LOG", fleet.room.path().join("fired")).output();
        let output = output.expect("the example can be started");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };

    let (listed, jobs) = clockwork(&["jobs", "list", "--next", "3", "--output", "json"]);
    let (ran, told) = clockwork(&["jobs", "run", "at_most_once", "--output", "json"]);
    let (misspelt, _) = clockwork(&["jobs", "run", "at_least_twice"]);

    assert_eq!((listed, ran, misspelt), (Some(0), Some(0), Some(3)));
    let jobs: serde_json::Value = serde_json::from_str(&jobs).expect("it is JSON");
    let first = &jobs[0];
    assert_eq!((&first["name"], &first["runs_on"]), (&"at_least_once".into(), &"leader".into()));
    assert_eq!((&first["schedule"], &first["timezone"]), (&"* * * * * *".into(), &"UTC".into()));
    assert_eq!(first["next"].as_array().map(Vec::len), Some(3));
    assert!(told.contains(r#""action":"success""#), "{told}");
    assert_eq!(fleet.fired("at_most_once").len(), 1);
}
