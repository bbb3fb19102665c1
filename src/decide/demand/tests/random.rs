//! Random readers against streams that answer as a server would.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::*;
use super::entry;

/// Streams with entries at every millisecond up to their length, answered as a server would.
fn serve(command: &Command, lengths: &[u64]) -> Vec<(usize, Vec<Entry>)> {
    let answers = command.keys.iter().enumerate().map(|(slot, (key, after))| {
        let length = lengths[key.parse::<usize>().unwrap()];
        (slot, (after.ms + 1..=length).take(command.count).map(entry).collect::<Vec<_>>())
    });
    answers.filter(|(_, entries)| !entries.is_empty()).collect()
}

proptest! {
    /// Readers of random streams, some sharing one, each asking on from where it got to, and some dropping out.
    #[test]
    fn every_reader_gets_everything_in_order_and_within_bounded_rounds(
        lengths in proptest::collection::vec(0u64..40, 1..6),
        readers in proptest::collection::vec((0usize..6, 0u64..20, 1usize..9, any::<bool>()), 1..12),
        lines in 1usize..4,
        restless in any::<u8>(),
    ) {
        let mut demand = Demand::over(lines);
        let mut waiting: HashMap<Ticket, (usize, Wish)> = HashMap::new();
        let mut missing = 0;
        for (n, &(stream, after, count, flowing)) in readers.iter().enumerate() {
            let stream = stream % lengths.len();
            missing += lengths[stream].saturating_sub(after);
            let wish = Wish { key: stream.to_string().into(), after: EventId::new(after, 0), count };
            waiting.insert(demand.ask(wish.clone(), flowing).0, (n, wish));
        }
        // A reader gets something in each round of all lines, or in the next if it was drained in this one.
        for round in 0..2 * missing + 4 {
            for line in demand.lines() {
                for command in demand.next_read(line) {
                    if round % 8 == u64::from(restless % 16) {
                        let (&ticket, _) = waiting.iter().min_by_key(|(ticket, _)| **ticket).unwrap();
                        let (reader, wish) = waiting.remove(&ticket).unwrap();
                        demand.withdraw(ticket);
                        waiting.insert(demand.ask(wish.clone(), false).0, (reader, wish));
                    }
                    for (ticket, answer) in demand.answered(line, Reply::<()>::Entries(serve(&command, &lengths))).deliveries {
                        let entries = answer.unwrap();
                        let (reader, mut wish) = waiting.remove(&ticket).unwrap();
                        prop_assert!(!entries.is_empty() && entries.len() <= wish.count);
                        for entry in &entries {
                            prop_assert_eq!(entry.id.ms, wish.after.ms + 1);
                            wish.after = entry.id;
                            missing -= 1;
                        }
                        let flowing = entries.len() == wish.count;
                        waiting.insert(demand.ask(wish.clone(), flowing).0, (reader, wish));
                    }
                }
            }
        }
        prop_assert_eq!(missing, 0);
    }
}
