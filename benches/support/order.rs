//! The event of all measurements: an order of about 180 bytes of JSON.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::xxh64;

/// What is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) order_id: u64,
    /// Unix time. For latencies the time at which it was sent.
    pub(crate) created_us: u64,
    pub(crate) amount: f64,
    pub(crate) item_ids: [u32; 13],
}

impl Order {
    pub(crate) fn number(order_id: usize) -> Self {
        let item_ids = std::array::from_fn(|at| 1_000_000 + at as u32);
        Self { order_id: order_id as u64, created_us: 1_795_315_492_410_000, amount: 123.45, item_ids }
    }

    pub(crate) fn created_now(order_id: usize) -> Self {
        Self { created_us: unix_us(), ..Self::number(order_id) }
    }

    /// How long ago it was made.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_micros(unix_us().saturating_sub(self.created_us))
    }

    /// Where runnel places it: by the xxh64 of its number in decimal.
    pub(crate) fn partition(&self, partitions: usize) -> usize {
        (xxh64(self.order_id.to_string().as_bytes(), 0) % partitions as u64) as usize
    }
}

fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros() as u64)
}
