//! `processor reset | resume | skip | dead-letter | pause`: changes places one by one, and tells what was where before.
//!
//! Each place is changed in one atomic step, which fences out its owner, if it has one. The group is told, so that a plan
//! gives a stopped place to nobody, and one that runs again to somebody.

use clap::ArgMatches;
use serde::Serialize;

use crate::broker::{Broker, Group, GroupSurvey, Intervention, PartitionSurvey, Place, Start, Stop, StopKind};
use crate::clock::UnixMs;
use crate::error::{Doing, Failure};
use crate::event::{Entry, EventId, Partition};
use crate::processor::dead_letter::{LetterAbout, Retried};

use crate::cli::lookup::{Surveyed, partitions};
use crate::cli::output::ranges;
use crate::cli::report::{ProcessorReport, owner};
use crate::cli::{End, Out};

/// What is asked for.
pub(super) enum Verb {
    Reset(Start),
    Resume,
    Skip,
    /// With the letters that a partition may hold.
    DeadLetter(u64),
    Pause,
}

impl Verb {
    pub(super) fn of(verb: &str, matches: &ArgMatches, dead_letter_size: u64) -> Self {
        match verb {
            "reset" => Self::Reset(*matches.get_one::<Start>("start").expect("clap asks for the start")),
            "resume" => Self::Resume,
            "skip" => Self::Skip,
            "dead-letter" => Self::DeadLetter(dead_letter_size),
            _ => Self::Pause,
        }
    }

    fn done(&self) -> &'static str {
        match self {
            Self::Reset(_) => "reset",
            Self::Resume => "resumed",
            Self::Skip => "skipped",
            Self::DeadLetter(_) => "dead-lettered",
            Self::Pause => "paused",
        }
    }

    /// Whether it gives up the event at which a place is stopped.
    fn gives_up(&self) -> bool {
        matches!(self, Self::Skip | Self::DeadLetter(_))
    }
}

/// One processor, as it was found.
pub(super) struct Steering<'a> {
    pub(super) broker: &'a dyn Broker,
    pub(super) group: &'a Group,
    pub(super) surveyed: &'a Surveyed,
    pub(super) report: &'a ProcessorReport,
    pub(super) now: UnixMs,
}

#[derive(Serialize)]
struct Changed {
    processor: String,
    stream: String,
    partition: u32,
    /// Where it was before.
    before: Option<EventId>,
    position: EventId,
    done: &'static str,
    /// The worker that owned the partition, and lost it by this.
    taken_from: Option<String>,
}

impl Steering<'_> {
    /// The partitions that are meant: the ones that were named, else those to which the verb applies.
    pub(super) fn chosen(&self, verb: &Verb, matches: &ArgMatches) -> Result<Vec<u32>, End> {
        if let Some(named) = matches.get_many::<u32>("partition") {
            return Ok(partitions(&self.surveyed.stream, named.copied())?);
        }
        let stopped = |at_event: bool| -> Vec<u32> {
            let meant = self.report.stopped.iter().filter(|stop| !at_event || stop.kind != StopKind::Paused);
            meant.map(|stop| stop.partition).collect()
        };
        let found = match verb {
            Verb::Resume => stopped(false),
            Verb::Skip | Verb::DeadLetter(_) => stopped(true),
            Verb::Reset(_) | Verb::Pause => partitions(&self.surveyed.stream, None)?,
        };
        if !found.is_empty() {
            return Ok(found);
        }
        let more = match verb.gives_up() {
            true => "; to give up the next event of a running one, name it with --partition",
            false => "",
        };
        Err(Failure::NotFound(format!("no partition of `{}` is stopped{more}", self.report.name)).into())
    }

    pub(super) async fn run(&self, verb: &Verb, chosen: &[u32], is_forced: bool, out: &mut Out) -> Result<(), End> {
        if matches!(verb, Verb::Reset(_)) && !is_forced {
            self.refuse_owned(chosen)?;
        }
        let (mut changed, mut outcome) = (Vec::new(), Ok(()));
        for &number in chosen {
            match self.change(verb, Partition(number)).await {
                Ok(one) => changed.push(one),
                Err(failure) => {
                    outcome = Err(failure.into());
                    break;
                }
            }
        }
        // What was changed is told also where the rest could not be.
        if out.is_json() {
            out.object(&changed)?;
        } else {
            let rows = changed.iter().map(|one| {
                let before = one.before.map_or_else(|| "none".into(), |id| id.to_string());
                let owner = one.taken_from.clone().unwrap_or_default();
                [one.partition.to_string(), before, one.position.to_string(), one.done.to_owned(), owner]
            });
            out.table(["PARTITION", "WAS AT", "IS AT", "DONE", "TAKEN FROM"], rows)?;
        }
        if let Verb::Reset(start) = verb {
            self.tell_trimmed(&changed);
            self.tell_ahead(*start);
        }
        outcome
    }

    /// A position behind the last event would look to the next owner as if the server had lost what lay before it, and
    /// what is sent until then would be taken for processed. It is not `$`: what was sent since we looked is not skipped.
    fn within(&self, partition: Partition, start: Start) -> Start {
        let last = self.partition(partition).map_or(EventId::ZERO, |there| there.last);
        if matches!(start, Start::After(id) if id > last) { Start::After(last) } else { start }
    }

    /// Whoever names a time that is to come may mean that what is sent until then is skipped.
    fn tell_ahead(&self, start: Start) {
        if matches!(start, Start::After(id) if id.ms > self.now) {
            tracing::warn!(processor = %self.report.name, stream = %self.report.stream,
                "the start lies ahead of the server's clock: what there is is skipped, and what is sent from now on is \
                 processed, as with `--start $`");
        }
    }

    /// A reset under the hands of a worker would fence it out, and repeat or lose what it has in hand.
    fn refuse_owned(&self, chosen: &[u32]) -> Result<(), End> {
        let report = self.report;
        let owners: Vec<String> = report
            .owners
            .iter()
            .filter_map(|(worker, held)| {
                let held: Vec<u32> = held.iter().copied().filter(|partition| chosen.contains(partition)).collect();
                (!held.is_empty()).then(|| format!("{worker} ({})", ranges(held)))
            })
            .collect();
        if owners.is_empty() {
            return Ok(());
        }
        Err(End::Refused(format!(
            "processor `{}` is running: {} own partitions of it; stop these workers first, or repeat with --force, which \
             takes the partitions from them: what they have in hand is not settled, and they go on from the new position",
            report.name,
            owners.join(", ")
        )))
    }

    /// What was trimmed does not come back.
    fn tell_trimmed(&self, changed: &[Changed]) {
        let lost = changed.iter().filter_map(|one| {
            let there = self.partition(Partition(one.partition))?;
            // Of a partition from which nothing was ever removed, the first event is the first that was added.
            let is_cut = there.added > there.length;
            let begins_later = there.first.is_none_or(|first| one.position.next() < first);
            (is_cut && begins_later && one.position < there.last).then_some(one.partition)
        });
        let lost = ranges(lost);
        if !lost.is_empty() {
            tracing::warn!(processor = %self.report.name, stream = %self.report.stream, partitions = lost,
                "some of the events after the new position were trimmed, and do not come back: what is left is processed again");
        }
    }

    fn partition(&self, partition: Partition) -> Option<&PartitionSurvey> {
        self.surveyed.partitions.iter().find(|found| found.partition == partition)
    }

    fn found(&self, partition: Partition) -> Option<&GroupSurvey> {
        self.partition(partition)?.groups.iter().find(|found| *found.name == *self.group.processor)
    }

    /// Changes one place, and tells the group.
    async fn change(&self, verb: &Verb, partition: Partition) -> Result<Changed, Failure> {
        let place = Place { group: self.group.clone(), partition };
        let doing = || format!("change partition {partition} of processor `{}`", self.group.processor);
        let change = match verb {
            Verb::Reset(start) => Intervention::Reset(self.within(partition, *start)),
            Verb::Resume => Intervention::Resume,
            Verb::Skip => Intervention::Skip,
            Verb::DeadLetter(limit) => self.giving_up(partition, *limit).await?,
            Verb::Pause => Intervention::Pause,
        };
        let position = self.broker.intervene(&place, &change).await.doing(doing)?;
        let stop = (change == Intervention::Pause).then(|| Stop {
            kind: StopKind::Paused,
            at: position,
            error: String::new(),
            since: self.now,
        });
        self.broker.note_stopped(self.group, partition, stop.as_ref()).await.doing(doing)?;
        let found = self.found(partition);
        Ok(Changed {
            processor: self.group.processor.to_string(),
            stream: self.group.stream.name.clone(),
            partition: partition.0,
            before: found.and_then(position_of),
            position,
            done: verb.done(),
            taken_from: found.and_then(|found| owner(found, self.now)),
        })
    }

    /// The letter that the event in front becomes. The store refuses it if another one is in front by then.
    async fn giving_up(&self, partition: Partition, limit: u64) -> Result<Intervention, Failure> {
        let found = self.found(partition);
        let position = found.and_then(position_of).unwrap_or(EventId::ZERO);
        let fence = found.and_then(|found| found.fence.as_ref());
        let stop = fence.and_then(|fence| fence.stop.as_ref()).filter(|stop| stop.at > position);
        let (from, to) = stop.map_or((position.next(), EventId::MAX), |stop| (stop.at, stop.at));
        let stream = &self.group.stream;
        let events = self.broker.range(stream, partition, from, to, 1, false).await;
        let events = events.doing(|| format!("read partition {partition} of stream `{}`", stream.name))?;
        let Some(event) = events.first() else {
            return Err(Failure::NotFound(match stop {
                Some(stop) => format!(
                    "event {} of stream `{}`, at which partition {partition} is stopped, is no longer there: move past it with \
                     `processor skip {}`",
                    stop.at, stream.name, self.group.processor
                ),
                None => format!(
                    "no event follows {position} in partition {partition} of stream `{}`: there is nothing to be given up",
                    stream.name
                ),
            }));
        };
        let tries = fence.and_then(|fence| fence.front).filter(|front| front.id == event.id);
        // What is marked is said before a try; the try that stopped the partition came after that.
        let last_try = u32::from(stop.is_some());
        let about = LetterAbout {
            id: first_id(event),
            processor: self.group.processor.to_string(),
            error: stop
                .map(|stop| stop.error.clone())
                .filter(|error| !error.is_empty())
                .unwrap_or_else(|| BY_HAND.into()),
            attempts: tries.map_or(0, |tries| tries.fails) + last_try,
            crashes: tries.map_or(0, |tries| tries.crashes),
            at: self.now,
            worker: String::new(),
            stream: stream.name.clone(),
            partition,
            epoch: 0,
        };
        Ok(Intervention::DeadLetter { id: event.id, about: about.to_bytes(), limit })
    }
}

/// The error of an event that had not failed.
const BY_HAND: &str = "given up by hand";

/// Of an event that was put back, the id it was sent under.
fn first_id(event: &Entry) -> EventId {
    Retried::of(&event.fields).map_or(event.id, |mark| mark.id)
}

fn position_of(found: &GroupSurvey) -> Option<EventId> {
    found.fence.as_ref().map(|fence| fence.position).or(found.position)
}
