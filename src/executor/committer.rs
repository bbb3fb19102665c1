//! One task that commits for all partitions of an executor.
//!
//! What is settled waits at most for the linger, or until enough has gathered, and goes in one pipeline for many
//! partitions. A lost answer is asked for again with the very same commit: it is applied exactly once. So is a commit for
//! whose dead letters there is no room, until there is; that holds up no other partition.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::{mpsc, watch};

use crate::broker::{Broker, BrokerError, Commit, Committed, Place, Trimmed};
use crate::clock::{self, Instant};

use super::ledger::{Call, Ledger};

/// The way to the committer.
#[derive(Clone)]
pub(super) struct Committer(mpsc::UnboundedSender<Arc<Ledger>>);

impl Committer {
    /// The way, and the task that must be run.
    pub(super) fn new(broker: Arc<dyn Broker>, linger: Duration) -> (Self, impl Future<Output = ()> + Send) {
        let (way, calls) = mpsc::unbounded_channel();
        let server_changes = broker.server_changes();
        let desk = Desk {
            broker,
            server_changes,
            linger,
            way: way.clone(),
            calls,
            lingering: Vec::new(),
            again: Vec::new(),
            crowded: FuturesUnordered::new(),
        };
        (Self(way), desk.run())
    }

    /// Passes on what a ledger said.
    pub(super) fn call(&self, ledger: &Arc<Ledger>, call: Call) {
        if call != Call::Nothing {
            // It only fails when the executor is being dropped, and then nobody needs it.
            let _ = self.0.send(ledger.clone());
        }
    }
}

/// A commit on its way.
struct Parcel {
    ledger: Arc<Ledger>,
    commit: Commit,
    /// How long it has waited for room for its letters the last time, if it had to.
    crowded: Option<Duration>,
}

struct Desk {
    broker: Arc<dyn Broker>,
    server_changes: watch::Receiver<u64>,
    linger: Duration,
    way: mpsc::UnboundedSender<Arc<Ledger>>,
    calls: mpsc::UnboundedReceiver<Arc<Ledger>>,
    /// Those that wait for more, until then.
    lingering: Vec<(Instant, Arc<Ledger>)>,
    /// Commits to be sent once more.
    again: Vec<Parcel>,
    /// Commits that wait for room for their letters, each on its own.
    crowded: FuturesUnordered<BoxFuture<'static, Parcel>>,
}

impl Desk {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        let mut ready = Vec::new();
        loop {
            self.gather(&mut ready).await;
            let mut batch: Vec<Parcel> = std::mem::take(&mut self.again);
            batch.extend(ready.drain(..).filter_map(|ledger: Arc<Ledger>| {
                ledger.take().map(|commit| Parcel { ledger, commit, crowded: None })
            }));
            let server = *self.server_changes.borrow();
            batch.retain(|parcel| parcel.ledger.is_of(server));
            if batch.is_empty() {
                continue;
            }
            let (covers, commits): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|parcel| ((parcel.ledger, parcel.crowded), parcel.commit)).unzip();
            let answers = self.broker.commit(&commits).await;
            for (((ledger, crowded), commit), answer) in covers.into_iter().zip(commits).zip(answers) {
                self.answered(Parcel { ledger, commit, crowded }, answer);
            }
            if self.again.is_empty() {
                pause = FIRST_PAUSE;
            } else {
                clock::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Waits until something should be committed now, and takes all of that.
    async fn gather(&mut self, ready: &mut Vec<Arc<Ledger>>) {
        let mut called = Vec::new();
        loop {
            let now = clock::now();
            let due = self.lingering.iter().map(|(until, _)| *until).min();
            while let Ok(ledger) = self.calls.try_recv() {
                called.push(ledger);
            }
            while let Some(Some(parcel)) = self.crowded.next().now_or_never() {
                self.again.push(parcel);
            }
            if called.is_empty() && self.again.is_empty() && due.is_none_or(|at| at > now) {
                // All are safe to drop: recv and next lose nothing, the other is a timer.
                tokio::select! {
                    ledger = self.calls.recv() => called.extend(ledger),
                    Some(parcel) = self.crowded.next() => self.again.push(parcel),
                    () = clock::sleep_until(due.unwrap_or(now)), if due.is_some() => {}
                }
                continue;
            }
            for ledger in called.drain(..) {
                match ledger.is_urgent() || self.linger.is_zero() {
                    true => ready.push(ledger),
                    false => self.lingering.push((now + self.linger, ledger)),
                }
            }
            // One that was lingering and became urgent is called again; taking it twice takes nothing.
            self.lingering.retain(|(until, ledger)| {
                let is_due = *until <= now || ledger.is_urgent();
                if is_due {
                    ready.push(ledger.clone());
                }
                !is_due
            });
            if !ready.is_empty() || !self.again.is_empty() {
                return;
            }
        }
    }

    fn answered(&mut self, parcel: Parcel, answer: Result<Committed, BrokerError>) {
        let (place, epoch) = (&parcel.ledger.place, parcel.ledger.fence.epoch);
        let (processor, partition) = (&place.group.processor, place.partition);
        match answer {
            Ok(Committed::Applied) => {
                if parcel.crowded.is_some() {
                    tracing::info!(%processor, %partition, "there is room for dead letters again: the partition goes on");
                }
                if parcel.ledger.applied() != Call::Nothing {
                    let _ = self.way.send(parcel.ledger);
                }
                return;
            }
            Ok(Committed::LettersFull { have }) => return self.crowded(parcel, have),
            Ok(Committed::Fenced { by }) => {
                tracing::warn!(%processor, %partition, %epoch, %by,
                    "this partition has another owner: what was not committed here will be processed there");
            }
            Ok(Committed::Gap { have }) => {
                tracing::warn!(%processor, %partition, %epoch, sent = parcel.commit.n, have,
                    "Redis has lost commits (a fail-over?): acquiring the partition again");
            }
            Ok(Committed::GroupMissing) => {
                tracing::warn!(%processor, %partition, %epoch, "the consumer group is gone: acquiring the partition again");
            }
            Err(error) if error.is_transient() => {
                tracing::debug!(%processor, %partition, %error, "a commit has no answer: sending the same again");
                self.again.push(parcel);
                return;
            }
            Err(error) => {
                tracing::error!(%processor, %partition, %epoch, error = %crate::error::chain(&error),
                    "a commit was refused: giving the partition up and acquiring it again");
            }
        }
        parcel.ledger.lost.cancel();
    }

    /// There is no room for the letters of a commit: it is sent again when there may be, and holds up no other.
    fn crowded(&self, parcel: Parcel, have: u64) {
        let place = &parcel.ledger.place;
        if parcel.crowded.is_none() {
            let stream = &place.group.stream.name;
            tracing::error!(processor = %place.group.processor, %stream, partition = %place.partition, have,
                limit = parcel.commit.letters_limit, letters = parcel.commit.letters.len(),
                "there is no room for more dead letters: the partition waits at the event that would be given up. Make room \
                 with `dead retry {stream}` or `dead drop {stream}`, or let it hold more with dead_letter_size");
        }
        parcel.ledger.refused_for_room();
        let pause = parcel.crowded.map_or(FIRST_PAUSE_FOR_ROOM, |pause| (pause * 2).min(LONGEST_PAUSE_FOR_ROOM));
        let broker = self.broker.clone();
        self.crowded.push(Box::pin(async move {
            // Safe to drop: the first is a timer, the other ends it.
            tokio::select! {
                () = clock::sleep(pause) => make_room(&*broker, &parcel.ledger.place).await,
                () = parcel.ledger.lost.cancelled() => {}
            }
            Parcel { crowded: Some(pause), ..parcel }
        }));
    }
}

/// Cuts the letters that everybody who looks after them has settled.
async fn make_room(broker: &dyn Broker, place: &Place) {
    let letters = Arc::new(place.group.stream.dead_letters());
    match broker.trim(&letters, place.partition).await {
        Ok(Trimmed::Cut { entries, .. }) if entries > 0 => {
            tracing::warn!(stream = %letters.name, partition = %place.partition, letters = entries,
                "dead letters were removed to make room for others: everybody who processes them has settled them, and \
                 nobody has retried or dropped them")
        }
        Ok(trimmed) => tracing::debug!(stream = %letters.name, partition = %place.partition, ?trimmed, "made room"),
        Err(error) => {
            tracing::debug!(stream = %letters.name, partition = %place.partition, %error, "making room is interrupted")
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
const FIRST_PAUSE_FOR_ROOM: Duration = Duration::from_millis(100);
const LONGEST_PAUSE_FOR_ROOM: Duration = Duration::from_secs(5);
