//! Runs of a timer, one right after the other: what the task log adds to each, beside what two XADDs of a raw client add.
//!
//! The first run waits until a thousand ticks have gathered; then each begins when the one before is written down as ended.
//! What is measured is the time from the end of one function to the beginning of the next. Functions work for two
//! milliseconds, time enough to project the run before; or not at all, which is how fast runs can follow each other.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use runnel::{App, Connected, Overlap};
use tokio::sync::Notify;

use crate::client::Client;
use crate::costs::{Meter, Spent, median, us};
use crate::monitor::Monitor;

/// Runs measured in a round. A timer lets at most a thousand ticks gather.
const RUNS: usize = 500;
/// How long each takes.
const WORKS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(2)];
/// Until those ticks have gathered, and all partitions of the task log have their owner.
const GATHERING: Duration = Duration::from_millis(1200);
/// Nothing here should take longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What becomes of runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Log {
    /// Nothing is written down.
    Off,
    /// Nothing either, but a raw client adds an entry of that size before and after the work: what it costs at least.
    Raw,
    /// Begin and end are written, and nobody reads them.
    Unread,
    /// They are projected into a store in memory.
    InMemory,
    /// They are projected into the store that an app has unless it asks for another one.
    InRedis,
}

const ALL: [Log; 5] = [Log::Off, Log::Raw, Log::Unread, Log::InMemory, Log::InRedis];
/// About what the event of a begin or an end takes.
const ENTRY: usize = 400;

impl Log {
    fn name(self) -> &'static str {
        match self {
            Self::Off => "task_log_policy = off",
            Self::Raw => "two XADDs of a raw client",
            Self::Unread => "begin and end",
            Self::InMemory => "  .. projected, store in memory",
            Self::InRedis => "  .. projected, store in Redis",
        }
    }

    fn app(self, port: u16) -> App {
        let app = App::bare("timers").redis(format!("redis://127.0.0.1:{port}"));
        match self {
            Self::Off | Self::Raw => app.setting("task_log_policy", "off"),
            // The projector joins, and takes no partition as long as this lasts.
            Self::Unread => app.setting("default_join_delay", "1h"),
            Self::InMemory => app.run_log_store("memory"),
            Self::InRedis => app.run_log_store("redis"),
        }
    }
}

/// One round of one of them.
struct Sample {
    log: Log,
    /// From each end to the next beginning, in microseconds, sorted.
    periods: Vec<f64>,
    spent: Spent,
}

impl Sample {
    fn percentile(&self, percent: usize) -> f64 {
        self.periods[(self.periods.len() - 1) * percent / 100]
    }
}

pub(super) fn compare(port: u16, rounds: usize) -> runnel::Result {
    WORKS.iter().try_for_each(|work| compare_runs_of(*work, port, rounds))
}

fn compare_runs_of(work: Duration, port: u16, rounds: usize) -> runnel::Result {
    let mut commands = Vec::new();
    for log in ALL {
        // Counting disturbs the clocks, so it has a round of its own; what is slow at first is over then, too.
        let monitor = Monitor::start(port)?;
        run(log, work, port)?;
        commands.push(monitor.stop()?);
    }
    let mut samples = Vec::new();
    for round in 0..rounds {
        for turn in 0..ALL.len() {
            samples.push(run(ALL[(round + turn) % ALL.len()], work, port)?);
        }
    }

    println!("{RUNS} runs of a timer a round, {work:?} of work in each; medians of {rounds} rounds");
    println!(
        "{:<34}{:>10}{:>8}{:>9}{:>9}{:>11}{:>12}{:>14}",
        "", "added µs", "ratio", "p50 µs", "p99 µs", "Redis µs", "client µs", "commands/run"
    );
    let of = |log: Log| samples.iter().filter(move |sample| sample.log == log);
    let added = |log| median(rounds_of(&samples, log).zip(rounds_of(&samples, Log::Off)).map(|(own, base)| own - base));
    for (log, commands) in ALL.into_iter().zip(&commands) {
        let a_run = |time: Duration| us(time) / RUNS as f64;
        println!(
            "{:<34}{:>10.0}{:>8.2}{:>9.0}{:>9.0}{:>11.1}{:>12.1}{:>14.2}",
            log.name(),
            added(log),
            added(log) / added(Log::Raw),
            median(of(log).map(|sample| sample.percentile(50))),
            median(of(log).map(|sample| sample.percentile(99))),
            median(of(log).map(|sample| a_run(sample.spent.redis_cpu))),
            median(of(log).map(|sample| a_run(sample.spent.client_cpu))),
            commands.values().sum::<u64>() as f64 / RUNS as f64,
        );
        let each = commands.iter().map(|(name, count)| (name, *count as f64 / RUNS as f64));
        let each = each.filter(|(_, count)| *count >= 0.05);
        println!("{:<34}{}", "", each.map(|(name, count)| format!("  {name} {count:.2}")).collect::<String>());
    }
    println!(
        "target: less than 200 µs added by begin and end, which is what runs wait for; what is projected follows beside them\n"
    );
    Ok(())
}

/// The median period of each round, in the order of rounds.
fn rounds_of(samples: &[Sample], log: Log) -> impl Iterator<Item = f64> {
    samples.iter().filter(move |sample| sample.log == log).map(|sample| sample.percentile(50))
}

fn run(log: Log, work: Duration, port: u16) -> runnel::Result<Sample> {
    let mut control = Client::connect(port)?;
    control.call("FLUSHALL SYNC")?;
    let raw = if log == Log::Raw { Some(Client::connect(port)?) } else { None };
    let ticks = Arc::new(Ticks { work, raw: Mutex::new(raw), ..Ticks::default() });
    let mut app = log.app(port);
    let ticking = ticks.clone();
    let tick = move || {
        let ticks = ticking.clone();
        async move { ticks.next().await }
    };
    app.timer(Duration::from_millis(1), tick).name("tick").overlap(Overlap::Queue);

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let spent = runtime.block_on(async {
        let connected = app.connect().await?;
        let over = Notify::new();
        let measuring = async {
            let spent = measured(&ticks, log, &connected, &mut control).await;
            over.notify_one();
            spent
        };
        let (worked, spent) = tokio::join!(connected.work_until(over.notified()), measuring);
        worked?;
        spent
    })?;
    let began = ticks.began.lock().expect("no code panics while it holds this lock");
    let ended = ticks.ended.lock().expect("no code panics while it holds this lock");
    let mut periods: Vec<f64> = ended.iter().zip(&began[2..]).map(|(end, next)| us(*next - *end)).collect();
    periods.sort_by(f64::total_cmp);
    Ok(Sample { log, periods, spent })
}

async fn measured(ticks: &Ticks, log: Log, connected: &Connected, control: &mut Client) -> runnel::Result<Spent> {
    tokio::time::sleep(GATHERING).await;
    let meter = Meter::start(control)?;
    ticks.go.notify_one();
    tokio::time::timeout(PATIENCE, ticks.done.notified()).await?;
    if matches!(log, Log::InMemory | Log::InRedis) {
        tokio::time::timeout(PATIENCE, projected(connected)).await??;
    }
    let spent = meter.stop(control)?;
    ticks.over.notify_one();
    Ok(spent)
}

/// Waits until the projector has passed every event but the last run's, which has not ended.
async fn projected(connected: &Connected) -> runnel::Result {
    loop {
        let partitions = connected.survey("__tasks").await?;
        let is_passed = |last, position: Option<_>| position == Some(last);
        if partitions.iter().all(|of| of.groups.iter().all(|group| is_passed(of.last, group.position))) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What the timer does.
#[derive(Default)]
struct Ticks {
    work: Duration,
    began: Mutex<Vec<Instant>>,
    /// Of all runs but the first and the last.
    ended: Mutex<Vec<Instant>>,
    go: Notify,
    done: Notify,
    over: Notify,
    raw: Mutex<Option<Client>>,
}

impl Ticks {
    async fn next(&self) -> runnel::Result {
        let number = {
            self.add()?;
            let mut began = self.began.lock().expect("no code panics while it holds this lock");
            began.push(Instant::now());
            began.len() - 1
        };
        match number {
            0 => self.go.notified().await,
            RUNS => {
                self.done.notify_one();
                // Nothing runs beside what is still measured.
                self.over.notified().await;
            }
            _ => {
                if !self.work.is_zero() {
                    tokio::time::sleep(self.work).await;
                }
                self.ended.lock().expect("no code panics while it holds this lock").push(Instant::now());
            }
        }
        self.add()
    }

    /// One entry, as a raw client adds it.
    fn add(&self) -> runnel::Result {
        if let Some(client) = &mut *self.raw.lock().expect("no code panics while it holds this lock") {
            client.call(&format!("XADD raw * data {}", "x".repeat(ENTRY)))?;
        }
        Ok(())
    }
}
