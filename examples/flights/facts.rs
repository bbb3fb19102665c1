//! From what is remembered of each aircraft to what is known of all: the facts of `expected.json`.
//!
//! Who kept which aircraft does not matter, nor in which order they come together.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use runnel::Partitioner;
use serde::Serialize;

use super::aircraft::{AircraftSummary, DelaySum, Tally};
use super::digest::sha256;
use super::event::{Flight, Kind};
use super::journey::{Run, Stretch};

/// All aircraft that are remembered somewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fleet {
    aircraft: BTreeMap<String, AircraftSummary>,
}

impl Fleet {
    /// Applies an event to its aircraft, and answers what is known of that now.
    pub(crate) fn apply(&mut self, flight: &Flight, partition: u32) -> &AircraftSummary {
        match self.aircraft.entry(flight.tail.clone()) {
            Entry::Vacant(new) => new.insert(AircraftSummary::begin(flight, partition)),
            Entry::Occupied(known) => {
                let known = known.into_mut();
                known.apply(flight);
                known
            }
        }
    }

    /// Takes in an aircraft that somebody else kept.
    pub(crate) fn merge(&mut self, summary: AircraftSummary) {
        let merged = match self.aircraft.remove(&summary.tail) {
            Some(known) => known.merge(summary),
            None => summary,
        };
        self.aircraft.insert(merged.tail.clone(), merged);
    }

    /// Events that came more than once.
    pub(crate) fn duplicates(&self) -> u64 {
        self.aircraft.values().map(|aircraft| aircraft.duplicates).sum()
    }

    /// Events that came, each once.
    pub(crate) fn events(&self) -> u64 {
        self.aircraft.values().map(|aircraft| aircraft.events).sum()
    }
}

/// What `expected.json` holds, in the same shape.
#[derive(Debug, Serialize)]
pub(crate) struct Facts {
    format: &'static str,
    events: u64,
    keys: u64,
    first_at: Option<String>,
    last_at: Option<String>,
    bytes: u64,
    sha256: String,
    by_type: BTreeMap<Kind, u64>,
    counts_per_key_sha256: String,
    sequences_of_all_keys_sha256: String,
    most_events: Option<Count>,
    keys_with_one_event: u64,
    samples: Vec<Sample>,
    departures_per_origin: BTreeMap<String, u64>,
    arrivals_per_destination: BTreeMap<String, u64>,
    cancelled_per_carrier: BTreeMap<String, u64>,
    departure_delay_per_carrier: BTreeMap<String, Average>,
    arrival_delay_per_carrier: BTreeMap<String, Average>,
    departures_per_utc_day: BTreeMap<String, u64>,
    largest_delay: BTreeMap<Kind, LargestDelay>,
    longest_chain_departing_where_the_last_arrived: Longest,
    longest_run_of_departures_from_one_airport: Longest,
    longest_run_of_complete_flights: Longest,
    longest_run_of_punctual_arrivals: LongestOf,
    late_departures_after_a_late_arrival: u64,
    departed_while_in_the_air: u64,
    arrived_without_its_departure_in_progress: u64,
    in_the_air_at_the_end: u64,
    events_per_partition: BTreeMap<String, Vec<u64>>,
}

#[derive(Debug, Serialize)]
struct Count {
    tail: String,
    count: u64,
}

#[derive(Debug, Serialize)]
struct Sample {
    tail: String,
    events: u64,
    first_seq: u64,
    last_seq: u64,
    sha256: String,
}

#[derive(Debug, Serialize)]
struct Average {
    count: u64,
    sum: i64,
    average: f64,
}

#[derive(Debug, Serialize)]
struct LargestDelay {
    seq: u64,
    tail: String,
    delay: i32,
}

#[derive(Debug, Default, Serialize)]
struct Longest {
    length: u64,
    tail: String,
    first_seq: u64,
    tails_with_this_length: u64,
}

#[derive(Debug, Serialize)]
struct LongestOf {
    length: u64,
    tails: Vec<String>,
}

impl Fleet {
    /// The facts. `file_sha256` is the digest of the file that was sent; `samples` names the aircraft whose own digests
    /// are wanted.
    pub(crate) fn facts(&self, file_sha256: &str, samples: &[&str]) -> Facts {
        let all = || self.aircraft.values();
        let mut tally = Tally::default();
        all().for_each(|aircraft| tally.add(&aircraft.tally));

        Facts {
            format: "flights/1",
            events: self.events(),
            keys: self.aircraft.len() as u64,
            first_at: all().map(|aircraft| aircraft.first_at).min().map(in_seconds),
            last_at: all().map(|aircraft| aircraft.last_at).max().map(in_seconds),
            bytes: all().map(|aircraft| aircraft.bytes).sum(),
            sha256: file_sha256.to_owned(),
            counts_per_key_sha256: self.digest_of_all(|aircraft| aircraft.events.to_string()),
            sequences_of_all_keys_sha256: self.digest_of_all(|aircraft| aircraft.digest.so_far()),
            most_events: self.most_events(),
            keys_with_one_event: all().filter(|aircraft| aircraft.events == 1).count() as u64,
            samples: samples.iter().filter_map(|tail| self.sample(tail)).collect(),
            by_type: tally.by_type,
            departures_per_origin: tally.departures_per_origin,
            arrivals_per_destination: tally.arrivals_per_destination,
            cancelled_per_carrier: tally.cancelled_per_carrier,
            departure_delay_per_carrier: averages(tally.departure_delay_per_carrier),
            arrival_delay_per_carrier: averages(tally.arrival_delay_per_carrier),
            departures_per_utc_day: tally.departures_per_utc_day,
            largest_delay: self.largest_delays(),
            longest_chain_departing_where_the_last_arrived: self.longest(|aircraft| &aircraft.journey.chain),
            longest_run_of_departures_from_one_airport: self
                .longest(|aircraft| &aircraft.journey.departures_from_one_airport),
            longest_run_of_complete_flights: self.longest(|aircraft| &aircraft.journey.complete_flights),
            longest_run_of_punctual_arrivals: self.most_punctual(),
            late_departures_after_a_late_arrival: all()
                .map(|aircraft| aircraft.journey.late_departures_after_a_late_arrival)
                .sum(),
            departed_while_in_the_air: all().map(|aircraft| aircraft.journey.departed_while_in_the_air).sum(),
            arrived_without_its_departure_in_progress: all()
                .map(|aircraft| aircraft.journey.arrived_without_its_departure_in_progress)
                .sum(),
            in_the_air_at_the_end: all().filter(|aircraft| aircraft.journey.is_in_the_air()).count() as u64,
            events_per_partition: self.events_per_partition(),
        }
    }

    /// SHA-256 of `{tail} {of(aircraft)}\n` for every aircraft, by tail.
    fn digest_of_all(&self, of: impl Fn(&AircraftSummary) -> String) -> String {
        let lines = self.aircraft.values().fold(String::new(), |mut lines, aircraft| {
            writeln!(lines, "{} {}", aircraft.tail, of(aircraft)).expect("a String takes any text");
            lines
        });
        sha256(lines.as_bytes())
    }

    /// Of equals the first by tail.
    fn most_events(&self) -> Option<Count> {
        let busiest = self.aircraft.values().rev().max_by_key(|aircraft| aircraft.events)?;
        Some(Count { tail: busiest.tail.clone(), count: busiest.events })
    }

    fn sample(&self, tail: &str) -> Option<Sample> {
        let AircraftSummary { tail, events, first_seq, last_seq, digest, .. } = self.aircraft.get(tail)?;
        let (events, first_seq, last_seq) = (*events, *first_seq, *last_seq);
        Some(Sample { tail: tail.clone(), events, first_seq, last_seq, sha256: digest.so_far() })
    }

    /// Of equals the first by time.
    fn largest_delays(&self) -> BTreeMap<Kind, LargestDelay> {
        let mut largest: BTreeMap<Kind, LargestDelay> = BTreeMap::new();
        for aircraft in self.aircraft.values() {
            for (kind, delayed) in &aircraft.largest_delay {
                let is_larger = |known: &LargestDelay| (delayed.delay, known.seq) > (known.delay, delayed.seq);
                if largest.get(kind).is_none_or(is_larger) {
                    let tail = aircraft.tail.clone();
                    largest.insert(*kind, LargestDelay { seq: delayed.seq, tail, delay: delayed.delay });
                }
            }
        }
        largest
    }

    /// Of equals the first by tail.
    fn longest(&self, run: impl Fn(&AircraftSummary) -> &Run) -> Longest {
        self.aircraft.values().fold(Longest::default(), |longest, aircraft| {
            let Stretch { length, first_seq } = run(aircraft).longest;
            if length > longest.length {
                Longest { length, tail: aircraft.tail.clone(), first_seq, tails_with_this_length: 1 }
            } else {
                let as_long = u64::from(length == longest.length);
                Longest { tails_with_this_length: longest.tails_with_this_length + as_long, ..longest }
            }
        })
    }

    fn most_punctual(&self) -> LongestOf {
        let longest = |aircraft: &AircraftSummary| aircraft.journey.punctual_arrivals.longest.length;
        let length = self.aircraft.values().map(longest).max().unwrap_or_default();
        let tails = self.aircraft.values().filter(|aircraft| longest(aircraft) == length);
        LongestOf { length, tails: tails.map(|aircraft| aircraft.tail.clone()).collect() }
    }

    /// `xxh64/16`, the example's own layout, by where the events were delivered; the others by where they would be.
    fn events_per_partition(&self) -> BTreeMap<String, Vec<u64>> {
        let place = |by: Partitioner, count: u32| {
            // One that has no place is counted in none.
            let placed = move |tail: &str| by.place(&tail.into(), count).map_or(count, |partition| partition.0);
            self.spread(count, move |aircraft| placed(&aircraft.tail))
        };
        BTreeMap::from([
            ("xxh64/16".to_owned(), self.spread(16, |aircraft| aircraft.partition)),
            ("xxh64/2".to_owned(), place(Partitioner::Xxh64, 2)),
            ("python/16".to_owned(), place(Partitioner::Python, 16)),
            ("python/2".to_owned(), place(Partitioner::Python, 2)),
        ])
    }

    fn spread(&self, count: u32, partition: impl Fn(&AircraftSummary) -> u32) -> Vec<u64> {
        let mut events = vec![0; count as usize];
        for aircraft in self.aircraft.values() {
            // An aircraft in a partition that the stream does not have is missing from the sum, which the report shows.
            if let Some(sum) = events.get_mut(partition(aircraft) as usize) {
                *sum += aircraft.events;
            }
        }
        events
    }
}

fn in_seconds(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// With the average rounded to four digits.
fn averages(sums: BTreeMap<String, DelaySum>) -> BTreeMap<String, Average> {
    let average = |DelaySum { count, sum }| {
        let average = (sum as f64 / count as f64 * 1e4).round() / 1e4;
        Average { count, sum, average }
    };
    sums.into_iter().map(|(carrier, sum)| (carrier, average(sum))).collect()
}
