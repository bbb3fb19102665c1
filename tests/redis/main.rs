//! The broker on a real server.

#[path = "../support/mod.rs"]
mod support;

mod servers;
