//! How each kind of setting is read from text and shown as text.
//!
//! What [`Kind::show`] writes, [`Kind::read`] reads: that is how `config show` can be pasted into `runnel.toml`, and how
//! values set in code are checked by the same rules as those of the environment.

use crate::broker::Start;
use crate::codec::AnyCodec;
use crate::event::EventId;
use crate::route::Partitioner;

use super::{Durability, ExceptionPolicy, LogFormat, OnFull, RedisUrl, RunLogFormat, Secret, TaskLogPolicy};

mod time;

pub(super) use time::{Millis, Seconds};
pub(crate) use time::{read_duration, show_duration};

/// One kind of value.
pub(super) trait Kind {
    /// The field's type.
    type Value;
    /// What it is called in tables: `duration`.
    const NAME: &'static str;
    /// What was expected, for refusals: "a duration like `250ms`".
    const EXPECTED: &'static str;
    /// The value this text stands for.
    fn read(text: &str) -> Option<Self::Value>;
    /// Its text.
    fn show(value: &Self::Value) -> String;
}

macro_rules! numbers {
    ($($kind:ident: $type:ty;)*) => {$(
        pub(super) struct $kind;
        impl Kind for $kind {
            type Value = $type;
            const NAME: &'static str = "number";
            const EXPECTED: &'static str = "a whole number, not negative";
            fn read(text: &str) -> Option<$type> {
                digits(text)?.parse().ok()
            }
            fn show(value: &$type) -> String {
                value.to_string()
            }
        }
    )*};
}

numbers! {
    Count: u32;
    LongCount: u64;
}

/// Kinds of a few words each.
macro_rules! choices {
    ($($kind:ident: $type:ident { $($text:literal => $variant:ident),* } $expected:literal;)*) => {$(
        pub(super) struct $kind;
        impl Kind for $kind {
            type Value = $type;
            const NAME: &'static str = "choice";
            const EXPECTED: &'static str = $expected;
            fn read(text: &str) -> Option<$type> {
                match text.to_ascii_lowercase().as_str() { $($text => Some($type::$variant),)* _ => None }
            }
            fn show(value: &$type) -> String {
                match value { $($type::$variant => $text,)* }.to_owned()
            }
        }
    )*};
}

choices! {
    Format: LogFormat { "auto" => Auto, "console" => Console, "json" => Json } "`auto`, `console` or `json`";
    Policy: ExceptionPolicy { "halt" => Halt, "quarantine" => Quarantine, "ignore" => Ignore }
        "`halt`, `quarantine` or `ignore`";
    TaskLog: TaskLogPolicy { "halt" => Halt, "quarantine" => Quarantine, "ignore" => Ignore, "off" => Off }
        "`halt`, `quarantine`, `ignore` or `off`";
    RunLines: RunLogFormat { "text" => Text, "json" => Json } "`text` or `json`";
    Full: OnFull { "wait" => Wait, "fail" => Fail, "drop_oldest" => DropOldest } "`wait`, `fail` or `drop_oldest`";
}

/// Whether something is so.
pub(super) struct Truth;

impl Kind for Truth {
    type Value = bool;
    const NAME: &'static str = "truth";
    const EXPECTED: &'static str = "`true` or `false`";
    fn read(text: &str) -> Option<bool> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }
    fn show(value: &bool) -> String {
        value.to_string()
    }
}

/// A number that may have a fraction.
pub(super) struct Real;

impl Kind for Real {
    type Value = f64;
    const NAME: &'static str = "number";
    const EXPECTED: &'static str = "a number, not negative";
    fn read(text: &str) -> Option<f64> {
        let is_plain = text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(['e', 'E']);
        text.parse().ok().filter(|number: &f64| is_plain && number.is_finite())
    }
    fn show(value: &f64) -> String {
        value.to_string()
    }
}

/// A number that may be unlimited.
pub(super) struct Limit;

impl Kind for Limit {
    type Value = Option<u32>;
    const NAME: &'static str = "number";
    const EXPECTED: &'static str = "a whole number, or `unlimited`";
    fn read(text: &str) -> Option<Option<u32>> {
        if text.eq_ignore_ascii_case("unlimited") { Some(None) } else { Count::read(text).map(Some) }
    }
    fn show(value: &Option<u32>) -> String {
        value.map_or_else(|| "unlimited".into(), |n| n.to_string())
    }
}

/// A number of bytes.
pub(super) struct Size;

impl Kind for Size {
    type Value = usize;
    const NAME: &'static str = "size";
    const EXPECTED: &'static str = "a size like `16MiB` or `64MB`, or a number of bytes";
    fn read(text: &str) -> Option<usize> {
        let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(at);
        let factor: usize = match unit.trim_start().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            _ => return None,
        };
        digits(number)?.parse::<usize>().ok()?.checked_mul(factor)
    }
    fn show(value: &usize) -> String {
        match *value {
            n if n > 0 && n % (1 << 30) == 0 => format!("{}GiB", n >> 30),
            n if n > 0 && n % (1 << 20) == 0 => format!("{}MiB", n >> 20),
            n if n > 0 && n % (1 << 10) == 0 => format!("{}KiB", n >> 10),
            n => n.to_string(),
        }
    }
}

/// Only digits, and at least one: no signs, no blanks, no underscores.
fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

/// Any text; what it may be is checked by [`Settings::validate`](super::Settings::validate).
pub(super) struct Text;

impl Kind for Text {
    type Value = String;
    const NAME: &'static str = "text";
    const EXPECTED: &'static str = "a text";
    fn read(text: &str) -> Option<String> {
        Some(text.to_owned())
    }
    fn show(value: &String) -> String {
        value.clone()
    }
}

/// A text that is shown to nobody.
pub(super) struct Hidden;

impl Kind for Hidden {
    type Value = Secret;
    const NAME: &'static str = "text";
    const EXPECTED: &'static str = "a text";
    fn read(text: &str) -> Option<Secret> {
        Some(Secret::new(text))
    }
    fn show(value: &Secret) -> String {
        value.to_string()
    }
}

/// The address of a store. Shown without its password.
pub(super) struct Url;

impl Kind for Url {
    type Value = Option<RedisUrl>;
    const NAME: &'static str = "address";
    const EXPECTED: &'static str = "an address like `redis://127.0.0.1:6379`, `unix:///run/redis.sock` or `auto://`";
    fn read(text: &str) -> Option<Option<RedisUrl>> {
        let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
        (plain && text.contains("://")).then(|| Some(RedisUrl::new(text)))
    }
    fn show(value: &Option<RedisUrl>) -> String {
        value.as_ref().map_or_else(|| super::DEFAULT_REDIS_URL.into(), ToString::to_string)
    }
}

/// A level, or levels for parts of the program.
pub(super) struct Level;

impl Level {
    const LEVELS: [&'static str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

    fn is_directive(part: &str) -> bool {
        match part.rsplit_once('=') {
            Some((target, level)) => !target.is_empty() && Self::LEVELS.contains(&level.to_ascii_lowercase().as_str()),
            // A bare word that is no level would be taken as a target by the filter, and silence everything else.
            None => Self::LEVELS.contains(&part.to_ascii_lowercase().as_str()),
        }
    }
}

impl Kind for Level {
    type Value = String;
    const NAME: &'static str = "level";
    const EXPECTED: &'static str =
        "`off`, `error`, `warn`, `info`, `debug`, `trace`, or levels by module like `info,myapp=debug`";
    fn read(text: &str) -> Option<String> {
        // The word of runnel for Python.
        let text = if text.eq_ignore_ascii_case("warning") { "warn" } else { text };
        let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
        (plain && text.split(',').all(Self::is_directive)).then(|| text.to_owned())
    }
    fn show(value: &String) -> String {
        value.clone()
    }
}

/// The name of a codec with its compression.
pub(super) struct CodecName;

impl Kind for CodecName {
    type Value = String;
    const NAME: &'static str = "codec";
    const EXPECTED: &'static str = "`json` or `msgpack`, alone or with `+gzip`, `+lz4` or `+zstd`";
    /// Also one that this build does not have: [`Settings::validate`](super::Settings::validate) says so.
    fn read(text: &str) -> Option<String> {
        AnyCodec::NAMES.contains(&text).then(|| text.to_owned())
    }
    fn show(value: &String) -> String {
        value.clone()
    }
}

/// The name of a partitioner.
pub(super) struct PartitionerName;

impl Kind for PartitionerName {
    type Value = String;
    const NAME: &'static str = "partitioner";
    const EXPECTED: &'static str = "`xxh64`, `python` or `python-md5`";
    fn read(text: &str) -> Option<String> {
        Partitioner::from_name(text).is_ok().then(|| text.to_owned())
    }
    fn show(value: &String) -> String {
        value.clone()
    }
}

/// When a send counts as acknowledged.
pub(super) struct Acknowledged;

impl Kind for Acknowledged {
    type Value = Durability;
    const NAME: &'static str = "durability";
    const EXPECTED: &'static str = "`acked`, `replicated(n)` or `fsynced`";
    fn read(text: &str) -> Option<Durability> {
        match text {
            "acked" => Some(Durability::Acked),
            "fsynced" => Some(Durability::Fsynced),
            _ => {
                let replicas = text.strip_prefix("replicated(")?.strip_suffix(')')?;
                Count::read(replicas).map(Durability::Replicated)
            }
        }
    }
    fn show(value: &Durability) -> String {
        match value {
            Durability::Acked => "acked".into(),
            Durability::Replicated(n) => format!("replicated({n})"),
            Durability::Fsynced => "fsynced".into(),
        }
    }
}

/// Where a processor begins that never had a position.
pub(super) struct Begin;

impl Kind for Begin {
    type Value = Start;
    const NAME: &'static str = "start";
    const EXPECTED: &'static str = "`0` (the beginning), `$` (the end), an event id like `1795315492410-0`, or a time like \
                                    `2026-11-01T09:00:00Z`";
    fn read(text: &str) -> Option<Start> {
        match text {
            "0" => Some(Start::Beginning),
            "$" => Some(Start::End),
            _ => EventId::parse(text.as_bytes()).map(Start::After).or_else(|| from_time(text)),
        }
    }
    fn show(value: &Start) -> String {
        match value {
            Start::Beginning => "0".into(),
            Start::End => "$".into(),
            Start::After(id) => id.to_string(),
        }
    }
}

/// From the first event of that time on: after the last id that could lie before it.
fn from_time(text: &str) -> Option<Start> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    let ms = u64::try_from(time.timestamp_millis()).ok()?;
    Some(ms.checked_sub(1).map_or(Start::Beginning, |before| Start::After(EventId::new(before, u64::MAX))))
}

/// Where to start, as a person writes it: `0`, `$`, an id or a time.
pub(crate) fn read_start(text: &str) -> Result<Start, String> {
    Begin::read(text)
        .ok_or_else(|| format!("`{}` is no place to start: expected {}", super::shown(text), Begin::EXPECTED))
}

#[cfg(test)]
mod tests;
