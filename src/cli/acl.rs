//! `acl`: the least that Redis users of one app must be allowed, as ACL SETUSER lines.
//!
//! One role each: a worker processes and sends, a producer only sends, a dashboard only looks, an operator looks and
//! intervenes. The rules are made of what the broker asks for; a test reads its source and holds them against it, and
//! another runs under users made of them.

use clap::{Arg, ArgMatches, Command};
use serde::Serialize;

use super::{End, Host, Out};
use crate::settings::Durability;

/// What a role may do.
struct Role {
    name: &'static str,
    commands: &'static [&'static [&'static str]],
    /// Kinds of keys it may change.
    writes: &'static [Kind],
    /// Kinds of keys it may only read.
    reads: &'static [Kind],
    /// Whether it appends events.
    sends: bool,
}

/// A kind of key, by what stands before its first colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Of one partition: `__own:{app.stream.0}.0.billing`.
    Partition(&'static str),
    /// Of one processor's roster: `__memb:{app.stream.billing}`.
    Roster(&'static str),
    /// By plain name: `__meta:app.stream`.
    Named(&'static str),
    /// Of the app: `__live:{app}`.
    App(&'static str),
    /// Of the app and of what it has by name: `__rlog:{app}.<run>`.
    Within(&'static str),
}

/// Signing in, and what a connection asks first.
const CONNECT: &[&str] = &["auth", "hello", "ping", "select", "info", "time", "client|setname", "client|id"];
const SCRIPTS: &[&str] = &["eval", "evalsha"];
/// Looking without changing.
const LOOK: &[&str] = &[
    "exists",
    "hget",
    "hgetall",
    "hmget",
    "scard",
    "smembers",
    "xinfo|groups",
    "xinfo|stream",
    "xlen",
    "xrange",
    "xrevrange",
    "zcard",
    "zrange",
];
/// What scripts ask before they change something.
const ASK: &[&str] = &["sismember", "type", "xinfo|consumers", "xpending", "zscore"];
const READ: &[&str] = &["xread", "client|unblock"];
/// Declaring a stream, appending, and making room.
const SEND: &[&str] = &["exists", "hget", "hgetall", "hset", "sadd", "smembers", "type", "xadd", "xinfo|groups"];
const SEND_MORE: &[&str] = &["xinfo|stream", "xlen", "xpending", "xtrim"];
/// Owning, settling, membership; records of runs.
const WORK: &[&str] = &[
    "del",
    "hdel",
    "hset",
    "incr",
    "persist",
    "pexpire",
    "sadd",
    "srem",
    "unlink",
    "xadd",
    "xdel",
    "xgroup|create",
    "xgroup|delconsumer",
    "xgroup|setid",
    "xtrim",
    "zadd",
    "zrem",
];
/// Moving, stopping and forgetting processors.
const INTERVENE: &[&str] = &[
    "del",
    "hdel",
    "hset",
    "sadd",
    "srem",
    "unlink",
    "xadd",
    "xdel",
    "xgroup|create",
    "xgroup|destroy",
    "xgroup|setid",
    "xtrim",
];

const OF_PARTITIONS: [Kind; 5] = [
    Kind::Partition("strm"),
    Kind::Partition("own"),
    Kind::Partition("done"),
    Kind::Partition("grps"),
    Kind::Partition("dead"),
];
/// Documents of runs and their indexes, lines of the task log and their ids.
const RECORDS: [Kind; 4] = [Kind::Within("rlog"), Kind::Within("ridx"), Kind::Within("rtask"), Kind::Within("rtid")];
const STREAM: Kind = Kind::Partition("strm");
const META: Kind = Kind::Named("meta");
const LIST: Kind = Kind::App("list");

const ROLES: [Role; 4] = [
    Role {
        name: "worker",
        sends: true,
        commands: &[CONNECT, SCRIPTS, LOOK, ASK, READ, WORK],
        writes: &[
            OF_PARTITIONS[0],
            OF_PARTITIONS[1],
            OF_PARTITIONS[2],
            OF_PARTITIONS[3],
            OF_PARTITIONS[4],
            Kind::Roster("memb"),
            Kind::Roster("beat"),
            Kind::Roster("ctrl"),
            META,
            Kind::Named("work"),
            LIST,
            Kind::Partition("open"),
            Kind::Partition("over"),
            Kind::App("live"),
            Kind::App("lead"),
            Kind::App("cron"),
            RECORDS[0],
            RECORDS[1],
            RECORDS[2],
            RECORDS[3],
        ],
        reads: &[],
    },
    Role {
        name: "producer",
        sends: true,
        commands: &[CONNECT, SCRIPTS, SEND, SEND_MORE],
        // A script must be allowed to change every key that it is given, also where it only looks: trimming is given
        // the set of processors and their fences.
        writes: &[STREAM, Kind::Partition("grps"), Kind::Partition("own"), META, LIST],
        reads: &[],
    },
    Role {
        name: "dashboard",
        sends: false,
        commands: &[CONNECT, LOOK, READ],
        writes: &[],
        reads: &[
            OF_PARTITIONS[0],
            OF_PARTITIONS[1],
            OF_PARTITIONS[2],
            OF_PARTITIONS[3],
            OF_PARTITIONS[4],
            Kind::Roster("memb"),
            Kind::Roster("beat"),
            META,
            Kind::Named("work"),
            LIST,
            Kind::App("live"),
            Kind::App("lead"),
            Kind::App("cron"),
            RECORDS[0],
            RECORDS[1],
            RECORDS[2],
            RECORDS[3],
        ],
    },
    Role {
        name: "operator",
        sends: false,
        commands: &[CONNECT, SCRIPTS, LOOK, ASK, READ, INTERVENE],
        writes: &[
            OF_PARTITIONS[0],
            OF_PARTITIONS[1],
            OF_PARTITIONS[2],
            OF_PARTITIONS[3],
            OF_PARTITIONS[4],
            Kind::Roster("memb"),
            Kind::Roster("beat"),
            Kind::Roster("ctrl"),
            Kind::App("cron"),
        ],
        reads: &[
            META,
            Kind::Named("work"),
            LIST,
            Kind::App("live"),
            Kind::App("lead"),
            RECORDS[0],
            RECORDS[1],
            RECORDS[2],
            RECORDS[3],
        ],
    },
];

pub(super) fn command() -> Command {
    Command::new("acl").about("Print the least rules for Redis users of this app, as ACL SETUSER lines").arg(
        Arg::new("role")
            .value_name("ROLE")
            .value_parser(["worker", "producer", "dashboard", "operator"])
            .help("Only this one"),
    )
}

#[derive(Serialize)]
struct Rule {
    role: &'static str,
    user: String,
    rule: String,
}

pub(super) fn run(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let asked = matches.get_one::<String>("role");
    let settings = &host.settings().settings;
    let rules = ROLES.iter().filter(|role| asked.is_none_or(|asked| asked == role.name)).map(|role| Rule {
        role: role.name,
        user: format!("{}-{}", host.app(), role.name),
        rule: role.rule(host.app(), &settings.key_prefix, settings.durability),
    });
    if out.is_json() {
        return out.object(&rules.collect::<Vec<_>>());
    }
    out.line("# Put a password in place of CHANGE-ME in each line, and feed them to redis-cli or a file of users.")?;
    rules.into_iter().try_for_each(|rule| out.line(&format!("ACL SETUSER {} {}", rule.user, rule.rule)))
}

impl Role {
    /// What follows the user's name.
    fn rule(&self, app: &str, prefix: &str, durability: Durability) -> String {
        let mut commands: Vec<&str> = self.commands.concat();
        // Only where they are needed: a server that does not know a command refuses the whole rule.
        commands.extend(waiting(durability).filter(|_| self.sends));
        commands.sort_unstable();
        commands.dedup();
        let mut rule = vec!["reset".to_owned(), "on".into(), ">CHANGE-ME".into(), "resetchannels".into()];
        rule.extend(
            self.writes.iter().flat_map(|kind| kind.patterns(app, prefix)).map(|pattern| format!("~{pattern}")),
        );
        rule.extend(
            self.reads.iter().flat_map(|kind| kind.patterns(app, prefix)).map(|pattern| format!("%R~{pattern}")),
        );
        rule.push("-@all".into());
        rule.extend(commands.iter().map(|command| format!("+{command}")));
        rule.join(" ")
    }
}

/// The command that an append waits with until it is safe.
fn waiting(durability: Durability) -> Option<&'static str> {
    match durability {
        Durability::Acked => None,
        Durability::Replicated(_) => Some("wait"),
        Durability::Fsynced => Some("waitaof"),
    }
}

impl Kind {
    /// What the names of such keys look like.
    fn patterns(self, app: &str, prefix: &str) -> Vec<String> {
        let [app, prefix] = [app, prefix].map(literal);
        match self {
            Self::Partition("strm") => vec![format!("{prefix}__strm:{{{app}.*"), format!("{prefix}__strm:{app}.*")],
            // The second: beside a stream with the keys of runnel for Python, whose own key is the tag.
            Self::Partition(kind) => {
                vec![format!("{prefix}__{kind}:{{{app}.*"), format!("{prefix}__{kind}:{{{prefix}__strm:{app}.*")]
            }
            Self::Roster(kind) => vec![format!("{prefix}__{kind}:{{{app}.*")],
            Self::Named(kind) => vec![format!("{prefix}__{kind}:{app}.*")],
            Self::App(kind) => vec![format!("{prefix}__{kind}:{{{app}}}")],
            Self::Within(kind) => vec![format!("{prefix}__{kind}:{{{app}}}"), format!("{prefix}__{kind}:{{{app}}}.*")],
        }
    }
}

/// A name within a pattern.
fn literal(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn role(name: &str) -> &'static Role {
        ROLES.iter().find(|role| role.name == name).unwrap()
    }

    #[test]
    fn rules_name_the_app_and_nothing_beside_it() {
        let rule = role("dashboard").rule("sh*p", "a-", Durability::Fsynced);

        assert!(rule.contains("%R~a-__own:{sh\\*p.*") && rule.contains("%R~a-__live:{sh\\*p}"), "{rule}");
        assert!(rule.contains("%R~a-__rlog:{sh\\*p}.*") && rule.contains("%R~a-__rtask:{sh\\*p} "), "{rule}");
        assert!(!rule.contains(" ~") && !rule.contains("+xadd") && !rule.contains("+eval"), "{rule}");
    }

    #[test]
    fn only_workers_and_operators_may_settle() {
        let rule = |name| role(name).rule("shop", "", Durability::Acked);
        assert!(!rule("producer").contains("xgroup|setid"));
        assert!(!rule("producer").contains("__memb"));
        for name in ["worker", "operator"] {
            assert!(rule(name).contains("+xgroup|setid"));
        }
    }

    #[test]
    fn who_sends_may_wait_for_what_the_settings_ask_for() {
        for (durability, command) in [(Durability::Replicated(1), "+wait"), (Durability::Fsynced, "+waitaof")] {
            let may = |name| role(name).rule("shop", "", durability).split(' ').any(|word| word == command);
            assert!(may("worker") && may("producer") && !may("dashboard") && !may("operator"), "{command}");
        }
        assert!(!role("worker").rule("shop", "", Durability::Acked).contains("+wait"));
    }

    /// Every command that stands in the broker's source, with its subcommand: `xgroup|setid`.
    fn asked_for(directory: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.ends_with("tests") {
                continue;
            }
            if entry.is_dir() {
                found.extend(asked_for(&entry));
            } else if !entry.ends_with("tests.rs") && !entry.ends_with("reader/server.rs") {
                let text = std::fs::read_to_string(&entry).unwrap();
                let text = text.split("#[cfg(test)]").next().unwrap();
                found.extend(commands_in(text, "redis.call('", '\''));
                found.extend(commands_in(text, "cmd(\"", '"'));
            }
        }
        found
    }

    fn commands_in(text: &str, before: &str, quote: char) -> Vec<String> {
        let containers = ["XGROUP", "XINFO", "CLIENT", "CONFIG"];
        let one = |rest: &str| -> Option<String> {
            let command = rest.split(quote).next()?;
            let plain = !command.is_empty() && command.bytes().all(|b| b.is_ascii_uppercase());
            let sub = containers.contains(&command).then(|| rest.split(quote).nth(2)).flatten();
            plain.then(|| sub.map_or_else(|| command.to_owned(), |sub| format!("{command}|{sub}")).to_lowercase())
        };
        text.split(before).skip(1).filter_map(one).collect()
    }

    #[test]
    fn a_worker_is_allowed_every_command_of_the_broker_but_those_of_operators() {
        // Erasing an app is for tests and examples, which have the server to themselves; what CONFIG tells is nice to
        // have, and would show passwords too; a group is destroyed when an operator forgets it.
        // Waiting is allowed by the setting that needs it.
        let withheld = ["scan", "config|get", "xgroup|destroy", "wait", "waitaof"];
        let asked = asked_for(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/broker/redis"));
        assert!(asked.len() > 30, "the broker's commands were not found: {asked:?}");
        let allowed = role("worker").commands.concat();

        for command in asked.iter().filter(|command| !withheld.contains(&command.as_str())) {
            assert!(allowed.contains(&command.as_str()), "{command}");
        }
        for command in ["xgroup|destroy", "xdel"] {
            assert!(role("operator").commands.concat().contains(&command), "{command}");
        }
    }

    #[test]
    fn no_command_is_allowed_that_the_broker_does_not_ask_for() {
        let asked = asked_for(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/broker/redis"));
        for command in ROLES.iter().flat_map(|role| role.commands.concat()) {
            assert!(asked.iter().any(|one| one == command), "{command}");
        }
    }
}
