//! From all sources to one set of settings that remembers where each value came from.
//!
//! Every problem of every source is told at once, before anything starts. A bad value is refused also where a stronger
//! source covers it: it would bite on the day that source goes away.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Failure;
use crate::nearest::did_you_mean;

use super::file::{self, Given};
use super::sections::{self, Sections};
use super::{Setting, Settings, TABLE, environment, show_duration, validate};

/// Where the value of a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// A settings file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: Option<usize>,
    },
    /// The environment.
    Env {
        /// The variable.
        var: String,
    },
    /// The program.
    Code,
    /// The command line.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => path.display().fmt(f),
            Self::Env { var } => f.write_str(var),
            Self::Code => f.write_str("code"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// Settings, and where each came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Where each came from, by name; every setting is there.
    pub origin: BTreeMap<&'static str, Origin>,
    /// The sections: tables that are read where they are needed.
    pub sections: Sections,
    /// What looked wrong without being refused, as sentences.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// Where the value of this setting came from.
    pub fn origin_of(&self, name: &str) -> &Origin {
        self.origin.get(name).unwrap_or(&Origin::Default)
    }

    /// Whether anybody said where Redis is.
    pub fn names_redis(&self) -> bool {
        self.settings.redis_url.is_some()
    }
}

/// A value for a setting as text: from text, numbers, truth values and durations.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(String);

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self(show_duration(time))
    }
}

macro_rules! values {
    ($($type:ty),*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self(value.to_string())
            }
        }
    )*};
}

values!(&str, String, u32, u64, usize, i32, bool);

/// Settings by name, as code or the command line gives them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Overrides(Vec<(String, String)>);

impl Overrides {
    /// Nothing is overridden.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a setting a value. Whether both exist is told by [`load`].
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.push((name.into(), value.into().0));
    }

    /// With this value for that setting.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    fn given(&self, origin: &Origin) -> impl Iterator<Item = Given> {
        let given =
            |(name, text): &(String, String)| Given { name: name.clone(), text: text.clone(), origin: origin.clone() };
        self.0.iter().map(given)
    }
}

impl fmt::Debug for Overrides {
    /// Names only: a value may be an address with a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Reads the settings from the command line, code, the environment and the settings file, the stronger ones first.
pub fn load(command_line: &Overrides, code: &Overrides) -> Result<Loaded, Failure> {
    let environment = environment::ours();
    let (file, problem) = match file::find() {
        Ok(file) => (file, None),
        Err(problem) => (None, Some(problem)),
    };
    merge(Sources { command_line, code, environment, file }, problem.into_iter().collect())
}

/// What there is to read from.
struct Sources<'a> {
    command_line: &'a Overrides,
    code: &'a Overrides,
    environment: Vec<(String, OsString)>,
    file: Option<(PathBuf, String)>,
}

fn merge(sources: Sources<'_>, mut problems: Vec<String>) -> Result<Loaded, Failure> {
    let mut loaded = Loaded {
        settings: Settings::default(),
        origin: TABLE.iter().map(|setting| (setting.name, Origin::Default)).collect(),
        sections: Sections::default(),
        warnings: Vec::new(),
    };
    // The weakest first: what comes later covers it.
    let mut given = Vec::new();
    if let Some((path, text)) = &sources.file {
        let (found, refused) = file::read(path, text, &mut loaded.sections);
        given.extend(found);
        problems.extend(refused);
    }
    given.extend(from_environment(sources.environment, &mut loaded.warnings, &mut problems));
    given.extend(sources.code.given(&Origin::Code));
    given.extend(sources.command_line.given(&Origin::CommandLine));

    for one in given {
        if let Err(problem) = apply(&mut loaded, one) {
            problems.push(problem);
        }
    }
    problems.extend(validate::problems(&loaded.settings).into_iter().map(|problem| blame(&loaded, problem)));
    if problems.is_empty() { Ok(loaded) } else { Err(Failure::Invalid(refusal(&problems))) }
}

fn apply(loaded: &mut Loaded, given: Given) -> Result<(), String> {
    let Given { name, text, origin } = given;
    if let Some(taken) = loaded.sections.set(&name, &text, &origin) {
        return taken;
    }
    let Some(setting) = Setting::named(&name) else { return Err(format!("{origin}: {}", unknown(&name))) };
    if !(setting.read)(&mut loaded.settings, &text) {
        let place = match &origin {
            Origin::Env { var } => var.clone(),
            origin => format!("{origin}: {name}"),
        };
        // What follows shows a password that was given without its user and host.
        let value = if name == "redis_url" && !text.contains("://") { "***".into() } else { super::shown(&text) };
        return Err(format!("{place} is `{value}`: expected {}", setting.expected));
    }
    loaded.origin.insert(setting.name, origin);
    Ok(())
}

/// The variables that are settings. Others get a warning: they may be meant for a later version.
fn from_environment(
    variables: Vec<(String, OsString)>,
    warnings: &mut Vec<String>,
    problems: &mut Vec<String>,
) -> Vec<Given> {
    let mut given = Vec::new();
    for (var, value) in variables {
        if let Some(name) = sections::named_by(&var) {
            match value.into_string() {
                Ok(text) => given.push(Given { name, text, origin: Origin::Env { var } }),
                Err(_) => problems.push(format!("{var} is not UTF-8: expected a text")),
            }
            continue;
        }
        let name = var.strip_prefix("RUNNEL_").unwrap_or(&var).to_ascii_lowercase();
        match Setting::named(&name).filter(|setting| setting.variable() == var) {
            Some(setting) => match value.into_string() {
                Ok(text) => given.push(Given { name, text, origin: Origin::Env { var } }),
                Err(_) => problems.push(format!("{var} is not UTF-8: expected {}", setting.expected)),
            },
            None if is_known(&var) => {}
            None => {
                let variables: Vec<String> = TABLE.iter().map(Setting::variable).chain([CONFIG.into()]).collect();
                let near = match successor(&name) {
                    "" => did_you_mean(&var, variables.iter().map(String::as_str)),
                    hint => format!("; {hint}"),
                };
                warnings.push(format!("the variable {} is not a setting and has no effect{near}", super::shown(&var)));
            }
        }
    }
    given
}

const CONFIG: &str = "RUNNEL_CONFIG";

/// Variables with our prefix that are no settings: of the settings file, of tests, and of the record of runs.
fn is_known(var: &str) -> bool {
    const OTHERS: [&str; 11] = [
        CONFIG,
        "RUNNEL_API_URL",
        "RUNNEL_HTTP",
        "RUNNEL_LOG_COMPRESS_AFTER_HOURS",
        "RUNNEL_LOG_DIR",
        "RUNNEL_LOG_KEEP_LOCAL",
        "RUNNEL_LOG_MAX_SIZE_GB",
        "RUNNEL_LOG_SHIP_DEST",
        "RUNNEL_LOG_TTL_DAYS",
        "RUNNEL_RUN_LOG_FORMAT",
        "RUNNEL_RUN_LOG_LEVEL",
    ];
    OTHERS.contains(&var) || ["RUNNEL_TEST_", "RUNNEL_BENCH_"].iter().any(|prefix| var.starts_with(prefix))
}

/// What became of a setting of runnel for Python.
fn successor(name: &str) -> &'static str {
    match name {
        "default_serializer" => "in place of it there is RUNNEL_DEFAULT_CODEC",
        "default_hasher" => "in place of it there is RUNNEL_DEFAULT_PARTITIONER",
        "autodiscover" => "streams and processors are found in the program itself",
        "testing" => "tests run on the testing kit",
        _ => "",
    }
}

/// "there is no setting `x`", with the nearest one.
pub(super) fn unknown(name: &str) -> String {
    let near = match name {
        "log_store" => {
            "; where the output of runs is kept is said by `log_dir` and the other settings named `log_..`, and a \
                        store of your own is given with App::log_store"
                .to_owned()
        }
        _ => did_you_mean(name, TABLE.iter().map(|setting| setting.name).chain(sections::NAMES)),
    };
    format!("there is no setting `{}`{near}", super::shown(name))
}

/// The problem, with the places its values came from.
fn blame(loaded: &Loaded, problem: validate::Problem) -> String {
    let from: Vec<String> = problem.settings.iter().map(|name| format!("{name}: {}", loaded.origin_of(name))).collect();
    format!("{} ({})", problem.text, from.join(", "))
}

fn refusal(problems: &[String]) -> String {
    match problems {
        [one] => format!("the settings cannot be used: {one}"),
        many => format!("the settings cannot be used, for {} reasons:\n  {}", many.len(), many.join("\n  ")),
    }
}

#[cfg(test)]
mod tests;
