//! What the leader does about runs whose worker is gone: looks for them when its term begins, and then again and again.

use std::time::Duration;

use crate::clock;
use crate::runs::output::Keeping;
use crate::runs::recorder::{Alive, CrashWatch};

use super::leader::Leadership;

/// Until a look by one that may not declare others dead is repeated.
const SOON: Duration = Duration::from_secs(1);

/// Looks while this worker leads. Safe to drop: a look may be repeated by anybody.
pub(super) async fn watch(
    watch: CrashWatch,
    leadership: Leadership,
    alive: Alive,
    every: Duration,
    keeping: Option<Keeping>,
) {
    let mut in_trouble = false;
    loop {
        let term = leadership.begins().await.term;
        while leadership.may_start(term) {
            let may_declare_dead = alive.may_declare_dead();
            match watch.scan(may_declare_dead).await {
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
                () = clock::sleep(if may_declare_dead { every } else { every.min(SOON) }) => {}
                () = leadership.distrusted(term) => {}
            }
        }
    }
}
