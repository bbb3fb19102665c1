//! Whole apps on real servers, through the public API: what the product promises, and what it does about bad input,
//! foreign hands and servers that refuse.
//!
//! Each scenario runs on Redis and on Valkey; the names of the tests say which. They are judged by facts: what handlers
//! were given, what lies on the server, what was logged. Servers are shared where a test does nothing to the server
//! itself; then its keys have a prefix of their own.

#![allow(clippy::unwrap_used, reason = "in a test binary everything is a test")]

/// Makes two tests of each scenario.
macro_rules! on_both {
    ($($scenario:ident),* $(,)?) => {
        mod on_redis {
            $(#[tokio::test] async fn $scenario() { super::$scenario($crate::ground::Product::Redis).await })*
        }
        mod on_valkey {
            $(#[tokio::test] async fn $scenario() { super::$scenario($crate::ground::Product::Valkey).await })*
        }
    };
}

#[path = "../support/mod.rs"]
mod support;

mod crew;
mod ground;
mod logs;

mod acl;
mod bad_entries;
mod bad_keys;
mod declared;
mod full_memory;
mod hands;
mod main_job;
mod python;
mod refusals;
mod resets;
mod sending;
