//! Rounds of all contenders, interleaved, so that what else the machine does meets all of them alike.

use std::time::{Duration, Instant};

use super::client::Client;
use super::contender::{Contender, Discipline, Ground};
use super::costs::{Meter, Spent};
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

impl Sample {
    /// Whose and of which round it is, is told later.
    fn of(discipline: Discipline, events: usize, spent: Spent) -> Self {
        let Spent { wall, client_cpu, redis_cpu } = spent;
        Self { contender: 0, discipline, round: 0, wall, client_cpu, redis_cpu, events, ages: Vec::new() }
    }
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
    let sent = Sample::of(Discipline::Send, ground.events, meter.stop(&mut control)?);

    if !contender.disciplines().contains(&Discipline::Drain) {
        return Ok(vec![sent]);
    }
    let meter = Meter::start(&mut control)?;
    let drained = contender.drain(ground)?;
    let drain = Sample::of(Discipline::Drain, drained, meter.stop(&mut control)?);
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
    Ok(Sample { ages, ..Sample::of(Discipline::Latency, events, meter.stop(&mut control)?) })
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
