//! A stream with a processor on a server of its own, and the programs to look at it with.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use runnel::broker::redis::{Redis, RedisOptions};
use runnel::broker::{
    Acquire, Acquired, Broker, Commit, Committed, Fence, FrontMark, Group, KeyLayout, LAYOUT_VERSION, Mark, NewLetter,
    Place, Start, StopKind, StreamFacts,
};
use runnel::event::Fields;
use runnel::settings::RedisUrl;
use runnel::{EventId, Partition};

use crate::support::Server;

/// An app `shop` with a stream `orders` of four partitions.
pub(crate) struct Shop {
    app: &'static str,
    pub(crate) server: Server,
    pub(crate) broker: Redis,
    pub(crate) group: Group,
    room: tempfile::TempDir,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::of("shop", "billing", &orders("xxh64", "json")).await
    }

    /// The stream and the processor of the example `quickstart`, which is a program that knows the type of its records.
    pub(crate) async fn typed() -> Self {
        let facts = StreamFacts { partitions: 16, slot_groups: 16, ..orders("xxh64", "json") };
        Self::of("myapp", "printer", &facts).await
    }

    async fn of(app: &'static str, processor: &str, facts: &StreamFacts) -> Self {
        let server = Server::redis();
        let broker = connected_as(app, &server.url()).await;
        let facts = broker.declare(facts).await.unwrap();
        let group = Group { stream: Arc::new(facts), processor: processor.into() };
        Self { app, server, broker, group, room: tempfile::tempdir().unwrap() }
    }

    /// The example `quickstart` with these arguments.
    pub(crate) fn own_command(&self, arguments: &[&str]) -> Command {
        let mut command = without_settings(Command::new(quickstart()));
        command.args(arguments).stdin(Stdio::null()).current_dir(self.room.path());
        command.env("RUNNEL_REDIS_URL", self.server.url());
        command
    }

    /// Runs it.
    pub(crate) fn own(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.own_command(arguments).output().unwrap())
    }

    /// The program with these arguments, told of the server by its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = runnel(arguments);
        command.env("RUNNEL_REDIS_URL", self.server.url()).current_dir(self.room.path());
        command
    }

    /// Runs `runnel --app shop` with these arguments.
    pub(crate) fn runs(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(&[&["--app", self.app], arguments].concat()).output().unwrap())
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

    /// Lets a processor give up events of the partition, each with its error.
    pub(crate) async fn gives_up(&self, processor: &str, partition: u32, letters: &[(EventId, &str, Fields)]) {
        let group = Group { processor: processor.into(), ..self.group.clone() };
        let place = Place { group, partition: Partition(partition) };
        let nonce: Arc<str> = format!("{processor}-{partition}-{}", fastrand::u64(..)).into();
        let wish = Acquire {
            place: place.clone(),
            nonce: nonce.clone(),
            worker: "w7".into(),
            ttl: Duration::from_secs(600),
            start: Start::Beginning,
            joined: 0,
        };
        let Acquired::Owned(owned) = self.broker.acquire(&wish).await.unwrap() else { panic!("it is somebody's") };
        let fence = Fence { nonce, epoch: owned.epoch };
        let letter = |(id, error, fields): &(EventId, &str, Fields)| {
            let about = serde_json::json!({ "id": id, "processor": processor, "error": error, "attempts": 3,
                "at": 1_795_315_492_410_u64, "worker": "w7", "stream": "orders", "partition": partition });
            NewLetter { id: *id, about: about.to_string().into(), fields: fields.clone() }
        };
        let commit = Commit {
            place: place.clone(),
            fence: fence.clone(),
            n: owned.n + 1,
            position: owned.position,
            entries_read: owned.entries_read,
            seen: owned.position,
            front: FrontMark::Keep,
            done: Vec::new(),
            passed: Vec::new(),
            letters: letters.iter().map(letter).collect(),
            letters_limit: 100_000,
        };
        assert_eq!(*self.broker.commit(&[commit]).await.remove(0).as_ref().unwrap(), Committed::Applied);
        assert!(self.broker.release(&place, &fence, None).await.unwrap());
    }

    /// Writes among the dead letters of partition 0 what is none. Answers its id.
    pub(crate) fn writes_among_letters(&self, name: &str, value: &str) -> String {
        let key = format!("__dead:{{{}.orders.0}}.0", self.app);
        redis::cmd("XADD").arg(key).arg("*").arg(name).arg(value).query(&mut self.server.raw()).unwrap()
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
    connected_as("shop", url).await
}

async fn connected_as(app: &str, url: &str) -> Redis {
    Redis::connect(&RedisUrl::new(url), app, "", RedisOptions::default()).await.unwrap()
}

/// The program, with none of the settings of whoever runs the tests.
pub(crate) fn runnel(arguments: &[&str]) -> Command {
    let mut command = without_settings(Command::new(env!("CARGO_BIN_EXE_runnel")));
    command.args(arguments).stdin(Stdio::null()).current_dir(std::env::temp_dir());
    command
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RUNNEL_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

/// The built example, which is built now if it is missing.
fn quickstart() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).expect("a test lies in target/<profile>/deps");
        let example = profile.join("examples/quickstart");
        if !example.exists() {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--example", "quickstart", "--target-dir"]).arg(profile.parent().expect("as above"));
            if profile.ends_with("release") {
                cargo.arg("--release");
            }
            assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
        }
        example
    })
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
