//! The server that the handles of one [`Memory`](super::Memory) share: the store behind its lock, its clock, what is
//! still on its way, and who must be woken or told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{self, Instant, UnixMs};

use super::link::Link;
use super::store::{Inbox, ServerTime, Store};

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct World {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    store: Store,
    clock: Clock,
    /// Rises when the server becomes another one: what was on its way to the old one never arrives.
    server: u64,
    late: Vec<LateStep>,
    inboxes: BTreeMap<Inbox, Arc<Notify>>,
    links: Vec<Weak<Link>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            store: Store::default(),
            clock: Clock::starting_at(Clock::FIXED),
            server: 1,
            late: Vec::new(),
            inboxes: BTreeMap::new(),
            links: Vec::new(),
        }
    }
}

type Step = Box<dyn FnOnce(&mut Store, ServerTime) + Send>;

/// A step that arrives later than its asker waits.
struct LateStep {
    due: Instant,
    step: Step,
}

impl std::fmt::Debug for LateStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LateStep").field("due", &self.due).finish_non_exhaustive()
    }
}

/// The server's wall clock: it runs with ours, from a base of its own, and can be made to jump.
#[derive(Debug)]
struct Clock {
    started: Instant,
    base: Duration,
}

impl Clock {
    /// 2026-01-01, so that ids look like ids and every run has the same ones.
    const FIXED: UnixMs = 1_767_225_600_000;

    fn starting_at(base: UnixMs) -> Self {
        Self { started: clock::now(), base: Duration::from_millis(base) }
    }

    fn now(&self) -> ServerTime {
        let time = self.base.saturating_add(clock::now().since(self.started));
        ServerTime { micros: u64::try_from(time.as_micros()).unwrap_or(u64::MAX) }
    }
}

impl World {
    pub(super) fn with_clock_at(base: UnixMs) -> Self {
        let state = State { clock: Clock::starting_at(base), ..State::default() };
        Self { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no step of the store panics")
    }

    /// Does one step, after those that were late and are due by now.
    pub(super) fn step<T>(&self, step: impl FnOnce(&mut Store, ServerTime) -> T) -> T {
        self.lock().step(step)
    }

    /// Does a step of a question that set out to the server `server`; not at all if that is gone.
    pub(super) fn step_at<T>(&self, server: u64, step: impl FnOnce(&mut Store, ServerTime) -> T) -> Option<T> {
        let mut state = self.lock();
        (state.server == server).then(|| state.step(step))
    }

    /// Has a step done later, unless the server changes before.
    ///
    /// It is done by the first step that is taken when it is due: a store that nobody asks anything keeps still.
    pub(super) fn later(&self, by: Duration, step: impl FnOnce(&mut Store, ServerTime) + Send + 'static) {
        let due = clock::now() + by;
        self.lock().late.push(LateStep { due, step: Box::new(step) });
    }

    /// Which server this is.
    pub(super) fn server(&self) -> u64 {
        self.lock().server
    }

    /// Wakes when something may have arrived there.
    pub(super) fn inbox(&self, inbox: Inbox) -> Arc<Notify> {
        Arc::clone(self.lock().inboxes.entry(inbox).or_default())
    }

    pub(super) fn connect(&self, link: &Arc<Link>) {
        let mut state = self.lock();
        state.links.retain(|link| link.strong_count() > 0);
        state.links.push(Arc::downgrade(link));
    }

    /// Becomes another server, with this done to its store first: what was on its way is lost, and everybody hears of
    /// it who is not cut off.
    pub(super) fn change_server<T>(&self, change: impl FnOnce(&mut Store, ServerTime) -> T) -> T {
        let mut state = self.lock();
        let now = state.clock.now();
        let answer = change(&mut state.store, now);
        state.server += 1;
        state.late.clear();
        state.wake_readers();
        for link in state.links.iter().filter_map(Weak::upgrade) {
            link.tell_server_changed();
        }
        answer
    }

    /// Makes the server's clock jump by so many milliseconds, back if negative.
    pub(super) fn jump(&self, by_ms: i64) {
        let mut state = self.lock();
        let by = Duration::from_millis(by_ms.unsigned_abs());
        let base = state.clock.base;
        state.clock.base = if by_ms < 0 { base.saturating_sub(by) } else { base.saturating_add(by) };
    }
}

impl State {
    fn step<T>(&mut self, step: impl FnOnce(&mut Store, ServerTime) -> T) -> T {
        self.catch_up();
        let answer = step(&mut self.store, self.clock.now());
        self.wake_readers();
        answer
    }

    /// Does what is due, in the order in which it is.
    fn catch_up(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let (local, now) = (clock::now(), self.clock.now());
        let (mut due, late): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.late).into_iter().partition(|step| step.due <= local);
        self.late = late;
        due.sort_by_key(|step| step.due);
        for LateStep { step, .. } in due {
            step(&mut self.store, now);
        }
    }

    fn wake_readers(&mut self) {
        for inbox in std::mem::take(&mut self.store.arrivals) {
            if let Some(waiting) = self.inboxes.get(&inbox) {
                waiting.notify_waiters();
            }
        }
    }
}
