//! Writers of one run in one process, one after the other: cheaper than finding out from the store.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use tokio::sync::{Mutex, MutexGuard};

use crate::runs::RunId;

/// As many writers of different runs as this do not wait for each other.
const TURNS: usize = 64;

/// Turns to write, by run.
#[derive(Debug)]
pub(super) struct Turns([Mutex<()>; TURNS]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Turns {
    /// Waits until nobody else in this process writes that run.
    pub(super) async fn of(&self, id: &RunId) -> MutexGuard<'_, ()> {
        let at = BuildHasherDefault::<DefaultHasher>::default().hash_one(id) as usize % TURNS;
        self.0[at].lock().await
    }
}
