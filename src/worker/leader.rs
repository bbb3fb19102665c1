//! Who leads the fleet: bids for this worker, and tells its jobs whether they may act for all.
//!
//! A term is believed in for nine tenths of what the store grants, counted from when the bid was *sent*: neither a lost
//! nor a slow answer makes it longer. What runs under it has half of the last tenth to finish, so that nobody else runs
//! the same at the same time. What is claimed under a term is fenced in the store, whatever is believed here.
//! Every answer also corrects this worker's view of the server's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::broker::{Bidden, Broker, BrokerError, Generation, Term};
use crate::clock::{self, Instant, ServerClock};
use crate::decide::lease::Lease;
use crate::error::chain;

/// How long a store that does not answer may hold up the end.
const GOODBYE: Duration = Duration::from_secs(1);
/// Bids are never closer than this.
const A_MOMENT: Duration = Duration::from_millis(5);
/// A term lasts so many polls.
const POLLS_A_TERM: u32 = 3;

/// A term of this worker's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reign {
    pub(crate) term: Term,
    pub(crate) generation: Generation,
    lease: Lease,
}

/// This worker's term, as its jobs see it.
#[derive(Clone, Debug)]
pub(crate) struct Leadership(watch::Receiver<Option<Reign>>);

impl Leadership {
    /// Of a process that never leads.
    pub(crate) fn nobody() -> Self {
        Self(watch::Sender::new(None).subscribe())
    }

    /// The term under which something may be started for the fleet now.
    pub(crate) fn reign(&self) -> Option<Reign> {
        let now = clock::now();
        self.0.borrow().clone().filter(|reign| reign.lease.may_start(now))
    }

    /// Whether something may be started under that term now.
    pub(crate) fn may_start(&self, term: Term) -> bool {
        self.reign().is_some_and(|reign| reign.term == term)
    }

    /// Waits for a term under which something may be started; for ever, if this worker never leads.
    pub(crate) async fn begins(&self) -> Reign {
        let mut seen = self.0.clone();
        loop {
            seen.mark_unchanged();
            if let Some(reign) = self.reign() {
                return reign;
            }
            if seen.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until this is no longer what is known of the term, or the term cannot be trusted any more.
    pub(crate) async fn changes(&self, reign: &Reign) {
        let is_same = |seen: &Reign| seen.term == reign.term && seen.generation == reign.generation;
        self.holds_while(|seen| is_same(seen).then(|| seen.lease.trusted_until())).await;
    }

    /// Waits until nothing may be started under that term any more.
    pub(crate) async fn distrusted(&self, term: Term) {
        self.holds_while(|seen| (seen.term == term).then(|| seen.lease.trusted_until())).await;
    }

    /// Waits until what runs under that term must end: its grace is over, or somebody else leads. Meanwhile keeps
    /// `is_ours` what may be believed.
    pub(crate) async fn ends(&self, term: Term, is_ours: &AtomicBool) {
        let trust = async {
            loop {
                self.distrusted(term).await;
                is_ours.store(false, Ordering::Relaxed);
                while self.begins().await.term != term {
                    std::future::pending::<()>().await;
                }
                is_ours.store(true, Ordering::Relaxed);
            }
        };
        let over = self.holds_while(|seen| (seen.term == term).then(|| seen.lease.cancel_at()));
        // Both are safe to drop: they only wait.
        tokio::select! {
            () = over => is_ours.store(false, Ordering::Relaxed),
            () = trust => {}
        }
    }

    /// Waits until `holds` finds nothing, or its time has come.
    async fn holds_while(&self, holds: impl Fn(&Reign) -> Option<Instant>) {
        let mut seen = self.0.clone();
        loop {
            let until = seen.borrow_and_update().as_ref().and_then(&holds);
            let Some(until) = until.filter(|until| clock::now() < *until) else { return };
            // Both are safe to drop: they only wait.
            tokio::select! {
                changed = seen.changed() => if changed.is_err() { return },
                () = clock::sleep_until(until) => {}
            }
        }
    }
}

/// Bids for one worker.
pub(crate) struct Leader {
    broker: Arc<dyn Broker>,
    worker: Arc<str>,
    every: Duration,
    clock: ServerClock,
    reign: watch::Sender<Option<Reign>>,
    /// Whom it was last said to follow.
    follows: Option<(String, Term)>,
    in_trouble: bool,
}

impl Leader {
    pub(crate) fn new(
        broker: Arc<dyn Broker>,
        worker: Arc<str>,
        every: Duration,
        clock: ServerClock,
    ) -> (Self, Leadership) {
        let reign = watch::Sender::new(None);
        let leadership = Leadership(reign.subscribe());
        (Self { broker, worker, every, clock, reign, follows: None, in_trouble: false }, leadership)
    }

    /// Bids until it is told that nothing of this worker acts for the fleet any more, then resigns.
    pub(crate) async fn run(mut self, done: CancellationToken) {
        while !done.is_cancelled() {
            // Safe to drop: a bid may be sent again, and one that arrives late lapses.
            let next = tokio::select! {
                () = done.cancelled() => break,
                next = self.bid() => next,
            };
            // Both are safe to drop: they only wait.
            tokio::select! {
                () = done.cancelled() => {}
                () = clock::sleep_until(next.max(clock::now() + A_MOMENT)) => {}
            }
        }
        self.resign().await;
    }

    /// One bid. Answers when the next one is due.
    async fn bid(&mut self) -> Instant {
        let sent = clock::now();
        let ttl = self.every * POLLS_A_TERM;
        let mut next = sent + self.every;
        match self.broker.bid(&self.worker, ttl).await {
            Ok(Bidden::Leader { term, now, generation }) => {
                self.clock.correct(sent, clock::now(), now);
                self.leads(sent, ttl, term, generation);
            }
            Ok(Bidden::Follower { by, term, wait, now }) => {
                let answered = clock::now();
                self.clock.correct(sent, answered, now);
                // A term that nobody prolongs is taken over as soon as it ends.
                next = next.min(answered + wait);
                self.follows(by, term);
            }
            Err(error) => self.unanswered(&error),
        }
        next
    }

    fn leads(&mut self, sent: Instant, ttl: Duration, term: Term, generation: Generation) {
        self.answered();
        self.follows = None;
        // What runs for the fleet is over before another leader may begin it anew, also where this one is cut off.
        let mut lease = Lease::new(sent, ttl, ttl / 20);
        let before = self.reign.borrow().clone().filter(|reign| reign.term == term);
        match before {
            Some(before) => {
                lease = before.lease;
                lease.renewed(sent);
            }
            None => {
                tracing::info!(worker = %self.worker, %term, generation = generation.number, "this worker leads the fleet")
            }
        }
        self.reign.send_replace(Some(Reign { term, generation, lease }));
    }

    fn follows(&mut self, by: String, term: Term) {
        self.answered();
        if let Some(lost) = self.reign.send_replace(None) {
            tracing::warn!(worker = %self.worker, term = %lost.term, leader = %by, "this worker leads no more: its term has \
                lapsed, and another one leads");
        }
        let now = Some((by, term));
        if self.follows != now
            && let Some((leader, term)) = &now
        {
            tracing::info!(worker = %self.worker, %leader, %term, "following this leader");
        }
        self.follows = now;
    }

    /// A lost answer changes nothing: the term that was known is trusted for as long as it was.
    fn unanswered(&mut self, error: &BrokerError) {
        if !std::mem::replace(&mut self.in_trouble, true) {
            tracing::warn!(worker = %self.worker, error = %chain(error), "bids to lead the fleet are not answered; bidding on");
        }
    }

    fn answered(&mut self) {
        if std::mem::take(&mut self.in_trouble) {
            tracing::info!(worker = %self.worker, "bids are answered again");
        }
    }

    /// Lets the next leader begin at once.
    async fn resign(&mut self) {
        let Some(Reign { term, .. }) = self.reign.send_replace(None) else { return };
        // Safe to drop: a term that is not given up lapses.
        tokio::select! {
            answer = self.broker.resign(&self.worker, term) => match answer {
                Ok(true) => tracing::info!(worker = %self.worker, %term, "this worker has resigned"),
                Ok(false) => tracing::info!(worker = %self.worker, %term, "its term was over before this worker resigned"),
                Err(error) => tracing::warn!(worker = %self.worker, %term, error = %chain(&error),
                    "could not resign: the next leader begins when the term has lapsed"),
            },
            () = clock::sleep(GOODBYE) => {}
        }
    }
}
