//! What ran and what it printed, asked over HTTP by a plain socket, by another worker and by a browser.

#![allow(clippy::unwrap_used, reason = "in a test binary everything is a test")]
#![allow(clippy::disallowed_methods, reason = "what holds for the library's own tasks, time and settings")]

mod asking;
mod browser;
mod documents;
mod elsewhere;
mod guarding;
mod lines;
mod resumed;
mod retrying;
#[path = "../support/mod.rs"]
mod support;
mod workers;
