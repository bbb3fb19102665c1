//! Acquires and opens partitions, closes and releases them, one by one, while all others go on.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::broker::{Acquire, Acquired, BrokerError, Fence, Note, Owned, Source, Stop, StopKind};
use crate::clock::{self, Instant};
use crate::decide::lease::Lease;
use crate::decide::ownership::Step;
use crate::event::{EventId, Partition};
use crate::in_hand::InHand;
use crate::processor::extract::Tenancy;
use crate::runs::{RunContext, RunFacts, RunId, TaskKind};

use super::lane::LaneEnd;
use super::ledger::Ledger;
use super::membership::Server;
use super::tenancy::{self, Opening};
use super::{Executor, Halt, Holding, Report};

/// A partition we own, as far as the executor is concerned.
pub(super) struct Place {
    pub(super) holding: Arc<Holding>,
}

/// A partition we ask for.
pub(super) struct Wish {
    /// The same until it is answered: an unclear answer may have made us the owner.
    nonce: Arc<str>,
    /// What we had of it before, to be given up first: what was sent under it must not count any more.
    before: Option<Fence>,
    pub(super) asked: bool,
}

/// When and whom we asked for a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// How often the server had changed.
    pub(super) server: Server,
    pub(super) sent: Instant,
}

impl Executor {
    pub(super) fn take_steps(&mut self) {
        for step in self.ownership.steps(clock::now()) {
            match step {
                Step::Acquire(partition) => self.acquire(partition),
                Step::Close(partition) => {
                    self.ownership.closing(partition);
                    if let Some(place) = self.places.get(&partition) {
                        place.holding.close.cancel();
                    }
                }
            }
        }
    }

    fn place_of(&self, partition: Partition) -> crate::broker::Place {
        crate::broker::Place { group: self.group.clone(), partition }
    }

    fn acquire(&mut self, partition: Partition) {
        let place = self.place_of(partition);
        let wish = self.wishes.entry(partition).or_insert_with(|| Wish {
            nonce: fresh_nonce(&self.around.worker),
            before: None,
            asked: false,
        });
        wish.asked = true;
        let before = wish.before.take();
        let request = Acquire {
            place: place.clone(),
            nonce: wish.nonce.clone(),
            worker: self.around.worker.clone(),
            ttl: self.manner.lock_expiry,
            start: self.manner.start,
            joined: self.membership.since().unwrap_or_default(),
        };
        let (broker, changes) = (self.around.handle.broker().clone(), self.server_changes.clone());
        self.tasks.start(async move {
            if let Some(fence) = before {
                // Without an answer we only have to wait for our own old lease to lapse.
                let _ = broker.release(&place, &fence, None).await;
            }
            let asked = Asked { server: *changes.borrow(), sent: clock::now() };
            Report::Acquired { partition, asked, answer: broker.acquire(&request).await }
        });
    }

    pub(super) fn acquired(
        &mut self,
        partition: Partition,
        asked: Asked,
        answer: Result<Acquired, BrokerError>,
        now: Instant,
    ) {
        let processor = self.group.processor.clone();
        if let Some(wish) = self.wishes.get_mut(&partition) {
            wish.asked = false;
        }
        match answer {
            Ok(Acquired::Owned(owned)) => {
                let nonce = self.wishes.remove(&partition).map(|wish| wish.nonce);
                self.ownership.acquired(partition);
                if self.membership.told_stopped(partition).is_some() {
                    self.note_stopped(partition, None);
                }
                self.open(partition, nonce.unwrap_or_default(), owned, asked);
            }
            Ok(Acquired::Held { by, wait }) => {
                tracing::debug!(%processor, %partition, %by, ?wait, "another worker still owns the partition");
                self.wishes.remove(&partition);
                self.ownership.held(partition, wait, now);
            }
            Ok(Acquired::Stopped(stop)) => {
                self.wishes.remove(&partition);
                if self.membership.told_stopped(partition) != Some(&stop) {
                    tracing::warn!(%processor, %partition, kind = ?stop.kind, id = %stop.at, error = %stop.error, "the partition is stopped: leaving it alone");
                    self.note_stopped(partition, Some(stop));
                }
                self.ownership.stopped(partition, now);
            }
            Ok(Acquired::Spent) => {
                self.wishes.remove(&partition);
                self.ownership.failed(partition, now);
            }
            Err(error) => {
                // Asked again with the same nonce, if the answer is unclear.
                if error.is_certain() && !error.is_transient() {
                    tracing::error!(%processor, %partition, error = %crate::error::chain(&error), "the partition cannot be acquired: trying again");
                    self.wishes.remove(&partition);
                } else {
                    tracing::debug!(%processor, %partition, %error, "acquiring is interrupted");
                }
                self.ownership.failed(partition, now);
            }
        }
    }

    fn open(&mut self, partition: Partition, nonce: Arc<str>, owned: Box<Owned>, asked: Asked) {
        self.tell_notes(partition, &owned.notes);
        let fence = Fence { nonce, epoch: owned.epoch };
        let place = self.place_of(partition);
        let ledger = Arc::new(Ledger::new(place, fence, asked.server, self.manner.dead_letter_size, &owned));
        if *self.server_changes.borrow() != asked.server {
            // The server that answered is gone already.
            ledger.lost.cancel();
        }
        let lease = Lease::new(asked.sent, self.manner.lock_expiry, self.manner.grace_period);
        let holding = Arc::new(Holding::new(ledger, lease, owned.position));
        let tenancy = Arc::new(Tenancy {
            handle: self.around.handle.clone(),
            states: self.around.states.clone(),
            worker: self.around.worker.clone(),
            stream: self.group.stream.name.as_str().into(),
            processor: self.group.processor.clone(),
            partition,
            epoch: owned.epoch,
            is_ours: holding.is_ours.clone(),
            witness: self.around.witness.clone(),
            in_hand: InHand::default(),
            run: self.run_of(partition, holding.is_ours.clone()),
        });
        self.places.insert(partition, Place { holding: holding.clone() });
        let opening = Box::new(Opening {
            spec: self.spec.clone(),
            manner: self.manner.clone(),
            tenancy,
            holding,
            owned,
            committer: self.committer.clone(),
            appetite: self.around.appetite.clone(),
            suspects: self.around.suspects.clone(),
            gate: self.around.gate.clone(),
            recorder: self.around.recorder.clone(),
        });
        self.lanes.start(async move { Report::Ended { partition, end: tenancy::run(opening).await } });
    }

    /// The run that a tenancy of the partition is.
    fn run_of(&self, partition: Partition, is_ours: Arc<AtomicBool>) -> RunContext {
        let run_id = RunId::fresh();
        let kept = self.around.keeping.as_ref().filter(|_| self.spec.is_recorded());
        RunContext::new(RunFacts {
            output: kept.map(|kept| kept.begin(&run_id, &self.group.processor, 1)),
            handle: self.around.handle.clone(),
            run_id,
            task_name: self.group.processor.clone(),
            kind: TaskKind::Processor,
            partition: Some(partition.0),
            worker: self.around.worker.clone(),
            instant: None,
            term: None,
            attempt: 1,
            started: self.around.recorder.clock().now(),
            is_ours,
            work: None,
            branch: None,
        })
    }

    pub(super) fn tell_notes(&self, partition: Partition, notes: &[Note]) {
        for note in notes {
            let processor = &self.group.processor;
            match note {
                Note::Begun => tracing::debug!(%processor, %partition, "{note}"),
                note => tracing::warn!(%processor, %partition, "{note}"),
            }
        }
    }

    /// What we own is not stopped, whatever the group was told: that word came late. Without a contradiction a plan would
    /// take the partition from us and give it to nobody. But it is the word that may be right, and we that do not know yet:
    /// whoever was refused for the same mark would tell the group again, and so would we, for ever. So the store is asked
    /// first, by a renewal; see [`renewed`](Self::renewed).
    pub(super) fn doubt_stops(&mut self, now: Instant) {
        let is_doubtful = |(partition, place): (&Partition, &Place)| {
            self.membership.told_stopped(*partition).is_some() && !place.holding.ledger.lost.is_cancelled()
        };
        if self.places.iter().any(is_doubtful) {
            self.next_renewal = now;
        }
    }

    /// Tells the group, for the next plan.
    pub(super) fn note_stopped(&mut self, partition: Partition, stop: Option<Stop>) {
        self.membership.tell_stopped(partition, stop.as_ref());
        let (broker, group) = (self.around.handle.broker().clone(), self.group.clone());
        self.tasks.start(async move {
            if let Err(error) = broker.note_stopped(&group, partition, stop.as_ref()).await {
                tracing::debug!(%partition, %error, "the group was not told that a partition is stopped, or no more");
            }
            Report::Done
        });
    }

    pub(super) fn ended(&mut self, partition: Partition, end: LaneEnd, now: Instant) {
        let place = self.places.remove(&partition);
        match end {
            LaneEnd::Closed => {
                self.ownership.released(partition);
                // It was ours to the end, so no mark stood there. Whoever looks next at what is stopped does so in half a
                // minute.
                if self.membership.told_stopped(partition).is_some() {
                    self.note_stopped(partition, None);
                }
            }
            LaneEnd::Lost => {
                if let Some(place) = place {
                    let wish = Wish {
                        nonce: fresh_nonce(&self.around.worker),
                        before: Some(place.holding.ledger.fence.clone()),
                        asked: false,
                    };
                    self.wishes.insert(partition, wish);
                }
                self.ownership.lost(partition, now);
            }
            LaneEnd::Stopped(mark) => {
                self.ownership.released(partition);
                self.ownership.stopped(partition, now);
                // The exact time of the mark is in Redis; whoever tries to acquire learns it there.
                let since = self.membership.server_time(now);
                self.note_stopped(
                    partition,
                    Some(Stop { kind: mark.kind, at: mark.at, error: mark.error.clone(), since }),
                );
                if mark.kind == StopKind::Halted {
                    let (processor, stream) = (self.group.processor.clone(), self.group.stream.name.clone());
                    // It only fails when the worker is being dropped.
                    let _ = self.around.reports.send(Halt { processor, stream, partition, mark });
                }
            }
        }
    }

    // --- the bell ----------------------------------------------------------------------------------------------------

    pub(super) fn listen_for_the_bell(&mut self, (heard_at, heard): (Server, EventId)) {
        let (broker, group) = (self.around.handle.broker().clone(), self.group.clone());
        let changes = self.server_changes.clone();
        self.tasks.start(async move {
            loop {
                let server = *changes.borrow();
                // One that has lost writes may ring with lower numbers than those heard before.
                let after = if server == heard_at { heard } else { EventId::ZERO };
                // Rings that came before say nothing that the first beat does not say as well; all of them are one.
                match broker.read(&Source::Bell(group.clone()), after, 256, false).await {
                    Ok(rings) => match rings.last() {
                        Some(ring) => return Report::Bell((server, ring.id)),
                        None => continue,
                    },
                    Err(error) => {
                        tracing::debug!(processor = %group.processor, %error, "not listening for plan changes: the next beat will tell");
                        clock::sleep(std::time::Duration::from_secs(1)).await;
                    }
                }
            }
        });
    }
}

/// Never used before or after.
fn fresh_nonce(worker: &str) -> Arc<str> {
    format!("{worker}:{:016x}{:08x}", fastrand::u64(..), fastrand::u32(..)).into()
}
