//! Settings: plain data with a reason and a default each.
//!
//! Order of sources: command line > code > environment `RUNNEL_*` > `runnel.toml` > default. [`load()`] reads them all and
//! remembers where each value came from; [`TABLE`] is the one list that reading, checking and showing walk.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::broker::Start;

mod environment;
mod file;
mod http;
mod kinds;
mod load;
mod names;
mod sections;
mod table;
mod url;
mod validate;

pub(crate) use environment::variable;
pub use http::Secret;
#[cfg(feature = "http")]
pub(crate) use http::address as http_address;
#[cfg(feature = "cli")]
pub(crate) use kinds::read_start;
pub(crate) use kinds::{read_duration, show_duration};
pub use load::{Loaded, Origin, Overrides, Value, load};
pub(crate) use names::{Named, check_name};
pub use sections::{Section, Sections, StoreSection};
pub use table::{Setting, TABLE};
pub use url::{DEFAULT_REDIS_URL, RedisUrl};
pub(crate) use url::{is_secret, mask, shown};

/// What happens to an event whose handling failed, after retries are spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ExceptionPolicy {
    /// The partition stops at the event and is marked; this worker drains and exits with code 70.
    #[default]
    Halt,
    /// The partition is marked and stays so until somebody decides; everything else goes on.
    Quarantine,
    /// The event is settled and logged, and the partition goes on.
    Ignore,
}

/// What `send` does when a partition is at its size and nothing may be trimmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnFull {
    /// Waits for room, at most `send_timeout`.
    #[default]
    Wait,
    /// Fails at once.
    Fail,
    /// Drops the oldest events, *processed or not*.
    DropOldest,
}

/// What happens when a run cannot be written to the task log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TaskLogPolicy {
    /// The run does not start, and the worker drains. An event that cannot be projected stops its partition.
    Halt,
    /// The run does not start, and the next one is tried as usual. An end that cannot be written is kept and sent again,
    /// and no further run of that task starts before it is. An event that cannot be projected quarantines its partition
    /// of the task log.
    #[default]
    Quarantine,
    /// The run starts, with a warning. An event that cannot be projected becomes a dead letter.
    Ignore,
    /// There is no task log: nothing is written, and nothing can be asked.
    Off,
}

/// How events are written to the log of the run they belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RunLogFormat {
    /// `2026-11-22T02:00:00.123Z  INFO orders: message key=value`
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// When a send counts as acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Durability {
    /// Redis has answered.
    #[default]
    Acked,
    /// That many replicas have it (WAIT).
    Replicated(u32),
    /// It is on disk (WAITAOF, from Redis 7.2).
    Fsynced,
}

/// Tries of one event, in place and in order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// How often handling may fail before the policy decides. Default: 1, no retry.
    pub attempts: u32,
    /// The first wait; doubled each time. Default: 200 ms.
    pub from: Duration,
    /// The longest wait. Default: 30 s.
    pub to: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 1, from: Duration::from_millis(200), to: Duration::from_secs(30) }
    }
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LogFormat {
    /// Console on a terminal, else JSON.
    #[default]
    Auto,
    /// For people.
    Console,
    /// A JSON object a line.
    Json,
}

/// Every setting of a worker or producer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// Where Redis is. Default: none given, which the bare form of the command line takes as `auto://`, and everything
    /// else as `redis://127.0.0.1:6379`.
    pub redis_url: Option<RedisUrl>,
    /// Before every key. No braces. Default: empty.
    pub key_prefix: String,
    /// How logs are written. Default: auto.
    pub log_format: LogFormat,
    /// The least level that is logged, or a filter like `info,myapp=debug`. Default: info.
    pub log_level: String,
    /// The zone of crontabs that name none. Default: UTC.
    pub timezone: String,
    /// The folder under which each job on demand has one of its own, with the traces that could not be stored. Default:
    /// `.runnel/jobs`, where the program was started: what is kept there is to outlast a start of the machine.
    pub job_work_dir: String,
    /// How often a worker bids for leadership; a term lasts three of them. Default: 4 s.
    pub leadership_poll_interval: Duration,
    /// How many partitions a stream has that does not say. Default: 16.
    pub default_partition_count: u32,
    /// Events a partition may hold. Default: 50,000.
    pub default_partition_size: u64,
    /// The codec of streams that name none: `json`, `msgpack`, with `+gzip`, `+lz4` or `+zstd`. Default: json.
    pub default_codec: String,
    /// The partitioner of streams that name none: `xxh64`, `python`, `python-md5`. Default: xxh64.
    pub default_partitioner: String,
    /// What happens to events whose handling failed. Default: halt.
    pub default_exception_policy: ExceptionPolicy,
    /// How long a dead owner may hold a partition back. Default: 10 s.
    pub default_lock_expiry: Duration,
    /// How long one blocking read may last; under the grace period. Default: 2 s.
    pub default_read_timeout: Duration,
    /// Where a processor begins that never had a position. Default: the beginning.
    pub default_start: Start,
    /// How long a send may wait for room or for Redis. Default: 30 s.
    pub send_timeout: Duration,
    /// When a send counts as acknowledged. Default: acked.
    pub durability: Durability,
    /// How often an event may kill its worker before the policy decides. Default: 3.
    pub max_crashes: u32,
    /// What happens when a run cannot be written to the task log. Default: quarantine.
    pub task_log_policy: TaskLogPolicy,
    /// Where the output of runs is kept, a folder; nothing: it is not kept, unless the app gives a store. Default: nothing.
    pub log_dir: String,
    /// Logs of runs are compressed so long after their end, in hours; 0: never. Default: 24.
    pub log_compress_after_hours: f64,
    /// Logs of runs are removed so long after their end, in days; 0: never. Default: 7.
    pub log_ttl_days: f64,
    /// When all logs of runs take more (GB, 1024³ bytes), the oldest of ended runs are removed; 0: no bound. Default: 10.
    pub log_max_size_gb: f64,
    /// Where logs of ended runs are copied to: a folder, or `s3://bucket/prefix`. Default: nowhere.
    pub log_ship_dest: String,
    /// Whether logs stay here after they were copied. Default: true.
    pub log_keep_local: bool,
    /// The least level that is kept of a run's events, or a filter like `info,noisy=warn`. Default: info.
    pub run_log_level: String,
    /// How events of runs are kept. Default: text.
    pub run_log_format: RunLogFormat,
    /// Where the worker answers HTTP: `127.0.0.1:8080`; port 0 is any that is free. Default: nowhere.
    pub http: String,
    /// What HTTP requests must bring (`Authorization: Bearer ..`), and what commands bring. Default: nothing.
    pub http_token: Secret,
    /// Where commands about runs ask: `http://127.0.0.1:8080`. Default: the app's own stores.
    pub api_url: String,
    /// Slot groups of a new stream; fixed at its creation. Default: 16.
    pub slot_groups: u32,
    /// Bytes of events a worker reads ahead. Default: 16 MiB.
    pub prefetch_bytes: usize,
    /// The largest value after decompression. Default: 64 MiB.
    pub decode_limit: usize,
    /// Dead letters a partition may hold. Default: 10,000.
    pub dead_letter_size: u64,
    /// Events read ahead for each owned partition. Default: 64.
    pub default_prefetch_count: u32,
    /// On drain: how long running work may take to finish. Default: 8 s.
    pub default_grace_period: Duration,
    /// How long a settled event may wait for its commit; 0 commits before the next event starts. Default: 5 ms.
    pub default_commit_linger: Duration,
    /// Between tries for a partition that another still holds. Default: 250 ms.
    pub default_assignment_sleep: Duration,
    /// How many such tries before giving up until the next plan. Default: unlimited.
    pub default_assignment_attempts: Option<u32>,
    /// Reading connections of a worker to one server. Default: 16.
    pub default_pool_size: u32,
    /// Wait after joining before taking partitions. Default: 0.
    pub default_join_delay: Duration,
    /// What `send` does when a partition is full. Default: wait.
    pub on_full: OnFull,
    /// Start even if the server may evict keys. Default: false.
    pub allow_eviction: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            redis_url: None,
            key_prefix: String::new(),
            log_format: LogFormat::Auto,
            log_level: "info".into(),
            timezone: "UTC".into(),
            job_work_dir: ".runnel/jobs".into(),
            leadership_poll_interval: Duration::from_secs(4),
            default_partition_count: 16,
            default_partition_size: 50_000,
            default_codec: "json".into(),
            default_partitioner: "xxh64".into(),
            default_exception_policy: ExceptionPolicy::Halt,
            default_lock_expiry: Duration::from_secs(10),
            default_read_timeout: Duration::from_secs(2),
            default_start: Start::Beginning,
            send_timeout: Duration::from_secs(30),
            durability: Durability::Acked,
            max_crashes: 3,
            task_log_policy: TaskLogPolicy::Quarantine,
            log_dir: String::new(),
            log_compress_after_hours: 24.0,
            log_ttl_days: 7.0,
            log_max_size_gb: 10.0,
            log_ship_dest: String::new(),
            log_keep_local: true,
            run_log_level: "info".into(),
            run_log_format: RunLogFormat::Text,
            http: String::new(),
            http_token: Secret::default(),
            api_url: String::new(),
            slot_groups: 16,
            prefetch_bytes: 16 << 20,
            decode_limit: 64 << 20,
            dead_letter_size: 10_000,
            default_prefetch_count: 64,
            default_grace_period: Duration::from_secs(8),
            default_commit_linger: Duration::from_millis(5),
            default_assignment_sleep: Duration::from_millis(250),
            default_assignment_attempts: None,
            default_pool_size: 16,
            default_join_delay: Duration::ZERO,
            on_full: OnFull::Wait,
            allow_eviction: false,
        }
    }
}
