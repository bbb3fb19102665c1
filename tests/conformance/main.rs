//! The twin tells the truth: every operation of a broker answers alike on the store in memory and on real servers.
//!
//! [`table`] says for each operation and each of its corners what the answer is, and asks every kind of store for it.
//! [`sequences`] has random ones done to a store in memory and to a server side by side, and compares them step by
//! step. What the simulation proves on memory is worth what this suite finds.
//!
//! Without `RUNNEL_TEST_SCALE` there are 3,000 random operations for each server; 34 makes a hundred thousand. A Valkey
//! server is asked too where there is one: `valkey-server` on the PATH, or the program that `RUNNEL_TEST_VALKEY` names.

#![allow(clippy::unwrap_used, reason = "in a test binary everything is a test")]

#[path = "../support/mod.rs"]
mod support;

mod case;
mod hands;
mod sequences;
mod stores;
mod table;
