//! Runs what was drawn: sends, lets perils befall the app, makes peace, and tells the story.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use runnel::broker::memory::{Checkpoint, Faults, PartitionSnapshot};
use runnel::broker::{Intervention, Place, Start};
use runnel::clock::{self, Instant};
use runnel::prelude::*;
use runnel::testing::TestApp;

use super::app::{self, Order, Shared};
use super::draw::{Climate, Draw, Peril, millis};
use super::facts::{Story, facts};
use super::patience;

pub const PARTITIONS: u32 = 4;

/// The story of a run, and what is wrong with its end already.
pub async fn run(draw: &Draw) -> (Story, Vec<String>) {
    // What the engine draws for itself is drawn on this thread.
    fastrand::seed(draw.seed);
    let mut world = World::build(draw).await;
    let problems = patience::within_limits(world.live()).await.unwrap_or_else(|restless| vec![restless]);
    (world.story(), problems)
}

struct World<'a> {
    draw: &'a Draw,
    chance: Rng,
    app: TestApp,
    door: runnel::AppStream<Order>,
    shared: std::sync::Arc<Shared>,
    places: Vec<Place>,
    joined: usize,
    seq: u64,
    acked: Vec<(u64, EventId)>,
    settled_before: Vec<((String, u32), EventId)>,
    /// When a worker goes on, or its link does.
    undo: Vec<(Instant, String)>,
    replica: (Checkpoint, Instant),
    clock_jumped: bool,
    has_strangers: bool,
}

impl<'a> World<'a> {
    async fn build(draw: &'a Draw) -> Self {
        let (declared, orders, shared) = app::declare(draw);
        let door = declared.stream(&orders);
        let app = TestApp::without_workers(declared).await;
        let mut places = Vec::new();
        for processor in &draw.processors {
            for partition in 0..PARTITIONS {
                places.push(app.place(processor.name, Partition(partition)).await);
            }
        }
        let replica = (app.memory().checkpoint(), clock::now());
        Self {
            draw,
            chance: Rng::with_seed(draw.seed ^ 0x5eed),
            app,
            door,
            shared,
            places,
            joined: 0,
            seq: 0,
            acked: Vec::new(),
            settled_before: Vec::new(),
            undo: Vec::new(),
            replica,
            clock_jumped: false,
            has_strangers: false,
        }
    }

    /// Everything that happens, from the first worker to the last; what is wrong with the end of it.
    async fn live(&mut self) -> Vec<String> {
        let draw = self.draw;
        if draw.is_migrated {
            self.be_used_by_others().await;
        }
        for _ in 0..draw.workers {
            self.join().await;
        }
        for _ in 0..draw.rounds {
            self.send().await;
            if self.chance.u8(..3) == 0 {
                let perils = draw.climate.perils();
                let peril = perils[self.chance.usize(..perils.len())];
                self.befall(peril).await;
            }
            let time = millis(self.chance.u64(0..400));
            self.app.advance(time).await;
            self.tend().await;
        }
        self.peace().await
    }

    /// Sends a few events, one after another.
    async fn send(&mut self) {
        let count = self.chance.usize(0..8);
        for _ in 0..count {
            self.seq += 1;
            let order = Order { key: format!("k{}", self.chance.u8(..9)), seq: self.seq };
            // Without an answer it may be there or not.
            if let Ok(id) = self.door.send(order).await {
                self.acked.push((self.seq, id));
            }
        }
    }

    async fn join(&mut self) {
        self.joined += 1;
        let name = format!("w{}", self.joined);
        let faults =
            Faults { seed: self.draw.faults.seed.wrapping_add(self.joined as u64), ..self.draw.faults.clone() };
        self.app.add_worker(&name).await.link().set_faults(faults);
    }

    /// Takes away the workers that have ended, and lets those go on whose time has come.
    async fn tend(&mut self) {
        let ended: Vec<String> =
            self.app.workers().iter().filter(|worker| worker.has_ended()).map(|worker| worker.name().into()).collect();
        ended.iter().for_each(|name| self.app.crash(name));
        let now = clock::now();
        let due: BTreeSet<String> =
            self.undo.iter().filter(|(at, _)| *at <= now).map(|(_, name)| name.clone()).collect();
        self.undo.retain(|(at, _)| *at > now);
        for worker in self.app.workers().iter().filter(|worker| due.contains(worker.name())) {
            worker.pause(false);
            worker.link().heal();
        }
        if self.app.workers().is_empty() {
            self.join().await;
        }
    }

    fn any_worker(&mut self) -> Option<String> {
        let names: Vec<_> = self.app.workers().iter().map(|worker| worker.name().to_owned()).collect();
        self.chance.choice(names)
    }

    fn any_place(&mut self) -> Place {
        self.chance.choice(self.places.clone()).expect("there is a processor in every run")
    }

    // --- perils ------------------------------------------------------------------------------------------------------

    async fn befall(&mut self, peril: Peril) {
        let Some(mut name) = self.any_worker() else { return };
        if matches!(peril, Peril::CrashLeader | Peril::PauseLeader | Peril::CutLeader) {
            let leader = self.app.leader().await.filter(|leader| self.app.workers().iter().any(|w| w.name() == leader));
            name = leader.unwrap_or(name);
        }
        let place = self.any_place();
        let for_long = self.draw.lock_expiry * self.chance.u32(1..=25) / 10;
        match peril {
            Peril::Join if self.app.workers().len() < 5 => self.join().await,
            Peril::Join => {}
            Peril::Drain => self.app.worker(&name).tell_to_drain(),
            Peril::Crash | Peril::CrashLeader => self.app.crash(&name),
            Peril::Pause | Peril::PauseLeader => {
                self.app.worker(&name).pause(true);
                self.undo.push((clock::now() + for_long, name));
            }
            Peril::Cut | Peril::CutLeader => {
                self.app.worker(&name).link().cut();
                self.undo.push((clock::now() + for_long, name));
            }
            Peril::Restart | Peril::Replicate | Peril::FailOver | Peril::LoseTail | Peril::ClockJump => {
                self.befall_server(peril, &place);
            }
            Peril::DeleteGroup | Peril::MoveGroup | Peril::ForeignRead => self.meddle(peril, &place),
            Peril::OperatorPause | Peril::OperatorResume | Peril::OperatorSkip | Peril::OperatorReset => {
                self.operate(peril, &place).await;
            }
        }
    }

    fn befall_server(&mut self, peril: Peril, place: &Place) {
        let memory = self.app.memory().clone();
        match peril {
            Peril::Restart => memory.restart(),
            Peril::FailOver => {
                let since = clock::now().since(self.replica.1).as_millis() as i64;
                memory.roll_back(&self.replica.0);
                // The replica's clock may be behind: ids come back for other events.
                if self.chance.bool() {
                    self.clock_jumped = true;
                    memory.jump(-since - self.chance.i64(0..1_000));
                }
                self.replica = (memory.checkpoint(), clock::now());
            }
            Peril::LoseTail => {
                // A replica that has a commit has what was sent before it.
                let open = self.open_events(place.partition);
                memory.lose_tail(&place.group.stream, place.partition, self.chance.usize(1..6).min(open));
                if self.chance.bool() {
                    self.clock_jumped = true;
                    memory.jump(-self.chance.i64(0..2_000));
                }
            }
            Peril::ClockJump => {
                self.clock_jumped = true;
                let by = [1_000, 10_000, 3_600_000][self.chance.usize(..3)];
                memory.jump(if self.chance.bool() { by } else { -by });
            }
            _ => self.replica = (memory.checkpoint(), clock::now()),
        }
    }

    fn meddle(&mut self, peril: Peril, place: &Place) {
        let memory = self.app.memory().clone();
        match peril {
            Peril::DeleteGroup => memory.delete_group(place),
            Peril::MoveGroup => {
                let ids: Vec<_> = self.acked.iter().map(|(_, id)| *id).collect();
                let to = self.chance.choice(ids).unwrap_or_default();
                let now = self.position(place);
                if to < now {
                    memory.move_group(place, to);
                }
            }
            _ => {
                self.has_strangers = true;
                memory.read_in_group(place, "stranger", self.chance.usize(1..4));
            }
        }
    }

    async fn operate(&mut self, peril: Peril, place: &Place) {
        let ids: Vec<_> = self.acked.iter().map(|(_, id)| *id).filter(|id| *id <= self.position(place)).collect();
        let change = match peril {
            Peril::OperatorPause => Intervention::Pause,
            Peril::OperatorResume => Intervention::Resume,
            Peril::OperatorSkip => Intervention::Skip,
            _ => match self.chance.choice(ids) {
                Some(id) => Intervention::Reset(Start::After(id)),
                None => Intervention::Reset(Start::Beginning),
            },
        };
        self.app.intervene(&place.group.processor, place.partition, change).await;
    }

    /// How many events of a partition no processor has committed.
    fn open_events(&self, partition: Partition) -> usize {
        let partitions = self.partitions();
        let Some(found) = partitions.iter().find(|found| found.partition == partition) else { return 0 };
        let furthest = found.fences.iter().map(|(_, fence, _)| fence.position).max().unwrap_or_default();
        found.entries.iter().filter(|(id, _)| *id > furthest).count()
    }

    fn position(&self, place: &Place) -> EventId {
        self.positions().get(&(place.group.processor.to_string(), place.partition.0)).copied().unwrap_or_default()
    }

    fn positions(&self) -> BTreeMap<(String, u32), EventId> {
        let partitions = self.partitions();
        let fences = partitions.iter().flat_map(|p| p.fences.iter().map(move |(name, fence, _)| (p, name, fence)));
        fences.map(|(p, name, fence)| ((name.clone(), p.partition.0), fence.position)).collect()
    }

    /// Others have read all partitions with consumers, and acknowledged some of it, before our time.
    async fn be_used_by_others(&mut self) {
        let memory = self.app.memory().clone();
        self.places.iter().for_each(|place| memory.create_group(place, EventId::ZERO));
        for _ in 0..6 {
            self.send().await;
        }
        for place in self.places.clone() {
            let mut read = memory.read_in_group(&place, "stranger", self.chance.usize(0..12));
            read.retain(|_| self.chance.u8(..3) > 0);
            memory.acknowledge(&place, &read);
            let at = (place.group.processor.to_string(), place.partition.0);
            self.settled_before.extend(read.into_iter().map(|id| (at.clone(), id)));
        }
    }

    // --- in the end --------------------------------------------------------------------------------------------------

    /// Nothing goes wrong any more: everything must be settled, shared out evenly, and released.
    async fn peace(&mut self) -> Vec<String> {
        self.shared.is_repaired.store(true, Ordering::Relaxed);
        self.undo.clear();
        for worker in self.app.workers() {
            worker.link().set_faults(Faults::default());
            worker.link().heal();
            worker.pause(false);
        }
        let mut problems = Vec::new();
        let give_up = clock::now() + Duration::from_secs(180);
        loop {
            self.tend_peacefully().await;
            let waiting = self.waiting();
            if waiting.is_empty() {
                break;
            }
            if clock::now() > give_up {
                problems.extend(waiting);
                break;
            }
            self.app.advance(millis(250)).await;
        }
        // Time to find out who is dead, and to share out afresh.
        let settle_down = self.draw.lock_expiry * 5 / 2 + Duration::from_secs(4);
        loop {
            let before = self.joined;
            self.app.advance(settle_down).await;
            self.tend_peacefully().await;
            // Who has joined only now, since the last worker had halted before all was repaired, needs that time as well.
            if self.joined == before {
                break;
            }
        }
        problems.extend(self.unevenly_shared());
        for end in self.app.drain().await {
            if let Err(failure) = end {
                problems.push(format!("C10 a worker ended with: {failure}"));
            }
        }
        problems
    }

    async fn tend_peacefully(&mut self) {
        let before = self.joined;
        self.tend().await;
        if self.joined > before {
            self.app.workers().iter().for_each(|worker| worker.link().set_faults(Faults::default()));
        }
        let partitions = self.partitions();
        for partition in partitions {
            for (processor, fence, _) in &partition.fences {
                if fence.stop.is_some() {
                    self.app.intervene(processor, partition.partition, Intervention::Resume).await;
                }
            }
        }
    }

    /// What the store holds of the events: workers note their runs there, too.
    fn partitions(&self) -> Vec<PartitionSnapshot> {
        let all = self.app.memory().snapshot().partitions;
        all.into_iter().filter(|partition| partition.stream == "orders").collect()
    }

    /// What is not settled, a line each.
    fn waiting(&self) -> Vec<String> {
        let positions = self.positions();
        let mut waiting = Vec::new();
        for partition in self.partitions() {
            for processor in &self.draw.processors {
                let position = positions.get(&(processor.name.to_owned(), partition.partition.0)).copied();
                if position.unwrap_or_default() < partition.last {
                    waiting.push(format!(
                        "C7 `{}` is at {position:?} in partition {}, which goes to {}",
                        processor.name, partition.partition, partition.last
                    ));
                }
            }
        }
        waiting
    }

    /// Every partition must have an owner that lives, and no worker two more than another.
    fn unevenly_shared(&self) -> Vec<String> {
        let partitions = self.partitions();
        let alive = |name: &str| self.app.workers().iter().any(|w| w.name() == name && !w.has_ended());
        let mut problems = Vec::new();
        for processor in &self.draw.processors {
            let owner = |partition: u32| {
                let found = partitions.iter().find(|p| p.partition.0 == partition)?;
                let fence = found.fences.iter().find(|(name, ..)| name == processor.name);
                fence.and_then(|(_, fence, _)| fence.worker.clone()).filter(|name| alive(name))
            };
            let owners: Vec<Option<String>> = (0..PARTITIONS).map(owner).collect();
            let counts = self.app.workers().iter().filter(|worker| !worker.has_ended());
            let counts = counts.map(|w| owners.iter().flatten().filter(|owner| *owner == w.name()).count());
            let (least, most) = counts.fold((usize::MAX, 0), |(least, most), n| (least.min(n), most.max(n)));
            if owners.iter().any(Option::is_none) || most > least + 1 {
                problems.push(format!("C7 `{}` is shared out as {owners:?}", processor.name));
            }
        }
        problems
    }

    fn story(self) -> Story {
        let heard = std::mem::take(&mut *self.shared.heard.lock().expect("no code panics while it holds this lock"));
        Story {
            facts: facts(&self.app, heard),
            acked: self.acked,
            processors: self.draw.processors.iter().map(|processor| processor.name.to_owned()).collect(),
            settled_before: self.settled_before,
            has_strangers: self.has_strangers,
            is_calm: self.draw.climate == Climate::Calm,
            lease_ms: (!self.clock_jumped).then_some(self.draw.lock_expiry.as_millis() as u64),
        }
    }
}
