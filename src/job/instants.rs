//! When a job is due, and what makes that impossible.

use std::time::Duration;

use runnel_crontab::{Crontab, parse_timezone};

use crate::decide::schedule::{Delivery, Missed, Schedule};
use crate::error::chain;
use crate::settings::{Named, Settings, check_name, show_duration};

use super::{JobSpec, RetryPolicy, When};

impl JobSpec {
    /// The instants that all workers agree on: of crontabs, and of timers on the leader. None for what runs at a worker's
    /// start, from there on, or when asked.
    ///
    /// # Errors
    /// Why a crontab or a zone cannot be read.
    pub(crate) fn schedule(&self, settings: &Settings) -> Result<Option<Schedule>, String> {
        match &self.when {
            When::At { spec, .. } => {
                let spec: Crontab = spec.parse().map_err(|error| chain(&error))?;
                let zone = parse_timezone(self.timezone(settings)).map_err(|error| chain(&error))?;
                Ok(Some(Schedule::Crontab { spec, zone }))
            }
            // Instant 0 is long over; the grid lies on the multiples of the interval.
            When::Every { interval, .. } if self.on_leader => {
                Ok(Some(Schedule::Every { interval: *interval, origin: 0 }))
            }
            When::Every { .. } | When::AtStart | When::OnDemand => Ok(None),
        }
    }

    /// The zone its crontab is read in.
    pub(crate) fn timezone<'a>(&'a self, settings: &'a Settings) -> &'a str {
        match &self.when {
            When::At { timezone: Some(zone), .. } => zone,
            _ => &settings.timezone,
        }
    }

    /// Everything about it that cannot work, each as a sentence without its name.
    pub(crate) fn refusals(&self, settings: &Settings) -> Vec<String> {
        let mut refusals = Vec::new();
        if self.name.is_empty() {
            refusals.push("it is a closure and has no name: add .name(\"..\")".to_owned());
        } else if let Err(error) = check_name(Named::Job, &self.name) {
            refusals.push(error.to_string());
        }
        match &self.when {
            When::Every { interval, jitter, .. } => {
                if *interval < MS || interval.subsec_nanos() % 1_000_000 != 0 {
                    let shown = show_duration(*interval);
                    refusals.push(format!("its interval is {shown}: it must be whole milliseconds, and at least one"));
                }
                if jitter > interval {
                    let [jitter, interval] = [jitter, interval].map(|time| show_duration(*time));
                    refusals.push(format!("its jitter ({jitter}) is longer than its interval ({interval})"));
                }
            }
            When::At { spec, delivery, max_lateness, missed, .. } => {
                refusals.extend(spec.parse::<Crontab>().err().map(|error| chain(&error)));
                refusals.extend(parse_timezone(self.timezone(settings)).err().map(|error| chain(&error)));
                if let Missed::All(most) = *missed
                    && !(1..=Missed::MOST).contains(&most)
                {
                    refusals.push(format!("its missed is {missed}: it must be from 1 to {}", Missed::MOST));
                }
                if *delivery == Delivery::AtLeastOnce && !self.on_leader {
                    refusals.push(
                        "delivery at least once is for crontabs on the leader: elsewhere nobody could take its instants \
                         over"
                            .into(),
                    );
                }
                if *max_lateness == Some(Duration::ZERO) {
                    refusals.push(
                        "its max_lateness is 0, which would let no instant run: each is run a little after it".into(),
                    );
                }
            }
            When::OnDemand if self.on_leader => {
                refusals.push("a job on demand runs where it is asked for, so it cannot be on the leader".into());
            }
            _ => {}
        }
        refusals.extend(self.plan.retry.iter().flat_map(RetryPolicy::refusals));
        if self.timeout == Some(Duration::ZERO) {
            refusals.push("its timeout is 0: leave it out to let it run for ever".into());
        }
        refusals
    }
}

const MS: Duration = Duration::from_millis(1);
