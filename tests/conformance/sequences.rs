//! Random sequences of every operation, on a store in memory and on a server side by side.
//!
//! After each step the answers must be the same, but for what differs from run to run by its nature: epochs, of which
//! it is compared whether they rose, and times. Ids are always given, leases are ended by hand and never by waiting.

use std::collections::BTreeMap;
use std::sync::Arc;

use runnel::broker::{
    Acquire, Acquired, Appended, BrokerError, Commit, Epoch, Fence, Group, Mark, NewEntry, NewLetter, PartitionSurvey,
    Place, Renew, Renewed, Roll, Source, Stop, StreamRef, Trimmed,
};
use runnel::event::{Entry, EventId, Fields, Partition};

use crate::case::{LATER, TTL, entry, facts, id};
use crate::stores::{Kind, Store, servers};

mod draw;
mod fleet;
mod step;

use draw::{Draw, Seen};
use step::{Foreign, Step};

/// Steps of one sequence: long enough for a place to be taken over, broken, repaired and forgotten several times.
const STEPS: usize = 150;

/// Everything that is stored is compared after so many steps: it costs more than a step.
const STEPS_UNSEEN: usize = 5;

/// One store, and what its answers were that later steps need.
struct Side {
    store: Store,
    stream: StreamRef,
    letters: StreamRef,
    /// The epoch that each nonce was given.
    epochs: BTreeMap<String, Epoch>,
}

impl Side {
    async fn empty(kind: Kind) -> Self {
        let (stream, letters) = (Arc::new(facts("orders")), Arc::new(facts("orders").dead_letters()));
        let store = Store::empty(kind).await;
        // A letter's id is given by the server. Behind this entry, which is none, it is the same everywhere.
        for partition in 0..draw::PARTITIONS {
            let foreign = entry(Partition(partition), Some(id(LATER)));
            let appended = store.broker.append(&letters, vec![foreign]).await.expect("the store is there");
            assert!(appended.ids[0].is_ok(), "{appended:?}");
        }
        Self { store, stream, letters, epochs: BTreeMap::new() }
    }

    fn group(&self, processor: &str) -> Group {
        Group { stream: Arc::clone(&self.stream), processor: processor.into() }
    }

    fn place(&self, place: step::At) -> Place {
        let mut group = self.group(place.processor);
        if place.letters {
            group.stream = Arc::clone(&self.letters);
        }
        Place { group, partition: Partition(place.partition) }
    }

    fn fence(&self, nonce: &str) -> Fence {
        Fence { nonce: nonce.into(), epoch: self.epochs.get(nonce).copied().unwrap_or_default() }
    }

    async fn letters_in(&self, partition: u32) -> Vec<Entry> {
        let (all, partition) = ((EventId::ZERO, EventId::MAX), Partition(partition));
        self.store.broker.range(&self.letters, partition, all.0, all.1, 1000, false).await.unwrap_or_default()
    }

    /// What there is, as far as the next step is drawn from it.
    async fn seen(&self) -> Seen {
        let broker = &self.store.broker;
        let events = broker.survey(&self.stream).await.expect("memory does not fail by itself");
        let letters = broker.survey(&self.letters).await.expect("memory does not fail by itself");
        let mut letter_ids = Vec::new();
        for partition in 0..draw::PARTITIONS {
            letter_ids.push(self.letters_in(partition).await.iter().map(|letter| letter.id).collect());
        }
        Seen { events, letters, letter_ids }
    }

    async fn has_more(&self, stream: &StreamRef, partition: u32, after: EventId) -> bool {
        let next = EventId::new(after.ms, after.seq + 1);
        let found = self.store.broker.range(stream, Partition(partition), next, EventId::MAX, 1, false).await;
        found.is_ok_and(|entries| !entries.is_empty())
    }

    /// Does a step and answers what is to be compared.
    async fn take(&mut self, step: &Step) -> String {
        let broker = Arc::clone(&self.store.broker);
        let hands = &self.store.hands;
        match step {
            Step::Append(entries) => {
                let new = |(partition, id): &(u32, EventId)| -> NewEntry { entry(Partition(*partition), Some(*id)) };
                told(broker.append(&self.stream, entries.iter().map(new).collect()).await.map(of_append))
            }
            Step::Read { partition, after, count } => {
                let source = Source::Partition(Arc::clone(&self.stream), Partition(*partition));
                // Where nothing comes, both would wait for ever.
                if !self.has_more(&self.stream, *partition, *after).await {
                    return "nothing to read".into();
                }
                told(broker.read(&source, *after, *count, true).await)
            }
            Step::Range { partition, from, to, count, backwards } => {
                told(broker.range(&self.stream, Partition(*partition), *from, *to, *count, *backwards).await)
            }
            Step::Trim { partition, letters } => {
                let stream = if *letters { &self.letters } else { &self.stream };
                told(broker.trim(stream, Partition(*partition)).await.map(of_trim))
            }
            Step::Retry { partition, letters } => {
                told(broker.retry_letters(&self.stream, Partition(*partition), letters).await)
            }
            Step::DropLetters { partition, letters } => {
                told(broker.drop_letters(&self.stream, Partition(*partition), letters).await)
            }
            Step::DropOldest { partition, keep } => {
                told(broker.drop_oldest(&self.stream, Partition(*partition), *keep).await)
            }
            Step::Acquire { at, nonce, start, joined } => {
                let wish = Acquire {
                    place: self.place(*at),
                    nonce: nonce.as_str().into(),
                    worker: format!("worker of {nonce}").into(),
                    ttl: TTL,
                    start: *start,
                    joined: *joined,
                };
                let before = self.epochs.values().copied().max().unwrap_or_default();
                let answer = broker.acquire(&wish).await;
                if let Ok(Acquired::Owned(owned)) = &answer {
                    self.epochs.insert(nonce.clone(), owned.epoch);
                }
                told(answer.map(|acquired| of_acquire(acquired, before)))
            }
            Step::Commit { at, nonce, n, position, entries_read, seen, front, done, passed, given_up } => {
                let commit = Commit {
                    place: self.place(*at),
                    fence: self.fence(nonce),
                    n: *n,
                    position: *position,
                    entries_read: *entries_read,
                    seen: *seen,
                    front: *front,
                    done: done.clone(),
                    passed: passed.clone(),
                    letters: given_up.iter().map(letter).collect(),
                    letters_limit: 8,
                };
                told(broker.commit(&[commit]).await.pop().expect("one commit has one answer"))
            }
            Step::Renew { at, nonce, read } => {
                let renew = Renew { place: self.place(*at), fence: self.fence(nonce), ttl: TTL, read: *read };
                let answer = broker.renew(&[renew]).await.pop().expect("one renewal has one answer");
                told(answer.map(|renewed| of_renew(renewed, self.store.plain_lag)))
            }
            Step::Release { at, nonce, mark } => {
                let mark = mark.map(|(kind, at)| Mark { kind, at, error: "no paper".into() });
                told(broker.release(&self.place(*at), &self.fence(nonce), mark.as_ref()).await)
            }
            Step::Intervene { at, change } => told(broker.intervene(&self.place(*at), change).await),
            Step::Register(processor) => told(broker.register(&self.group(processor)).await),
            Step::Forget(processor) => told(broker.forget(&self.group(processor)).await),
            Step::Beat { processor, member, known } => {
                told(broker.beat(&self.group(processor), member, TTL, *known).await.map(of_beat))
            }
            Step::Swap { processor, expected, reap } => {
                let plan = format!("made from {expected}");
                told(broker.swap(&self.group(processor), *expected, &plan, reap, "for a test").await)
            }
            Step::Leave { processor, member } => told(broker.leave(&self.group(processor), member).await),
            Step::NoteStopped { processor, partition, stop } => {
                told(broker.note_stopped(&self.group(processor), Partition(*partition), stop.as_ref()).await)
            }
            Step::Fleet(step) => step.take(&*broker, &**hands).await,
            Step::Foreign(foreign) => {
                // Servers differ in whether a read that gets nothing makes a consumer.
                if let Foreign::ReadInGroup(at, position, ..) = foreign
                    && !self.has_more(&self.place(*at).group.stream, at.partition, *position).await
                {
                    return "nothing to read".into();
                }
                step::meddle(&**hands, foreign, |at| self.place(at), &self.stream);
                String::new()
            }
        }
    }

    /// Everything there is, as people are told it, a line for each partition and group.
    async fn survey(&self) -> Vec<String> {
        let plain_lag = self.store.plain_lag;
        let mut lines = Vec::new();
        for stream in [&self.stream, &self.letters] {
            match self.store.broker.survey(stream).await {
                Ok(all) => lines.extend(all.into_iter().flat_map(|partition| of_survey(partition, plain_lag))),
                Err(error) => lines.push(format!("{error:?}")),
            }
        }
        for partition in 0..draw::PARTITIONS {
            lines.push(format!("letters of partition {partition}: {:?}", self.letters_in(partition).await));
        }
        lines.extend(fleet::survey(&*self.store.broker).await);
        lines
    }
}

fn letter(event: &EventId) -> NewLetter {
    NewLetter { id: *event, about: format!("about {event}").into(), fields: Fields::from_pairs([("data", "1")]) }
}

fn told<T: std::fmt::Debug>(answer: Result<T, BrokerError>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(BrokerError::Refused { code, .. }) => format!("refused: {code}"),
        Err(error) => format!("{error:?}"),
    }
}

fn of_append(appended: Appended) -> String {
    let mut lengths = appended.lengths;
    lengths.sort_unstable();
    let ids: Vec<String> = appended.ids.into_iter().map(told).collect();
    format!("{ids:?} {lengths:?}")
}

/// Why nothing is cut is for people, each store in its own words.
fn of_trim(trimmed: Trimmed) -> Trimmed {
    match trimmed {
        Trimmed::Held { .. } => Trimmed::Held { reason: String::new() },
        cut => cut,
    }
}

fn of_acquire(acquired: Acquired, before: Epoch) -> String {
    match acquired {
        Acquired::Owned(mut owned) => {
            let rose = owned.epoch > before;
            owned.epoch = Epoch(0);
            format!("{owned:?}, epoch rose: {rose}")
        }
        Acquired::Held { by, wait } => format!("held by {by}, for a time: {}", !wait.is_zero()),
        Acquired::Stopped(stop) => format!("{:?}", without_time(stop)),
        Acquired::Spent => "spent".into(),
    }
}

fn of_renew(renewed: Renewed, plain_lag: bool) -> Renewed {
    match renewed {
        Renewed::Ours { last, entries_read, notes, .. } if !plain_lag => {
            Renewed::Ours { last, lag: None, entries_read, notes }
        }
        other => other,
    }
}

fn without_time(stop: Stop) -> Stop {
    Stop { since: u64::from(stop.since > 0), ..stop }
}

fn of_beat(roll: Roll) -> String {
    let names: Vec<String> = roll.members.into_iter().map(|member| member.name).collect();
    let stopped: Vec<_> = roll.stopped.into_iter().map(|(partition, stop)| (partition, without_time(stop))).collect();
    format!("{names:?} {} {:?} {stopped:?}", roll.generation, roll.plan)
}

fn of_survey(mut partition: PartitionSurvey, plain_lag: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for mut group in std::mem::take(&mut partition.groups) {
        if !plain_lag {
            group.lag = None;
        }
        if let Some(fence) = &mut group.fence {
            fence.epoch = Epoch(0);
            fence.until = fence.until.min(1);
            fence.stop = fence.stop.take().map(without_time);
        }
        lines.push(format!("partition {}, {group:?}", partition.partition));
    }
    lines.push(format!("{partition:?}"));
    lines
}

/// Runs the sequence of one seed. Fails the test with seed and step where the two disagree.
async fn compare(kind: Kind, seed: u64) {
    let (mut ours, mut theirs) = (Side::empty(Kind::Memory).await, Side::empty(kind).await);
    ours.store.plain_lag = theirs.store.plain_lag;
    let mut draw = Draw::new(seed);
    let mut taken: Vec<Step> = Vec::new();
    for number in 0..STEPS {
        let step = draw.step(&ours.seen().await);
        taken.push(step.clone());
        let (mut our, mut their) = (vec![ours.take(&step).await], vec![theirs.take(&step).await]);
        draw.learn(&step, &our[0]);
        if number % STEPS_UNSEEN == 0 {
            our.extend(ours.survey().await);
            their.extend(theirs.survey().await);
        }
        let unlike = |mine: &[String], other: &[String]| -> String {
            mine.iter().filter(|line| !other.contains(line)).map(|line| format!("{line}\n")).collect()
        };
        assert!(
            our == their,
            "seed {seed}, step {number}: memory and {kind:?} disagree\nlast steps: {:?}\n\nmemory: {}\n{kind:?}: {}",
            &taken[taken.len().saturating_sub(10)..],
            unlike(&our, &their),
            unlike(&their, &our),
        );
    }
}

/// How many sequences there are: twenty times the number in `RUNNEL_TEST_SCALE`, which is 1 unless set.
fn sequences() -> u64 {
    // A setting of the tests, not of the library.
    #[allow(clippy::disallowed_methods)]
    let scale = std::env::var("RUNNEL_TEST_SCALE");
    20 * scale.ok().and_then(|scale| scale.parse::<u64>().ok()).unwrap_or(1)
}

#[tokio::test]
async fn random_sequences_have_the_same_answers_on_memory_and_on_servers() {
    for kind in servers() {
        for seed in 0..sequences() {
            compare(kind, seed).await;
        }
    }
}
