//! Reads the URL of a server: where it is, as whom to speak to it, and how to name it without secrets.
//!
//! Read by hand because a password may hold every character, `@`, `/`, `#`, `?` and `%` among them: all up to the last
//! `@` is user and password. What is percent-encoded is decoded; a `%` that encodes nothing stands for itself.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use crate::broker::BrokerError;
use crate::settings::RedisUrl;

const DEFAULT_PORT: u16 = 6379;

/// One server to connect to.
#[derive(Clone)]
pub(super) struct Target {
    /// For whoever connects: secrets included.
    pub(super) info: ConnectionInfo,
    /// For messages: secrets left out.
    pub(super) address: String,
}

impl Target {
    /// What the URL says, or a sentence about what is wrong with it.
    pub(super) fn read(url: &RedisUrl) -> Result<Self, BrokerError> {
        read(url.expose()).map_err(|message| BrokerError::Refused {
            // Without parameters: those of a socket hold its password.
            address: url.to_string().split('?').next().unwrap_or_default().to_owned(),
            doing: "connecting",
            code: "URL".to_owned(),
            message,
        })
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address)
    }
}

fn read(url: &str) -> Result<Target, String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("is no URL: they look like `redis://127.0.0.1:6379/0` or `unix:///run/redis.sock`".to_owned());
    };
    match scheme {
        "redis" | "valkey" => tcp(rest),
        "unix" | "redis+unix" | "valkey+unix" => unix(rest),
        "rediss" | "valkeys" => Err("needs TLS: build with the cargo feature `tls`".to_owned()),
        "redis+sentinel" => Err("needs Sentinel: build with the cargo feature `sentinel`".to_owned()),
        "redis+cluster" => Err("needs Cluster: build with the cargo feature `cluster`".to_owned()),
        other => Err(format!("has the scheme `{other}`, which no server is reached by: try `redis://` or `unix://`")),
    }
}

fn tcp(rest: &str) -> Result<Target, String> {
    let (credentials, place) = rest.rsplit_once('@').map_or((None, rest), |(before, after)| (Some(before), after));
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    if let Some(name) = pairs(query).map(|(name, _)| name).next() {
        return Err(format!("has the parameter `{name}`, which means nothing here"));
    }
    let (place, db) = place.split_once('/').unwrap_or((place, ""));
    let (host, port) = host_and_port(place)?;
    let db = database(db)?;
    let mut login = RedisConnectionInfo::default().set_db(db).set_skip_set_lib_name();
    if let Some(credentials) = credentials {
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        login = with_login(login, &decoded(user)?, &decoded(password)?);
    }
    let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let address = format!("redis://{shown}:{port}{}", if db == 0 { String::new() } else { format!("/{db}") });
    Ok(Target { info: info(ConnectionAddr::Tcp(host, port), login)?, address })
}

fn unix(rest: &str) -> Result<Target, String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !path.starts_with('/') {
        return Err("names no socket: a path begins with `/`, as in `unix:///run/redis.sock`".to_owned());
    }
    let (mut user, mut password, mut db) = (String::new(), String::new(), 0);
    for (name, value) in pairs(query) {
        match name {
            "db" => db = database(value)?,
            "user" => user = decoded(value)?,
            "pass" => password = decoded(value)?,
            _ => return Err(format!("has the parameter `{name}`; a socket takes `db`, `user` and `pass`")),
        }
    }
    let login = RedisConnectionInfo::default().set_db(db).set_skip_set_lib_name();
    let address = format!("unix://{path}{}", if db == 0 { String::new() } else { format!("?db={db}") });
    let path = decoded(path)?;
    Ok(Target { info: info(ConnectionAddr::Unix(path.into()), with_login(login, &user, &password))?, address })
}

fn info(addr: ConnectionAddr, login: RedisConnectionInfo) -> Result<ConnectionInfo, String> {
    addr.into_connection_info().map(|info| info.set_redis_settings(login)).map_err(|error| error.to_string())
}

fn with_login(mut login: RedisConnectionInfo, user: &str, password: &str) -> RedisConnectionInfo {
    if !user.is_empty() {
        login = login.set_username(user);
    }
    if !password.is_empty() {
        login = login.set_password(password);
    }
    login
}

fn host_and_port(place: &str) -> Result<(String, u16), String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(bracketed) => {
            let Some((host, after)) = bracketed.split_once(']') else {
                return Err("has a `[` without `]`: an IPv6 host looks like `[::1]`".to_owned());
            };
            host.parse::<std::net::Ipv6Addr>().map_err(|_| format!("has `{host}` in brackets, no IPv6 address"))?;
            (host, after.strip_prefix(':').unwrap_or(after))
        }
        None => place.split_once(':').unwrap_or((place, "")),
    };
    let port = match port {
        "" => DEFAULT_PORT,
        port => port.parse().map_err(|_| match place.matches(':').count() {
            2.. if !place.starts_with('[') => "has an IPv6 host without brackets: write `[::1]:6379`".to_owned(),
            _ => format!("has the port `{port}`; ports are numbers from 1 to 65535"),
        })?,
    };
    let host = if host.is_empty() { "127.0.0.1".to_owned() } else { decoded(host)? };
    if host.contains(['/', ' ', '#']) {
        return Err(format!("has the host `{host}`, which no host is called"));
    }
    Ok((host, port))
}

fn database(text: &str) -> Result<i64, String> {
    match text {
        "" => Ok(0),
        text => text.parse::<u16>().map(i64::from).map_err(|_| format!("has the database `{text}`; they are numbered")),
    }
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn decoded(text: &str) -> Result<String, String> {
    let hex = |digit: Option<&u8>| digit.and_then(|&d| char::from(d).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).map_err(|_| "is percent-encoded, but not as UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> (String, String, i64, String, String) {
        let target = Target::read(&RedisUrl::new(url)).unwrap();
        let login = target.info.redis_settings();
        let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
        (
            target.address.clone(),
            target.info.addr().to_string(),
            login.db(),
            text(login.username()),
            text(login.password()),
        )
    }

    fn of(address: &str, place: &str, db: i64, user: &str, password: &str) -> (String, String, i64, String, String) {
        (address.into(), place.into(), db, user.into(), password.into())
    }

    #[test]
    fn hosts_ports_and_databases_are_read() {
        assert_eq!(shown("redis://"), of("redis://127.0.0.1:6379", "127.0.0.1:6379", 0, "", ""));
        assert_eq!(shown("redis://db.example"), of("redis://db.example:6379", "db.example:6379", 0, "", ""));
        assert_eq!(shown("redis://h:7000/3"), of("redis://h:7000/3", "h:7000", 3, "", ""));
        assert_eq!(shown("redis://[::1]:7000/"), of("redis://[::1]:7000", "::1:7000", 0, "", ""));
        assert_eq!(shown("redis://[fe80::1]"), of("redis://[fe80::1]:6379", "fe80::1:6379", 0, "", ""));
    }

    #[test]
    fn passwords_may_hold_every_character() {
        let plain = of("redis://h:6379", "h:6379", 0, "ann", r##"p@ss:w/o?r#d%&=+[]{}<>\"'ü "##);
        assert_eq!(shown(r##"redis://ann:p@ss:w/o?r#d%&=+[]{}<>\"'ü @h"##), plain);
        let encoded = "p%40ss%3Aw%2Fo%3Fr%23d%25%26%3D%2B%5B%5D%7B%7D%3C%3E%5C%22%27%C3%BC%20";
        assert_eq!(shown(&format!("redis://ann:{encoded}@h")), plain);
        assert_eq!(shown("redis://:only@h").4, "only");
    }

    #[test]
    fn sockets_are_read() {
        assert_eq!(shown("unix:///run/a%20b.sock?db=2&user=ann&pass=p%26s"), {
            of("unix:///run/a%20b.sock?db=2", "/run/a b.sock", 2, "ann", "p&s")
        });
    }

    #[test]
    fn what_cannot_be_reached_is_refused_in_a_sentence_without_secrets() {
        for (url, said) in [
            ("rediss://:canary@h", "cargo feature `tls`"),
            ("redis+sentinel://:canary@h", "cargo feature `sentinel`"),
            ("redis+cluster://:canary@h", "cargo feature `cluster`"),
            ("http://:canary@h", "scheme `http`"),
            ("localhost:6379", "is no URL"),
            ("redis://:canary@h:70000", "the port `70000`"),
            ("redis://::1:6379", "without brackets"),
            ("redis://[::1", "without `]`"),
            ("redis://[h]", "no IPv6 address"),
            ("redis://h/x", "the database `x`"),
            ("redis://h/-1", "the database `-1`"),
            ("redis://h?protocol=resp3", "the parameter `protocol`"),
            ("unix://run/redis.sock", "names no socket"),
            ("unix:///run/redis.sock?pas=canary", "the parameter `pas`"),
            ("redis://:%FF@h", "not as UTF-8"),
        ] {
            let error = Target::read(&RedisUrl::new(url)).unwrap_err();
            assert!(error.to_string().contains(said), "{url}: {error}");
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
            assert!(!error.is_transient());
        }
    }
}
