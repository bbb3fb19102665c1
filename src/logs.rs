//! Logs: for people on a terminal, or a JSON object a line for programs. Always on stderr.
//!
//! Fields of the spans around an event are flattened into its line, the inner ones covering the outer, so that
//! `worker`, `processor`, `stream`, `partition`, `id` and `epoch` stand in the same place whoever logs. Control
//! characters are escaped: no text of a user can move a terminal's cursor or forge a second line.
//!
//! A program that has installed a subscriber of its own keeps it. A room above may hand in a layer of its own, which stands
//! beside ours with its own filter: what is not logged here may be kept there.

use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::clock;
use crate::error::Failure;
use crate::in_hand;
use crate::settings::{LogFormat, Settings, shown, variable};

/// A layer of another room, with its own filter.
pub(crate) type BesideLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging as the settings say. Answers whether it did: not where the program already logs in its own way.
pub(crate) fn install(settings: &Settings) -> Result<bool, Failure> {
    install_beside(settings, None)
}

/// The same, with another layer beside ours.
pub(crate) fn install_beside(settings: &Settings, other: Option<BesideLayer>) -> Result<bool, Failure> {
    let on_terminal = std::io::stderr().is_terminal();
    let shape = match settings.log_format {
        LogFormat::Json => Shape::Json,
        LogFormat::Auto if !on_terminal => Shape::Json,
        LogFormat::Auto | LogFormat::Console => {
            Shape::Console { coloured: on_terminal && variable("NO_COLOR").is_none_or(|value| value.is_empty()) }
        }
    };
    let asked = variable("RUST_LOG").filter(|value| !value.is_empty());
    let filter = filter(asked.map(|value| value.to_string_lossy().into_owned()).as_deref(), &settings.log_level)?;
    let lines = Lines { shape, writer: std::io::stderr }.with_filter(filter);
    let subscriber = tracing_subscriber::registry().with(other).with(lines);
    Ok(tracing::subscriber::set_global_default(subscriber).is_ok())
}

/// What is logged: `RUST_LOG` goes before the setting.
fn filter(rust_log: Option<&str>, log_level: &str) -> Result<EnvFilter, Failure> {
    let (place, text) = rust_log.map_or(("log_level", log_level), |text| ("RUST_LOG", text));
    EnvFilter::try_new(text).map_err(|error| {
        Failure::Invalid(format!("{place} is `{}`, which is no filter for logs: {error}", shown(text)))
    })
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Console { coloured: bool },
    Json,
}

/// Writes one line for each event.
struct Lines<W> {
    shape: Shape,
    writer: W,
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.cover(of_span);
            }
        }
        let line = Line::of(event, fields);
        let text = match self.shape {
            Shape::Json => line.json(),
            Shape::Console { coloured } => line.console(coloured),
        };
        // Nobody is left to be told that the log cannot be written.
        let _ = self.writer.make_writer_for(event.metadata()).write_all(text.as_bytes());
    }
}

/// Names and values in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(&'static str, serde_json::Value)>);

impl Fields {
    /// Takes those of a span further in, which cover ours.
    pub(crate) fn cover(&mut self, inner: &Self) {
        inner.0.iter().for_each(|(name, value)| self.set(name, value.clone()));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &serde_json::Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    fn set(&mut self, name: &'static str, value: serde_json::Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    fn take(&mut self, name: &str) -> String {
        match self.0.iter().position(|(known, _)| *known == name) {
            Some(at) => plain(&self.0.remove(at).1),
            None => String::new(),
        }
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no word for what is no number.
        self.set(
            field.name(),
            serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Into::into),
        );
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value.into());
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.set(field.name(), text.into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), format!("{value:?}").into());
    }
}

pub(crate) fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// An event, ready to be written.
pub(crate) struct Line<'a> {
    pub(crate) at: clock::UnixMs,
    pub(crate) level: Level,
    pub(crate) target: &'a str,
    pub(crate) message: String,
    pub(crate) fields: Fields,
}

impl<'a> Line<'a> {
    /// An event, now, with the fields of the spans around it; its own cover them.
    pub(crate) fn of(event: &Event<'a>, mut fields: Fields) -> Self {
        if let Some(id) = in_hand::here() {
            fields.set("id", id.to_string().into());
        }
        let mut own = Fields::default();
        event.record(&mut own);
        let message = own.take("message");
        fields.cover(&own);
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        Self { at: clock::wall(), level, target, message, fields }
    }

    /// `ts`, `level`, `target` and `message`, then the fields. A field of one of these four names gets a `_` behind it.
    pub(crate) fn json(self) -> String {
        let mut object = serde_json::Map::new();
        object.insert("ts".into(), timestamp(self.at, "%Y-%m-%dT%H:%M:%S%.3fZ").into());
        object.insert("level".into(), self.level.as_str().to_ascii_lowercase().into());
        object.insert("target".into(), self.target.into());
        object.insert("message".into(), self.message.into());
        for (name, value) in self.fields.0 {
            let taken = matches!(name, "ts" | "level" | "target" | "message");
            object.insert(if taken { format!("{name}_") } else { name.to_owned() }, value);
        }
        let mut text = serde_json::Value::Object(object).to_string();
        text.push('\n');
        text
    }

    fn console(self, coloured: bool) -> String {
        let paint = |code: &str, text: &str| match coloured {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        };
        let (level, colour) = match self.level {
            Level::ERROR => ("ERROR", "31"),
            Level::WARN => (" WARN", "33"),
            Level::INFO => (" INFO", "32"),
            Level::DEBUG => ("DEBUG", "34"),
            Level::TRACE => ("TRACE", "35"),
        };
        let mut text = format!(
            "{} {} {} {}",
            paint("2", &timestamp(self.at, "%H:%M:%S%.3f")),
            paint(colour, level),
            paint("2", &escape(self.target)),
            escape(&self.message)
        );
        for (name, value) in &self.fields.0 {
            let _ = write!(text, " {}{}", paint("2", &format!("{name}=")), escape(&plain(value)));
        }
        text.push('\n');
        text
    }
}

pub(crate) fn timestamp(at: clock::UnixMs, format: &str) -> String {
    let at = i64::try_from(at).ok().and_then(chrono::DateTime::from_timestamp_millis).unwrap_or_default();
    at.format(format).to_string()
}

/// The text with nothing in it that a terminal would obey: control characters and those that turn the direction of
/// writing are shown by their number.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                escaped.extend(c.escape_unicode())
            }
            c if c.is_control() => escaped.extend(c.escape_default()),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(shape: Shape, level: &str, work: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = {
            let written = written.clone();
            move || written.clone()
        };
        let lines = Lines { shape, writer }.with_filter(filter(None, level).unwrap());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), work);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn json(work: impl FnOnce()) -> serde_json::Value {
        serde_json::from_str(&logged(Shape::Json, "info", work)).unwrap()
    }

    #[test]
    fn a_line_has_the_fields_of_its_event_and_of_the_spans_around_it() {
        let line = json(|| {
            let outer = tracing::info_span!("executor", worker = "w1", partition = 1, id = tracing::field::Empty);
            let _outer = outer.enter();
            outer.record("id", "5-0");
            let _inner = tracing::info_span!("unit", partition = 7u32, epoch = 3u64).entered();
            tracing::warn!(stream = "orders", retry = true, "late");
        });

        assert!(line["ts"].as_str().unwrap().ends_with('Z'));
        assert_eq!(line["target"], "runnel::logs::tests");
        for (name, value) in
            [("level", "warn"), ("message", "late"), ("worker", "w1"), ("id", "5-0"), ("stream", "orders")]
        {
            assert_eq!(line[name], value);
        }
        assert_eq!((&line["partition"], &line["epoch"], &line["retry"]), (&7.into(), &3.into(), &true.into()));
    }

    #[test]
    fn a_field_cannot_pose_as_one_of_ours() {
        let line = json(|| tracing::error!(level = "fine", ts = "never", number = f64::NAN, "broken"));

        assert_eq!((&line["level"], &line["level_"]), (&"error".into(), &"fine".into()));
        assert_eq!((&line["ts_"], &line["number"]), (&"never".into(), &"NaN".into()));
    }

    #[test]
    fn the_causes_of_an_error_are_told() {
        let source = std::io::Error::other(Failure::Invalid("the reason".into()));
        let line = json(|| tracing::error!(error = &source as &dyn std::error::Error, "broken"));

        assert!(line["error"].as_str().unwrap().contains("the reason"));
    }

    #[test]
    fn no_text_of_a_user_reaches_a_terminal_as_a_command() {
        let evil = "\x1b]0;owned\x07\nERROR forged\u{9b}31m\u{202e}";
        let text = logged(Shape::Console { coloured: false }, "info", || {
            let _span = tracing::info_span!("unit", id = evil).entered();
            tracing::info!(detail = %evil, "{evil}");
        });

        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.trim_end().contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
        assert!(text.contains("owned"));
    }

    #[test]
    fn the_level_decides_what_is_logged() {
        let work = || {
            tracing::debug!("quiet");
            tracing::info!(target: "other", "foreign");
        };
        assert_eq!(logged(Shape::Json, "warn", work), "");
        assert_eq!(logged(Shape::Json, "runnel=debug", work).lines().count(), 1);
        assert_eq!(logged(Shape::Json, "off,other=info", work).lines().count(), 1);
    }

    #[test]
    fn rust_log_goes_before_the_setting_and_must_be_a_filter() {
        assert_eq!(filter(Some("debug"), "info").unwrap().to_string(), "debug");
        assert_eq!(filter(None, "info").unwrap().to_string(), "info");
        let refused = filter(Some("a=b=c"), "info").unwrap_err().to_string();
        assert!(refused.starts_with("RUST_LOG is `a=b=c`"), "{refused}");
    }
}
