//! One worker's connection to a [`Memory`](super::Memory): each operation travels there and back, and may not arrive.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::broker::letters::RETRIED_AT_ONCE;
use crate::broker::{
    Acquire, Acquired, Appended, Begun, Bidden, Broker, BrokerError, Claim, Claimed, Commit, Committed, Fence,
    Forgotten, Generation, Group, Intervention, JobEntry, JobStop, LeaderEntry, Mark, NewEntry, OpenRun,
    PartitionSurvey, Place, Renew, Renewed, Retried, Roll, ServerFacts, Source, Standing, Stop, StreamFacts, StreamRef,
    Swapped, Term, Trimmed, WorkerEntry,
};
use crate::clock::{self, UnixMs};
use crate::event::{Entry, EventId, Fields, Partition};

use super::ADDRESS;
use super::faults::{Fault, Faults, Operation};
use super::journey::{refused, unavailable, unclear};
use super::link::Link;
use super::store::{Inbox, Store};
use super::world::World;

/// See the file's head. Clones share the connection and its faults.
#[derive(Clone, Debug)]
pub struct MemoryBroker {
    pub(super) world: Arc<World>,
    pub(super) link: Arc<Link>,
}

impl MemoryBroker {
    pub(super) fn to(world: &Arc<World>) -> Self {
        let link = Arc::default();
        world.connect(&link);
        Self { world: Arc::clone(world), link }
    }

    /// From now on things go wrong by these chances.
    pub fn set_faults(&self, faults: Faults) {
        self.link.set_faults(faults);
    }

    /// The next operation of this kind meets this fault. Several are met one after another.
    pub fn next_fault(&self, operation: Operation, fault: Fault) {
        self.link.next_fault(operation, fault);
    }

    /// Cuts the connection: what is asked hangs until it is healed, and so do answers on their way.
    pub fn cut(&self) {
        self.link.cut();
    }

    /// Ends a cut.
    pub fn heal(&self) {
        self.link.heal();
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    fn address(&self) -> String {
        ADDRESS.into()
    }

    async fn server(&self) -> Result<ServerFacts, BrokerError> {
        let number = |text: &str| text.parse().unwrap_or(0);
        let version = (
            number(env!("CARGO_PKG_VERSION_MAJOR")),
            number(env!("CARGO_PKG_VERSION_MINOR")),
            number(env!("CARGO_PKG_VERSION_PATCH")),
        );
        let now = self.ask(Operation::Look, |_, now| now.ms()).await?;
        Ok(ServerFacts {
            product: "memory".into(),
            version,
            now,
            run_id: format!("memory-{}", self.world.server()),
            is_primary: true,
            eviction: "noeviction".into(),
            persistence: "nothing".into(),
            replicas: 0,
        })
    }

    fn server_changes(&self) -> watch::Receiver<u64> {
        self.link.server_changes()
    }

    async fn declare(&self, facts: &StreamFacts) -> Result<StreamFacts, BrokerError> {
        let facts = facts.clone();
        self.ask(Operation::Look, move |store, now| store.declare(&facts, now)).await?
    }

    async fn stream(&self, name: &str) -> Result<Option<StreamFacts>, BrokerError> {
        let name = name.to_owned();
        self.ask(Operation::Look, move |store, _| store.facts(&name)).await
    }

    async fn streams(&self) -> Result<Vec<String>, BrokerError> {
        self.ask(Operation::Look, |store, _| store.names()).await
    }

    async fn append(&self, stream: &StreamRef, entries: Vec<NewEntry>) -> Result<Appended, BrokerError> {
        let stream = Arc::clone(stream);
        let step = move |store: &mut Store, now| {
            let ids = entries.iter().map(|entry| store.append(&stream, entry.clone(), now)).collect();
            let partitions: BTreeSet<_> = entries.iter().map(|entry| entry.partition).collect();
            let length = |partition| (partition, store.length(&stream.name, partition));
            Appended { ids, lengths: partitions.into_iter().map(length).collect() }
        };
        self.ask(Operation::Append, step).await
    }

    async fn read(
        &self,
        source: &Source,
        after: EventId,
        count: usize,
        _flowing: bool,
    ) -> Result<Vec<Entry>, BrokerError> {
        let journey = self.link.journey(Operation::Read, 1);
        let (server, mut changes) = (self.world.server(), self.link.server_changes());
        self.travel(journey.there).await;
        match journey.faults.first().and_then(Option::as_ref) {
            Some(Fault::Refused(code)) => return Err(refused(Operation::Read, code)),
            Some(Fault::Unavailable) => return Err(unavailable()),
            Some(Fault::LostRequest | Fault::LostReply | Fault::Late(_)) => {
                clock::sleep(journey.patience).await;
                return Err(unclear(Operation::Read));
            }
            Some(Fault::Twice(_)) | None => {}
        }
        let inbox = self.world.inbox(Inbox::from(source));
        loop {
            // Before looking: what arrives between looking and waiting must wake us.
            let arrival = inbox.notified();
            let entries = self.world.step_at(server, |store, _| store.read(source, after, count.max(1)));
            let entries = entries.ok_or_else(|| unclear(Operation::Read))?;
            if !entries.is_empty() {
                self.travel(journey.back).await;
                return Ok(entries);
            }
            // Safe to drop: both only wait.
            tokio::select! {
                () = arrival => {}
                _ = changes.changed() => {}
            }
        }
    }

    async fn range(
        &self,
        stream: &StreamRef,
        partition: Partition,
        from: EventId,
        to: EventId,
        count: usize,
        backwards: bool,
    ) -> Result<Vec<Entry>, BrokerError> {
        let stream = Arc::clone(stream);
        let step = move |store: &mut Store, _| store.range(&stream.name, partition, (from, to), count, backwards);
        self.ask(Operation::Look, step).await
    }

    async fn trim(&self, stream: &StreamRef, partition: Partition) -> Result<Trimmed, BrokerError> {
        let stream = Arc::clone(stream);
        self.ask(Operation::Trim, move |store, now| store.trim(&stream.name, partition, now)).await
    }

    async fn drop_oldest(&self, stream: &StreamRef, partition: Partition, keep: u64) -> Result<u64, BrokerError> {
        let stream = Arc::clone(stream);
        self.ask(Operation::Trim, move |store, now| store.drop_oldest(&stream.name, partition, keep, now)).await
    }

    async fn survey(&self, stream: &StreamRef) -> Result<Vec<PartitionSurvey>, BrokerError> {
        let stream = Arc::clone(stream);
        self.ask(Operation::Look, move |store, _| store.survey(&stream)).await
    }

    async fn acquire(&self, wish: &Acquire) -> Result<Acquired, BrokerError> {
        let wish = wish.clone();
        self.ask(Operation::Acquire, move |store, now| store.acquire(&wish, now)).await
    }

    async fn commit(&self, commits: &[Commit]) -> Vec<Result<Committed, BrokerError>> {
        let step = |commit: &Commit| {
            let commit = commit.clone();
            move |store: &mut Store, now| store.commit(&commit, now)
        };
        let answers = self.ask_all(Operation::Commit, commits.iter().map(step).collect()).await;
        answers.into_iter().map(|answer| answer.and_then(|decided| decided)).collect()
    }

    async fn renew(&self, renewals: &[Renew]) -> Vec<Result<Renewed, BrokerError>> {
        let step = |renew: &Renew| {
            let renew = renew.clone();
            move |store: &mut Store, now| store.renew(&renew, now)
        };
        self.ask_all(Operation::Renew, renewals.iter().map(step).collect()).await
    }

    async fn release(&self, place: &Place, fence: &Fence, mark: Option<&Mark>) -> Result<bool, BrokerError> {
        let (place, fence, mark) = (place.clone(), fence.clone(), mark.cloned());
        self.ask(Operation::Release, move |store, now| store.release(&place, &fence, mark.as_ref(), now)).await
    }

    async fn intervene(&self, place: &Place, change: &Intervention) -> Result<EventId, BrokerError> {
        let (place, change) = (place.clone(), change.clone());
        self.ask(Operation::Operate, move |store, now| store.intervene(&place, &change, now)).await?
    }

    async fn register(&self, group: &Group) -> Result<(), BrokerError> {
        let group = group.clone();
        self.ask(Operation::Tell, move |store, _| store.register(&group)).await
    }

    async fn forget(&self, group: &Group) -> Result<Forgotten, BrokerError> {
        let group = group.clone();
        self.ask(Operation::Operate, move |store, now| store.forget(&group, now)).await
    }

    async fn beat(&self, group: &Group, member: &str, ttl: Duration, known: Option<u64>) -> Result<Roll, BrokerError> {
        let (group, member) = (group.clone(), member.to_owned());
        self.ask(Operation::Beat, move |store, now| store.beat(&group, &member, ttl, known, now)).await
    }

    async fn swap(
        &self,
        group: &Group,
        expected: u64,
        plan: &str,
        reap: &[String],
        reason: &str,
    ) -> Result<Swapped, BrokerError> {
        let (group, plan, reap, reason) = (group.clone(), plan.to_owned(), reap.to_vec(), reason.to_owned());
        self.ask(Operation::Swap, move |store, now| store.swap(&group, expected, &plan, (&reap, &reason), now)).await
    }

    async fn leave(&self, group: &Group, member: &str) -> Result<(), BrokerError> {
        let (group, member) = (group.clone(), member.to_owned());
        self.ask(Operation::Tell, move |store, now| store.leave(&group, &member, now)).await
    }

    async fn note_stopped(&self, group: &Group, partition: Partition, stop: Option<&Stop>) -> Result<(), BrokerError> {
        let (group, stop) = (group.clone(), stop.cloned());
        let step = move |store: &mut Store, now| store.note_stopped(&group, partition, stop.as_ref(), now);
        self.ask(Operation::Tell, step).await
    }

    async fn announce(
        &self,
        worker: &str,
        standing: Standing,
        ttl: Duration,
        about: &str,
    ) -> Result<UnixMs, BrokerError> {
        let (worker, about) = (worker.to_owned(), about.to_owned());
        self.ask(Operation::Tell, move |store, now| store.announce(&worker, standing, ttl, &about, now)).await
    }

    async fn depart(&self, worker: &str) -> Result<(), BrokerError> {
        let worker = worker.to_owned();
        self.ask(Operation::Tell, move |store, _| store.depart(&worker)).await
    }

    async fn workers(&self) -> Result<Vec<WorkerEntry>, BrokerError> {
        self.ask(Operation::Tell, |store, now| store.workers_alive(now)).await
    }

    async fn retry_letters(
        &self,
        stream: &StreamRef,
        partition: Partition,
        letters: &[EventId],
    ) -> Result<Vec<Retried>, BrokerError> {
        let mut all = Vec::with_capacity(letters.len());
        for some in letters.chunks(RETRIED_AT_ONCE) {
            let (stream, some) = (Arc::clone(stream), some.to_vec());
            let step = move |store: &mut Store, now| store.retry_letters(&stream, partition, &some, now);
            all.extend(self.ask(Operation::Retry, step).await??);
        }
        Ok(all)
    }

    async fn drop_letters(
        &self,
        stream: &StreamRef,
        partition: Partition,
        letters: &[EventId],
    ) -> Result<u64, BrokerError> {
        let (stream, letters) = (Arc::clone(stream), letters.to_vec());
        let step = move |store: &mut Store, now| store.drop_letters(&stream, partition, &letters, now);
        self.ask(Operation::DropLetters, step).await?
    }

    async fn enroll(&self, worker: &str, ttl: Duration, version: &str) -> Result<Generation, BrokerError> {
        let (worker, version) = (worker.to_owned(), version.to_owned());
        self.ask(Operation::Enroll, move |store, now| store.enroll(&worker, ttl, &version, now)).await
    }

    async fn bid(&self, worker: &str, ttl: Duration) -> Result<Bidden, BrokerError> {
        let worker = worker.to_owned();
        self.ask(Operation::Bid, move |store, now| store.bid(&worker, ttl, now)).await
    }

    async fn resign(&self, worker: &str, term: Term) -> Result<bool, BrokerError> {
        let worker = worker.to_owned();
        self.ask(Operation::Resign, move |store, now| store.resign(&worker, term, now)).await
    }

    async fn leader(&self) -> Result<Option<LeaderEntry>, BrokerError> {
        self.ask(Operation::Jobs, |store, now| store.leader(now)).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, BrokerError> {
        let claim = claim.clone();
        self.ask(Operation::Claim, move |store, now| store.claim(&claim, now)).await
    }

    async fn close(&self, claim: &Claim) -> Result<bool, BrokerError> {
        let claim = claim.clone();
        self.ask(Operation::Close, move |store, now| store.close(&claim, now)).await
    }

    async fn jobs(&self) -> Result<Vec<JobEntry>, BrokerError> {
        self.ask(Operation::Jobs, |store, _| store.jobs()).await
    }

    async fn stop_job(&self, job: &str, stop: Option<&JobStop>) -> Result<bool, BrokerError> {
        let (job, stop) = (job.to_owned(), stop.cloned());
        self.ask(Operation::StopJob, move |store, now| store.stop_job(&job, stop.as_ref(), now)).await
    }

    async fn begin_run(
        &self,
        stream: &StreamRef,
        partition: Partition,
        run: &OpenRun,
        event: &Fields,
        limit: u64,
    ) -> Result<Begun, BrokerError> {
        let (stream, run, event) = (stream.clone(), run.clone(), event.clone());
        let step = move |store: &mut Store, now| store.begin_run(&stream, partition, &run, &event, limit, now);
        self.ask(Operation::Run, step).await?
    }

    async fn end_run(
        &self,
        stream: &StreamRef,
        partition: Partition,
        run: &OpenRun,
        event: &Fields,
    ) -> Result<bool, BrokerError> {
        let (stream, run, event) = (stream.clone(), run.clone(), event.clone());
        let step = move |store: &mut Store, now| store.end_run(&stream, partition, &run, &event, now);
        self.ask(Operation::Run, step).await?
    }

    async fn open_runs(&self, stream: &StreamRef) -> Result<Vec<(Partition, OpenRun)>, BrokerError> {
        let stream = stream.clone();
        self.ask(Operation::Look, move |store, _| store.open_runs(&stream)).await
    }

    async fn erase(&self) -> Result<u64, BrokerError> {
        self.ask(Operation::Look, |store, now| store.erase(now)).await
    }
}
