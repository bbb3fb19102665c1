//! Where an aircraft is, and how long things went on: the facts that only hold if its events came in order.
//!
//! Cancellations are passed over.

use serde::{Deserialize, Serialize};

use super::event::{Flight, Kind};

/// What one aircraft did so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Journey {
    in_the_air: Option<Leg>,
    last_arrival: Option<Arrival>,
    last_origin: Option<String>,
    pub(crate) late_departures_after_a_late_arrival: u64,
    pub(crate) departed_while_in_the_air: u64,
    pub(crate) arrived_without_its_departure_in_progress: u64,
    /// Flights, each from the airport of the arrival just before it.
    pub(crate) chain: Run,
    pub(crate) departures_from_one_airport: Run,
    pub(crate) complete_flights: Run,
    pub(crate) punctual_arrivals: Run,
}

/// The flight in the air.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Leg {
    departed: u64,
    carrier: String,
    number: u32,
    dest: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Arrival {
    dest: String,
    late: bool,
}

impl Journey {
    pub(crate) fn is_in_the_air(&self) -> bool {
        self.in_the_air.is_some()
    }

    pub(crate) fn follow(&mut self, flight: &Flight) {
        match flight.kind {
            Kind::Departed => self.depart(flight),
            Kind::Arrived => self.arrive(flight),
            Kind::Cancelled => {}
        }
    }

    fn depart(&mut self, flight: &Flight) {
        if self.in_the_air.is_some() {
            self.departed_while_in_the_air += 1;
            self.complete_flights.end();
        }
        if flight.is_late() && self.last_arrival.as_ref().is_some_and(|arrival| arrival.late) {
            self.late_departures_after_a_late_arrival += 1;
        }

        let from_where_it_is =
            !self.is_in_the_air() && self.last_arrival.as_ref().is_some_and(|a| a.dest == flight.origin);
        self.chain.go_on_if(from_where_it_is, flight.seq);
        let from_the_same = self.last_origin.as_ref() == Some(&flight.origin);
        self.departures_from_one_airport.go_on_if(from_the_same, flight.seq);

        self.last_origin = Some(flight.origin.clone());
        self.in_the_air = Some(Leg {
            departed: flight.seq,
            carrier: flight.carrier.clone(),
            number: flight.number,
            dest: flight.dest.clone(),
        });
    }

    fn arrive(&mut self, flight: &Flight) {
        match self.in_the_air.take_if(|leg| leg.is_of(flight)) {
            Some(leg) => self.complete_flights.go_on(leg.departed),
            None => {
                self.arrived_without_its_departure_in_progress += 1;
                self.complete_flights.end();
            }
        }
        if flight.is_late() {
            self.punctual_arrivals.end();
        } else {
            self.punctual_arrivals.go_on(flight.seq);
        }
        self.last_arrival = Some(Arrival { dest: flight.dest.clone(), late: flight.is_late() });
    }
}

impl Leg {
    fn is_of(&self, flight: &Flight) -> bool {
        (&self.carrier, self.number, &self.dest) == (&flight.carrier, flight.number, &flight.dest)
    }
}

/// Something that goes on for a while, ends, and begins again; remembers the longest time, of equals the first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    now: Stretch,
    pub(crate) longest: Stretch,
}

/// So many, beginning with this event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stretch {
    pub(crate) length: u64,
    pub(crate) first_seq: u64,
}

impl Run {
    /// One more. `seq` is where the run begins, if it begins now.
    fn go_on(&mut self, seq: u64) {
        if self.now.length == 0 {
            self.now.first_seq = seq;
        }
        self.now.length += 1;
        if self.now.length > self.longest.length {
            self.longest = self.now;
        }
    }

    fn end(&mut self) {
        self.now = Stretch::default();
    }

    /// One more if it continues what was; else the first of a new run.
    fn go_on_if(&mut self, continues: bool, seq: u64) {
        if !continues {
            self.end();
        }
        self.go_on(seq);
    }
}
