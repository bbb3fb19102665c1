//! Jobs as they are written: with the attribute, whose parameters are asked for or given by their types.

use std::sync::{Arc, Mutex};

use futures::TryStreamExt;
use runnel::prelude::*;
use runnel::runs::output::{Channel, LogStore, MemoryLogStore, StreamOptions, capture};
use runnel::runs::{Parameter, SecretString, Stores};
use runnel::{Failure, Runner};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

type Said = Arc<Mutex<Vec<String>>>;
/// Another name for something that is asked for.
type Book = State<Said>;

mod other {
    use super::*;

    /// Named like what is asked for, and yet a value.
    #[derive(Debug, Serialize, Deserialize)]
    pub struct State(pub String);
}

#[runnel::job(retry = backoff(max_attempts = 3, multiplier = 2, min = "1s", max = "10s"), retry_steps = ["load"], tag = "nightly", timeout = "30m")]
async fn ingest(day: u32, run: RunContext, state: other::State, book: Book, note: Option<String>) -> Result<()> {
    let rows: u32 = run.step("extract", async { Ok::<_, runnel::Error>(day * 2) }).await?;
    run.step("load", async {
        book.lock().unwrap().push(format!("{day} {rows} {} {note:?}", state.0));
        Ok::<_, runnel::Error>(())
    })
    .await
}

#[runnel::job]
async fn tidy() {}

#[runnel::job(name = "log_in", store_trace_info = false, run_from_clean_folder = false)]
async fn login(password: SecretString, user: String) -> Result<()> {
    tracing::info!(?password, "{user} logs in with {password:?}");
    Err(format!("{user} cannot log in with {}", password.expose()).into())
}

#[tokio::test(start_paused = true)]
async fn parameters_are_asked_for_or_given_whatever_their_types_are_called() {
    let (said, stores) = (Said::default(), Stores::memory());
    let runner = Runner::of::<ingest>().store(stores.clone()).state(said.clone());

    let report = runner.run((7, other::State("bavaria".into()), None)).await.unwrap();

    assert!(report.is_well(), "{report:?}");
    assert_eq!(*said.lock().unwrap(), ["7 14 bavaria None"]);
    let log = stores.run_logs.get(&report.run_id).await.unwrap();
    assert_eq!(log.tag, "nightly");
    assert_eq!(log.parameters["day"], Parameter::from(7));
    assert_eq!(log.parameters["state"], Parameter::from("bavaria"));
    assert!(Runner::of::<tidy>().run(()).await.unwrap().is_well());
}

#[tokio::test(start_paused = true)]
async fn a_job_is_run_by_name_with_an_object() {
    let said = Said::default();
    let shop = App::bare("shop").state(said.clone()).with::<ingest>().redis("memory://");

    let report = shop.job_named("ingest").run(json!({"day": 3, "state": "hesse", "note": "x"})).await.unwrap();

    assert!(report.is_well());
    assert_eq!(*said.lock().unwrap(), ["3 6 hesse Some(\"x\")"]);
    let unknown = shop.job_named("ingst").run(json!({})).await.unwrap_err();
    assert!(matches!(&unknown, Failure::NotFound(why) if why.contains("did you mean `ingest`?")), "{unknown}");
    let missing = shop.job_named("ingest").run(json!({"day": 3})).await.unwrap_err().to_string();
    assert!(missing.contains("parameter `state` (State) is missing"), "{missing}");
    let typed = shop.job::<ingest>().run((1, other::State("x".into()), None)).await.unwrap();
    assert!(typed.is_well());
}

/// A log of everything, down to the last detail.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Written {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_given_to_the_job_and_is_in_nothing_that_is_kept() {
    let (stores, lines, console) = (Stores::memory(), MemoryLogStore::default(), Written::default());
    let everything = tracing_subscriber::fmt::layer().with_writer(console.clone());
    let _heard =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(everything).with(capture::layer()));
    let app = App::bare("shop").log_store(lines.clone()).with::<login>();
    let runner = app.job::<login>().store(stores.clone());

    let report = runner.run((SecretString::new("canary"), "ann".into())).await.unwrap();

    assert_eq!(report.ended.to_string(), "ann cannot log in with ***");
    let log = stores.run_logs.get(&report.run_id).await.unwrap();
    let kept = serde_json::to_string(&log).unwrap();
    assert!(kept.contains("ann cannot log in") && !kept.contains("canary"), "{kept}");
    let read = lines.stream(&report.run_id, Channel::Stdout, StreamOptions::default());
    let printed: Vec<_> = read.map_ok(|line| line.text).try_collect().await.unwrap();
    for said in [console.text(), printed.concat(), format!("{report:?}")] {
        assert!(!said.contains("canary"), "{said}");
    }
    assert!(console.text().contains("ann logs in") && printed.concat().contains("ann logs in"), "{printed:?}");
    let refused = runner.retry(&report.run_id).await.unwrap_err();
    assert!(matches!(&refused, Failure::RetryValidation(why) if why.contains("`password` is a secret")), "{refused}");
}
