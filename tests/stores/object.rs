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
use runnel::runs::{NewRunLog, RunLogQuery, RunLogStore, Status, open_store};

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
