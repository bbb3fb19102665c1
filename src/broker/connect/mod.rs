//! From an address to a store that can be used, or to an error that says what to do.
//!
//! `redis://` and `unix://` never fall back. `auto://` takes what is there: see [`auto`]. Whatever is found is looked at
//! before it is used: too old a server, a replica and one that evicts are refused by name.

use async_trait::async_trait;

use crate::error::Failure;
use crate::nearest::did_you_mean;
use crate::settings::{DEFAULT_REDIS_URL, Durability, Loaded, RedisUrl};

use super::{BrokerError, ServerFacts};

mod advice;
mod auto;
mod brokers;
mod private;

pub(crate) use brokers::Brokers;
pub(crate) use private::PrivateServer;

/// Which store is wanted, and who said so.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The address.
    pub(crate) url: RedisUrl,
    /// The place it came from: `RUNNEL_REDIS_URL`, `runnel.toml:3`, `default`.
    pub(crate) origin: String,
    /// The setting: an evicting server is taken.
    pub(crate) allow_eviction: bool,
    /// The setting: what an acknowledged send can survive.
    pub(crate) durability: Durability,
}

/// A store that can be used.
#[derive(Debug)]
pub(crate) struct Connected<S> {
    /// The store.
    pub(crate) store: S,
    /// Where it really is: what child processes are given.
    pub(crate) url: RedisUrl,
    /// What was found.
    pub(crate) facts: ServerFacts,
    /// One line that says which store this is and what that means, where nobody named one.
    pub(crate) banner: Option<String>,
    /// A server of our own: it ends when this is dropped.
    pub(crate) private: Option<PrivateServer>,
}

/// Opens stores. The one place that names the brokers stands behind it, so that choosing one can be tried alone.
#[async_trait]
pub(crate) trait Doors: Sync {
    /// An open store.
    type Store: Send;

    /// The server at `redis://` or `unix://`, and what it says of itself.
    async fn redis(&self, url: &RedisUrl) -> Result<(Self::Store, ServerFacts), BrokerError>;

    /// A store in this process.
    async fn memory(&self) -> Result<(Self::Store, ServerFacts), BrokerError>;
}

impl Wanted {
    /// What the settings want.
    pub(crate) fn by(loaded: &Loaded) -> Self {
        Self {
            url: loaded.settings.redis_url.clone().unwrap_or_else(|| RedisUrl::new(DEFAULT_REDIS_URL)),
            origin: loaded.origin_of("redis_url").to_string(),
            allow_eviction: loaded.settings.allow_eviction,
            durability: loaded.settings.durability,
        }
    }
}

/// Opens the wanted store.
pub(crate) async fn connect<D: Doors>(doors: &D, wanted: &Wanted) -> Result<Connected<D::Store>, Failure> {
    let url = wanted.url.clone();
    match scheme(wanted)? {
        Scheme::Auto => auto::choose(doors, &auto::Surroundings::here(), wanted).await,
        Scheme::Memory => {
            let (store, facts) = doors.memory().await.map_err(|error| advice::refused(wanted, error))?;
            let banner = "memory://: events live in this process and end with it".to_owned();
            Ok(Connected { store, url, facts, banner: Some(banner), private: None })
        }
        Scheme::Redis => {
            let (store, facts) = doors.redis(&url).await.map_err(|error| advice::refused(wanted, error))?;
            match unfit(&facts, wanted.allow_eviction, wanted.durability) {
                None => Ok(Connected { store, url, facts, banner: None, private: None }),
                Some(unfit) => Err(advice::unfit(wanted, &facts, &unfit)),
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Scheme {
    Redis,
    Memory,
    Auto,
}

fn scheme(wanted: &Wanted) -> Result<Scheme, Failure> {
    let needs = |feature: &str| {
        Failure::Invalid(format!(
            "{} ({}) needs the cargo feature `{feature}` of runnel-streams, and this program was built without it",
            wanted.url, wanted.origin
        ))
    };
    match wanted.url.scheme() {
        "redis" | "unix" => Ok(Scheme::Redis),
        "memory" => Ok(Scheme::Memory),
        "auto" => Ok(Scheme::Auto),
        "rediss" => Err(needs("tls")),
        "redis+sentinel" | "rediss+sentinel" => Err(needs("sentinel")),
        "redis+cluster" | "rediss+cluster" => Err(needs("cluster")),
        other => {
            let known = ["redis", "rediss", "unix", "redis+sentinel", "redis+cluster", "memory", "auto"];
            Err(Failure::Invalid(format!(
                "{} ({}) is no address of a store: it must begin with one of {}{}",
                wanted.url,
                wanted.origin,
                known.map(|scheme| format!("{scheme}://")).join(", "),
                did_you_mean(other, known)
            )))
        }
    }
}

/// Why a server cannot be used.
#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    TooOld,
    Replica,
    Evicts,
    /// It cannot say when something is on disk.
    HidesItsDisk,
    /// It puts nothing on disk as it is written.
    KeepsNoLog,
}

fn unfit(facts: &ServerFacts, allow_eviction: bool, durability: Durability) -> Option<Unfit> {
    // What a managed server does not tell is not refused.
    let keeps = matches!(facts.eviction.as_str(), "noeviction" | "unknown") || facts.eviction.starts_with("volatile-");
    let must_fsync = durability == Durability::Fsynced;
    match facts {
        facts if facts.version < (7, 0, 0) => Some(Unfit::TooOld),
        facts if !facts.is_primary => Some(Unfit::Replica),
        _ if !keeps && !allow_eviction => Some(Unfit::Evicts),
        facts if must_fsync && facts.version < (7, 2, 0) => Some(Unfit::HidesItsDisk),
        facts if must_fsync && matches!(facts.persistence.as_str(), "nothing" | "snapshots") => Some(Unfit::KeepsNoLog),
        _ => None,
    }
}

fn version(facts: &ServerFacts) -> String {
    let (major, minor, patch) = facts.version;
    format!("{} {major}.{minor}.{patch}", facts.product)
}

#[cfg(test)]
mod tests;
