//! `jobs list | run | pause | resume`: what runs when, what is stopped, and an operator's hand.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, ArgMatches, Command, value_parser};
use serde::Serialize;

use crate::broker::{Broker, JobEntry, JobStop, WorkerEntry};
use crate::clock::UnixMs;
use crate::decide::schedule::Schedule;
use crate::error::Doing;
use crate::job::{JobSpec, When};
use crate::runs::TaskKind;
use crate::settings::{Settings, show_duration};

use super::lookup::among;
use super::output::instant;
use super::stream::server_now;
use super::{End, Host, Out};

mod run;

pub(super) fn command() -> Command {
    let named = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).arg(Arg::new("job").value_name("JOB").required(true))
    };
    let next = Arg::new("next").long("next").value_name("N").default_value("1");
    let next = next.value_parser(value_parser!(u16).range(0..=1000)).help("So many of the instants to come");
    Command::new("jobs")
        .about("Tasks, timers, crontabs and jobs on demand: list, run, pause, resume")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("list").about("All jobs: when they run, ran last, and what is stopped").arg(next))
        .subcommand(run::arguments(named("run", "Run it here and now; exits 1 if it fails")))
        .subcommand(named("pause", "Stop its schedule on all workers, until it is resumed"))
        .subcommand(named("resume", "Let its schedule go on, whatever stopped it"))
}

pub(super) async fn run(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    match matches.subcommand() {
        Some(("run", matches)) => run::run(matches, named(matches), host, out).await,
        Some((verb @ ("pause" | "resume"), matches)) => steer(verb == "pause", named(matches), host, out).await,
        Some((_, matches)) => list(matches.get_one::<u16>("next").copied().unwrap_or(1), host, out).await,
        None => list(1, host, out).await,
    }
}

fn named(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("job").expect("clap asks for the job")
}

/// One job. What only the program knows is missing where another one asks.
#[derive(Debug, Default, Serialize)]
struct JobReport {
    name: String,
    kind: Option<TaskKind>,
    /// `leader` or `worker`.
    runs_on: Option<&'static str>,
    schedule: Option<String>,
    timezone: Option<String>,
    /// The instants to come.
    next: Vec<String>,
    /// The last instant that was claimed for the fleet; of a task, its generation.
    last: Option<String>,
    /// Instants that were begun and have not ended, with the leader's term.
    open: Vec<OpenClaim>,
    /// When each worker that is alive started it last.
    workers: BTreeMap<String, String>,
    stopped: Option<Stopped>,
}

#[derive(Debug, Serialize)]
struct OpenClaim {
    instant: String,
    term: u64,
}

#[derive(Debug, Serialize)]
struct Stopped {
    since: String,
    error: String,
}

/// What is known of jobs: by the program, by the store, by the workers that are alive.
struct Known<'a> {
    specs: &'a [JobSpec],
    entries: Vec<JobEntry>,
    /// job -> worker -> when it was started last
    started: Said,
    /// timer -> worker -> where its grid begins there
    grids: Said,
}

/// What workers say of their jobs: job -> worker -> a time.
type Said = BTreeMap<String, BTreeMap<String, UnixMs>>;

impl<'a> Known<'a> {
    async fn gather(host: &'a dyn Host, broker: &dyn Broker) -> Result<Self, End> {
        let entries = broker.jobs().await.doing(|| "list the jobs".into())?;
        let workers = broker.workers().await.doing(|| "list the workers".into())?;
        let (started, grids) = (said(&workers, "jobs"), said(&workers, "timers"));
        Ok(Self { specs: host.jobs(), entries, started, grids })
    }

    fn names(&self) -> Vec<String> {
        let specs = self.specs.iter().map(|spec| &spec.name);
        let entries = self.entries.iter().map(|entry| &entry.name);
        let names: BTreeSet<&String> = specs.chain(entries).chain(self.started.keys()).collect();
        names.into_iter().cloned().collect()
    }

    /// When a job runs: by one schedule that all agree on, or, as timers of every worker do, from where it began on each.
    fn schedules(&self, spec: &JobSpec, settings: &Settings) -> Vec<Schedule> {
        match (spec.schedule(settings), &spec.when) {
            (Ok(Some(schedule)), _) => vec![schedule],
            (Ok(None), When::Every { interval, .. }) => {
                let grids = self.grids.get(&spec.name).into_iter().flat_map(BTreeMap::values);
                grids.map(|origin| Schedule::Every { interval: *interval, origin: *origin }).collect()
            }
            _ => Vec::new(),
        }
    }

    fn report(&self, name: &str, next: u16, now: UnixMs, settings: &Settings) -> JobReport {
        let mut report = JobReport { name: name.to_owned(), ..JobReport::default() };
        if let Some(spec) = self.specs.iter().find(|spec| spec.name == name) {
            report.kind = Some(spec.when.kind());
            report.runs_on = Some(if spec.on_leader { "leader" } else { "worker" });
            report.schedule = Some(schedule(&spec.when));
            if let When::At { .. } = spec.when {
                report.timezone = Some(spec.timezone(settings).to_owned());
            }
            report.next = instants(&self.schedules(spec, settings), next, now);
        }
        if let Some(entry) = self.entries.iter().find(|entry| entry.name == name) {
            report.last = entry.fired.map(instant_or_generation);
            let open = entry.open.iter();
            let open = open.map(|(at, term)| OpenClaim { instant: instant_or_generation(*at), term: term.0 });
            report.open = open.collect();
            report.stopped =
                entry.stop.as_ref().map(|stop| Stopped { since: instant(stop.since), error: stop.error.clone() });
        }
        if let Some(started) = self.started.get(name) {
            report.workers = started.iter().map(|(worker, at)| (worker.clone(), instant(*at))).collect();
        }
        report
    }
}

/// What the workers say of their jobs under that name. Who says something else is an older worker, or none of ours.
fn said(workers: &[WorkerEntry], what: &str) -> Said {
    let mut said = Said::new();
    for worker in workers {
        let about: serde_json::Value = serde_json::from_str(&worker.about).unwrap_or_default();
        let Some(jobs) = about.get(what).and_then(|jobs| jobs.as_object()) else { continue };
        for (job, at) in jobs.iter().filter_map(|(job, at)| Some((job, at.as_u64()?))) {
            said.entry(job.clone()).or_default().insert(worker.name.clone(), at);
        }
    }
    said
}

/// Tasks are claimed by the number of a generation, which no fleet brings to a day's milliseconds.
fn instant_or_generation(at: UnixMs) -> String {
    if at < 86_400_000 { format!("generation {at}") } else { instant(at) }
}

fn schedule(when: &When) -> String {
    match when {
        When::AtStart => "at start".into(),
        When::Every { interval, .. } => format!("every {}", show_duration(*interval)),
        When::At { spec, .. } => spec.clone(),
        When::OnDemand => "on demand".into(),
    }
}

/// The next so many instants of all these schedules together.
fn instants(schedules: &[Schedule], count: u16, now: UnixMs) -> Vec<String> {
    let mut all = BTreeSet::new();
    for schedule in schedules {
        let next = std::iter::successors(schedule.next_after(now), |last| schedule.next_after(*last));
        all.extend(next.take(count.into()));
    }
    all.into_iter().take(count.into()).map(instant).collect()
}

async fn list(next: u16, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let broker = host.broker().await?;
    let now = server_now(&*broker).await?;
    let known = Known::gather(host, &*broker).await?;
    let settings = &host.settings().settings;
    let reports: Vec<JobReport> = known.names().iter().map(|name| known.report(name, next, now, settings)).collect();
    if out.is_json() {
        return out.object(&reports);
    }
    if reports.is_empty() {
        return out.line("no job is known: those of a program are listed by the program itself, others once they ran");
    }
    out.table(
        ["JOB", "KIND", "RUNS ON", "SCHEDULE", "ZONE", "LAST", "NEXT", "STOPPED"],
        reports.iter().map(|job| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let stopped = job.stopped.as_ref().map(|stop| format!("since {}", stop.since)).unwrap_or_default();
            let last = job.last.clone().or_else(|| job.workers.values().max().cloned()).unwrap_or_default();
            [
                job.name.clone(),
                job.kind.map(|kind| kind.to_string()).unwrap_or_default(),
                job.runs_on.unwrap_or_default().to_owned(),
                text(&job.schedule),
                text(&job.timezone),
                last,
                job.next.join(", "),
                stopped,
            ]
        }),
    )?;
    for job in &reports {
        if let Some(stop) = &job.stopped {
            out.line(&format!(
                "{} is stopped: {} (let it go on with `jobs resume {}`)",
                job.name, stop.error, job.name
            ))?;
        }
        for open in &job.open {
            out.line(&format!("{}: {} was begun in term {} and has not ended", job.name, open.instant, open.term))?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Steered<'a> {
    job: &'a str,
    stopped: bool,
    /// Whether that was news.
    changed: bool,
}

async fn steer(pause: bool, name: &str, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let broker = host.broker().await?;
    among("job", name, &Known::gather(host, &*broker).await?.names())?;
    let stop = pause.then(|| JobStop { error: "paused by an operator".into(), since: 0 });
    let doing = || format!("{} job `{name}`", if pause { "pause" } else { "resume" });
    let changed = broker.stop_job(name, stop.as_ref()).await.doing(doing)?;
    if out.is_json() {
        return out.object(&Steered { job: name, stopped: pause, changed });
    }
    out.line(&match (pause, changed) {
        (true, true) => format!("job {name} is paused; workers learn of it within their leadership_poll_interval"),
        (true, false) => format!("job {name} was stopped already: `jobs list` tells why"),
        (false, true) => format!("job {name} goes on; workers learn of it within their leadership_poll_interval"),
        (false, false) => format!("job {name} was not stopped"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: &str, about: &str) -> WorkerEntry {
        WorkerEntry { name: name.into(), dead_after: 0, about: about.into() }
    }

    #[test]
    fn a_timer_of_every_worker_is_next_due_where_its_grid_says_so_first() {
        const AT_TEN: UnixMs = 1_795_341_600_000;
        let workers = [
            worker("a", &format!(r#"{{"timers": {{"ping": {}}}}}"#, AT_TEN - 15_000)),
            worker("b", &format!(r#"{{"timers": {{"ping": {}}}}}"#, AT_TEN - 7_000)),
            worker("of another build", "whatever"),
        ];
        let mut app = crate::App::bare("shop");
        app.timer(std::time::Duration::from_secs(10), async || ()).name("ping");
        let known =
            Known { specs: &app.jobs, entries: Vec::new(), started: Said::new(), grids: said(&workers, "timers") };

        let report = known.report("ping", 3, AT_TEN, &Settings::default());

        let next = [3, 5, 13].map(|second| instant(AT_TEN + second * 1_000));
        assert_eq!(report.next, next);
    }
}
