//! What the leader does about runs whose worker is gone: looks for them when its term begins, and then again and again.

use std::time::Duration;

use crate::clock;
use crate::runs::output::Keeping;
use crate::runs::recorder::CrashWatch;

use super::leader::Leadership;

/// Looks while this worker leads. Safe to drop: a look may be repeated by anybody.
pub(super) async fn watch(watch: CrashWatch, leadership: Leadership, every: Duration, keeping: Option<Keeping>) {
    let mut in_trouble = false;
    loop {
        let term = leadership.begins().await.term;
        while leadership.may_start(term) {
            match watch.scan().await {
                Ok(found) => {
                    in_trouble = false;
                    if let Some(keeping) = &keeping {
                        for crashed in found {
                            keeping.close_crashed(&crashed.run_id, watch.clock()).await;
                        }
                    }
                }
                Err(failure) if !std::mem::replace(&mut in_trouble, true) => {
                    tracing::warn!(error = %crate::error::chain(&failure), "could not look for crashed runs; looking again")
                }
                Err(_) => {}
            }
            // Both are safe to drop: they only wait.
            tokio::select! {
                () = clock::sleep(every) => {}
                () = leadership.distrusted(term) => {}
            }
        }
    }
}
