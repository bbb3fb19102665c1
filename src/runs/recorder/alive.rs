//! Says again and again that whoever runs something is alive, and knows how well that was heard.
//!
//! Runs of one that is not heard of are taken for crashed, and may be resumed elsewhere.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::broker::{BrokerError, Standing};
use crate::clock::{self, ServerClock};
use crate::decide::heartbeat::Heartbeat;
use crate::stream::current::Handle;

/// The longest pause after an announcement that was not answered: after an outage others must soon know who is left.
const SOON: Duration = Duration::from_secs(1);

/// How well one was heard of that says it is alive.
#[derive(Clone, Debug)]
pub(crate) struct Alive(watch::Receiver<Heartbeat>);

impl Alive {
    /// Whether it may declare others dead.
    pub(crate) fn may_declare_dead(&self) -> bool {
        self.0.borrow().may_declare_dead(clock::now())
    }

    /// Whether it knows of no outage during the last while.
    pub(crate) fn is_steady(&self) -> bool {
        self.0.borrow().is_steady(clock::now())
    }

    /// Waits until others may take it for dead.
    pub(crate) async fn lapses(&self) {
        let mut heard = self.0.clone();
        loop {
            let at = heard.borrow_and_update().lapses_at();
            if at <= clock::now() {
                return;
            }
            // Both are safe to drop: they only wait.
            tokio::select! {
                changed = heard.changed() => if changed.is_err() {
                    // It says so no more, since it ends.
                    return std::future::pending().await;
                },
                () = clock::sleep_until(at) => {}
            }
        }
    }
}

/// Says it.
pub(crate) struct Announcing {
    handle: Handle,
    worker: Arc<str>,
    standing: Standing,
    about: Box<dyn Fn() -> String + Send + Sync>,
    heard: watch::Sender<Heartbeat>,
}

impl Announcing {
    /// For the first time, with what is to be said of it. Answers what time it is there as well.
    pub(crate) async fn begin(
        handle: &Handle,
        worker: &Arc<str>,
        standing: Standing,
        about: impl Fn() -> String + Send + Sync + 'static,
    ) -> Result<(Self, ServerClock), BrokerError> {
        let (ttl, sent) = (handle.settings().default_lock_expiry, clock::now());
        let server = handle.broker().announce(worker, standing, ttl, &about()).await?;
        let received = clock::now();
        let heard = watch::Sender::new(Heartbeat::new(ttl, sent, received));
        let announcing =
            Self { handle: handle.clone(), worker: worker.clone(), standing, about: Box::new(about), heard };
        Ok((announcing, ServerClock::heard(sent, received, server)))
    }

    /// How well it is heard from here on.
    pub(crate) fn alive(&self) -> Alive {
        Alive(self.heard.subscribe())
    }

    /// Again and again, until it is dropped. Each answer corrects that clock, if there is one.
    pub(crate) async fn run(self, server_clock: Option<ServerClock>) {
        let ttl = self.handle.settings().default_lock_expiry;
        let mut pause = ttl / 4;
        loop {
            clock::sleep(pause).await;
            let sent = clock::now();
            pause = match self.handle.broker().announce(&self.worker, self.standing, ttl, &(self.about)()).await {
                Ok(server) => {
                    let received = clock::now();
                    self.heard.send_modify(|heartbeat| heartbeat.answered(sent, received));
                    if let Some(clock) = &server_clock {
                        clock.correct(sent, received, server);
                    }
                    ttl / 4
                }
                Err(error) => {
                    tracing::debug!(worker = %self.worker, %error, "could not say that this worker is alive");
                    SOON.min(ttl / 4)
                }
            };
        }
    }
}
