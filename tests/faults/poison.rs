//! Poison among many events while workers are killed: each of it is given up once and holds up nobody, and it is settled
//! like any other as soon as it can be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use runnel::prelude::*;
use runnel::{Connected, clock};

use crate::lab::{scale, start};
use crate::support::{Process, Server, eventually};

const APP: &str = "poisoned";
const EVENTS: u64 = 2_000;
const KEYS: u64 = 50;
const WORKERS: usize = 4;
const KILLS: usize = 8;
/// How long each event takes.
const WORK: Duration = Duration::from_millis(8);
const EXPIRY: Duration = Duration::from_secs(1);

/// What the parent tells a child: where its server is, where it writes down what it does, and that it can digest poison.
const URL: &str = "POISON_TEST_URL";
const JOURNAL: &str = "POISON_TEST_JOURNAL";
const IS_REPAIRED: &str = "POISON_TEST_IS_REPAIRED";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Order {
    key: u64,
    seq: u64,
}

impl Order {
    fn number(seq: u64) -> Self {
        Self { key: seq % KEYS, seq }
    }
}

/// One in a hundred. Of the keys, two have all of it.
fn is_poison(seq: u64) -> bool {
    seq % 100 == if (seq / 100).is_multiple_of(2) { 37 } else { 12 }
}

fn orders() -> Stream<Order> {
    Stream::new("orders", |order: &Order| order.key.into()).partitions(16)
}

/// Not a test of its own: it is what the workers of the test below run, until their parent kills them or is gone.
#[tokio::test(flavor = "multi_thread")]
async fn works_orders_off_when_it_is_told_to() {
    let Some(url) = std::env::var_os(URL) else { return };
    let is_repaired = std::env::var_os(IS_REPAIRED).is_some();
    let journal = OpenOptions::new().append(true).open(PathBuf::from(std::env::var_os(JOURNAL).expect("it is told")));
    let journal = Arc::new(journal.expect("the parent has made it"));
    let mut app = App::bare(APP).redis(url.into_string().expect("the address is text"));
    let handler = move |order: Order| {
        let journal = journal.clone();
        // One write of a short line: all workers share the file.
        let note = move |what: &str| (&*journal).write_all(format!("{what} {} {}\n", order.key, order.seq).as_bytes());
        async move {
            note("began")?;
            clock::sleep_until(clock::now() + WORK).await;
            match is_poison(order.seq) && !is_repaired {
                true => Err(runnel::Error::from("it cannot be digested")),
                false => Ok(note("ended")?),
            }
        }
    };
    let processor = app.processor(&orders(), handler).name("billing");
    // That its workers are killed is not the fault of an event here.
    let processor = processor.retry(2, WORK, WORK * 3).lock_expiry(EXPIRY).max_crashes(1_000);
    processor.dead_letter();
    let connected = app.connect().await.expect("the parent has started the server");
    connected.work_until(std::future::pending()).await.expect("it is killed before it fails");
}

struct Shop {
    server: Server,
    app: Connected,
    journal: tempfile::NamedTempFile,
    workers: Vec<Process>,
}

/// What the workers have written down, in order: whether it ended, the key, the number.
type Notes = Vec<(bool, u64, u64)>;

impl Shop {
    async fn open() -> Self {
        let server = Server::redis();
        let app = App::bare(APP).redis(server.url()).connect().await.expect("it was started the line before");
        Self { server, app, journal: tempfile::NamedTempFile::new().expect("there is room"), workers: Vec::new() }
    }

    fn start(&mut self, is_repaired: bool) {
        let mut command = Command::new(std::env::current_exe().expect("a test knows where it is"));
        command.args(["--exact", "poison::works_orders_off_when_it_is_told_to"]);
        command.env(URL, self.server.url()).env(JOURNAL, self.journal.path()).env("RUNNEL_LOG_LEVEL", "off");
        if is_repaired {
            command.env(IS_REPAIRED, "yes");
        }
        self.workers.push(start(&command));
    }

    /// Kills the one that has worked for the longest time, and starts another.
    fn replace_one(&mut self, is_repaired: bool) {
        drop(self.workers.remove(0));
        self.start(is_repaired);
    }

    fn notes(&self) -> Notes {
        let text = std::fs::read_to_string(self.journal.path()).expect("the journal is there");
        let number = |word: Option<&str>| word.and_then(|word| word.parse().ok()).expect("a number");
        let note = |line: &str| {
            let mut words = line.split(' ');
            (words.next() == Some("ended"), number(words.next()), number(words.next()))
        };
        text.lines().map(note).collect()
    }

    async fn is_all_settled(&self) -> bool {
        let partitions = self.app.survey("orders").await.expect("the server answers");
        partitions.iter().all(|partition| {
            let ours = partition.groups.iter().find(|group| group.name == "billing");
            ours.and_then(|group| group.position).unwrap_or_default() == partition.last
        })
    }

    /// Runs `runnel dead` with these arguments.
    fn dead(&self, arguments: &[&str]) -> serde_json::Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runnel"));
        command.args(["--app", APP, "dead"]).args(arguments).args(["--output", "json"]);
        let output = command.env("RUNNEL_REDIS_URL", self.server.url()).output().expect("it can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("it answers JSON")
    }

    /// The numbers of the events that were given up, as often as they were.
    fn letters(&self) -> Vec<u64> {
        let told = self.dead(&["list", "orders"]);
        let letters = told.as_array().expect("it is a list").iter();
        let mut seqs: Vec<_> =
            letters.map(|letter| letter["fields"]["data"]["seq"].as_u64().expect("an order has a number")).collect();
        seqs.sort_unstable();
        seqs
    }
}

/// The order in which events of each key began for the first time.
fn firsts(notes: &[(bool, u64, u64)]) -> BTreeMap<u64, Vec<u64>> {
    let (mut firsts, mut seen) = (BTreeMap::<_, Vec<_>>::new(), BTreeSet::new());
    for (_, key, seq) in notes.iter().filter(|(has_ended, ..)| !has_ended) {
        if seen.insert(*seq) {
            firsts.entry(*key).or_default().push(*seq);
        }
    }
    firsts
}

fn ended(notes: &[(bool, u64, u64)]) -> BTreeSet<u64> {
    notes.iter().filter(|(has_ended, ..)| *has_ended).map(|(.., seq)| *seq).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_given_up_once_and_settled_when_it_can_be_while_workers_are_killed() {
    let total = EVENTS * u64::from(scale());
    let kills = KILLS * scale() as usize;
    let (poison, sound): (Vec<u64>, Vec<u64>) = (0..total).partition(|seq| is_poison(*seq));
    let mut shop = Shop::open().await;
    shop.app.stream(&orders()).send_all((0..total).map(Order::number)).await.expect("the server takes events");

    (0..WORKERS).for_each(|_| shop.start(false));
    for kill in 1..=kills {
        let goal = sound.len() * kill / (kills + 1);
        eventually("they get on", async || ended(&shop.notes()).len() >= goal).await;
        shop.replace_one(false);
    }
    eventually("everything is settled", async || shop.is_all_settled().await).await;

    let notes = shop.notes();
    assert_eq!(shop.letters(), poison, "each is given up once, and nothing else is");
    assert!(ended(&notes).into_iter().eq(sound.iter().copied()), "all others are handled");
    assert!(firsts(&notes).values().all(|seqs| seqs.is_sorted()), "each key's events began in order");

    shop.workers.clear();
    (0..WORKERS).for_each(|_| shop.start(true));
    let retried = shop.dead(&["retry", "orders", "--all"]);
    shop.replace_one(true);
    eventually("everything is settled again", async || shop.is_all_settled().await).await;

    // Sound ones begin and end, poison begins twice.
    let repeats = (notes.len() as u64).saturating_sub(2 * total);
    println!("{total} events, {} of them poison, {kills} workers killed, {repeats} notes too many", poison.len());
    let notes = shop.notes().split_off(notes.len());
    assert_eq!(retried["done"], poison.len());
    let left = shop.app.survey("orders.dead").await.expect("the server answers");
    assert_eq!(left.iter().map(|partition| partition.length).sum::<u64>(), 0, "no letter is left");
    assert!(ended(&notes).into_iter().eq(poison.iter().copied()), "each is handled now");
    assert!(firsts(&notes).values().all(|seqs| seqs.is_sorted()), "and in order");
}
