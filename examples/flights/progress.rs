//! How far the run is: a bar on a terminal, a line now and then elsewhere. On stderr; results are on stdout.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

/// The progress of so many events.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    of: u64,
    /// Tenths of it that were told in lines.
    told: Arc<AtomicU64>,
}

impl Progress {
    pub(crate) fn of(events: u64) -> Self {
        let style = "{wide_bar} {human_pos}/{human_len} {per_sec} {eta}";
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(style).expect("the template is well formed");
            ProgressBar::new(events).with_style(style)
        });
        Self { bar, of: events, told: Arc::default() }
    }

    pub(crate) fn events(&self) -> u64 {
        self.of
    }

    /// So many events are processed.
    pub(crate) fn is_at(&self, events: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(events),
            None => {
                let tenths = events * 10 / self.of.max(1);
                if self.told.fetch_max(tenths, Ordering::Relaxed) < tenths {
                    eprintln!("processed {events} of {}", self.of);
                }
            }
        }
    }

    /// Something happened.
    pub(crate) fn say(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.println(what),
            None => eprintln!("{what}"),
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
