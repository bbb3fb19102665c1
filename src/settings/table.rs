//! The one list of settings: name, kind, default and what each is for.
//!
//! Loading, checking, `config show` and the printed documentation all walk it; a test holds it against the fields of
//! [`Settings`], so that neither can be forgotten.

use super::Settings;
use super::kinds::{self, Kind};

/// What is known of one setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name, in code and in `runnel.toml`; with `RUNNEL_` before it and in capitals in the environment.
    pub name: &'static str,
    /// What kind of value it has: `duration`.
    pub kind: &'static str,
    /// What a value must look like, for refusals.
    pub expected: &'static str,
    /// What it is for, in one line.
    pub help: &'static str,
    pub(super) read: fn(&mut Settings, &str) -> bool,
    pub(super) show: fn(&Settings) -> String,
}

impl Setting {
    /// The setting of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|setting| setting.name == name)
    }

    /// Its variable in the environment: `RUNNEL_LOG_LEVEL`.
    pub fn variable(&self) -> String {
        format!("RUNNEL_{}", self.name.to_ascii_uppercase())
    }

    /// Its value as text, secrets masked.
    pub fn show(&self, settings: &Settings) -> String {
        (self.show)(settings)
    }

    /// Its default as text.
    pub fn default_text(&self) -> String {
        (self.show)(&Settings::default())
    }
}

macro_rules! table {
    ($($name:ident: $kind:ident, $help:literal;)*) => {
        /// Every setting.
        pub const TABLE: &[Setting] = &[$(Setting {
            name: stringify!($name),
            kind: kinds::$kind::NAME,
            expected: kinds::$kind::EXPECTED,
            help: $help,
            read: |settings, text| match kinds::$kind::read(text) {
                Some(value) => { settings.$name = value; true }
                None => false,
            },
            show: |settings| kinds::$kind::show(&settings.$name),
        }),*];
    };
}

table! {
    redis_url: Url, "where Redis is; without one, the bare command line takes auto://";
    key_prefix: Text, "before every key; no braces";
    log_format: Format, "how logs are written; auto: console on a terminal, else JSON";
    log_level: Level, "the least level that is logged; RUST_LOG goes before it";
    timezone: Text, "the zone of crontabs that name none";
    job_work_dir: Text, "where jobs on demand have folders of their own";
    leadership_poll_interval: Millis, "how often a worker bids for leadership; a term lasts three of them";
    default_partition_count: Count, "how many partitions a new stream has";
    default_partition_size: LongCount, "events a partition may hold";
    default_codec: CodecName, "how records become bytes";
    default_partitioner: PartitionerName, "from a record's key to its partition";
    default_exception_policy: Policy, "what happens to events whose handling failed";
    default_lock_expiry: Seconds, "how long a dead owner may hold a partition back";
    default_read_timeout: Millis, "how long one blocking read may last; under the grace period";
    default_start: Begin, "where a processor begins that never had a position";
    send_timeout: Seconds, "how long a send may wait for room or for Redis";
    durability: Acknowledged, "when a send counts as acknowledged";
    max_crashes: Count, "how often an event may kill its worker before the policy decides";
    task_log_policy: TaskLog, "what happens when a run cannot be written to the task log";
    log_dir: Text, "where the output of runs is kept; nothing: nowhere";
    log_compress_after_hours: Real, "hours after its end in which a run's log is compressed; 0: never";
    log_ttl_days: Real, "days after its end in which a run's log is removed; 0: never";
    log_max_size_gb: Real, "GB that logs may take before the oldest are removed; 0: no bound";
    log_ship_dest: Text, "where logs of ended runs are copied to; nothing: nowhere";
    log_keep_local: Truth, "whether logs stay here after they were copied";
    run_log_level: Level, "the least level that is kept of a run's events";
    run_log_format: RunLines, "how events of runs are kept";
    http: Text, "where the worker answers HTTP; nothing: nowhere";
    http_token: Hidden, "what HTTP requests must bring, and commands bring";
    api_url: Text, "where commands about runs ask; nothing: the app's own stores";
    slot_groups: Count, "slot groups of a new stream; fixed at its creation";
    prefetch_bytes: Size, "bytes of events a worker reads ahead";
    decode_limit: Size, "the largest value after decompression";
    dead_letter_size: LongCount, "dead letters a partition may hold";
    default_prefetch_count: Count, "events read ahead for each owned partition";
    default_grace_period: Seconds, "on drain: how long running work may take to finish";
    default_commit_linger: Millis, "how long a settled event may wait for its commit; 0: none waits";
    default_assignment_sleep: Seconds, "between tries for a partition that another still holds";
    default_assignment_attempts: Limit, "how many such tries before the next plan";
    default_pool_size: Count, "reading connections of a worker to one server";
    default_join_delay: Seconds, "wait after joining before taking partitions";
    on_full: Full, "what send does when a partition is full";
    allow_eviction: Truth, "start even if the server may evict keys";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_field_of_the_settings() {
        let printed = format!("{:#?}", Settings::default());
        let fields: Vec<&str> = printed
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
            .filter_map(|line| line.split_once(':').map(|(name, _)| name))
            .collect();

        assert_eq!(TABLE.iter().map(|s| s.name).collect::<Vec<_>>(), fields);
    }

    #[test]
    fn every_default_is_read_back_from_its_text() {
        for setting in TABLE.iter().filter(|setting| setting.name != "redis_url") {
            let mut settings = Settings::default();
            assert!((setting.read)(&mut settings, &setting.default_text()), "{}", setting.name);
            assert_eq!(settings, Settings::default(), "{}", setting.name);
        }
    }

    #[test]
    fn no_setting_takes_nonsense() {
        for setting in TABLE.iter().filter(|setting| setting.kind != "text") {
            for bad in ["", "\0", "-1", "nonsense", "1e999"] {
                assert!(!(setting.read)(&mut Settings::default(), bad), "{} = {bad:?}", setting.name);
            }
        }
    }
}
