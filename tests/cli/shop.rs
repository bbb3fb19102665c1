//! A stream with a processor on a server of its own, and the program to look at it with.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use runnel::broker::redis::{Redis, RedisOptions};
use runnel::broker::{
    Acquire, Acquired, Broker, Fence, Group, KeyLayout, LAYOUT_VERSION, Mark, Place, Start, StopKind, StreamFacts,
};
use runnel::settings::RedisUrl;
use runnel::{EventId, Partition};

use crate::support::Server;

/// An app `shop` with a stream `orders` of four partitions.
pub(crate) struct Shop {
    pub(crate) server: Server,
    pub(crate) broker: Redis,
    pub(crate) group: Group,
    room: tempfile::TempDir,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let server = Server::redis();
        let broker = connected(&server.url()).await;
        let facts = broker.declare(&orders("xxh64", "json")).await.unwrap();
        let group = Group { stream: Arc::new(facts), processor: "billing".into() };
        Self { server, broker, group, room: tempfile::tempdir().unwrap() }
    }

    /// The program with these arguments, told of the server by its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = runnel(arguments);
        command.env("RUNNEL_REDIS_URL", self.server.url()).current_dir(self.room.path());
        command
    }

    /// Runs `runnel --app shop` with these arguments.
    pub(crate) fn runs(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(&[&["--app", "shop"], arguments].concat()).output().unwrap())
    }

    /// Runs it for programs, and reads the answer.
    pub(crate) fn tells(&self, arguments: &[&str]) -> serde_json::Value {
        let ran = self.runs(&[arguments, &["--output", "json"]].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    }

    /// A file in the directory that the program runs in.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.room.path().join(name), text).unwrap();
    }

    fn place(&self, partition: u32) -> Place {
        Place { group: self.group.clone(), partition: Partition(partition) }
    }

    /// Lets a worker own the partition.
    pub(crate) async fn owned_by(&self, worker: &str, partition: u32) -> Fence {
        let nonce: Arc<str> = format!("{worker}-{partition}").into();
        let wish = Acquire {
            place: self.place(partition),
            nonce: nonce.clone(),
            worker: worker.into(),
            ttl: Duration::from_secs(600),
            start: Start::Beginning,
            joined: 0,
        };
        let Acquired::Owned(owned) = self.broker.acquire(&wish).await.unwrap() else { panic!("it is somebody's") };
        Fence { nonce, epoch: owned.epoch }
    }

    /// Lets a worker stop at an event of the partition.
    pub(crate) async fn stopped_at(&self, partition: u32, at: EventId, kind: StopKind, error: &str) {
        let fence = self.owned_by("w9", partition).await;
        let mark = Mark { kind, at, error: error.to_owned() };
        assert!(self.broker.release(&self.place(partition), &fence, Some(&mark)).await.unwrap());
    }
}

/// What all processes agree on about the stream `orders`.
pub(crate) fn orders(partitioner: &str, codec: &str) -> StreamFacts {
    StreamFacts {
        name: "orders".into(),
        layout_version: LAYOUT_VERSION,
        partitions: 4,
        slot_groups: 2,
        keys: KeyLayout::Runnel,
        partitioner: partitioner.into(),
        codec: codec.into(),
        created: 0,
    }
}

/// The app `shop` at that address.
pub(crate) async fn connected(url: &str) -> Redis {
    Redis::connect(&RedisUrl::new(url), "shop", "", RedisOptions::default()).await.unwrap()
}

/// The program, with none of the settings of whoever runs the tests.
pub(crate) fn runnel(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runnel"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RUNNEL_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null()).current_dir(std::env::temp_dir());
    command
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it was not killed"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
