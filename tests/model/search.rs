//! Visits every state that can be reached, once.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use crate::rules::Rules;
use crate::steps::Step;
use crate::world::{Broken, Events, Promise, World};

/// What a search found.
pub enum Found {
    /// Every promise holds in every one of so many states.
    Holds { states: usize },
    /// A state in which promises are broken, and a shortest way there.
    Breaks { broken: Broken, way: Vec<Step> },
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds { states } => write!(f, "holds in {states} states"),
            Self::Breaks { broken, way } => {
                let way: Vec<_> = way.iter().map(Step::to_string).collect();
                write!(f, "{broken} is broken: {}", way.join("; "))
            }
        }
    }
}

/// Searches the whole model. Workers are interchangeable, so that states which differ in their names only are visited
/// once; a way that was found like this is searched again with names that stay.
pub fn search(rules: &Rules) -> Found {
    let mut reduced = Search::new(true);
    match reduced.run(rules) {
        None => Found::Holds { states: reduced.worlds.len() },
        Some(_) => {
            let mut named = Search::new(false);
            let (at, broken) = named.run(rules).expect("names do not change what can be reached");
            Found::Breaks { broken, way: named.way_to(at) }
        }
    }
}

#[derive(Default)]
struct Search {
    reduces: bool,
    numbers: HashMap<World, u32, BuildHasherDefault<Mixer>>,
    worlds: Vec<World>,
    /// How each state was first reached.
    reached: Vec<Option<(u32, Step)>>,
    /// Every step, as (to, from).
    steps: Vec<(u32, u32)>,
}

impl Search {
    fn new(reduces: bool) -> Self {
        Self { reduces, ..Self::default() }
    }

    /// Breadth first, until a promise is broken. Answers where, and what.
    fn run(&mut self, rules: &Rules) -> Option<(u32, Broken)> {
        self.visit(rules.beginning(), None);
        let mut at = 0;
        while let Some(&world) = self.worlds.get(at as usize) {
            let broken = broken_in(rules, &world);
            if broken.is_any() {
                return Some((at, broken));
            }
            rules.steps(&world, &mut |step, after| self.visit(after, Some((at, step))));
            at += 1;
        }
        self.first_stuck(rules).map(|at| {
            let mut broken = Broken::default();
            broken.note(Promise::Progress);
            (at, broken)
        })
    }

    fn visit(&mut self, world: World, by: Option<(u32, Step)>) {
        let world = if self.reduces { world.canonical() } else { world };
        let new = self.worlds.len() as u32;
        let number = *self.numbers.entry(world).or_insert(new);
        if number == new {
            self.worlds.push(world);
            self.reached.push(by);
        }
        if let Some((from, _)) = by {
            self.steps.push((number, from));
        }
    }

    /// The first state from which nothing leads to the end, though somebody could still acquire the partition.
    fn first_stuck(&mut self, rules: &Rules) -> Option<u32> {
        self.steps.sort_unstable();
        let mut is_good: Vec<bool> = self.worlds.iter().map(|world| rules.is_over(world)).collect();
        let mut good: Vec<u32> = (0..self.worlds.len() as u32).filter(|&at| is_good[at as usize]).collect();
        while let Some(at) = good.pop() {
            let first = self.steps.partition_point(|&(to, _)| to < at);
            for &(_, from) in self.steps[first..].iter().take_while(|&&(to, _)| to == at) {
                if !std::mem::replace(&mut is_good[from as usize], true) {
                    good.push(from);
                }
            }
        }
        let is_stuck = |&at: &usize| !is_good[at] && self.worlds[at].acquisitions < rules.acquisitions;
        (0..self.worlds.len()).find(is_stuck).map(|at| at as u32)
    }

    fn way_to(&self, at: u32) -> Vec<Step> {
        let mut way = Vec::new();
        let mut at = at;
        while let Some((from, step)) = self.reached[at as usize] {
            way.push(step);
            at = from;
        }
        way.reverse();
        way
    }
}

/// What was broken on the way here, and what is broken now.
fn broken_in(rules: &Rules, world: &World) -> Broken {
    let mut broken = world.broken;
    let store = &world.store;
    // As our own copy of the position says it: that of the group is anybody's to move.
    let settled = Events::before(store.copy).and(store.done);
    if !settled.only(store.entries).without(world.finished).is_empty() {
        broken.note(Promise::NothingUnprocessed);
    }
    let have_effects = store.effects.only(store.entries);
    if rules.effects_in_commit && have_effects != settled.only(store.entries) {
        broken.note(Promise::EffectsOnce);
    }
    broken
}

/// Mixes bytes quickly. Nobody chooses our states to make them collide.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(n.into());
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_isize(&mut self, n: isize) {
        self.write_u64(n as u64);
    }
}
