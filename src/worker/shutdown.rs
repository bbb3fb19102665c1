//! Signals: the first SIGTERM or SIGINT drains, the second one drops what runs.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Switches;

/// Turns signals into switches, until it is dropped.
pub(crate) async fn obey_signals(switches: Switches) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return tracing::warn!("signals cannot be listened to: SIGTERM will end this worker without draining");
    };
    received(&mut terminate, &mut interrupt).await;
    tracing::info!("draining: finishing what runs; a second signal ends it now");
    switches.drain.cancel();
    received(&mut terminate, &mut interrupt).await;
    tracing::warn!("second signal: dropping what runs; it will be delivered again");
    switches.abort.cancel();
}

async fn received(terminate: &mut Signal, interrupt: &mut Signal) {
    // Safe to drop: a signal that comes meanwhile is kept for the next call.
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
