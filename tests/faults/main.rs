//! Workers in processes of their own, on real servers, under real faults: killed, paused, restarted, meddled with.
//!
//! The workers are those of the examples `flights` and `clockwork`, so these must be built: `cargo test` builds them with
//! everything else, and a lone `--test faults` builds what is missing. `RUNNEL_TEST_SCALE` multiplies how often things are
//! repeated. Each test has a server of its own.

mod figures;
mod jobs;
mod lab;
mod meddling;
mod outages;
mod poison;
mod roster;
mod runs;
#[path = "../support/mod.rs"]
mod support;
mod whole;
