//! What tests run on: a runtime of their own, on the thread that asks, with or without paused time.

use std::future::Future;

use tokio::runtime::Builder;

/// Runs a test to its end, on a clock that stands still while something runs and jumps to the next timer when nothing
/// does. What `#[runnel::test]` writes.
///
/// # Panics
/// If it panics; and within another runtime.
pub fn run<F: Future>(test: F) -> F::Output {
    on(Builder::new_current_thread().start_paused(true), test)
}

/// As [`run`], with time as it is. What `#[runnel::test(real_time)]` writes.
///
/// # Panics
/// If it panics; and within another runtime.
pub fn run_in_real_time<F: Future>(test: F) -> F::Output {
    on(&mut Builder::new_current_thread(), test)
}

fn on<F: Future>(builder: &mut Builder, test: F) -> F::Output {
    let runtime = builder.enable_all().build().expect("a system without a free file or thread runs no tests");
    runtime.block_on(test)
}
