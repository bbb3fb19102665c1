//! Tests of machines as text that can be checked by eye.
//!
//! ```text
//! == a title; the machine begins afresh
//! what it is told
//! ----
//! what it answers
//!
//! what it is told next
//! ----
//! ...
//! ```
//! Lines that begin with `#` are for the reader. [`cases`] says how many cases a property is tried with.

use std::fmt::Write;

/// Tells a machine every line of a text and compares what it shows after each block.
pub(crate) fn play<M>(
    text: &str,
    begin: impl Fn() -> M,
    tell: impl Fn(&mut M, &[&str]),
    show: impl Fn(&mut M) -> String,
) {
    let mut machine = begin();
    let mut played = String::new();
    let mut wanted = String::new();
    let mut is_answer = false;
    for line in text.lines().chain([""]) {
        let answer_ends = is_answer && (line.is_empty() || line.starts_with("=="));
        if answer_ends {
            is_answer = false;
            let _ = writeln!(played, "{}", show(&mut machine).trim_end());
        }
        let _ = writeln!(wanted, "{line}");
        if is_answer {
            continue;
        }
        let _ = writeln!(played, "{line}");
        match line {
            "----" => is_answer = true,
            _ if line.starts_with("==") => machine = begin(),
            _ if line.is_empty() || line.starts_with('#') => {}
            _ => tell(&mut machine, &line.split_whitespace().collect::<Vec<_>>()),
        }
    }
    let first = wanted.lines().zip(played.lines()).position(|(a, b)| a != b);
    assert!(
        wanted == played,
        "differs from line {}; the whole as it was played:\n{played}",
        first.map_or(0, |n| n + 1)
    );
}

/// How many cases: `few` times the number in `RUNNEL_TEST_SCALE`, which is 1 unless set.
#[allow(clippy::disallowed_methods, reason = "the size of a test run is no setting of a worker")]
pub(crate) fn cases(few: u32) -> proptest::test_runner::Config {
    let scale = std::env::var("RUNNEL_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    proptest::test_runner::Config { cases: few.saturating_mul(scale), failure_persistence: None, ..Default::default() }
}
