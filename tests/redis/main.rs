//! The broker on a real server: every script's cases, and what connections do when servers misbehave.

#![allow(clippy::unwrap_used, reason = "in a test binary everything is a test")]

#[path = "../support/mod.rs"]
mod support;

mod acquiring;
mod connecting;
mod durability;
mod gathering;
mod leading;
mod letters;
mod marking;
mod measure;
mod operating;
mod running;
mod servers;
mod settling;
mod streaming;
mod world;
