//! What the flights example claims to find, found without a broker: the example's own judge is judged here.

#[path = "../examples/flights/aircraft.rs"]
mod aircraft;
#[path = "../examples/flights/digest.rs"]
mod digest;
#[path = "../examples/flights/event.rs"]
mod event;
#[path = "../examples/flights/facts.rs"]
mod facts;
#[path = "../examples/flights/journey.rs"]
mod journey;
#[path = "../examples/flights/report.rs"]
mod report;
#[path = "../examples/flights/source.rs"]
mod source;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aircraft::{AircraftSummary, Applied};
use event::{Flight, Reason, Refused};
use facts::Fleet;
use report::Report;
use runnel::{Key, Partitioner};
use serde_json::Value;
use source::Source;

/// Read once for all tests.
static SOURCE: LazyLock<Source> = LazyLock::new(|| Source::open().expect("the data set is built in"));

fn partition(flight: &Flight) -> u32 {
    Partitioner::Xxh64.place(&Key::from(&flight.tail), 16).expect("16 partitions are some").0
}

fn fed<'a>(flights: impl IntoIterator<Item = &'a Flight>) -> Fleet {
    let mut fleet = Fleet::default();
    for flight in flights {
        fleet.apply(flight, partition(flight));
    }
    fleet
}

fn report(fleet: &Fleet) -> Report {
    Report::compare(&fleet.facts(&SOURCE.sha256, &SOURCE.samples()), &SOURCE.expected)
}

/// Where the events of the busiest aircraft lie.
fn of_one_aircraft(flights: &[Flight]) -> Vec<usize> {
    flights.iter().enumerate().filter(|(_, flight)| flight.tail == "N725MQ").map(|(at, _)| at).collect()
}

#[test]
fn events_fed_straight_through_agree_with_every_fact() {
    let report = report(&fed(&SOURCE.flights));

    assert!(report.all_agree(), "{report}");
}

#[test]
fn two_events_of_an_aircraft_in_the_wrong_order_are_noticed() {
    let mut flights = SOURCE.flights.clone();
    let events = of_one_aircraft(&flights);

    flights.swap(events[20], events[21]);

    let report = report(&fed(&flights));
    assert!(report.wrong().contains(&"sequences_of_all_keys_sha256"), "{report}");
}

/// As above, but with their numbers in order, as if the sender had mixed them up: nothing is dropped then.
#[test]
fn a_wrong_order_is_noticed_even_where_the_numbers_are_right() {
    let mut flights = SOURCE.flights.clone();
    let events = of_one_aircraft(&flights);
    let (one, other) = (flights[events[20]].seq, flights[events[21]].seq);

    flights.swap(events[20], events[21]);
    (flights[events[20]].seq, flights[events[21]].seq) = (one, other);

    let report = report(&fed(&flights));
    let wrong = report.wrong();
    for fact in ["sequences_of_all_keys_sha256", "longest_run_of_complete_flights", "departed_while_in_the_air"] {
        assert!(wrong.contains(&fact), "{fact} should differ:\n{report}");
    }
    assert!(!wrong.contains(&"events"), "{report}");
}

#[test]
fn a_lost_event_is_noticed() {
    let mut flights = SOURCE.flights.clone();

    flights.remove(of_one_aircraft(&flights)[10]);

    let report = report(&fed(&flights));
    for fact in ["events", "counts_per_key_sha256", "sequences_of_all_keys_sha256", "events_per_partition"] {
        assert!(report.wrong().contains(&fact), "{fact} should differ:\n{report}");
    }
}

#[test]
fn an_event_delivered_to_another_partition_is_noticed() {
    let mut fleet = Fleet::default();

    for flight in &SOURCE.flights {
        fleet.apply(flight, if flight.tail == "N725MQ" { 17 } else { partition(flight) });
    }

    assert_eq!(report(&fleet).wrong(), ["events_per_partition"]);
}

#[test]
fn a_fact_that_nobody_found_is_a_difference() {
    let mut expected = SOURCE.expected.clone();
    expected["aircraft_painted_red"] = 3.into();

    let report = Report::compare(&fed(&SOURCE.flights).facts(&SOURCE.sha256, &SOURCE.samples()), &expected);

    assert!(report.wrong().contains(&"aircraft_painted_red"), "{report}");
}

#[test]
fn duplicates_are_counted_and_change_no_fact() {
    let mut delivered: Vec<&Flight> = SOURCE.flights.iter().collect();
    let again: Vec<&Flight> = SOURCE.flights[5000..5300].iter().collect();

    delivered.splice(5300..5300, again);
    let fleet = fed(delivered);

    assert_eq!(fleet.duplicates(), 300);
    assert!(report(&fleet).all_agree());
}

#[test]
fn an_event_that_comes_again_is_told_from_a_new_one() {
    let flight = &SOURCE.flights[0];
    let mut aircraft = AircraftSummary::begin(flight, 3);

    let answers = [aircraft.apply(flight), aircraft.apply(&Flight { seq: flight.seq + 1, ..flight.clone() })];

    assert_eq!(answers, [Applied::Duplicate, Applied::New]);
}

/// Each owner keeps an aircraft for five events, stores it, and hands it on.
#[test]
fn an_aircraft_goes_on_under_the_next_owner_from_what_was_stored() {
    let mut store: BTreeMap<String, String> = BTreeMap::new();
    let mut owned: BTreeMap<String, AircraftSummary> = BTreeMap::new();

    for flight in &SOURCE.flights {
        let summary = match owned.remove(&flight.tail) {
            Some(mut summary) => {
                summary.apply(flight);
                summary
            }
            None => match store.get(&flight.tail) {
                Some(stored) => {
                    let mut summary: AircraftSummary = serde_json::from_str(stored).unwrap();
                    summary.apply(flight);
                    summary
                }
                None => AircraftSummary::begin(flight, partition(flight)),
            },
        };
        store.insert(flight.tail.clone(), serde_json::to_string(&summary).unwrap());
        if summary.events % 5 != 0 {
            owned.insert(flight.tail.clone(), summary);
        }
    }

    let mut fleet = Fleet::default();
    store.values().for_each(|stored| fleet.merge(serde_json::from_str(stored).unwrap()));
    let report = report(&fleet);
    assert!(report.all_agree(), "{report}");
}

#[test]
fn of_two_summaries_of_an_aircraft_the_one_further_on_counts_whichever_comes_first() {
    let events: Vec<&Flight> = of_one_aircraft(&SOURCE.flights).into_iter().map(|at| &SOURCE.flights[at]).collect();
    let summary_of = |events: &[&Flight]| {
        let mut summary = AircraftSummary::begin(events[0], 3);
        for flight in &events[1..] {
            summary.apply(flight);
        }
        summary
    };
    let stale = summary_of(&events[..10]);
    let whole = summary_of(&events);

    assert_eq!(stale.clone().merge(whole.clone()), whole);
    assert_eq!(whole.clone().merge(stale), whole);
}

#[test]
fn every_bad_line_is_refused_for_the_reason_that_is_known() {
    let lines = include_bytes!("../examples/data/bad_events.jsonl").split(|byte| *byte == b'\n');
    let expected: Value = serde_json::from_str(include_str!("../examples/data/bad_expected.json")).unwrap();
    let expected = expected["reasons"].as_array().unwrap();

    let refused: Vec<Refused> = lines.take(expected.len()).map(|line| Flight::read(line).unwrap_err()).collect();

    assert_eq!(refused.len(), 300);
    for (refused, expected) in refused.iter().zip(expected) {
        assert_eq!(refused.reason.to_string(), expected["reason"].as_str().unwrap(), "{expected}: {refused}");
        // The list also says which field was broken to make a line that is no JSON; a reader cannot know.
        let known = expected["field"].as_str().filter(|_| refused.reason != Reason::NotJson);
        assert_eq!(refused.field, known, "{expected}: {refused}");
    }
}

#[test]
fn a_refusal_says_where_it_lies_and_what_serde_made_of_it() {
    let flight = serde_json::to_string(&SOURCE.flights[0]).unwrap();

    let refused = Flight::read(flight.replace(r#""seq":1,"#, r#""seq":-1,"#).as_bytes()).unwrap_err();

    assert_eq!(refused.to_string(), "out_of_range in `seq`");
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("invalid value: integer `-1`, expected u64"), "{cause}");
}
