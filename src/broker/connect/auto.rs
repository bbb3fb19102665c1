//! `auto://`: the store that is there.
//!
//! A Redis on loopback that can be used as it is; else a private server from PATH; else the memory of this process. One
//! line says which, why the earlier ones were passed over, and what it means. It is for development and examples:
//! who cares where events go names an address.

use std::ffi::OsString;
use std::time::Duration;

use crate::broker::BrokerError;
use crate::error::Failure;
use crate::settings::{self, DEFAULT_REDIS_URL, RedisUrl};

use super::{Connected, Doors, PrivateServer, Unfit, Wanted, advice, private, unfit, version};

/// A Redis on this machine answers in far less; something else on its port may never.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where is looked.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// The address of a Redis that may be running.
    pub(super) loopback: RedisUrl,
    /// Where programs are.
    pub(super) path: OsString,
}

impl Surroundings {
    /// This machine.
    pub(super) fn here() -> Self {
        Self { loopback: RedisUrl::new(DEFAULT_REDIS_URL), path: settings::variable("PATH").unwrap_or_default() }
    }
}

/// Takes the first that can be used.
pub(super) async fn choose<D: Doors>(
    doors: &D,
    around: &Surroundings,
    wanted: &Wanted,
) -> Result<Connected<D::Store>, Failure> {
    let mut passed_over = Vec::new();
    match running(doors, &around.loopback, wanted).await {
        Ok(connected) => return Ok(connected),
        Err(why) => passed_over.push(format!("{} {why}", around.loopback)),
    }
    for program in private::programs(&around.path) {
        match started(doors, &program, wanted, &passed_over).await {
            Ok(connected) => return Ok(connected),
            Err(why) => passed_over.push(format!("{} {why}", program.display())),
        }
    }
    if passed_over.len() == 1 {
        passed_over.push("neither valkey-server nor redis-server is in PATH".into());
    }
    let (store, facts) = doors.memory().await.map_err(|error| advice::refused(wanted, error))?;
    let banner = format!(
        "events live in the memory of this process: they end with it, and no other process sees them (auto://: {})",
        passed_over.join("; ")
    );
    Ok(Connected { store, url: RedisUrl::new("memory://"), facts, banner: Some(banner), private: None })
}

/// The Redis that is running already, or why it is passed over.
async fn running<D: Doors>(doors: &D, url: &RedisUrl, wanted: &Wanted) -> Result<Connected<D::Store>, String> {
    let (store, facts) = open(doors, url, wanted).await?;
    let banner = format!("using {} at {url} (auto://): what is written stays when this program ends", version(&facts));
    Ok(Connected { store, url: url.clone(), facts, banner: Some(banner), private: None })
}

/// A server of our own, or why there is none.
async fn started<D: Doors>(
    doors: &D,
    program: &std::path::Path,
    wanted: &Wanted,
    passed_over: &[String],
) -> Result<Connected<D::Store>, String> {
    let server = PrivateServer::start(program).await?;
    let url = server.url();
    let (store, facts) = open(doors, &url, wanted).await?;
    let banner = format!(
        "using a private {} at {url}: it and what is written end with this program (auto://: {})",
        version(&facts),
        passed_over.join("; ")
    );
    Ok(Connected { store, url, facts, banner: Some(banner), private: Some(server) })
}

async fn open<D: Doors>(
    doors: &D,
    url: &RedisUrl,
    wanted: &Wanted,
) -> Result<(D::Store, crate::broker::ServerFacts), String> {
    let opened = tokio::time::timeout(PATIENCE, doors.redis(url)).await.map_err(|_| "does not answer".to_owned())?;
    let (store, facts) = opened.map_err(|error| why_not(&error))?;
    match unfit(&facts, false, wanted.durability) {
        None => Ok((store, facts)),
        Some(Unfit::TooOld) => Err(format!("is {}, older than 7.0", version(&facts))),
        Some(Unfit::Replica) => Err("is a replica".into()),
        Some(Unfit::Evicts) => Err(format!("may evict events ({})", facts.eviction)),
        Some(Unfit::HidesItsDisk) => Err(format!("is {}, too old for `durability` = fsynced", version(&facts))),
        Some(Unfit::KeepsNoLog) => Err("keeps no log on disk, which `durability` = fsynced needs".into()),
    }
}

fn why_not(error: &BrokerError) -> String {
    let reason = advice::reason(error);
    if ["NOAUTH", "WRONGPASS"].iter().any(|code| reason.contains(code)) {
        return "needs a password".into();
    }
    if matches!(error, BrokerError::Unavailable { .. }) && reason.to_lowercase().contains("refused") {
        return "is not running".into();
    }
    format!("cannot be used: {reason}")
}
