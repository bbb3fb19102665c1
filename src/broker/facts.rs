//! What is known of servers and streams, as plain data.

use std::sync::Arc;

use crate::clock::UnixMs;
use crate::event::{EventId, Partition};

use super::fence::FenceFacts;

/// The version of our key layout and scripts. Processes of another one are refused.
pub const LAYOUT_VERSION: u32 = 1;

/// Which keys a stream has in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyLayout {
    /// Ours: partitions grouped by slot.
    Runnel,
    /// Those of runnel for Python: one slot a partition.
    Python,
}

/// What all processes that use a stream must agree on. Kept in Redis; fixed when the stream is first declared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamFacts {
    /// Its name.
    pub name: String,
    /// [`LAYOUT_VERSION`] of the process that declared it.
    pub layout_version: u32,
    /// How many partitions it has.
    pub partitions: u32,
    /// How many slot groups they lie in: partition n in group n mod this.
    pub slot_groups: u32,
    /// Which keys.
    pub keys: KeyLayout,
    /// The partitioner's name.
    pub partitioner: String,
    /// The codec's name. The only fact that processes may differ in.
    pub codec: String,
    /// Server time of the declaration; 0 in a declaration.
    pub created: UnixMs,
}

#[cfg(test)]
impl StreamFacts {
    /// A stream for tests.
    pub(crate) fn orders(partitions: u32) -> Self {
        Self {
            name: "orders".into(),
            layout_version: super::LAYOUT_VERSION,
            partitions,
            slot_groups: partitions.min(16),
            keys: KeyLayout::Runnel,
            partitioner: "xxh64".into(),
            codec: "json".into(),
            created: 0,
        }
    }
}

/// Facts of a stream, shared.
pub type StreamRef = Arc<StreamFacts>;

/// A server, as far as we need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// `redis`, `valkey` or `memory`.
    pub product: String,
    /// Its version: (7, 0, 15).
    pub version: (u32, u32, u32),
    /// Its clock.
    pub now: UnixMs,
    /// Changes at each restart.
    pub run_id: String,
    /// Whether writes are accepted by role (primary).
    pub is_primary: bool,
    /// `noeviction`, `volatile-lru` ...
    pub eviction: String,
    /// What survives a crash: `appendonly always`, `appendonly everysec`, `snapshots`, `nothing`.
    pub persistence: String,
    /// Replicas connected.
    pub replicas: u32,
}

/// What lies in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSurvey {
    /// Which.
    pub partition: Partition,
    /// Entries in it.
    pub length: u64,
    /// Entries ever added to it.
    pub added: u64,
    /// The first entry's id, if there is one.
    pub first: Option<EventId>,
    /// The last id ever given out.
    pub last: EventId,
    /// Every group of it: ours and foreign ones.
    pub groups: Vec<GroupSurvey>,
}

/// How far one group of a partition is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSurvey {
    /// The group's name: that of the processor, for ours.
    pub name: String,
    /// Whether it is registered: retention waits for it.
    pub registered: bool,
    /// The group's last-delivered id; none if a registered group is missing.
    pub position: Option<EventId>,
    /// Entries after the position, if Redis knows.
    pub lag: Option<u64>,
    /// Pending entries (foreign consumers only).
    pub pending: u64,
    /// Consumers (foreign only).
    pub consumers: u64,
    /// Our fence, if there is one.
    pub fence: Option<FenceFacts>,
}
