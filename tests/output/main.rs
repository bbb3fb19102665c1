//! What runs print: every store through one suite, files under hostile and under concurrent use, capture of events and
//! of child processes.
//!
//! Parts of some tests are processes of their own: this program again, with a role (see [`child`]).
//! `RUNNEL_TEST_SCALE` multiplies how much is printed where memory is measured.

#![allow(clippy::unwrap_used, reason = "in a test binary everything is a test")]
#![allow(clippy::disallowed_methods, reason = "what holds for the library's own tasks, time and settings")]

mod capturing;
mod child;
mod commands;
mod composing;
mod files;
mod memory;
mod shipping;
mod stores;
#[path = "../support/mod.rs"]
mod support;
mod upkeep;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use runnel::runs::output::{Channel, LineStream, LogError, LogStore, RunMetadata, StreamOptions};
use runnel::runs::{RunId, Status};
use support::in_time as soon;

fn id(text: &str) -> RunId {
    text.parse().unwrap()
}

/// The lines with their numbers, to the end.
async fn numbered(lines: LineStream) -> Vec<(usize, String)> {
    let lines = soon(lines.collect::<Vec<_>>()).await;
    lines.into_iter().map(|line| line.map(|line| (line.number, line.text)).unwrap()).collect()
}

/// The lines, which must be numbered one after the other.
async fn texts(store: &dyn LogStore, run: &RunId, channel: Channel, options: StreamOptions) -> Vec<String> {
    let lines = numbered(store.stream(run, channel, options)).await;
    let first = lines.first().map_or(0, |(number, _)| *number);
    assert!(lines.iter().enumerate().all(|(at, (number, _))| *number == first + at), "{lines:?}");
    lines.into_iter().map(|(_, text)| text).collect()
}

async fn stdout(store: &dyn LogStore, run: &RunId) -> Vec<String> {
    texts(store, run, Channel::Stdout, StreamOptions::default()).await
}

async fn stderr(store: &dyn LogStore, run: &RunId) -> Vec<String> {
    texts(store, run, Channel::Stderr, StreamOptions::default()).await
}

fn begun(run: &RunId) -> RunMetadata {
    let start = "2026-11-22T02:00:00Z".parse().unwrap();
    RunMetadata::begun(run.clone(), "report", 1, start)
}

fn ended(run: &RunId) -> RunMetadata {
    begun(run).ended(Status::Success, "2026-11-22T02:00:01.500Z".parse().unwrap())
}

/// A store with a log of an ended run.
async fn written(store: &Arc<dyn LogStore>, run: &RunId, lines: &[&str]) {
    store.append(run, Channel::Stdout, lines).await.unwrap();
    store.write_metadata(run, &ended(run)).await.unwrap();
}

/// The log of a run, when it is there: another task or process begins it.
async fn followed_when_there(store: &dyn LogStore, run: &RunId) -> LineStream {
    let look = async || {
        let mut lines = store.stream(run, Channel::Stdout, StreamOptions::followed()).peekable();
        match std::pin::Pin::new(&mut lines).peek().await {
            Some(Err(LogError::NotFound { .. })) => None,
            _ => Some(lines.boxed()),
        }
    };
    support::eventually_some("the log is there", look).await
}
