//! From `tracing` to the log of the run that an event belongs to, with nothing to set up in user code.
//!
//! Every run executes in a span, made by [`RunOutput::span`]. A [`layer`] keeps the run's handle in the extensions of
//! that span, and finds it for an event by walking up its scope: across awaits, threads and nested spans. It never
//! blocks: what the queue of the run cannot take is counted.
//!
//! What it cannot see: events of tasks that were spawned without their span (`runnel::spawn` carries it along), what is
//! printed with `println!`, and what a *global* filter of a subscriber of your own hides from all layers.

use std::cell::RefCell;
use std::fmt::Write as _;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Instrument, Level, Metadata, Span, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::{Channel, RunOutput};
use crate::error::Failure;
use crate::logs::{Fields, Line, escape, plain, timestamp};

pub use crate::settings::RunLogFormat;

/// The target of the span of a run. Its level is ERROR, so that no filter by level hides it.
pub const RUN_TARGET: &str = "runnel::run";

/// The layer that brings events of runs to their logs: those of level INFO and above, as text.
pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> + Send + Sync + use<S> {
    RunLayer { format: RunLogFormat::Text }.with_filter(filter(LevelFilter::INFO))
}

/// The layer with another filter, a directive such as `info` or `info,noisy=warn`, and in another format. What other
/// layers do not want, it sees all the same.
pub fn filtered_layer<S: Subscriber + for<'a> LookupSpan<'a>>(
    level: &str,
    format: RunLogFormat,
) -> Result<impl Layer<S> + Send + Sync + use<S>, Failure> {
    let asked = EnvFilter::try_new(level).map_err(|error| {
        Failure::Invalid(format!("run_log_level is {level:?}, which is no filter for logs: {error}"))
    })?;
    Ok(RunLayer { format }.with_filter(filter(asked)))
}

/// Events as asked for, but the span of a run always: without it nothing finds its run.
fn filter<S: Subscriber>(asked: impl Filter<S>) -> impl Filter<S> {
    asked.or(filter_fn(is_run_span).with_max_level_hint(LevelFilter::ERROR))
}

fn is_run_span(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == RUN_TARGET
}

/// See [`layer`].
struct RunLayer {
    format: RunLogFormat,
}

/// What the span that is being made on this thread shall carry.
enum Offered {
    Nothing,
    Run(RunOutput),
    /// Asks only whether a layer takes it.
    Probe,
}

thread_local!(static OFFERED: RefCell<Offered> = const { RefCell::new(Offered::Nothing) });

/// Makes a span, and offers the layer what it shall carry. A layer hears of a new span before the macro returns, on the
/// same thread; so there is never more than one offer, and it is taken by the span it is for. Answers whether it was taken.
fn offering(offer: Offered, make: impl FnOnce() -> Span) -> (Span, bool) {
    let before = OFFERED.replace(offer);
    let span = make();
    let left = OFFERED.replace(before);
    (span, matches!(left, Offered::Nothing))
}

/// Whether events of runs are captured here: false if the program has installed a subscriber without [`layer`].
pub fn is_captured() -> bool {
    offering(Offered::Probe, || tracing::error_span!(target: RUN_TARGET, "run")).1
}

impl RunOutput {
    /// The span of this run. Events in it, and in spans below it, go to the run's log.
    pub fn span(&self) -> Span {
        let make = || {
            tracing::error_span!(
                target: RUN_TARGET,
                "run",
                run_id = %self.run_id(),
                task_name = self.task_name(),
                attempt = self.attempt()
            )
        };
        offering(Offered::Run(self.clone()), make).0
    }

    /// The future, in the span of this run.
    pub fn around<F: Future>(&self, future: F) -> tracing::instrument::Instrumented<F> {
        future.instrument(self.span())
    }
}

/// The run of a span.
struct OfRun(RunOutput);

/// The fields of a span within a run.
struct OfSpan(Fields);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for RunLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if is_run_span(attributes.metadata()) {
            match OFFERED.replace(Offered::Nothing) {
                Offered::Run(output) => drop(span.extensions_mut().replace(OfRun(output))),
                Offered::Probe | Offered::Nothing => {}
            }
            return;
        }
        let within_run = span.scope().skip(1).any(|span| span.extensions().get::<OfRun>().is_some());
        if within_run {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().replace(OfSpan(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(OfSpan(fields)) = span.extensions_mut().get_mut()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let nearest = |span: SpanRef<'_, S>| span.extensions().get::<OfRun>().map(|OfRun(output)| output.clone());
        let output = context.event_scope(event).into_iter().flatten().find_map(nearest);
        let Some(output) = output else { return };
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            // What stands around the run is the same for all its lines.
            if extensions.get::<OfRun>().is_some() {
                fields = Fields::default();
            } else if let Some(OfSpan(of_span)) = extensions.get() {
                fields.cover(of_span);
            }
        }
        let line = Line::of(event, fields);
        let channel = match *event.metadata().level() {
            Level::ERROR | Level::WARN => Channel::Stderr,
            Level::INFO | Level::DEBUG | Level::TRACE => Channel::Stdout,
        };
        let text = match self.format {
            RunLogFormat::Json => line.json(),
            RunLogFormat::Text => text(&line),
        };
        output.offer(channel, text.trim_end_matches('\n'));
    }
}

/// One line for one event, whatever is in it: no text of a user can forge a second one.
fn text(line: &Line<'_>) -> String {
    let at = timestamp(line.at, "%Y-%m-%dT%H:%M:%S%.3fZ");
    let mut text = format!("{at} {:>5} {}: {}", line.level.as_str(), escape(line.target), escape(&line.message));
    for (name, value) in line.fields.iter() {
        let _ = write!(text, " {name}={}", escape(&plain(value)));
    }
    text
}
