//! The package's own program against a real server: what it prints, where, and how it exits.

#![allow(clippy::unwrap_used, reason = "in a test binary everything is a test")]

#[path = "../support/mod.rs"]
mod support;

mod acl;
mod dead;
mod feeding;
mod jobs;
mod looking;
mod runs;
mod shop;
mod steering;
mod typed;
