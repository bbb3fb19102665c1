//! What is remembered of one aircraft: the state that its partition's owner keeps, event by event.
//!
//! It stays small whatever it has seen, is written as JSON, and goes on from there under the next owner, who loads
//! what the last one stored. An event that was applied before changes nothing but the count of duplicates: events come
//! at least once, and in order, so one that is not newer than the last has been here. It holds no fact about other
//! aircraft; see [`facts`](super::facts) for those.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::digest::RunningDigest;
use super::event::{Flight, Kind};
use super::journey::Journey;

/// One aircraft, up to and including event `last_seq`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AircraftSummary {
    pub(crate) tail: String,
    /// Where its events were delivered.
    pub(crate) partition: u32,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    pub(crate) first_at: DateTime<Utc>,
    pub(crate) last_at: DateTime<Utc>,
    /// Events applied, each once.
    pub(crate) events: u64,
    /// Events that came again.
    pub(crate) duplicates: u64,
    /// Bytes of its lines in the file, line feeds included.
    pub(crate) bytes: u64,
    /// Of the texts of its events, in order.
    pub(crate) digest: RunningDigest,
    pub(crate) tally: Tally,
    /// The largest delay of each kind of event; of equals the first.
    pub(crate) largest_delay: BTreeMap<Kind, Delayed>,
    pub(crate) journey: Journey,
}

/// A delayed event.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delayed {
    pub(crate) seq: u64,
    pub(crate) delay: i32,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    New,
    Duplicate,
}

impl AircraftSummary {
    /// The summary after the first event of an aircraft.
    pub(crate) fn begin(flight: &Flight, partition: u32) -> Self {
        let mut summary = Self {
            tail: flight.tail.clone(),
            partition,
            first_seq: flight.seq,
            last_seq: 0,
            first_at: flight.at,
            last_at: flight.at,
            events: 0,
            duplicates: 0,
            bytes: 0,
            digest: RunningDigest::default(),
            tally: Tally::default(),
            largest_delay: BTreeMap::new(),
            journey: Journey::default(),
        };
        summary.take(flight);
        summary
    }

    /// Applies the aircraft's next event, or counts it as a duplicate.
    pub(crate) fn apply(&mut self, flight: &Flight) -> Applied {
        if flight.seq <= self.last_seq {
            self.duplicates += 1;
            return Applied::Duplicate;
        }
        self.take(flight);
        Applied::New
    }

    fn take(&mut self, flight: &Flight) {
        self.last_seq = flight.seq;
        self.first_at = self.first_at.min(flight.at);
        self.last_at = self.last_at.max(flight.at);
        self.events += 1;
        self.bytes += serde_json::to_vec(flight).expect("a flight is plain data").len() as u64 + 1;
        self.digest.add(flight.text().as_bytes());
        self.tally.count(flight);
        if let Some(delay) = flight.delay
            && self.largest_delay.get(&flight.kind).is_none_or(|largest| largest.delay < delay)
        {
            self.largest_delay.insert(flight.kind, Delayed { seq: flight.seq, delay });
        }
        self.journey.follow(flight);
    }

    /// Of two summaries of one aircraft, the one that is further on: it contains the other, since every owner goes on
    /// from what the owner before it stored. What both counted as duplicates may be the same events.
    pub(crate) fn merge(self, other: Self) -> Self {
        let duplicates = self.duplicates.max(other.duplicates);
        let further = if self.last_seq >= other.last_seq { self } else { other };
        Self { duplicates, ..further }
    }
}

/// Counts that can be added up over aircraft.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) by_type: BTreeMap<Kind, u64>,
    pub(crate) departures_per_origin: BTreeMap<String, u64>,
    pub(crate) arrivals_per_destination: BTreeMap<String, u64>,
    pub(crate) cancelled_per_carrier: BTreeMap<String, u64>,
    pub(crate) departure_delay_per_carrier: BTreeMap<String, DelaySum>,
    pub(crate) arrival_delay_per_carrier: BTreeMap<String, DelaySum>,
    pub(crate) departures_per_utc_day: BTreeMap<String, u64>,
}

/// Minutes of delay, and of how many events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct DelaySum {
    pub(crate) count: u64,
    pub(crate) sum: i64,
}

impl Tally {
    fn count(&mut self, flight: &Flight) {
        *self.by_type.entry(flight.kind).or_default() += 1;
        match flight.kind {
            Kind::Departed => {
                one_more(&mut self.departures_per_origin, &flight.origin);
                one_more(&mut self.departures_per_utc_day, &flight.at.format("%Y-%m-%d").to_string());
                self.departure_delay_per_carrier.entry(flight.carrier.clone()).or_default().count(flight);
            }
            Kind::Arrived => {
                one_more(&mut self.arrivals_per_destination, &flight.dest);
                self.arrival_delay_per_carrier.entry(flight.carrier.clone()).or_default().count(flight);
            }
            Kind::Cancelled => one_more(&mut self.cancelled_per_carrier, &flight.carrier),
        }
    }

    /// Adds another aircraft's counts.
    pub(crate) fn add(&mut self, other: &Self) {
        add_each(&mut self.by_type, &other.by_type, |sum, more| *sum += more);
        add_each(&mut self.departures_per_origin, &other.departures_per_origin, |sum, more| *sum += more);
        add_each(&mut self.arrivals_per_destination, &other.arrivals_per_destination, |sum, more| *sum += more);
        add_each(&mut self.cancelled_per_carrier, &other.cancelled_per_carrier, |sum, more| *sum += more);
        add_each(&mut self.departures_per_utc_day, &other.departures_per_utc_day, |sum, more| *sum += more);
        add_each(&mut self.departure_delay_per_carrier, &other.departure_delay_per_carrier, DelaySum::add);
        add_each(&mut self.arrival_delay_per_carrier, &other.arrival_delay_per_carrier, DelaySum::add);
    }
}

impl DelaySum {
    fn count(&mut self, flight: &Flight) {
        if let Some(delay) = flight.delay {
            self.add(Self { count: 1, sum: delay.into() });
        }
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.sum += other.sum;
    }
}

fn one_more(counts: &mut BTreeMap<String, u64>, of: &str) {
    *counts.entry(of.to_owned()).or_default() += 1;
}

fn add_each<K: Ord + Clone, V: Copy + Default>(sums: &mut BTreeMap<K, V>, more: &BTreeMap<K, V>, add: fn(&mut V, V)) {
    for (name, value) in more {
        add(sums.entry(name.clone()).or_default(), *value);
    }
}
