//! The only `now` and `sleep` of the project, virtual in tests.
//!
//! [`Instant`] is CLOCK_BOOTTIME: it goes on while the machine is suspended, which is what a lease in Redis does too.
//! With the feature `testing` it is tokio's clock, which tests may pause.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point of local time that never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(Duration);

impl Instant {
    /// Time since `earlier`; zero if that lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// An instant for tests of pure code.
    #[cfg(test)]
    pub(crate) fn at(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }
}

/// Now, on the clock that also runs while the machine is suspended.
#[cfg(not(feature = "testing"))]
pub fn now() -> Instant {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Instant(Duration::new(t.tv_sec.max(0) as u64, t.tv_nsec.max(0) as u32))
}

/// Now, on tokio's clock, which tests may pause.
///
/// Each test may have a clock of its own, far ahead of or behind that of whoever asked first: an hour after the
/// system's own time of the first question is far enough from zero for all of them.
#[cfg(feature = "testing")]
#[allow(clippy::disallowed_methods)]
pub fn now() -> Instant {
    use std::sync::OnceLock;
    static BASE: OnceLock<std::time::Instant> = OnceLock::new();
    let base = *BASE.get_or_init(std::time::Instant::now);
    let now = tokio::time::Instant::now().into_std();
    let hour = Duration::from_secs(3600);
    match now.checked_duration_since(base) {
        Some(ahead) => Instant(hour + ahead),
        None => Instant(hour.saturating_sub(base - now)),
    }
}

/// Milliseconds of Unix time, by a server's clock or, for logs only, by ours.
pub type UnixMs = u64;

/// Our own wall clock. For people and logs; no decision of the fleet rests on it.
#[allow(clippy::disallowed_methods)]
pub fn wall() -> UnixMs {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// The server's clock as seen from here: what the fleet decides by, it decides by this.
///
/// Each answer of the server that says its time corrects it. Between answers it runs with ours. It is off by one round
/// trip at most, of the quickest answer since the two clocks last went apart.
#[derive(Clone, Debug)]
pub(crate) struct ServerClock(std::sync::Arc<tokio::sync::watch::Sender<(Instant, UnixMs)>>);

/// Less than this is what clocks that are kept right do.
const WORTH_TELLING: Duration = Duration::from_secs(10);

impl ServerClock {
    /// A clock that was told the server's time by an answer.
    pub(crate) fn heard(asked: Instant, answered: Instant, server: UnixMs) -> Self {
        let seen = middle(asked, answered);
        Self(std::sync::Arc::new(tokio::sync::watch::Sender::new((seen, server))))
    }

    /// An answer says what time it is there. One that took long says little: what it does not contradict, stays.
    pub(crate) fn correct(&self, asked: Instant, answered: Instant, server: UnixMs) {
        self.0.send_if_modified(|known| {
            let believed = at(*known, answered);
            if server <= believed && believed <= server.saturating_add(ms(answered.since(asked))) {
                return false;
            }
            *known = (middle(asked, answered), server);
            tell_of_jump(believed, at(*known, answered));
            true
        });
    }

    /// The server's time now.
    pub(crate) fn now(&self) -> UnixMs {
        at(*self.0.borrow(), now())
    }

    /// Waits until the server's time is at least this, also when its clock jumps meanwhile.
    pub(crate) async fn until(&self, time: UnixMs) {
        let mut corrections = self.0.subscribe();
        loop {
            corrections.mark_unchanged();
            let ahead = time.saturating_sub(self.now());
            if ahead == 0 {
                return;
            }
            // Both are safe to drop: they only end the wait.
            tokio::select! {
                () = sleep(Duration::from_millis(ahead)) => {}
                Ok(()) = corrections.changed() => {}
            }
        }
    }
}

/// A jump that people must know of: nothing else says why no job runs.
fn tell_of_jump(believed: UnixMs, found: UnixMs) {
    let by = Duration::from_millis(believed.abs_diff(found));
    if by < WORTH_TELLING {
        return;
    }
    if found < believed {
        tracing::warn!(
            ?by,
            "the server's clock has gone back: no instant is run twice, so the fleet's timers and crontabs \
            wait until it is where it was"
        );
    } else {
        tracing::warn!(?by, "the server's clock has jumped ahead: instants in between are missed, and treated as such");
    }
}

/// The server's time then, if its clock and ours go alike since it was seen.
fn at((seen, server): (Instant, UnixMs), then: Instant) -> UnixMs {
    server.saturating_add(ms(then.since(seen)))
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The server looked at its clock between question and answer.
fn middle(asked: Instant, answered: Instant) -> Instant {
    asked + answered.since(asked) / 2
}

/// Waits.
#[allow(clippy::disallowed_methods)]
pub async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Waits until that instant.
pub async fn sleep_until(then: Instant) {
    sleep(then.since(now())).await;
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;

    /// A runtime of its own, whose clock stands still.
    fn paused() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    }

    #[test]
    fn a_slow_answer_corrects_only_what_it_contradicts() {
        paused().block_on(async {
            let begun = now();
            let clock = ServerClock::heard(begun, begun, 10_000);
            sleep(Duration::from_secs(4)).await;
            let answered = now();

            for (server, now) in [(10_000, 14_000), (14_000, 14_000), (9_999, 11_999), (60_000, 62_000)] {
                let clock = ServerClock(std::sync::Arc::new(tokio::sync::watch::Sender::new(*clock.0.borrow())));
                clock.correct(begun, answered, server);
                assert_eq!(clock.now(), now, "the server said {server}, somewhere in four seconds");
            }
        });
    }

    #[test]
    fn time_passes_in_a_runtime_although_another_one_is_far_ahead() {
        let (ahead, behind) = (paused(), paused());
        ahead.block_on(async {
            sleep(Duration::from_secs(24 * 3600)).await;
            now();
        });

        let passed = behind.block_on(async {
            let before = now();
            sleep(Duration::from_secs(1)).await;
            now().since(before)
        });

        assert_eq!(passed, Duration::from_secs(1));
    }
}
