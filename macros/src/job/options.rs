//! The arguments of the four attributes: a crontab's spec first, then options, each at most once.
//!
//! What can be known without settings is checked here. The app checks it again at start, for jobs that are declared
//! without the macros.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Expr, Ident, Meta};

use super::{Kind, on_demand, schedule};
use crate::options::{Known, List, Seen, alone, another_form, behind_first};
use crate::problems::Problems;
use crate::values;

const OF_ALL: [Known; 4] = [
    ("name", "name = \"ping\""),
    ("on_leader", "on_leader"),
    ("exception_policy", "exception_policy = \"quarantine\""),
    ("timeout", "timeout = \"30s\""),
];

const OF_TIMERS: [Known; 3] =
    [("interval", "interval = \"10s\""), ("jitter", "jitter = \"1s\""), ("overlap", "overlap = \"queue\"")];

const OF_CRONTABS: [Known; 4] = [
    ("timezone", "timezone = \"Europe/London\""),
    ("missed", "missed = \"latest\""),
    ("max_lateness", "max_lateness = \"5m\""),
    ("delivery", "delivery = \"at_least_once\""),
];

const OF_JOBS: [Known; 5] = [
    ("retry", "retry = backoff(max_attempts = 5, multiplier = 2, min = \"1s\", max = \"10s\")"),
    ("retry_steps", "retry_steps = [\"load\"]"),
    ("store_trace_info", "store_trace_info = \"archive\""),
    ("run_from_clean_folder", "run_from_clean_folder = true"),
    ("tag", "tag = \"nightly\""),
];

/// The grid of instants is no finer than this.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// How a job is added to its app: `timer(interval, ..)`.
pub(super) struct Added {
    pub(super) method: Ident,
    pub(super) when: Option<TokenStream>,
}

/// What stands in the attribute, checked.
pub(super) struct Options {
    kind: Kind,
    name: Option<String>,
    /// The spec of a crontab.
    spec: Option<String>,
    interval: Option<Duration>,
    jitter: Option<(Expr, Duration)>,
    at_least_once: Option<Expr>,
    seen: Seen,
    changes: Vec<TokenStream>,
}

impl Options {
    /// Reads them; tells every mistake there is.
    pub(super) fn read(kind: Kind, attr: TokenStream, problems: &mut Problems) -> Self {
        let mut options = Self {
            kind,
            name: None,
            spec: None,
            interval: None,
            jitter: None,
            at_least_once: None,
            seen: Seen::default(),
            changes: Vec::new(),
        };
        let list = match kind {
            Kind::Task => problems.keep(alone(attr, "name = \"migrate\"")),
            Kind::Timer => problems.keep(alone(attr, "interval = \"10s\"")),
            Kind::Crontab => options.read_spec(attr, problems),
            Kind::Job => problems.keep(alone(attr, "name = \"ingest\"")),
        };
        // Without a list there was a mistake in it already, and nothing is told twice.
        if let Some(list) = list {
            for option in &list {
                options.read_one(option, problems);
            }
            options.check(list.first(), problems);
        }
        options
    }

    /// How the job is added, if that is known.
    pub(super) fn added(&self) -> Option<Added> {
        let (method, when) = match self.kind {
            Kind::Task => ("task", None),
            Kind::Timer => ("timer", Some(values::duration_tokens(self.interval?))),
            Kind::Crontab => {
                let spec = self.spec.as_ref()?;
                ("crontab", Some(quote!(#spec)))
            }
            Kind::Job => ("on_demand", None),
        };
        Some(Added { method: Ident::new(method, Span::mixed_site()), when })
    }

    /// The name it is given, if it is.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The calls that say all else of a declared job.
    pub(super) fn changes(&self) -> &[TokenStream] {
        &self.changes
    }

    fn read_spec(&mut self, attr: TokenStream, problems: &mut Problems) -> Option<List> {
        let advice = "say first when it runs: `#[runnel::crontab(\"45 17 * * *\")]`";
        let read = behind_first(attr, |first| values::literal(first).is_some(), advice);
        let (first, rest) = problems.keep(read)?;
        self.spec = problems.keep(schedule::spec(&first));
        Some(rest)
    }

    fn read_one(&mut self, option: &Meta, problems: &mut Problems) {
        let own: &[Known] = match self.kind {
            Kind::Task => &[],
            Kind::Timer => &OF_TIMERS,
            Kind::Crontab => &OF_CRONTABS,
            Kind::Job => &OF_JOBS,
        };
        if let Some(whose) = self.of_another(option.path()) {
            let name = crate::problems::shown(option.path());
            problems.tell(option.path(), format!("`{name}` is for {whose}"));
            return;
        }
        let Some(known) = self.seen.find(option, &[own, &OF_ALL].concat(), problems) else { return };
        let read = match (known.0, option) {
            ("on_leader", _) if self.kind == Kind::Job => {
                Err(syn::Error::new_spanned(option, "a job on demand runs where it is asked for, not on the leader"))
            }
            ("store_trace_info", Meta::Path(_)) => {
                self.changes.push(quote!(.store_trace_info(true)));
                Ok(())
            }
            ("run_from_clean_folder", Meta::Path(_)) => {
                self.changes.push(quote!(.run_from_clean_folder()));
                Ok(())
            }
            ("on_leader", Meta::Path(_)) => {
                self.changes.push(quote!(.on_leader()));
                Ok(())
            }
            ("on_leader", _) | (_, Meta::Path(_) | Meta::List(_)) => Err(another_form(option, known)),
            (_, Meta::NameValue(pair)) => self.set(known, option, &pair.value),
        };
        problems.keep(read);
    }

    /// Whose option this is, if not this kind's.
    fn of_another(&self, path: &syn::Path) -> Option<&'static str> {
        let is_in = |known: &[Known]| known.iter().any(|(name, _)| path.is_ident(name));
        match self.kind {
            Kind::Timer | Kind::Task | Kind::Job if is_in(&OF_CRONTABS) => Some("crontabs"),
            Kind::Crontab | Kind::Task | Kind::Job if is_in(&OF_TIMERS) => Some("timers"),
            Kind::Timer | Kind::Crontab | Kind::Task if is_in(&OF_JOBS) => Some("jobs on demand"),
            _ => None,
        }
    }

    fn set(&mut self, known: Known, option: &Meta, value: &Expr) -> syn::Result<()> {
        let (name, example) = known;
        match name {
            "name" => {
                self.name = Some(values::name(value, self.kind.role().noun, example)?);
                return Ok(());
            }
            "interval" => {
                self.interval = Some(interval(value, example)?);
                return Ok(());
            }
            "run_from_clean_folder" => {
                if on_demand::switch(value, example)? {
                    self.changes.push(quote!(.run_from_clean_folder()));
                }
                return Ok(());
            }
            _ => {}
        }
        let argument = match name {
            "exception_policy" => values::policy(value, example)?.1,
            "overlap" => schedule::overlap(value, example)?,
            "timezone" => schedule::timezone(value, example)?,
            "retry" => on_demand::retry(value)?,
            "retry_steps" => on_demand::steps(value, example)?,
            "store_trace_info" => on_demand::trace(value, example)?,
            "tag" => {
                let tag = values::text(value, example)?;
                quote!(#tag)
            }
            "missed" => schedule::missed(value, example)?,
            "delivery" => {
                let (at_least_once, delivery) = schedule::delivery(value, example)?;
                self.at_least_once = at_least_once.then(|| value.clone());
                delivery
            }
            _ => {
                let time = values::duration(value, example)?;
                match name {
                    "timeout" if time.is_zero() => {
                        return Err(syn::Error::new_spanned(value, "a timeout of 0 would fail every run"));
                    }
                    "max_lateness" if time.is_zero() => {
                        let why = "a `max_lateness` of 0 would let no instant run: each is run a little after it";
                        return Err(syn::Error::new_spanned(value, why));
                    }
                    "jitter" => self.jitter = Some((value.clone(), time)),
                    _ => {}
                }
                values::duration_tokens(time)
            }
        };
        let method = format_ident!("{name}", span = option.path().span());
        self.changes.push(quote!(.#method(#argument)));
        Ok(())
    }

    /// What is missing, told at the first option, and what does not go together.
    fn check(&self, first: Option<&Meta>, problems: &mut Problems) {
        if self.kind == Kind::Timer && !self.seen.has("interval") {
            let why = "say how often it runs: `#[runnel::timer(interval = \"10s\")]`";
            let place = first.map_or_else(Span::call_site, |first| first.path().span());
            problems.keep(Err::<(), _>(syn::Error::new(place, why)));
        }
        if let (Some((value, jitter)), Some(interval)) = (&self.jitter, self.interval)
            && *jitter > interval
        {
            problems.tell(
                value,
                format!("`jitter` ({jitter:?}) must not be longer than `interval` ({interval:?}): runs would come out of order"),
            );
        }
        if let Some(value) = self.at_least_once.as_ref().filter(|_| !self.seen.has("on_leader")) {
            problems.tell(
                value,
                "another worker can only run an instant again if the fleet shares it: give `on_leader` as well",
            );
        }
    }
}

fn interval(value: &Expr, example: &str) -> syn::Result<Duration> {
    match values::duration(value, example)? {
        short if short < SHORTEST_INTERVAL => Err(syn::Error::new_spanned(value, "an interval is at least `1ms`")),
        uneven if uneven.subsec_micros() % 1_000 != 0 => {
            Err(syn::Error::new_spanned(value, "an interval is in whole milliseconds"))
        }
        long => Ok(long),
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
