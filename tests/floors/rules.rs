//! The rules of the house, in one place.

/// The rooms, from the bottom up. A room may name those of lower floors, not those beside it.
pub const FLOORS: &[&[&str]] = &[
    // Words, and words about words.
    &["event", "clock", "nearest", "python"],
    &["error", "tasks", "in_hand"],
    &["record"],
    &["codec", "route"],
    &["settings"],
    &["logs", "decide"],
    &["broker"],
    &["stream"],
    // A macro of `runs`: exported ones stand at the root.
    &["filter"],
    &["runs"],
    &["witness"],
    &["processor"],
    &["job"],
    &["runner"],
    &["app", "executor"],
    // A face, and below the worker all the same: a worker opens it, and the command line asks it.
    &["http"],
    &["worker"],
    &["testing", "cli"],
    // What the macros' output names, programs, and the facade.
    &["private", "bin", "architecture", "guide", "prelude", "lib"],
];

/// Names of higher floors that a file may use all the same: file or folder, beginning of the path, reason.
pub const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("src/error.rs", "broker::BrokerError", "the error of all others names its sources"),
    ("src/error.rs", "codec::DecodeError", "the error of all others names its sources"),
    ("src/error.rs", "codec::EncodeError", "the error of all others names its sources"),
    ("src/record", "codec", "a record is what a codec can write; neither is of use without the other"),
    ("src/settings", "broker::Start", "the broker's word for where to begin is also the settings'"),
    ("src/decide/roster", "broker::Roll", "what is decided about: plain data, without a store"),
    ("src/decide/roster", "broker::MemberEntry", "what is decided about: plain data, without a store"),
];

/// Words that must not occur in code.
pub const FORBIDDEN: &[Forbidden] = &[
    Forbidden { within: "src/decide/", code: &["tokio", "redis"], except: &[], why: "decisions are pure" },
    Forbidden {
        within: "src/",
        code: &["time::sleep", "thread::sleep", "Instant::now", "SystemTime::now", "Utc::now", "Local::now"],
        except: &[
            "src/clock.rs",
            // Looks again and again for what a child process does, which no clock of ours can hurry.
            "src/broker/connect/tests.rs",
        ],
        why: "`clock` has the only `now` and `sleep`, virtual in tests",
    },
    Forbidden {
        within: "src/",
        code: &["tokio::spawn", "task::spawn", "thread::spawn"],
        except: &[
            "src/tasks.rs",
            // `runnel::spawn`: tasks that are the user's, not ours.
            "src/stream/current.rs",
            // A thread for a pipe, whose reads may last for ever: no task can be ended there.
            "src/cli/send.rs",
        ],
        why: "`tasks` alone starts tasks, which end with their owner",
    },
    Forbidden {
        within: "tests/",
        code: &["sleep("],
        except: &[
            "tests/support/",
            // Looks again and again for what child processes do.
            "tests/faults/lab.rs",
            // A server that stands still for a time: the sleep is the fault, not the proof.
            "tests/faults/outages.rs",
        ],
        why: "tests wait for facts",
    },
];

/// Code that must not occur.
pub struct Forbidden {
    /// Files whose path begins with this.
    pub within: &'static str,
    /// As it is written, blanks apart.
    pub code: &'static [&'static str],
    /// Files whose path begins with one of these are excepted.
    pub except: &'static [&'static str],
    pub why: &'static str,
}
