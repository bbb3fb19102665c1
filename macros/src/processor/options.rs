//! The arguments of the attribute: a stream, then options, each at most once.
//!
//! What an option means is checked here as far as its own text and the others go; what depends on settings is checked
//! when the worker starts.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Expr, Meta, Path, Token};

use super::retry;
use super::signature::{Function, Style};
use crate::options::{Known, Seen, another_form, behind_first};
use crate::problems::Problems;
use crate::values;

/// Each option with an example of it, for messages.
const OPTIONS: [Known; 18] = [
    ("name", "name = \"printer\""),
    ("batch", "batch = 500"),
    ("within", "within = \"2s\""),
    ("retry", "retry(attempts = 5, from = \"200ms\", to = \"30s\")"),
    ("timeout", "timeout = \"10s\""),
    ("exception_policy", "exception_policy = \"quarantine\""),
    ("on_error", "on_error = \"dead_letter\""),
    ("middleware", "middleware = [Timing, Audit::new()]"),
    ("track", "track = \"event\""),
    ("max_crashes", "max_crashes = 3"),
    ("start", "start = \"0\""),
    ("prefetch_count", "prefetch_count = 64"),
    ("commit_linger", "commit_linger = \"5ms\""),
    ("lock_expiry", "lock_expiry = \"10s\""),
    ("grace_period", "grace_period = \"8s\""),
    ("join_delay", "join_delay = \"3s\""),
    ("assignment_sleep", "assignment_sleep = \"250ms\""),
    ("assignment_attempts", "assignment_attempts = 40"),
];

/// More than this is refused at start as well: a batch is held in memory as a whole.
const LARGEST_BATCH: u64 = 10_000;

/// A lease that is shorter could not be renewed in time.
const SHORTEST_LOCK: Duration = Duration::from_millis(500);

/// What stands in `#[runnel::processor(..)]`.
#[derive(Default)]
pub(super) struct Arguments {
    pub(super) stream: Option<Expr>,
    pub(super) options: Options,
}

/// The options, checked.
#[derive(Default)]
pub(super) struct Options {
    pub(super) name: Option<String>,
    pub(super) batch: Option<(Path, u64)>,
    within: Option<(Path, Duration)>,
    grace_period: Option<Duration>,
    timeout: Option<Path>,
    exception_policy: Option<String>,
    on_error: Option<Expr>,
    seen: Seen,
    changes: Vec<TokenStream>,
}

impl Arguments {
    /// Reads them; tells every mistake there is.
    pub(super) fn read(attr: TokenStream, problems: &mut Problems) -> Self {
        let mut arguments = Self::default();
        let advice = "say first which stream is processed: `#[runnel::processor(ORDERS)]`";
        // Without their stream the options are not read, so that nothing is told twice.
        let read = behind_first(attr, |first| !is_option(first), advice);
        let Some((stream, rest)) = problems.keep(read) else { return arguments };
        arguments.stream = Some(stream);
        for option in rest {
            arguments.options.read(&option, problems);
        }
        arguments.options.check(problems);
        arguments
    }
}

/// Whether an option stands where the stream is expected.
fn is_option(first: &Expr) -> bool {
    match first {
        Expr::Assign(_) => true,
        Expr::Call(call) => matches!(&*call.func, Expr::Path(path) if path.path.is_ident("retry")),
        _ => false,
    }
}

impl Options {
    /// The calls that say all this of a declared processor.
    pub(super) fn changes(&self) -> Vec<TokenStream> {
        let batch = self.batch.as_ref().map(|(_, events)| {
            let events = *events as usize;
            let within = match &self.within {
                Some((_, time)) => some(&values::duration_tokens(*time)),
                None => quote!(::core::option::Option::None),
            };
            let events = some(&quote!(#events));
            quote!(.batch_parts(#events, #within))
        });
        batch.into_iter().chain(self.changes.iter().cloned()).collect()
    }

    fn read(&mut self, option: &Meta, problems: &mut Problems) {
        let path = option.path();
        let Some(known) = self.seen.find(option, &OPTIONS, problems) else { return };
        let read = match (known.0, option) {
            ("retry", Meta::List(list)) => {
                list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).map(|parts| {
                    let change = retry::read(&parts, path, problems);
                    self.changes.extend(change);
                })
            }
            ("retry", _) | (_, Meta::Path(_) | Meta::List(_)) => Err(another_form(option, known)),
            (_, Meta::NameValue(pair)) => self.set(known, option, &pair.value),
        };
        problems.keep(read);
    }

    fn set(&mut self, known: Known, option: &Meta, value: &Expr) -> syn::Result<()> {
        let ((name, example), path) = (known, option.path());
        match name {
            "name" => self.name = Some(values::name(value, "processor", example)?),
            "batch" => self.batch = Some((path.clone(), values::count(value, 1, LARGEST_BATCH, example)?)),
            "within" => self.within = Some((path.clone(), values::duration(value, example)?)),
            "exception_policy" => {
                let (policy, tokens) = values::policy(value, example)?;
                self.change(path, &tokens);
                self.exception_policy = Some(policy);
            }
            "on_error" => {
                values::one_of(value, &["dead_letter"], example)?;
                self.changes.push(quote!(.dead_letter()));
                self.on_error = Some(value.clone());
            }
            "track" => {
                let what = match values::one_of(value, &["tenancy", "batch", "event", "off"], example)?.as_str() {
                    "batch" => quote!(Batch),
                    "event" => quote!(Event),
                    "off" => quote!(Off),
                    _ => quote!(Tenancy),
                };
                self.change(path, &quote!(::runnel::__private::Track::#what));
            }
            "middleware" => {
                let Expr::Array(list) = value else {
                    return Err(syn::Error::new_spanned(value, format!("expected a list: `{example}`")));
                };
                self.changes.extend(list.elems.iter().map(|each| quote!(.middleware(#each))));
            }
            "start" => {
                let start = values::start(value)?;
                self.changes.push(quote!(.start(#start)));
            }
            "max_crashes" | "prefetch_count" | "assignment_attempts" => {
                let number = values::count(value, 1, u64::from(u32::MAX), example)? as u32;
                self.change(path, &quote!(#number));
            }
            _ => {
                let time = values::duration(value, example)?;
                match name {
                    "timeout" if time.is_zero() => {
                        return Err(syn::Error::new_spanned(value, "a timeout of 0 would fail every event"));
                    }
                    "lock_expiry" if time < SHORTEST_LOCK => {
                        let why = "must be at least `500ms`: a shorter lease could not be renewed in time";
                        return Err(syn::Error::new_spanned(value, why));
                    }
                    "timeout" => self.timeout = Some(path.clone()),
                    "grace_period" => self.grace_period = Some(time),
                    _ => {}
                }
                self.change(path, &values::duration_tokens(time));
            }
        }
        Ok(())
    }

    fn change(&mut self, path: &Path, value: &TokenStream) {
        self.changes.push(quote!(.#path(#value)));
    }

    /// What does not go together.
    fn check(&self, problems: &mut Problems) {
        if let Some((within, time)) = &self.within {
            if self.batch.is_none() && !self.seen.has("batch") {
                problems.tell(within, "`within` says how long a batch may take to fill: give `batch = 500` as well");
            }
            if let Some(grace) = self.grace_period.filter(|grace| time >= grace) {
                problems.tell(
                    within,
                    format!("`within` ({time:?}) must be shorter than `grace_period` ({grace:?}): a drain must be able to wait for it"),
                );
            }
        }
        let stops = self.exception_policy.as_deref().filter(|policy| *policy != "ignore");
        if let (Some(value), Some(policy)) = (&self.on_error, stops) {
            problems.tell(
                value,
                format!(
                    "`on_error = \"dead_letter\"` goes on behind a failed event, and `exception_policy = \"{policy}\"` stops \
                     there: give one of them"
                ),
            );
        }
    }

    /// What does not go with the function.
    pub(super) fn check_against(&self, function: &Function, problems: &mut Problems) {
        let is_loop = function.style == Style::Loop;
        if let (true, Some((batch, _))) = (is_loop, &self.batch) {
            problems.tell(batch, "`batch` is for handlers: an event loop takes batches with `events.take(n, within)`");
        }
        if let (true, Some(timeout)) = (is_loop, &self.timeout) {
            problems.tell(timeout, "`timeout` is for handlers: an event loop times its own work");
        }
        if is_loop || self.batch.is_some() {
            for key in function.extractors_named("Key") {
                problems.tell(key, "`Key` is the key of one event: it works for handlers of one record");
            }
        }
    }
}

fn some(value: &TokenStream) -> TokenStream {
    quote!(::core::option::Option::Some(#value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(attr: TokenStream) -> (Arguments, Vec<String>) {
        let mut problems = Problems::default();
        let arguments = Arguments::read(attr, &mut problems);
        (arguments, problems.texts())
    }

    #[track_caller]
    fn assert_changes(attr: TokenStream, expected: TokenStream) {
        let (arguments, problems) = read(attr);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(arguments.options.changes().into_iter().collect::<TokenStream>().to_string(), expected.to_string());
    }

    #[track_caller]
    fn refused(attr: TokenStream, why: &str) {
        let text = attr.to_string();
        let (_, problems) = read(attr);
        assert!(problems.len() == 1 && problems[0].contains(why), "{text}\nexpected: {why}\n{problems:?}");
    }

    #[test]
    fn every_option_has_an_example_that_is_accepted() {
        for (name, example) in OPTIONS {
            let with_batch = if name == "within" { ", batch = 500" } else { "" };
            let attr = format!("ORDERS, {example}{with_batch}").parse().expect("examples are Rust");
            let (_, problems) = read(attr);
            assert_eq!(problems, Vec::<String>::new(), "{example}");
        }
    }

    #[test]
    fn what_is_not_said_is_left_to_the_settings() {
        assert_changes(quote!(ORDERS), quote!());
        let none = quote!(::core::option::Option::None);
        let five = quote!(::core::option::Option::Some(5usize));
        assert_changes(quote!(ORDERS, batch = 5), quote!(.batch_parts(#five, #none)));
    }

    #[test]
    fn what_is_said_becomes_a_call_each() {
        assert_changes(
            quote!(ORDERS, grace_period = "1.5s", max_crashes = 7, exception_policy = "ignore"),
            quote! {
                .grace_period(::core::time::Duration::from_millis(1500u64))
                .max_crashes(7u32)
                .exception_policy(::runnel::__private::ExceptionPolicy::Ignore)
            },
        );
    }

    #[test]
    fn the_stream_comes_first() {
        refused(quote!(), "say first which stream");
        refused(quote!(batch = 500, ORDERS), "say first which stream");
        refused(quote!(retry(attempts = 5)), "say first which stream");
    }

    #[test]
    fn unknown_and_doubled_options_are_refused_by_name() {
        refused(quote!(ORDERS, retries = 5), "unknown option `retries`: did you mean `retry`?");
        refused(quote!(ORDERS, colour = 5), "there are `name`, `batch`");
        refused(quote!(ORDERS, retry(attempt = 5)), "unknown option `attempt` of `retry`: did you mean `attempts`?");
        refused(quote!(ORDERS, timeout = "1s", timeout = "2s"), "`timeout` is given twice");
    }

    #[test]
    fn an_option_in_another_form_is_answered_with_its_own() {
        refused(quote!(ORDERS, retry = 5), "`retry` is written `retry(attempts = 5,");
        refused(quote!(ORDERS, batch(500)), "`batch` is written `batch = 500`");
        refused(quote!(ORDERS, batch), "`batch` is written `batch = 500`");
        refused(quote!(ORDERS, batch = "500"), "expected a whole number: `batch = 500`");
        refused(quote!(ORDERS, batch = -5), "must be at least 1");
        refused(quote!(ORDERS, timeout = 10), "expected a duration in quotes: `timeout = \"10s\"`");
        refused(quote!(ORDERS, name = printer), "expected a text in quotes");
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        refused(quote!(ORDERS, timeout = "10x"), "`10x` is not a duration: write `250ms`, `10s`, `2m`");
        refused(quote!(ORDERS, timeout = "0"), "would fail every event");
        refused(quote!(ORDERS, batch = 0), "must be at least 1");
        refused(quote!(ORDERS, batch = 10_001), "must be at most 10000");
        refused(quote!(ORDERS, lock_expiry = "100ms"), "at least `500ms`");
        refused(quote!(ORDERS, start = "yesterday"), "no place to start");
        refused(quote!(ORDERS, name = ""), "not empty");
        refused(quote!(ORDERS, exception_policy = "HALT"), "did you mean `halt`?");
        refused(quote!(ORDERS, within = "2s"), "give `batch = 500` as well");
        refused(quote!(ORDERS, batch = 5, within = "2s", grace_period = "2s"), "must be shorter than `grace_period`");
    }

    #[test]
    fn what_is_a_run_is_one_of_four() {
        assert_changes(quote!(ORDERS, track = "event"), quote!(.track(::runnel::__private::Track::Event)));
        refused(quote!(ORDERS, track = "evnt"), "did you mean `event`?");
    }

    #[test]
    fn dead_letters_contradict_policies_that_stop() {
        assert_changes(quote!(ORDERS, on_error = "dead_letter"), quote!(.dead_letter()));
        assert_changes(
            quote!(ORDERS, on_error = "dead_letter", exception_policy = "ignore"),
            quote!(.dead_letter().exception_policy(::runnel::__private::ExceptionPolicy::Ignore)),
        );
        refused(quote!(ORDERS, on_error = "ignore"), "`ignore` is not known here: there are `dead_letter`");
        for policy in ["halt", "quarantine"] {
            refused(quote!(ORDERS, exception_policy = #policy, on_error = "dead_letter"), "give one of them");
        }
    }

    #[test]
    fn middleware_is_given_in_order() {
        assert_changes(
            quote!(ORDERS, middleware = [Timing, Audit::new()]),
            quote!(.middleware(Timing).middleware(Audit::new())),
        );
        assert_changes(quote!(ORDERS, middleware = []), quote!());
        refused(quote!(ORDERS, middleware = Timing), "expected a list: `middleware = [Timing, Audit::new()]`");
    }
}
