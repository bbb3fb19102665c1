//! Finds runs that never rest: time stands still in them while something is always ready, so nothing in the run itself
//! could ever end it.

use std::future::Future;
use std::io::Write;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runnel::clock;
use tokio::sync::oneshot;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// How long a run may take, by the clock on the wall. Most take a quarter of a second; this is for a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
/// How long one that does not end is listened to.
const LISTENED: Duration = Duration::from_millis(50);
/// Lines of it that are told.
const TOLD: usize = 30;

/// What a run comes to; or, if it comes to nothing, what its workers say.
pub async fn within_limits<T>(run: impl Future<Output = T>) -> Result<T, String> {
    let mut run = std::pin::pin!(run);
    tokio::select! {
        end = &mut run => return Ok(end),
        () = by_the_wall(LIMIT) => {}
    }
    let log = Log::default();
    let (writer, filter) = (log.clone(), tracing_subscriber::EnvFilter::new("runnel=debug"));
    let listener = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_timer(Clock);
    let listening = tracing::subscriber::set_default(listener.with_writer(move || writer.clone()).finish());
    tokio::select! {
        end = &mut run => return Ok(end),
        () = by_the_wall(LISTENED) => {}
    }
    drop(listening);
    Err(format!("C7 it takes more than {LIMIT:?}: it goes round and round, and says\n{}", log.beginning()))
}

/// Lines of a log say how far the run is in its own time.
pub struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        write!(line, "{:>9.3}", clock::now().since(clock::Instant::default()).as_secs_f64())
    }
}

/// A time that passes also while the clock of a run stands still.
fn by_the_wall(time: Duration) -> impl Future<Output = ()> {
    let (ring, rung) = oneshot::channel();
    let (waiting, is_over) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if is_over.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
            let _ = ring.send(());
        }
    });
    async move {
        let _ = rung.await;
        drop(waiting);
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn beginning(&self) -> String {
        let text = self.0.lock().expect("no code panics while it holds this lock");
        let lines: Vec<_> = String::from_utf8_lossy(&text).lines().take(TOLD).map(|line| format!("  {line}")).collect();
        lines.join("\n")
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no code panics while it holds this lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
