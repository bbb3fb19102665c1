//! The way from one worker to the store: what it draws by chance, whether it is cut, and what it has heard.

use std::sync::Mutex;

use tokio::sync::watch;

use super::faults::{Fault, Faults, Journey, Operation, Weather};

/// See the file's head.
#[derive(Debug)]
pub(super) struct Link {
    weather: Mutex<Weather>,
    cut: watch::Sender<bool>,
    /// How often the server changed, as far as this side knows.
    heard: watch::Sender<u64>,
    /// Changes that happened while the link was cut.
    unheard: Mutex<u64>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            weather: Mutex::new(Weather::new(Faults::default())),
            cut: watch::Sender::new(false),
            heard: watch::Sender::new(0),
            unheard: Mutex::new(0),
        }
    }
}

const NO_PANIC: &str = "no code panics while it holds this lock";

impl Link {
    pub(super) fn set_faults(&self, faults: Faults) {
        self.weather.lock().expect(NO_PANIC).set(faults);
    }

    pub(super) fn next_fault(&self, operation: Operation, fault: Fault) {
        self.weather.lock().expect(NO_PANIC).next(operation, fault);
    }

    pub(super) fn journey(&self, operation: Operation, questions: usize) -> Journey {
        self.weather.lock().expect(NO_PANIC).journey(operation, questions)
    }

    /// Nothing passes any more, in either direction, until it is healed.
    pub(super) fn cut(&self) {
        self.cut.send_replace(true);
    }

    pub(super) fn heal(&self) {
        self.cut.send_replace(false);
        let unheard = std::mem::take(&mut *self.unheard.lock().expect(NO_PANIC));
        if unheard > 0 {
            self.heard.send_modify(|heard| *heard += unheard);
        }
    }

    /// Waits while the link is cut, for ever if need be.
    pub(super) async fn open(&self) {
        let mut cut = self.cut.subscribe();
        cut.wait_for(|cut| !*cut).await.expect("the sender lives in the link itself");
    }

    pub(super) fn tell_server_changed(&self) {
        if *self.cut.borrow() {
            *self.unheard.lock().expect(NO_PANIC) += 1;
        } else {
            self.heard.send_modify(|heard| *heard += 1);
        }
    }

    /// How often the server has changed, as far as this side knows.
    pub(super) fn heard(&self) -> u64 {
        *self.heard.borrow()
    }

    pub(super) fn server_changes(&self) -> watch::Receiver<u64> {
        self.heard.subscribe()
    }
}
