//! The whole example under trouble: every fact of the real data must still be found.

use std::process::Command;

use crate::lab::{flights, scale};
use crate::support::Server;

/// Runs the example and answers what it printed. It must have ended with 0.
fn run(arguments: &[&str]) -> String {
    let server = Server::redis();
    let output = Command::new(flights()).args(arguments).env("RUNNEL_REDIS_URL", server.url()).output();
    let output = output.expect("the example can be started");
    let (out, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "flights {arguments:?} ended with {}:\n{out}\n{log}", output.status);
    let keys: u64 = redis::cmd("DBSIZE").query(&mut server.raw()).expect("the server says how many keys there are");
    assert_eq!(keys, 0, "it leaves nothing behind");
    let told: Vec<_> = out.lines().filter(|line| line.contains(" workers ")).collect();
    println!("flights {}: {}", arguments.join(" "), told.join("; "));
    out.into_owned()
}

fn in_chaos(workers: &str) {
    for _ in 0..scale() {
        let out = run(&["--workers", workers, "--chaos", "--slow", "2ms"]);

        assert!(out.contains("All 29 facts agree."), "{out}");
        assert!(out.contains(" 1 killed, 1 paused"), "not everything happened that should:\n{out}");
    }
}

#[test]
fn one_worker_in_chaos_finds_every_fact() {
    in_chaos("1");
}

#[test]
fn two_workers_in_chaos_find_every_fact() {
    in_chaos("2");
}

#[test]
fn five_workers_in_chaos_find_every_fact() {
    in_chaos("5");
}

#[test]
fn no_event_comes_twice_where_every_worker_is_stopped_gracefully() {
    for _ in 0..scale() {
        let out = run(&["--workers", "3", "--restarts", "--slow", "2ms"]);

        assert!(out.contains("; 0 came more than once"), "{out}");
    }
}

#[test]
fn bad_lines_are_treated_as_each_policy_says() {
    let out = run(&["--workers", "2", "--bad"]);

    assert!(out.contains("All as it should be."), "{out}");
}
