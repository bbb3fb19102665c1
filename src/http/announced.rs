//! Where the worker that ran something can be asked: by the word of live workers, and nobody else's.
//!
//! The document of a run names an address as well, but whoever can write a document could name a place of his own there,
//! and collect the token that questions bring along. So only an address is asked that a worker which is alive announces
//! to its fleet; what the document says is at most compared with it.

use serde::Deserialize;

use crate::broker::{Broker, WorkerEntry};
use crate::error::{Doing, Failure};
use crate::runs::WorkerRef;

use super::client;

/// Where a worker can be asked, or why it cannot: `which ..`.
pub(crate) type Address = Result<String, &'static str>;

/// What a worker says of itself, as far as it is of interest here.
#[derive(Debug, Default, Deserialize)]
struct Said {
    #[serde(default)]
    host: String,
    #[serde(default)]
    http: Option<String>,
}

/// Where the owner of some lines can be asked from this machine.
///
/// # Errors
/// When the store does not say who is alive.
pub(crate) async fn address_of(owner: &WorkerRef, broker: &dyn Broker) -> Result<Address, Failure> {
    // It had none when the run began, and workers do not change theirs.
    if owner.log_url.is_none() {
        return Ok(Err("which answers no HTTP"));
    }
    let live = broker.workers().await.doing(|| format!("look whether worker `{}` is alive", owner.id))?;
    Ok(among(owner, &live, &rustix::system::uname().nodename().to_string_lossy()))
}

fn among(owner: &WorkerRef, live: &[WorkerEntry], here: &str) -> Address {
    let said = |entry: &WorkerEntry| serde_json::from_str::<Said>(&entry.about).unwrap_or_default();
    let found = match live.iter().find(|entry| entry.name == owner.id) {
        Some(entry) => said(entry),
        // The next worker at its place has its disk, and so its lines.
        None => {
            let is_its_place = |said: &Said| said.host == owner.host && said.http == owner.log_url;
            live.iter().map(said).find(is_its_place).ok_or("which is not alive any more")?
        }
    };
    let url = found.http.ok_or("which answers no HTTP")?;
    // An address that means "this machine" is of no use on another one.
    match found.host != here && client::is_of_one_machine(&url) {
        true => Err("which answers its own machine only"),
        false => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(name: &str, host: &str, http: Option<&str>) -> WorkerEntry {
        let about = serde_json::json!({ "host": host, "http": http, "pid": 7 }).to_string();
        WorkerEntry { name: name.into(), dead_after: 1, about }
    }

    fn owner(id: &str, host: &str, url: &str) -> WorkerRef {
        WorkerRef { id: id.into(), host: host.into(), log_url: Some(url.into()) }
    }

    #[test]
    fn only_what_a_live_worker_announces_is_an_address() {
        let fleet = [
            live("w1", "a", Some("http://a:80")),
            live("w2", "b", Some("http://127.0.0.1:80")),
            live("w3", "b", None),
            WorkerEntry { name: "w4".into(), dead_after: 1, about: "no JSON".into() },
        ];
        for (owner, address) in [
            (owner("w1", "a", "http://a:80"), Ok("http://a:80")),
            // Its own word counts, not the document's.
            (owner("w1", "a", "http://evil:80"), Ok("http://a:80")),
            (owner("gone", "a", "http://evil:80"), Err("which is not alive any more")),
            // Another one at its place, which has its disk.
            (owner("gone", "a", "http://a:80"), Ok("http://a:80")),
            (owner("gone", "c", "http://a:80"), Err("which is not alive any more")),
            (owner("w2", "b", "http://127.0.0.1:80"), Err("which answers its own machine only")),
            // No document makes another machine of it.
            (owner("w2", "here", "http://127.0.0.1:80"), Err("which answers its own machine only")),
            (owner("w3", "b", "http://b:80"), Err("which answers no HTTP")),
            (owner("w4", "b", "http://b:80"), Err("which answers no HTTP")),
        ] {
            assert_eq!(among(&owner, &fleet, "here"), address.map(str::to_owned), "{owner:?}");
        }
        let at_home = live("w5", "here", Some("http://[::1]:80"));
        assert_eq!(among(&owner("w5", "x", "http://x:1"), &[at_home], "here"), Ok("http://[::1]:80".into()));
    }
}
