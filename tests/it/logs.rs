//! What is logged on this thread, for tests of what people are told and how often.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::support::eventually;

/// Everything from INFO up. A test runs its workers on its own thread, so it hears only them.
pub(crate) struct Logs {
    lines: Arc<Mutex<Vec<String>>>,
    _hearing: DefaultGuard,
}

impl Logs {
    /// Listens until it is dropped.
    pub(crate) fn hear() -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let ear = Ear(lines.clone()).with_filter(LevelFilter::INFO);
        let subscriber = tracing_subscriber::registry().with(ear);
        Self { lines, _hearing: tracing::subscriber::set_default(subscriber) }
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.lock().unwrap().len()
    }

    /// The first line that has all these parts.
    pub(crate) fn line(&self, parts: &[&str]) -> Option<String> {
        self.lines.lock().unwrap().iter().find(|line| parts.iter().all(|part| line.contains(part))).cloned()
    }

    /// Waits for such a line.
    pub(crate) async fn say(&self, parts: &[&str]) {
        let what = format!("a line is logged with {parts:?}");
        let mut last = String::new();
        eventually(&what, async || {
            last = self.lines.lock().unwrap().join("\n");
            self.line(parts).is_some()
        })
        .await;
    }
}

struct Ear(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Ear {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
