//! What kind of server we speak to. Managed servers often forbid CONFIG; then INFO has to do.

use super::connection::Connection;
use super::reply::{self, Reply};
use crate::broker::{BrokerError, ServerFacts};

const DOING: &str = "asking the server what it is";

/// What CONFIG can tell.
#[derive(Default)]
struct Configured {
    eviction: Option<String>,
    appendonly: Option<String>,
    appendfsync: Option<String>,
    save: Option<String>,
}

pub(super) async fn server(connection: &Connection) -> Result<ServerFacts, BrokerError> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("INFO").cmd("TIME");
    for name in ["maxmemory-policy", "appendonly", "appendfsync", "save"] {
        pipeline.cmd("CONFIG").arg("GET").arg(name);
    }
    let mut answers = connection.ask_all(DOING, &pipeline).await?.into_iter();
    let mut next = || answers.next().expect("each question has an answer");
    let (info, time) = (next()?, next()?);
    let mut setting =
        || next().ok().and_then(|value| reply::pairs(value).ok()?.pop()).and_then(|(_, v)| reply::text(v).ok());
    let configured = Configured { eviction: setting(), appendonly: setting(), appendfsync: setting(), save: setting() };
    let unexpected = |why| connection.unexpected(DOING, why);
    let info = reply::text(info).map_err(unexpected)?;
    let mut time = Reply::of(time).map_err(unexpected)?;
    let seconds: u64 = time.number("seconds").map_err(unexpected)?;
    let micros: u64 = time.number("microseconds").map_err(unexpected)?;
    Ok(facts(&info, &configured, seconds * 1000 + micros / 1000))
}

fn facts(info: &str, configured: &Configured, now: u64) -> ServerFacts {
    let field = |name| info_field(info, name).unwrap_or_default();
    let (product, version) = match info_field(info, "valkey_version") {
        Some(version) => ("valkey", version),
        None => ("redis", field("redis_version")),
    };
    let eviction = configured.eviction.as_deref().unwrap_or_else(|| field("maxmemory_policy"));
    ServerFacts {
        product: product.to_owned(),
        version: version_numbers(version),
        now,
        run_id: field("run_id").to_owned(),
        is_primary: field("role") == "master",
        eviction: if eviction.is_empty() { "unknown" } else { eviction }.to_owned(),
        persistence: persistence(info, configured),
        replicas: field("connected_slaves").parse().unwrap_or(0),
    }
}

fn persistence(info: &str, configured: &Configured) -> String {
    let appends = match configured.appendonly.as_deref() {
        Some(answer) => answer == "yes",
        None => info_field(info, "aof_enabled") == Some("1"),
    };
    match (appends, configured.appendfsync.as_deref(), configured.save.as_deref()) {
        (true, Some(fsync), _) => format!("appendonly {fsync}"),
        (true, None, _) => "appendonly".to_owned(),
        (false, _, Some("")) => "nothing".to_owned(),
        (false, _, Some(_)) => "snapshots".to_owned(),
        (false, _, None) => "unknown".to_owned(),
    }
}

fn version_numbers(text: &str) -> (u32, u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

/// A line `name:value` of INFO.
pub(super) fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines()
        .find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_forbids_config_is_known_by_its_info() {
        let info = "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.3\r\nrun_id:abc\r\nrole:master\r\n\
                    maxmemory_policy:noeviction\r\naof_enabled:1\r\nconnected_slaves:2\r\n";
        let facts = facts(info, &Configured::default(), 7);

        assert_eq!((facts.product.as_str(), facts.version), ("valkey", (8, 1, 3)));
        assert_eq!((facts.eviction.as_str(), facts.persistence.as_str()), ("noeviction", "appendonly"));
        assert_eq!((facts.run_id.as_str(), facts.is_primary, facts.replicas), ("abc", true, 2));
    }

    #[test]
    fn what_survives_a_crash_is_said() {
        let configured = |appendonly: &str, fsync: &str, save: &str| Configured {
            eviction: None,
            appendonly: Some(appendonly.into()),
            appendfsync: Some(fsync.into()),
            save: Some(save.into()),
        };
        assert_eq!(persistence("", &configured("yes", "always", "")), "appendonly always");
        assert_eq!(persistence("", &configured("no", "everysec", "3600 1")), "snapshots");
        assert_eq!(persistence("", &configured("no", "everysec", "")), "nothing");
        assert_eq!(persistence("", &Configured::default()), "unknown");
    }
}
