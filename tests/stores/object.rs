//! Documents and logs in a bucket: in memory, and on a server that speaks S3.
//!
//! The server is moto, a Python package, which `tests/run` installs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::memory::InMemory;
use runnel::runs::output::Destination;
use runnel::runs::stores::{Bucket, ObjectDestination, ObjectStore};
use runnel::runs::{Action, NewRunLog, RunLogQuery, RunLogStore, Status, open_store};
use runnel::{App, RunContext};

/// Without a server.
mod in_memory {
    use super::*;

    async fn open() -> (Arc<ObjectStore>, ()) {
        let store = ObjectStore::over(Arc::new(InMemory::new()), Bucket::new("b")).await.unwrap();
        (Arc::new(store.retention(crate::documents::KEPT)), ())
    }

    crate::all_of_documents!(open().await);
    crate::suite! { open().await, parallel: writers_of_one_run_lose_nothing readers_see_whole_documents }

    #[tokio::test]
    async fn a_document_has_one_index_entry_and_a_removed_one_none() {
        let bucket = Arc::new(InMemory::new());
        let store = ObjectStore::over(bucket.clone(), Bucket::new("b")).await.unwrap();
        let objects = async || {
            let all: Vec<_> = object_store::ObjectStore::list(&*bucket, None).try_collect().await.unwrap();
            all.len()
        };
        let run = store.create_run_log(NewRunLog::new("r".parse().unwrap(), "load").tag("a/b ~")).await.unwrap().run_id;
        for status in [Status::Processing, Status::Fail, Status::Processing, Status::Success] {
            store.update_run_log_status(&run, status).await.unwrap();
            assert_eq!(objects().await, 2);
            let found = store.get_run_logs(&RunLogQuery::new().tag("a/b ~").status(status)).await.unwrap();
            assert_eq!(found.items.len(), 1);
        }

        store.delete_run_log(&run).await.unwrap();

        assert_eq!(objects().await, 0);
    }
}

/// A server. It ends with its input, so with this process, however that ends.
struct S3 {
    _process: Child,
    endpoint: String,
}

static SERVER: LazyLock<S3> = LazyLock::new(|| S3::start(&[]));
static UNCONDITIONAL: LazyLock<S3> = LazyLock::new(|| S3::start(&["--unconditional"]));

impl S3 {
    fn start(words: &[&str]) -> Self {
        let python = python();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/bucket.py");
        let mut command = Command::new(&python);
        command.arg(script).args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", python.display()));
        let mut endpoint = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut endpoint).unwrap();
        let advice = "has no moto: pip install 'moto[s3]' flask flask-cors";
        assert!(endpoint.starts_with("http://"), "{} {advice}", python.display());
        Self { _process: process, endpoint: endpoint.trim().to_owned() }
    }

    /// A part of the bucket that nobody else uses.
    fn place(&self) -> String {
        format!("{}#runs/{}", self.endpoint, uuid::Uuid::now_v7())
    }
}

/// A part of a bucket that nobody else uses.
pub fn place() -> String {
    SERVER.place()
}

#[allow(clippy::disallowed_methods, reason = "whoever runs the tests says where moto is")]
fn python() -> PathBuf {
    std::env::var_os("RUNNEL_TEST_MOTO").map_or_else(|| "python3".into(), PathBuf::from)
}

/// The table that opens the store at that place.
pub fn config(place: &str) -> toml::Table {
    let (endpoint, prefix) = place.split_once('#').unwrap();
    let text = format!(
        "endpoint = '{endpoint}'\nbucket = 'bucket'\nprefix = '{prefix}'\nregion = 'us-east-1'\n\
         access_key_id = 'me'\nsecret_access_key = 'canary'\nallow_http = true"
    );
    text.parse().unwrap()
}

/// With Python: `tests/run` runs these where it could install moto.
mod moto {
    use super::*;

    async fn open(place: String) -> (Arc<dyn RunLogStore>, ()) {
        (open_store(ObjectStore::TYPE, config(&place)).await.unwrap().run_logs, ())
    }

    crate::all_of_documents!(open(place()).await);
    crate::suite! { open(place()).await, parallel: writers_of_one_run_lose_nothing readers_see_whole_documents }

    mod unconditional {
        use super::*;

        crate::all_of_documents!(open(UNCONDITIONAL.place()).await);

        #[tokio::test]
        async fn what_a_server_cannot_do_is_found_out() {
            let (store, ()) = open(UNCONDITIONAL.place()).await;
            assert!(!store.supports_parallel_writes());
        }
    }

    #[tokio::test]
    async fn secrets_are_shown_nowhere() {
        let at = place();
        let (store, ()) = open(at.clone()).await;
        let summary = store.summary().to_string();
        assert!(summary.contains("object-store") && summary.contains(&SERVER.endpoint), "{summary}");
        let mut wrong = config(&at);
        wrong.insert("bucket".into(), "nobodys-bucket".into());
        let error = open_store(ObjectStore::TYPE, wrong).await.unwrap_err();
        assert!(!summary.contains("canary") && !format!("{error:?}").contains("canary"), "{error:?}");
    }

    /// Says that a program is a child of these tests.
    const CHILD: &str = "STORES_CHILD_SHIPS";

    /// A program whose settings ship its logs to that bucket, and keep none here.
    fn shipping(program: impl AsRef<std::ffi::OsStr>, room: &Path, address: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(room).stdin(Stdio::null()).env("RUNNEL_LOG_DIR", room).env("RUNNEL_LOG_SHIP_DEST", address);
        command.env("RUNNEL_LOG_KEEP_LOCAL", "false").env("AWS_ENDPOINT_URL", &SERVER.endpoint);
        command.env("AWS_ALLOW_HTTP", "true").env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "me").env("AWS_SECRET_ACCESS_KEY", "canary");
        command
    }

    /// Not a test of its own: it is what the next one runs.
    #[tokio::test]
    #[allow(clippy::disallowed_methods, reason = "the parent says by a variable that this is a child")]
    async fn a_child_prints_and_ends() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let mut app = App::bare("shop").redis("memory://");
        let load = async |run: RunContext| -> runnel::Result<()> {
            run.stdout("loaded 7 rows").await;
            Ok(())
        };
        app.on_demand(load).name("load");
        println!("run={}", app.job_named("load").run(()).await.unwrap().run_id);
    }

    #[test]
    fn by_its_settings_a_program_ships_what_its_runs_print_and_another_one_reads_it() {
        let room = tempfile::tempdir().unwrap();
        let address = format!("s3://bucket/shipped/{}", uuid::Uuid::now_v7());
        let mut child = shipping(std::env::current_exe().unwrap(), room.path(), &address);
        child.args(["--exact", "object::moto::a_child_prints_and_ends", "--nocapture"]).env(CHILD, "1");
        let ran = child.output().unwrap();
        let out = String::from_utf8(ran.stdout).unwrap();
        let run = out.split_once("run=").expect("the child says which run it was").1.split_whitespace().next().unwrap();
        assert!(!room.path().join("job_runs").join(run).exists(), "it was to be kept in the bucket alone");

        let elsewhere = tempfile::tempdir().unwrap();
        let mut reader = shipping(env!("CARGO_BIN_EXE_runnel"), elsewhere.path(), &address);
        let read = reader.args(["--app", "shop", "logs", run]).output().unwrap();

        let told = String::from_utf8_lossy(&read.stderr);
        assert_eq!(String::from_utf8_lossy(&read.stdout), "loaded 7 rows\n", "{told}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn with_documents_in_a_bucket_every_process_reads_lines_from_the_stream() {
        let (server, config) = (crate::support::Server::redis(), config(&place()));
        let of_app = || {
            let app = App::bare("shop").redis(server.url()).run_log_store(ObjectStore::TYPE);
            let fields = config.iter().map(|(name, value)| (format!("run_log_store.{name}"), value.to_string()));
            fields.fold(app, |app, (name, value)| app.setting(&name, value))
        };
        let mut app = of_app();
        app.on_demand(async |_: RunContext| Ok::<_, runnel::Error>(())).name("load");
        let run = app.job_named("load").run(()).await.unwrap().run_id;

        let another = of_app();
        let lines = another.task_log_of("load").all().all().await.unwrap();
        let mut third = Command::new(env!("CARGO_BIN_EXE_runnel"));
        third.args(["--app", "shop", "tasks", "log", "load", "--output", "json"]).stdin(Stdio::null());
        third.env("RUNNEL_REDIS_URL", server.url()).env("RUNNEL_RUN_LOG_STORE", ObjectStore::TYPE);
        for (name, value) in &config {
            third.env(format!("RUNNEL_RUN_LOG_STORE__{}", name.to_ascii_uppercase()), value.to_string());
        }
        let room = tempfile::tempdir().unwrap();
        let told = third.current_dir(room.path()).output().unwrap();

        let seen: Vec<_> = lines.iter().map(|line| (line.action, line.run_id == run)).collect();
        assert_eq!(seen, [(Action::Run, true), (Action::Success, true)]);
        let out = String::from_utf8_lossy(&told.stdout);
        assert!(
            out.contains(run.as_str()) && out.contains("success"),
            "{out}{}",
            String::from_utf8_lossy(&told.stderr)
        );
    }

    #[tokio::test]
    async fn logs_are_shipped_to_a_bucket() {
        let bucket: Bucket = config(&place()).try_into().unwrap();
        let place = format!("s3://bucket/logs/{}", uuid::Uuid::now_v7());
        ships(&ObjectDestination::new(bucket.at(&place).unwrap()).unwrap()).await;
    }
}

async fn ships(destination: &ObjectDestination) {
    let content = |blocks: Vec<std::io::Result<Bytes>>| stream::iter(blocks).boxed();
    let read = async |name: &str| {
        let content = destination.get(name).await.unwrap()?;
        let blocks: Vec<Bytes> = content.try_collect().await.unwrap();
        Some(blocks.concat())
    };
    // Longer than what is sent at once.
    let long: Vec<_> = (0..24u8).map(|n| Bytes::from(vec![n; 1 << 20])).collect();

    destination.put("r1/stdout.log.gz", content(long.iter().cloned().map(Ok).collect())).await.unwrap();
    destination.put("r1/metadata.json", content(vec![Ok("old".into())])).await.unwrap();
    destination.put("r1/metadata.json", content(vec![Ok("{".into()), Ok("}".into())])).await.unwrap();
    destination.put("r2/metadata.json", content(Vec::new())).await.unwrap();
    for first in [Bytes::from("half"), Bytes::from(vec![0; 24 << 20])] {
        let torn = content(vec![Ok(first), Err(std::io::Error::other("the disk is gone"))]);
        assert!(destination.put("r3/metadata.json", torn).await.is_err());
    }

    assert_eq!(read("r1/metadata.json").await.unwrap(), b"{}");
    assert!(read("r1/stdout.log.gz").await.unwrap() == long.concat());
    assert_eq!(read("r2/metadata.json").await.unwrap(), b"");
    assert_eq!(read("r3/metadata.json").await, None);
    assert_eq!(destination.list("r1/").await.unwrap(), ["r1/metadata.json", "r1/stdout.log.gz"]);
    assert_eq!(destination.list("").await.unwrap().len(), 3);
    assert_eq!(destination.list("r1/m").await.unwrap().len(), 1);
    assert!(destination.delete("r1/metadata.json").await.unwrap());
    assert!(!destination.delete("r1/metadata.json").await.unwrap());
    assert!(destination.put("../x", content(Vec::new())).await.is_err());
}

#[tokio::test]
async fn a_destination_holds_things_whole_or_not_at_all() {
    let bucket = Bucket::new("b").at("s3://b/logs/").unwrap();
    ships(&ObjectDestination::over(Arc::new(InMemory::new()), bucket)).await;
    assert!(Bucket::default().at("/var/log").is_err());
}
