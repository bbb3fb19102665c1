//! A range of events once more, for the function of a processor under another name.
//!
//! The other name is a processor of its own: with its own positions, its own idempotency keys, and retention waits for it
//! while it lasts. So the first one notices nothing. What lies in the range when the replay begins is processed, in order
//! and with everything that holds for the processor (retries, policy, middleware); nothing else is read. It is no member of
//! the fleet: it runs no jobs and never leads. When it ends, however it does, the other name is forgotten unless it is
//! to be kept; one that is killed leaves it behind, for `processor forget`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Semaphore, mpsc};

use crate::app::App;
use crate::broker::{Broker, Forgotten, Group, Intervention, PartitionSurvey, Place, Start, Stop, StopKind, StreamRef};
use crate::clock::{self, ServerClock};
use crate::error::{Doing, Failure};
use crate::event::{EventId, Partition};
use crate::executor::{Appetite, Executor, Surroundings};
use crate::nearest::did_you_mean;
use crate::processor::{Chain, Ends, Middleware, Next, Outcome, ProcessorSpec, Settled, Unit};
use crate::runs::recorder::Recorder;
use crate::settings::{Named, TaskLogPolicy, check_name};
use crate::stream::current::{self, Handle};
use crate::tasks::{Gate, Tasks};

use super::shutdown::obey_signals;
use super::{Switches, Worker, check};

/// Between looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Looks between two words about it.
const LOOKS_PER_WORD: u64 = 100;

/// What is to be replayed.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    /// The processor whose function it is.
    pub(crate) processor: String,
    /// The name it runs under.
    pub(crate) into: String,
    /// The first event, and the last one; both may be missing.
    pub(crate) from: EventId,
    pub(crate) to: EventId,
    /// Only these partitions, if any are named.
    pub(crate) partitions: Vec<Partition>,
    /// Whether the other name stays when it ends.
    pub(crate) keep: bool,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) stream: String,
    /// Events that the function has handled.
    pub(crate) handled: u64,
    pub(crate) places: Vec<ReplayedPlace>,
    /// Whether the other name is still registered.
    pub(crate) is_kept: bool,
}

/// How it ended in one partition.
#[derive(Debug)]
pub(crate) struct ReplayedPlace {
    pub(crate) partition: Partition,
    /// The last event of the range.
    pub(crate) until: EventId,
    /// How far it came.
    pub(crate) position: EventId,
    pub(crate) is_done: bool,
    /// Why it stopped before its end, if its policy did that.
    pub(crate) stop: Option<Stop>,
}

/// Replays until everything is done, stopped by its policy, or told to drain by a signal.
pub(crate) async fn replay(app: &App, handle: &Handle, replay: &Replay) -> Result<Replayed, Failure> {
    let spec = chosen(app, replay)?;
    let stream = handle.outlet(&spec.stream).await?.stream().clone();
    let group = Group { stream, processor: replay.into.as_str().into() };
    let broker = &**handle.broker();
    refuse_known(broker, &group).await?;
    let ends = ends(broker, &group.stream, replay).await?;

    let outcome = async {
        place(broker, &group, replay.from, &ends).await?;
        let handled = run(app, handle, spec, &group, ends.clone()).await?;
        Ok((handled, places(broker, &group, &ends).await?))
    };
    let (handled, places) = match outcome.await {
        Ok(ended) => ended,
        Err(failure) => {
            let _ = broker.forget(&group).await;
            return Err(failure);
        }
    };
    let is_kept = replay.keep || !forget(broker, &group).await?;
    Ok(Replayed { stream: group.stream.name.clone(), handled, places, is_kept })
}

/// The processor, under the other name.
fn chosen(app: &App, replay: &Replay) -> Result<ProcessorSpec, Failure> {
    let Replay { processor, into, .. } = replay;
    let found = app.processors.iter().find(|spec| spec.name == *processor).ok_or_else(|| {
        let near = did_you_mean(processor, app.processors.iter().map(|spec| spec.name.as_str()));
        Failure::NotFound(format!("app `{}` has no processor `{processor}`{near}", app.name()))
    })?;
    check_name(Named::Processor, into)?;
    if app.processors.iter().any(|spec| spec.name == *into) || app.jobs.iter().any(|job| job.name == *into) {
        return Err(Failure::Invalid(format!(
            "`{into}` is a part of app `{}` itself, whose positions would be moved: replay into a name of its own, like \
             `{processor}-replay`",
            app.name()
        )));
    }
    Ok(ProcessorSpec { name: into.clone(), ..found.clone() })
}

/// A name that is on the stream already may be the processor of another program: its positions are not ours to move.
async fn refuse_known(broker: &dyn Broker, group: &Group) -> Result<(), Failure> {
    let (name, stream) = (&group.processor, &group.stream);
    let survey = survey(broker, stream).await?;
    if survey.iter().any(|partition| partition.groups.iter().any(|found| found.name == **name)) {
        return Err(Failure::Invalid(format!(
            "there is a processor `{name}` on stream `{}` already, perhaps of another program: replay into a new name, or, if \
             an earlier replay has left it behind, say `processor forget {name}` first",
            stream.name
        )));
    }
    Ok(())
}

async fn survey(broker: &dyn Broker, stream: &StreamRef) -> Result<Vec<PartitionSurvey>, Failure> {
    broker.survey(stream).await.doing(|| format!("look at stream `{}`", stream.name))
}

/// The last event of the range in each partition that has any.
async fn ends(broker: &dyn Broker, stream: &StreamRef, replay: &Replay) -> Result<Ends, Failure> {
    let Replay { from, to, partitions, .. } = replay;
    if let Some(none) = partitions.iter().find(|partition| partition.0 >= stream.partitions) {
        let last = stream.partitions - 1;
        return Err(Failure::NotFound(format!("stream `{}` has partitions 0 to {last}, and no {none}", stream.name)));
    }
    let mut ends = BTreeMap::new();
    for partition in (0..stream.partitions).map(Partition) {
        if *from > *to || !(partitions.is_empty() || partitions.contains(&partition)) {
            continue;
        }
        let last = broker.range(stream, partition, *from, *to, 1, true).await;
        let last = last.doing(|| format!("read partition {partition} of stream `{}`", stream.name))?;
        ends.extend(last.first().map(|event| (partition, event.id)));
    }
    if ends.is_empty() {
        return Err(Failure::NotFound(format!(
            "stream `{}` has no event from {from} to {to}, or has them no more: there is nothing to be replayed",
            stream.name
        )));
    }
    Ok(Arc::new(ends))
}

/// Registers the other name, and puts it right before the range.
async fn place(broker: &dyn Broker, group: &Group, from: EventId, ends: &Ends) -> Result<(), Failure> {
    let doing = || format!("register processor `{}` with stream `{}`", group.processor, group.stream.name);
    broker.register(group).await.doing(doing)?;
    for partition in (0..group.stream.partitions).map(Partition) {
        // Where nothing is replayed it waits at the end, so that it holds nothing back.
        let start = if ends.contains_key(&partition) { Start::After(from.before()) } else { Start::End };
        let place = Place { group: group.clone(), partition };
        broker.intervene(&place, &Intervention::Reset(start)).await.doing(doing)?;
    }
    Ok(())
}

/// Runs it until everything is done or stopped, or a signal comes. Answers how many events were handled.
async fn run(app: &App, handle: &Handle, mut spec: ProcessorSpec, group: &Group, ends: Ends) -> Result<u64, Failure> {
    spec.options.until = Some(ends.clone());
    spec.options.join_delay = Some(Duration::ZERO);
    let mut app = app.clone();
    (app.processors, app.jobs, app.beside) = (vec![spec], Vec::new(), Vec::new());
    check(&app, handle.settings())?;
    let worker = Worker::new(app, handle.clone());
    let count = Count::default();
    let spec = worker.chosen()?.remove(0);
    let middleware = Chain::default().with(count.clone()).around(&spec.middleware);
    let spec = Arc::new(ProcessorSpec { middleware, ..(*spec).clone() });

    let switches = Switches::default();
    let mut beside = Tasks::behind(&Gate::default());
    beside.start(obey_signals(switches.clone()));
    // A partition that is halted is found by its mark, and the others go on.
    let (reports, _halts) = mpsc::unbounded_channel();
    // Nobody announces this process, so the leader would take its tenancies for crashed.
    let now = handle.broker().server().await.doing(|| "look at the server".to_owned())?.now;
    let server_clock = ServerClock::heard(clock::now(), clock::now(), now);
    let (recorder, _) = Recorder::new(handle.clone(), server_clock, worker.name.clone(), TaskLogPolicy::Off);
    let around = Surroundings {
        handle: handle.clone(),
        states: Arc::new(worker.app.make_states().await?),
        worker: worker.name.clone(),
        appetite: Arc::new(Appetite::new(handle.settings().prefetch_bytes)),
        suspects: Arc::new(Semaphore::new(1)),
        gate: worker.gate.clone(),
        witness: worker.witness.clone(),
        recorder,
        keeping: worker.app.keeping(handle.settings())?,
        reports,
        drain: switches.drain.clone(),
        abort: switches.abort.clone(),
    };
    let executor: Executor = worker.prepare(spec, &around).await?;
    drop(around);
    let mut running = Tasks::behind(&Gate::default());
    running.start(current::within(handle.clone(), executor.run()));
    // Safe to drop: they only look. What runs is told to drain, and waited for.
    tokio::select! {
        () = watch(&**handle.broker(), group, &ends, &count) => {}
        () = switches.drain.cancelled() => {}
        Some(Err(error)) = running.next() => {
            if let Ok(panic) = error.try_into_panic() {
                std::panic::resume_unwind(panic);
            }
        }
    }
    switches.drain.cancel();
    while running.next().await.is_some() {}
    Ok(count.get())
}

/// Looks until every partition is done, or stopped by the policy.
async fn watch(broker: &dyn Broker, group: &Group, ends: &Ends, count: &Count) {
    for look in 1u64.. {
        clock::sleep(LOOK_EVERY).await;
        // A store that does not answer is asked again, as the executor does.
        let Ok(places) = places(broker, group, ends).await else { continue };
        let left = places.iter().filter(|place| !place.is_done && place.stop.is_none()).count();
        if left == 0 {
            return;
        }
        if look.is_multiple_of(LOOKS_PER_WORD) {
            tracing::info!(processor = %group.processor, handled = count.get(), partitions_left = left, "replaying");
        }
    }
}

/// How far it is in each partition.
async fn places(broker: &dyn Broker, group: &Group, ends: &Ends) -> Result<Vec<ReplayedPlace>, Failure> {
    let stream = &group.stream;
    let mut places = Vec::new();
    for there in survey(broker, stream).await? {
        let Some(&until) = ends.get(&there.partition) else { continue };
        let found = there.groups.iter().find(|found| found.name == *group.processor);
        let fence = found.and_then(|found| found.fence.as_ref());
        let position = fence.map(|fence| fence.position).unwrap_or_default();
        let stop = fence.and_then(|fence| fence.stop.clone()).filter(|stop| stop.kind != StopKind::Paused);
        // Events of the range may have been deleted by hand since.
        let is_done = position >= until || {
            let next = broker.range(stream, there.partition, position.next(), until, 1, false).await;
            next.doing(|| format!("read stream `{}`", stream.name))?.is_empty()
        };
        places.push(ReplayedPlace { partition: there.partition, until, position, is_done, stop });
    }
    Ok(places)
}

/// Unregisters the other name. Answers whether it is gone: it is not where something of it still runs.
async fn forget(broker: &dyn Broker, group: &Group) -> Result<bool, Failure> {
    let gone = broker.forget(group).await.doing(|| format!("forget processor `{}`", group.processor))?;
    Ok(matches!(gone, Forgotten::Gone { .. }))
}

/// Counts events that were handled.
#[derive(Clone, Default)]
struct Count(Arc<AtomicU64>);

impl Count {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Middleware for Count {
    async fn handle(&self, unit: &mut Unit, next: Next<'_>) -> Outcome {
        let events = unit.events().len() as u64;
        let settled = next.run(unit).await?;
        if settled == Settled::Handled {
            self.0.fetch_add(events, Ordering::Relaxed);
        }
        Ok(settled)
    }
}
