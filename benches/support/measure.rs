//! Rounds of all contenders, interleaved, so that what else the machine does meets all of them alike.

use std::io;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::client::Client;
use super::contender::{Contender, Discipline, Ground};
use super::order::Order;
use super::raw::append;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) ground: Ground,
    pub(crate) rounds: usize,
    /// Events of one round of latency, at [`PACE`].
    pub(crate) paced_events: usize,
}

/// Events per second while latency is measured.
pub(crate) const PACE: u32 = 200;

/// What one contender needed for one discipline in one round.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) contender: usize,
    pub(crate) discipline: Discipline,
    pub(crate) round: usize,
    pub(crate) wall: Duration,
    pub(crate) client_cpu: Duration,
    pub(crate) redis_cpu: Duration,
    pub(crate) events: usize,
    /// Ages on arrival, sorted; only of latency.
    pub(crate) ages: Vec<Duration>,
}

/// All samples. Each round begins with another contender.
pub(crate) fn compete(plan: &Plan, contenders: &mut [Box<dyn Contender>]) -> runnel::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for round in 0..plan.rounds {
        for turn in 0..contenders.len() {
            let number = (round + turn) % contenders.len();
            let contender = contenders[number].as_mut();
            let mut own = throughput(plan, contender)?;
            if contender.disciplines().contains(&Discipline::Latency) {
                own.push(latency(plan, contender)?);
            }
            own.retain(|sample| contender.disciplines().contains(&sample.discipline));
            samples.extend(own.into_iter().map(|sample| Sample { contender: number, round, ..sample }));
        }
    }
    Ok(samples)
}

fn throughput(plan: &Plan, contender: &mut dyn Contender) -> runnel::Result<Vec<Sample>> {
    let ground = &plan.ground;
    let mut control = ground.client()?;
    control.call("FLUSHALL SYNC")?;
    contender.prepare(ground)?;

    let meter = Meter::start(&mut control)?;
    contender.send(ground)?;
    let sent = meter.stop(&mut control, Discipline::Send, ground.events)?;

    if !contender.disciplines().contains(&Discipline::Drain) {
        return Ok(vec![sent]);
    }
    let meter = Meter::start(&mut control)?;
    let drained = contender.drain(ground)?;
    let drain = meter.stop(&mut control, Discipline::Drain, drained)?;
    if drained < ground.events {
        return Err(format!("{} drained {drained} of {} events", contender.name(), ground.events).into());
    }
    Ok(vec![sent, drain])
}

fn latency(plan: &Plan, contender: &mut dyn Contender) -> runnel::Result<Sample> {
    let mut control = plan.ground.client()?;
    control.call("FLUSHALL SYNC")?;
    contender.prepare(&plan.ground)?;

    let keys = contender.keys(&plan.ground);
    let producer = plan.ground.client()?;
    let events = plan.paced_events;
    let meter = Meter::start(&mut control)?;
    let mut ages = std::thread::scope(|threads| {
        let producing = threads.spawn(move || produce(producer, &keys, events));
        let ages = contender.receive(&plan.ground, events);
        producing.join().map_err(|_| "the producer panicked")??;
        ages
    })?;
    ages.sort();
    Ok(Sample { ages, ..meter.stop(&mut control, Discipline::Latency, events)? })
}

/// Appends one order after the other, each at its time, whatever became of the one before.
fn produce(mut client: Client, keys: &[String], events: usize) -> runnel::Result {
    let began = Instant::now() + Duration::from_millis(300);
    let mut json = Vec::new();
    for number in 0..events {
        let due = began + Duration::from_secs(1) / PACE * number as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        append(&mut client, keys, &Order::created_now(number), &mut json)?;
        client.flush()?;
        client.acknowledged()?;
    }
    Ok(())
}

/// What the clocks said at the beginning.
struct Meter {
    began: Instant,
    client_cpu: Duration,
    redis_cpu: Duration,
}

impl Meter {
    fn start(control: &mut Client) -> io::Result<Self> {
        let redis_cpu = redis_cpu(control)?;
        Ok(Self { redis_cpu, client_cpu: own_cpu(), began: Instant::now() })
    }

    fn stop(self, control: &mut Client, discipline: Discipline, events: usize) -> io::Result<Sample> {
        let wall = self.began.elapsed();
        let client_cpu = own_cpu().saturating_sub(self.client_cpu);
        let redis_cpu = redis_cpu(control)?.saturating_sub(self.redis_cpu);
        Ok(Sample { contender: 0, discipline, round: 0, wall, client_cpu, redis_cpu, events, ages: Vec::new() })
    }
}

/// CPU time of all threads of this process.
fn own_cpu() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), spent.tv_nsec.unsigned_abs() as u32)
}

/// CPU time of the server, in user and system.
fn redis_cpu(control: &mut Client) -> io::Result<Duration> {
    let info = control.call("INFO cpu")?;
    let seconds = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    match (seconds("used_cpu_user:"), seconds("used_cpu_sys:")) {
        (Some(user), Some(system)) => Ok(Duration::from_secs_f64(user) + Duration::from_secs_f64(system)),
        _ => Err(io::Error::other("INFO cpu does not say what the server spent")),
    }
}
