//! Everything that speaks to a store: one trait, `redis/` and its in-memory twin `memory/`.
//!
//! The operations are those of the domain (append, read, acquire, commit ...), each one atomic step. A broker decides
//! nothing beyond what such a step must. It exists twice because the twin is what a newcomer runs with nothing
//! installed, what users test their apps with, and the world in which whole workers are simulated; the conformance
//! suite keeps the two alike.
//!
//! Every operation may be dropped at any await: it then may or may not have happened. All but [`Broker::append`] may
//! be sent again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub(crate) mod connect;
pub mod facts;
pub mod fence;
pub mod leadership;
pub mod letters;
pub mod memory;
pub mod operator;
pub mod redis;
pub mod roster;
pub mod runs;

pub use facts::*;
pub use fence::*;
pub use leadership::*;
pub use letters::*;
pub use operator::*;
pub use roster::*;
pub use runs::*;

use crate::clock::UnixMs;
use crate::event::{Entry, EventId, Fields, Partition};

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// Certainly not done: there was no connection to ask on.
    #[error("no connection to {address}")]
    Unavailable {
        /// Whom we tried to reach, without secrets.
        address: String,
        /// Why.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// Perhaps done: the question was sent and no answer came.
    #[error("no answer from {address} while {doing}")]
    Unclear {
        /// Whom we asked, without secrets.
        address: String,
        /// What was asked: "committing positions".
        doing: &'static str,
    },
    /// Certainly not done: the store said no.
    #[error("{address} refused {doing}: {code} {message}{advice}", advice = advice(code))]
    Refused {
        /// Who refused, without secrets.
        address: String,
        /// What was asked.
        doing: &'static str,
        /// The first word of the refusal: `OOM`, `NOPERM`, `WRONGTYPE`, `READONLY`, `NOAUTH`, `LOADING` ...
        code: String,
        /// The rest of it.
        message: String,
    },
    /// Done, but not known to be as safe as asked for. What was appended is there, and must not be sent again.
    #[error("{address} has event {id}, but not as safely as it should: {shortfall}")]
    NotDurable {
        /// Who has it.
        address: String,
        /// What was appended.
        id: EventId,
        /// What was asked for, and what was reached.
        shortfall: String,
    },
    /// The store answered something that this version cannot read.
    #[error("{address} answered {doing} with something unexpected: {detail}")]
    Unexpected {
        /// Who answered.
        address: String,
        /// What was asked.
        doing: &'static str,
        /// What was wrong with the answer.
        detail: String,
    },
}

impl BrokerError {
    /// Whether waiting can help: the outage of a store, not a mistake of ours.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Unclear { .. } => true,
            Self::Refused { code, .. } => matches!(
                code.as_str(),
                "OOM"
                    | "LOADING"
                    | "READONLY"
                    | "MASTERDOWN"
                    | "CLUSTERDOWN"
                    | "TRYAGAIN"
                    | "MISCONF"
                    | "BUSY"
                    | "NOREPLICAS"
                    | "UNBLOCKED"
            ),
            // What was done is not helped by doing it again.
            Self::NotDurable { .. } | Self::Unexpected { .. } => false,
        }
    }

    /// Whether the operation certainly did not happen.
    pub fn is_certain(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Refused { .. })
    }
}

/// What whoever reads a refusal can do about it, where that is the same whatever was asked.
fn advice(code: &str) -> &'static str {
    match code {
        "NOPERM" => "; the command `acl` prints the rules that runnel's users need",
        "WRONGTYPE" => "; something else has written this key: delete or rename it, or use another key_prefix",
        "OOM" => {
            "; the server's memory is full: raise its maxmemory, or let workers settle more so that it can be trimmed"
        }
        "LETTERSFULL" => {
            "; nothing was changed: retry or drop some of them (`dead retry`, `dead drop`), or raise dead_letter_size"
        }
        "TOOMANYFIELDS" => "; it cannot become a dead letter or be put back: skip it, or drop it",
        "BADLETTER" => "; something else has written it: drop it (`dead drop`), or leave it out",
        "CHANGED" => "; nothing was changed: look at the partition again, and repeat this if that event is meant",
        "NOEVENT" => "; nothing was changed: there is nothing to be given up",
        "NOIDS" => {
            "; no id is left for the next entry: something else has written one far in the future, delete the key"
        }
        "DEADLETTERS" => "; name the stream itself",
        "MISCONF" => "; the server cannot write to its disk: see its log",
        "READONLY" => "; it is a replica now: name the address of its primary, or wait for the fail-over to end",
        _ => "",
    }
}

/// An entry to be appended.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// Where to.
    pub partition: Partition,
    /// Its id; the store's next one if none is given.
    pub id: Option<EventId>,
    /// Its fields. At least one.
    pub fields: Fields,
}

/// What became of appended entries, in their order, and how full their partitions are now.
#[derive(Debug)]
pub struct Appended {
    /// The id of each, or why it was not appended.
    pub ids: Vec<Result<EventId, BrokerError>>,
    /// Entries in each partition that was appended to, afterwards.
    pub lengths: Vec<(Partition, u64)>,
}

/// What is read: a partition, or the bell of a processor's plan changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A partition of a stream.
    Partition(StreamRef, Partition),
    /// Rung at each change of a plan; entries carry the field `gen`.
    Bell(Group),
}

/// What a trim did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trimmed {
    /// So many entries were cut; nothing before this id is left, except what the store keeps for its own ease.
    Cut {
        /// Entries removed.
        entries: u64,
        /// The lowest position over all groups.
        before: EventId,
    },
    /// Nothing may be cut: a registered processor has no position, or somebody foreign reads in its group.
    Held {
        /// Why, and by whom.
        reason: String,
    },
}

/// Speaks to one store for one app.
#[async_trait]
pub trait Broker: Send + Sync + std::fmt::Debug + 'static {
    /// Where the store is, without secrets: for messages.
    fn address(&self) -> String;

    /// What kind of server this is and how it is set up.
    async fn server(&self) -> Result<ServerFacts, BrokerError>;

    /// Rises whenever the connection may have come to a changed server (restart, fail-over): nothing read or owned
    /// before may be trusted then.
    fn server_changes(&self) -> tokio::sync::watch::Receiver<u64>;

    // --- streams ---------------------------------------------------------------------------------------------------

    /// Stores the facts of a stream unless it has some, and answers those that hold. Dead letters are not declared:
    /// they exist with their stream, and have its facts.
    async fn declare(&self, facts: &StreamFacts) -> Result<StreamFacts, BrokerError>;

    /// The facts of a stream, or of its dead letters, if it was ever declared.
    async fn stream(&self, name: &str) -> Result<Option<StreamFacts>, BrokerError>;

    /// The names of this app's streams, in order.
    async fn streams(&self) -> Result<Vec<String>, BrokerError>;

    /// Appends entries, each partition's in order. May not be repeated when the answer is unclear.
    async fn append(&self, stream: &StreamRef, entries: Vec<NewEntry>) -> Result<Appended, BrokerError>;

    /// Waits until `source` has entries after `after`, and answers the first `count` of them at most, never none.
    ///
    /// `flowing` says that more is likely to be there (the last read was full): it is asked for directly. Reading has
    /// no side effects and may be dropped and repeated.
    async fn read(
        &self,
        source: &Source,
        after: EventId,
        count: usize,
        flowing: bool,
    ) -> Result<Vec<Entry>, BrokerError>;

    /// Entries from `from` to `to`, both included, in order or from the end, at once.
    async fn range(
        &self,
        stream: &StreamRef,
        partition: Partition,
        from: EventId,
        to: EventId,
        count: usize,
        backwards: bool,
    ) -> Result<Vec<Entry>, BrokerError>;

    /// Cuts what every group of the partition has settled. Never more.
    async fn trim(&self, stream: &StreamRef, partition: Partition) -> Result<Trimmed, BrokerError>;

    /// Drops the oldest entries beyond `keep`, processed or not. Answers how many.
    async fn drop_oldest(&self, stream: &StreamRef, partition: Partition, keep: u64) -> Result<u64, BrokerError>;

    /// What lies in the partitions and how far each processor is, for people.
    async fn survey(&self, stream: &StreamRef) -> Result<Vec<PartitionSurvey>, BrokerError>;

    /// Registers a processor in every partition: nothing is trimmed from then on that it has not settled.
    async fn register(&self, group: &Group) -> Result<(), BrokerError>;

    // --- ownership -------------------------------------------------------------------------------------------------

    /// Takes the fence of a place, if it is free.
    async fn acquire(&self, wish: &Acquire) -> Result<Acquired, BrokerError>;

    /// Settles: moves positions, in one atomic step for each place. Exactly once for each (nonce, epoch, n).
    async fn commit(&self, commits: &[Commit]) -> Vec<Result<Committed, BrokerError>>;

    /// Prolongs leases and reports what nobody told the owner.
    async fn renew(&self, renewals: &[Renew]) -> Vec<Result<Renewed, BrokerError>>;

    /// Gives a place up, free at once, optionally leaving a mark. May be sent again. Answers whether it was ours.
    async fn release(&self, place: &Place, fence: &Fence, mark: Option<&Mark>) -> Result<bool, BrokerError>;

    /// Operator: fences out the owner, if there is one, and changes the place. Answers the position afterwards.
    async fn intervene(&self, place: &Place, change: &Intervention) -> Result<EventId, BrokerError>;

    /// Unregisters a processor from a stream: group, fences, done sets, registration, roster. Refused while owned.
    async fn forget(&self, group: &Group) -> Result<Forgotten, BrokerError>;

    // --- roster ----------------------------------------------------------------------------------------------------

    /// A member says that it is alive and learns who else is. `known` is the plan's generation it already has.
    async fn beat(&self, group: &Group, member: &str, ttl: Duration, known: Option<u64>) -> Result<Roll, BrokerError>;

    /// Installs a plan if `expected` is still the plan's generation, removes members that are dead, and rings the bell.
    async fn swap(
        &self,
        group: &Group,
        expected: u64,
        plan: &str,
        reap: &[String],
        reason: &str,
    ) -> Result<Swapped, BrokerError>;

    /// A member leaves: it is gone from the roster at once and the bell is rung.
    async fn leave(&self, group: &Group, member: &str) -> Result<(), BrokerError>;

    /// Tells the group that a place is stopped, or is so no more, for the next plan. Rings the bell.
    async fn note_stopped(&self, group: &Group, partition: Partition, stop: Option<&Stop>) -> Result<(), BrokerError>;

    /// A worker, or who runs one job, says that it is alive, and what it would say of itself on a status page (JSON).
    async fn announce(
        &self,
        worker: &str,
        standing: Standing,
        ttl: Duration,
        about: &str,
    ) -> Result<UnixMs, BrokerError>;

    /// A worker is gone.
    async fn depart(&self, worker: &str) -> Result<(), BrokerError>;

    /// The workers that are alive, with what they say of themselves.
    async fn workers(&self) -> Result<Vec<WorkerEntry>, BrokerError>;

    // --- dead letters ----------------------------------------------------------------------------------------------

    /// Puts letters back into their partition of `stream` (not of its dead letters), in the order given, each marked
    /// with what its letter says. A letter that is gone is not put back: this may be sent again. Each hundred of them are
    /// one atomic step. Refused with `BADLETTER` for an entry that is no letter, with nothing of its hundred put back.
    async fn retry_letters(
        &self,
        stream: &StreamRef,
        partition: Partition,
        letters: &[EventId],
    ) -> Result<Vec<Retried>, BrokerError>;

    /// Drops letters. Answers how many were there.
    async fn drop_letters(
        &self,
        stream: &StreamRef,
        partition: Partition,
        letters: &[EventId],
    ) -> Result<u64, BrokerError>;

    // --- the fleet -------------------------------------------------------------------------------------------------

    /// A worker joins the fleet: it is alive from now on (as by [`Self::announce`]), and begins a generation if no
    /// other member is alive or the fleet runs another version. May be sent again. Answers the generation that holds.
    async fn enroll(&self, worker: &str, ttl: Duration, version: &str) -> Result<Generation, BrokerError>;

    /// A worker bids to lead, or to go on leading. Taken if nobody's term lasts.
    async fn bid(&self, worker: &str, ttl: Duration) -> Result<Bidden, BrokerError>;

    /// The leader gives up its term, free at once. Answers whether it was the leader.
    async fn resign(&self, worker: &str, term: Term) -> Result<bool, BrokerError>;

    /// Who leads, if somebody does.
    async fn leader(&self) -> Result<Option<LeaderEntry>, BrokerError>;

    /// Claims one instant of a job, under the claimer's term. The last claim of a job may be sent again under the same
    /// term, when its answer was lost: it is answered as the first time.
    async fn claim(&self, claim: &Claim) -> Result<Claimed, BrokerError>;

    /// Closes a claim of [`ClaimKind::Open`]: its run is over. Answers whether it was open under this term.
    async fn close(&self, claim: &Claim) -> Result<bool, BrokerError>;

    /// What is known of this app's fleet jobs and of stopped ones, by name.
    async fn jobs(&self) -> Result<Vec<JobEntry>, BrokerError>;

    /// Stops a job's schedule for the fleet, or lets it go on. Answers whether that changed anything.
    async fn stop_job(&self, job: &str, stop: Option<&JobStop>) -> Result<bool, BrokerError>;

    // --- runs ------------------------------------------------------------------------------------------------------

    /// A run begins: its event is appended to this partition of the task log, unless that holds `limit` entries, and it
    /// is open from then on. May be sent again, and may arrive late: what has ended does not begin again.
    async fn begin_run(
        &self,
        stream: &StreamRef,
        partition: Partition,
        run: &OpenRun,
        event: &Fields,
        limit: u64,
    ) -> Result<Begun, BrokerError>;

    /// A run ends: its last event is appended, if it is open by exactly this entry. Answers whether it was; sent again
    /// it was not. Either way it cannot begin by this entry any more, also where that is still under way.
    async fn end_run(
        &self,
        stream: &StreamRef,
        partition: Partition,
        run: &OpenRun,
        event: &Fields,
    ) -> Result<bool, BrokerError>;

    /// The runs that are open, by partition and id.
    async fn open_runs(&self, stream: &StreamRef) -> Result<Vec<(Partition, OpenRun)>, BrokerError>;

    /// Removes everything of this app under this key prefix. For examples, which use a prefix of their own.
    async fn erase(&self) -> Result<u64, BrokerError>;
}
