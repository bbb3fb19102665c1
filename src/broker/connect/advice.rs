//! What to tell a person whose Redis cannot be used: what was tried, on whose word, why it failed, what to do.

use crate::broker::{BrokerError, ServerFacts};
use crate::error::Failure;

use super::{Unfit, Wanted, version};

const INSTALL: &str = "to install and start one: `sudo apt install redis-server` (Debian, Ubuntu), `brew install redis && \
                       brew services start redis` (macOS), `docker run -p 127.0.0.1:6379:6379 redis:7`";

/// The store could not be opened.
pub(super) fn refused(wanted: &Wanted, error: BrokerError) -> Failure {
    let here = format!("{} (redis_url: {})", wanted.url, wanted.origin);
    let reason = reason(&error);
    let text = match refusal(&error, &reason) {
        Refusal::Password => format!(
            "Redis at {here} does not accept this user and password: {reason}\n  give them in the address: \
             redis://USER:PASSWORD@HOST:PORT, with special characters percent-encoded"
        ),
        Refusal::Permission => format!(
            "the Redis user of {here} lacks a permission: {reason}\n  the command `acl` prints the rules that runnel needs"
        ),
        Refusal::Silent => format!(
            "runnel failed to connect to {here}: {reason}\n  is Redis running there? {INSTALL}\n  to name another \
             address: RUNNEL_REDIS_URL, or `redis_url` in runnel.toml\n  to try without Redis: `--dev`"
        ),
        Refusal::Other => format!("Redis at {here} cannot be used: {reason}"),
    };
    Failure::Unusable { text, source: error }
}

/// The store was opened and must not be used.
pub(super) fn unfit(wanted: &Wanted, facts: &ServerFacts, unfit: &Unfit) -> Failure {
    let here = format!("{} at {} (redis_url: {})", version(facts), wanted.url, wanted.origin);
    Failure::Invalid(match unfit {
        Unfit::TooOld => format!("{here} is too old: Redis 7.0 or Valkey 8 is the oldest that can be used"),
        Unfit::Replica => format!("{here} is a read-only replica: give the address of its primary"),
        Unfit::Evicts => format!(
            "{here} may evict events and positions (maxmemory-policy {})\n  on the server: CONFIG SET maxmemory-policy \
             noeviction\n  or accept the loss: RUNNEL_ALLOW_EVICTION=true",
            facts.eviction
        ),
        Unfit::HidesItsDisk => format!(
            "{here} is too old for the setting `durability` = fsynced: it does not tell when something is on disk, which \
             Redis does from 7.2 and Valkey from 8\n  or use `acked`, or `replicated(n)`"
        ),
        Unfit::KeepsNoLog => format!(
            "{here} keeps no log on disk, so the setting `durability` = fsynced would never be met\n  on the server: CONFIG \
             SET appendonly yes\n  or use `acked`, or `replicated(n)`"
        ),
    })
}

enum Refusal {
    Password,
    Permission,
    Silent,
    Other,
}

fn refusal(error: &BrokerError, reason: &str) -> Refusal {
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    match error {
        // Signing in happens while connecting, so a wrong password may come as no connection.
        _ if says(&["WRONGPASS", "NOAUTH", "AuthenticationFailed", "Password authentication failed"]) => {
            Refusal::Password
        }
        _ if says(&["NOPERM"]) => Refusal::Permission,
        BrokerError::Unavailable { .. } | BrokerError::Unclear { .. } => Refusal::Silent,
        BrokerError::Refused { .. } | BrokerError::Unexpected { .. } | BrokerError::NotDurable { .. } => Refusal::Other,
    }
}

/// The innermost causes, which alone say why.
pub(super) fn reason(error: &BrokerError) -> String {
    let BrokerError::Unavailable { source, .. } = error else { return error.to_string() };
    let mut text = source.to_string();
    let mut cause = source.source();
    while let Some(deeper) = cause {
        let deeper_text = deeper.to_string();
        if !text.contains(&deeper_text) {
            text = format!("{text}: {deeper_text}");
        }
        cause = deeper.source();
    }
    text
}
