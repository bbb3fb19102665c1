use proptest::prelude::*;

use super::*;
use crate::decide::scenario;

/// An [`Ownership`] and the time.
struct Told {
    now: Instant,
    machine: Ownership,
}

fn begin() -> Told {
    Told { now: Instant::at(0), machine: Ownership::new(Duration::from_millis(250), None) }
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn tell(told: &mut Told, words: &[&str]) {
    let p = |text: &str| Partition(number(text));
    let Told { now, machine } = told;
    match words {
        ["attempts", n] => *machine = Ownership::new(Duration::from_millis(250), Some(number(n))),
        ["at", ms] => *now = Instant::at(number(ms)),
        ["plan", mine @ ..] => machine.planned(mine.iter().map(|text| p(text)), *now),
        ["acquired", which @ ..] => which.iter().for_each(|text| machine.acquired(p(text))),
        ["held", which, "for", ms] => machine.held(p(which), Duration::from_millis(number(ms)), *now),
        ["stopped", which] => machine.stopped(p(which), *now),
        ["closing", which] => machine.closing(p(which)),
        ["released", which] => machine.released(p(which)),
        ["lost", which] => machine.lost(p(which), *now),
        ["failed", which] => machine.failed(p(which), *now),
        _ => panic!("{words:?}"),
    }
}

fn list(partitions: impl IntoIterator<Item = Partition>) -> String {
    partitions.into_iter().map(|p| format!(" {p}")).collect()
}

fn show(told: &mut Told) -> String {
    let mut lines = Vec::new();
    let steps = told.machine.steps(told.now);
    lines.extend(steps.iter().map(|step| match step {
        Step::Acquire(p) => format!("acquire {p}"),
        Step::Close(p) => format!("close {p}"),
    }));
    lines.push(format!("owns{}", list(told.machine.owned())));
    lines.extend(told.machine.next_at().map(|at| format!("again at {}", at.since(Instant::at(0)).as_millis())));
    lines.extend(told.machine.is_settled().then(|| "settled".to_owned()));
    lines.join("; ")
}

#[test]
fn steps_as_text() {
    scenario::play(include_str!("scenarios/ownership.txt"), begin, tell, show);
}

/// What a store and a plan can bring about, in any order.
#[derive(Clone, Debug)]
enum Turn {
    Wait(u64),
    Plan(Vec<u32>),
    /// The oldest open step is answered: yes, or one of several kinds of no.
    Answer(u8),
    Lose(u32),
}

fn any_turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        (0..1_000u64).prop_map(Turn::Wait),
        prop::collection::vec(0..6u32, 0..6).prop_map(Turn::Plan),
        (0..8u8).prop_map(Turn::Answer),
        (0..6u32).prop_map(Turn::Lose),
    ]
}

/// The world around an [`Ownership`]: what was asked and not answered, and what is really ours.
struct World {
    now: Instant,
    machine: Ownership,
    open: Vec<Step>,
    ours: BTreeSet<Partition>,
    plan: BTreeSet<Partition>,
}

impl World {
    fn new() -> Self {
        let Told { now, machine } = begin();
        Self { now, machine, open: vec![], ours: BTreeSet::new(), plan: BTreeSet::new() }
    }

    fn take(&mut self, turn: &Turn) {
        match turn {
            Turn::Wait(ms) => self.now = self.now + Duration::from_millis(*ms),
            Turn::Plan(mine) => {
                self.plan = mine.iter().copied().map(Partition).collect();
                self.machine.planned(self.plan.iter().copied(), self.now);
            }
            Turn::Answer(how) if !self.open.is_empty() => {
                let step = self.open.remove(0);
                self.answer(step, *how);
            }
            Turn::Lose(p) if self.ours.remove(&Partition(*p)) => {
                self.open.retain(|step| *step != Step::Close(Partition(*p)));
                self.machine.lost(Partition(*p), self.now);
            }
            Turn::Answer(_) | Turn::Lose(_) => {}
        }
        self.ask();
    }

    fn answer(&mut self, step: Step, how: u8) {
        match (step, how) {
            (Step::Close(p), _) => {
                self.ours.remove(&p);
                self.machine.released(p);
            }
            (Step::Acquire(p), 0) => self.machine.failed(p, self.now),
            (Step::Acquire(p), 1) => self.machine.stopped(p, self.now),
            (Step::Acquire(p), 2) => self.machine.held(p, Duration::from_millis(100), self.now),
            (Step::Acquire(p), _) => {
                self.ours.insert(p);
                self.machine.acquired(p);
            }
        }
    }

    fn ask(&mut self) {
        for step in self.machine.steps(self.now) {
            let (Step::Acquire(p) | Step::Close(p)) = step;
            let is_open = |open: &Step| matches!(open, Step::Acquire(q) | Step::Close(q) if *q == p);
            assert!(!self.open.iter().any(is_open), "{step:?} while another step for it is open");
            assert_eq!(self.ours.contains(&p), step == Step::Close(p), "{step:?}");
            assert_eq!(self.plan.contains(&p), step == Step::Acquire(p), "{step:?}");
            self.open.push(step);
        }
        assert!(self.machine.owned().all(|p| self.ours.contains(&p)));
    }
}

proptest! {
    #![proptest_config(scenario::cases(300))]

    #[test]
    fn whatever_happened_the_plan_is_reached_once_the_store_says_yes(turns in prop::collection::vec(any_turn(), 0..60)) {
        let mut world = World::new();
        turns.iter().for_each(|turn| world.take(turn));

        for _ in 0..20 {
            while !world.open.is_empty() {
                world.take(&Turn::Answer(9));
            }
            world.now = world.machine.next_at().unwrap_or(world.now).max(world.now);
            world.ask();
        }

        prop_assert_eq!(&world.ours, &world.plan);
        prop_assert!(world.machine.is_settled());
        prop_assert!(world.machine.owned().eq(world.plan.iter().copied()));
    }
}
