//! A processor as data: which stream, which function, how it is run.
//!
//! The record's type ends here: above this room nothing is generic over it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::Start;
use crate::decide::verdict::Policy;
use crate::event::{EventId, Partition};
use crate::settings::{ExceptionPolicy, Retry, Settings};
use crate::stream::{Shows, StreamSpec};

pub mod dead_letter;
pub mod events;
pub mod extract;
pub mod handler;
pub mod middleware;

pub use dead_letter::DeadLetter;
pub use events::Events;
pub use extract::{Context, Extract, State};
pub use handler::{FromUnit, Handler, IntoOutcome};
pub use middleware::{Middleware, Next, Outcome, Settled, Unit};

pub(crate) use events::{Feed, Loop};
pub(crate) use handler::{Call, Entries, UnitError};
pub(crate) use middleware::Chain;

/// Where something was declared, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredAt {
    /// The file.
    pub file: &'static str,
    /// The line.
    pub line: u32,
}

impl std::fmt::Display for DeclaredAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// How the user's function is called.
#[derive(Clone)]
pub(crate) enum Style {
    /// Once for each event, or for each batch.
    Handler(Arc<dyn Call>),
    /// Once for each tenancy of a partition, lent its events.
    Loop(Arc<dyn Loop>),
}

/// A processor, declared.
#[derive(Clone)]
pub(crate) struct ProcessorSpec {
    pub(crate) name: String,
    pub(crate) stream: StreamSpec,
    pub(crate) style: Style,
    pub(crate) options: ProcessorOptions,
    pub(crate) middleware: Chain,
    pub(crate) declared_at: DeclaredAt,
}

/// The last events that a processor is to see: what comes after them, and partitions that are not named, are as if they were
/// not there.
pub(crate) type Ends = Arc<BTreeMap<Partition, EventId>>;
/// What of a processor is a run in the task log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Track {
    /// Each tenancy: the time in which a worker owns a partition.
    #[default]
    Tenancy,
    /// Each batch, and each try of it. This costs two writes to the task log for every batch.
    Batch,
    /// Each event, and each try of it. This costs two writes to the task log for every event.
    ///
    /// An event does not start before its begin is in the task log, unless `task_log_policy` ignores that: it waits, and
    /// the wait counts towards `timeout`.
    Event,
    /// Nothing.
    Off,
}

/// What a processor may say for itself; the rest comes from the settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessorOptions {
    pub(crate) batch: Option<usize>,
    pub(crate) within: Option<Duration>,
    pub(crate) retry: Option<Retry>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) exception_policy: Option<ExceptionPolicy>,
    pub(crate) dead_letter: bool,
    pub(crate) max_crashes: Option<u32>,
    pub(crate) lock_expiry: Option<Duration>,
    pub(crate) grace_period: Option<Duration>,
    pub(crate) prefetch_count: Option<u32>,
    pub(crate) commit_linger: Option<Duration>,
    pub(crate) start: Option<Start>,
    pub(crate) until: Option<Ends>,
    pub(crate) join_delay: Option<Duration>,
    pub(crate) assignment_sleep: Option<Duration>,
    pub(crate) assignment_attempts: Option<u32>,
    pub(crate) track: Track,
}

/// A processor's way of running, with nothing left open.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) batch: usize,
    pub(crate) within: Duration,
    pub(crate) retry: Retry,
    pub(crate) timeout: Option<Duration>,
    pub(crate) policy: Policy,
    pub(crate) dead_letter_size: u64,
    pub(crate) max_crashes: u32,
    pub(crate) lock_expiry: Duration,
    pub(crate) grace_period: Duration,
    pub(crate) prefetch_count: u32,
    pub(crate) commit_linger: Duration,
    pub(crate) start: Start,
    pub(crate) until: Option<Ends>,
    pub(crate) join_delay: Duration,
    pub(crate) assignment_sleep: Duration,
    pub(crate) assignment_attempts: Option<u32>,
    /// Which events of its stream it is given; the others are settled without it.
    pub(crate) shows: Option<Shows>,
}

impl Manner {
    /// The last event of a partition that is to be seen.
    pub(crate) fn last_of(&self, partition: Partition) -> EventId {
        match &self.until {
            None => EventId::MAX,
            Some(ends) => ends.get(&partition).copied().unwrap_or(EventId::ZERO),
        }
    }
}

impl ProcessorSpec {
    /// Whether its tenancies are runs in the task log. Those of runnel's own are not: they read that log.
    pub(crate) fn is_recorded(&self) -> bool {
        self.options.track == Track::Tenancy && !self.name.starts_with("__")
    }

    /// Whether its units are.
    pub(crate) fn tracks_units(&self) -> bool {
        matches!(self.options.track, Track::Batch | Track::Event)
    }

    /// What holds for this processor under these settings.
    pub(crate) fn under(&self, settings: &Settings) -> Manner {
        let options = &self.options;
        let batch = options.batch.unwrap_or(1);
        Manner {
            batch,
            within: options.within.unwrap_or(Duration::from_millis(100)),
            retry: options.retry.unwrap_or_default(),
            timeout: options.timeout,
            policy: self.policy(settings),
            dead_letter_size: self.stream.dead_letter_size.unwrap_or(settings.dead_letter_size),
            max_crashes: options.max_crashes.unwrap_or(settings.max_crashes),
            lock_expiry: options.lock_expiry.unwrap_or(settings.default_lock_expiry),
            grace_period: options.grace_period.unwrap_or(settings.default_grace_period),
            // A batch that is larger than the prefetch would wait for what can never come.
            prefetch_count: options.prefetch_count.unwrap_or(settings.default_prefetch_count).max(batch as u32),
            commit_linger: options.commit_linger.unwrap_or(settings.default_commit_linger),
            start: options.start.unwrap_or(settings.default_start),
            until: options.until.clone(),
            join_delay: options.join_delay.unwrap_or(settings.default_join_delay),
            assignment_sleep: options.assignment_sleep.unwrap_or(settings.default_assignment_sleep),
            assignment_attempts: options.assignment_attempts.or(settings.default_assignment_attempts),
            shows: self.stream.shows,
        }
    }

    fn policy(&self, settings: &Settings) -> Policy {
        // What was given up once must not stop those who only look after it.
        let default = match self.stream.holds_letters {
            true => ExceptionPolicy::Ignore,
            false => settings.default_exception_policy,
        };
        match self.options.dead_letter {
            true => Policy::DeadLetter,
            false => self.options.exception_policy.unwrap_or(default).into(),
        }
    }

    /// Combinations that cannot work, as a sentence.
    pub(crate) fn refusal(&self, settings: &Settings) -> Option<String> {
        let options = &self.options;
        let manner = self.under(settings);
        if let Some(why) = options.no_dead_letters(&self.stream) {
            return Some(why);
        }
        let takes_batches = match &self.style {
            Style::Handler(call) => call.takes_batches(),
            Style::Loop(_) => {
                if options.batch.is_some() {
                    return Some(
                        "`batch` is for handlers: an event loop takes batches with `events.take(n, within)`".into(),
                    );
                }
                if options.timeout.is_some() {
                    return Some("`timeout` is for handlers: an event loop times its own work".into());
                }
                false
            }
        };
        match (takes_batches, options.batch) {
            (true, None) => return Some("it takes a `Vec`, so say how large: `batch = 500`".into()),
            (false, Some(_)) if matches!(self.style, Style::Handler(_)) => {
                return Some("`batch` is given, so its first parameter must be a `Vec` of records or events".into());
            }
            (_, Some(0)) => return Some("`batch = 0` would never be full".into()),
            (_, Some(n)) if n > 10_000 => return Some(format!("`batch = {n}` is more than 10,000 events")),
            _ => {}
        }
        if let Some(why) = self.cannot_track(takes_batches) {
            return Some(why);
        }
        if options.within.is_some() && options.batch.is_none() {
            return Some("`within` says how long a batch may take to fill, so give `batch` as well".into());
        }
        let short = |what: &str, value: Duration, than: &str, bound: Duration| {
            Some(format!("`{what}` ({value:?}) must be shorter than `{than}` ({bound:?})"))
        };
        if takes_batches && manner.within >= manner.grace_period {
            return short("within", manner.within, "grace_period", manner.grace_period);
        }
        if manner.lock_expiry < Duration::from_millis(500) {
            return Some(format!("`lock_expiry` ({:?}) must be at least 500 ms", manner.lock_expiry));
        }
        if manner.prefetch_count == 0 {
            return Some("`prefetch_count` must be at least 1: nothing would ever be read".into());
        }
        if manner.retry.attempts == 0 {
            return Some("`retry(attempts = 0)` would never try at all: 1 means no retry".into());
        }
        if manner.retry.from > manner.retry.to {
            return Some(format!(
                "`retry` waits from {:?} to {:?}: the first must not be longer",
                manner.retry.from, manner.retry.to
            ));
        }
        if manner.timeout == Some(Duration::ZERO) {
            return Some("`timeout` must be longer than 0".into());
        }
        None
    }
}

impl ProcessorSpec {
    fn cannot_track(&self, takes_batches: bool) -> Option<String> {
        if self.stream.internal && self.tracks_units() {
            return Some(
                "a reader of the task log must not feed it with each event: it is tracked by tenancies".into(),
            );
        }
        let is_handler = matches!(self.style, Style::Handler(_));
        match self.options.track {
            Track::Event if takes_batches => {
                Some("`track = \"event\"` is for events that are handled one by one: a batch is one run, `track = \"batch\"`".into())
            }
            Track::Batch if is_handler && !takes_batches => {
                Some("`track = \"batch\"` is for batches: it takes events one by one, `track = \"event\"`".into())
            }
            _ => None,
        }
    }
}

impl ProcessorOptions {
    fn no_dead_letters(&self, stream: &StreamSpec) -> Option<String> {
        if !self.dead_letter {
            return None;
        }
        if stream.holds_letters {
            return Some(
                "what it processes are dead letters, which cannot be given up as dead letters once more: leave out \
                 `on_error = \"dead_letter\"`, and what fails is logged and settled"
                    .into(),
            );
        }
        let stops = self.exception_policy.filter(|policy| *policy != ExceptionPolicy::Ignore)?;
        Some(format!(
            "`on_error = \"dead_letter\"` goes on behind a failed event, and `exception_policy = \"{}\"` stops there: give one \
             of them",
            format!("{stops:?}").to_lowercase()
        ))
    }
}
