//! What can be asked of the example.

use std::sync::OnceLock;

use clap::{Arg, ArgAction, Command, value_parser};
use runnel::Setup;
use runnel::clock;
use runnel::prelude::*;

/// How long a dead worker holds its partitions back while workers are disturbed: short, so that the run is.
const SHORT_EXPIRY: Duration = Duration::from_secs(2);
/// How long an event takes then, so that there is something to disturb.
const SLOW: Duration = Duration::from_millis(5);

/// The options of one run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) workers: usize,
    pub(crate) trouble: Trouble,
    pub(crate) pace: Pace,
    pub(crate) seed: u64,
    pub(crate) bad: bool,
}

/// What is done to the workers while they work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// Workers are stopped as a service manager would, and started again.
    Restarts,
    /// And one is killed, and one stopped for longer than its leases last.
    Chaos,
}

impl Trouble {
    /// The lock expiry that makes it short.
    pub(crate) fn lock_expiry(self) -> Option<Duration> {
        (self != Self::None).then_some(SHORT_EXPIRY)
    }
}

/// How long an event takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace(Duration);

static HERE: OnceLock<Pace> = OnceLock::new();

impl Pace {
    /// The variable that tells child processes, in microseconds.
    pub(crate) const VARIABLE: &'static str = "FLIGHTS_PACE_US";

    /// Holds it for workers in this process.
    pub(crate) fn hold_here(self) {
        let _ = HERE.set(self);
    }

    pub(crate) fn of_this_process(setup: &Setup) -> Self {
        let told = || setup.var(Self::VARIABLE).ok().and_then(|us| us.parse().ok()).map(Duration::from_micros);
        HERE.get().copied().unwrap_or_else(|| Self(told().unwrap_or_default()))
    }

    pub(crate) fn micros(self) -> u128 {
        self.0.as_micros()
    }

    pub(crate) async fn wait(self) {
        if !self.0.is_zero() {
            clock::sleep(self.0).await;
        }
    }
}

impl Options {
    /// Reads the command line; explains itself and ends the process if that is asked for or needed.
    pub(crate) fn read() -> Self {
        let matches = command().get_matches();
        let trouble = match (matches.get_flag("chaos"), matches.get_flag("restarts")) {
            (true, _) => Trouble::Chaos,
            (false, true) => Trouble::Restarts,
            (false, false) => Trouble::None,
        };
        let default = if trouble == Trouble::None { Duration::ZERO } else { SLOW };
        Self {
            workers: usize::from(*matches.get_one::<u16>("workers").expect("it has a default")),
            trouble,
            pace: Pace(matches.get_one("slow").copied().unwrap_or(default)),
            seed: matches.get_one("seed").copied().unwrap_or_else(|| fastrand::u64(..)),
            bad: matches.get_flag("bad"),
        }
    }
}

fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("flights")
        .about("Processes 20,116 real events with a fleet of workers and checks what is known of them")
        .after_help(
            "A first word without dashes (`worker`, `status`, `stream` ..) is a command of runnel's command line.",
        )
        .arg(
            Arg::new("workers")
                .long("workers")
                .value_name("N")
                .default_value("3")
                .value_parser(value_parser!(u16).range(1..=64))
                .help("Worker processes"),
        )
        .arg(flag("restarts", "Stop and start workers at random while they work"))
        .arg(flag("chaos", "The same, and kill one (SIGKILL), and pause one beyond its leases (SIGSTOP)"))
        .arg(
            Arg::new("slow")
                .long("slow")
                .value_name("TIME")
                .value_parser(read_time)
                .help("How long each event takes, as 2ms or 300us [default: none; 5ms while workers are disturbed]"),
        )
        .arg(
            Arg::new("seed")
                .long("seed")
                .value_name("N")
                .value_parser(value_parser!(u64))
                .help("Disturb as in an earlier run"),
        )
        .arg(flag("bad", "Then feed 300 bad lines to three processors with a policy each"))
}

fn read_time(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let time = match (number.parse::<u32>(), unit) {
        (Ok(number), "us") => Duration::from_micros(number.into()),
        (Ok(number), "ms") => Duration::from_millis(number.into()),
        (Ok(number), "s") => Duration::from_secs(number.into()),
        _ => return Err("a time is a whole number with its unit: 300us, 2ms, 1s".into()),
    };
    (time <= Duration::from_secs(1)).then_some(time).ok_or_else(|| "that would take hours: at most 1s".into())
}
