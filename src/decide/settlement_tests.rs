use super::*;
use crate::decide::scenario;

fn id(text: &str) -> EventId {
    text.parse().unwrap()
}

fn ids(ids: &[EventId]) -> String {
    ids.iter().map(|id| format!(" {}", id.ms)).collect()
}

fn tell(settlement: &mut Settlement, words: &[&str]) {
    match words {
        ["at", position] => *settlement = Settlement::new(id(position), []),
        ["at", position, "done", done @ ..] => {
            *settlement = Settlement::new(id(position), done.iter().map(|text| id(text)));
        }
        ["start", events @ ..] => events.iter().for_each(|event| settlement.started(id(event))),
        ["skip", events @ ..] => events.iter().for_each(|event| settlement.skipped(id(event))),
        ["settle", event, "of", entries] => settlement.settled(id(event), entries.parse().unwrap()),
        ["settle", events @ ..] => events.iter().for_each(|event| settlement.settled(id(event), 1)),
        ["commit"] => settlement.taken(),
        _ => panic!("{words:?}"),
    }
}

fn show(settlement: &mut Settlement) -> String {
    let says = settlement.pending().map_or("nothing to commit".to_owned(), |settled| {
        let Settled { position, entries, done, passed } = settled;
        let of =
            |what, list: &[EventId]| if list.is_empty() { String::new() } else { format!(", {what}{}", ids(list)) };
        format!("to {} with {entries} entries{}{}", position.ms, of("done", &done), of("passed", &passed))
    });
    format!("{says}; {} open", settlement.open())
}

#[test]
fn positions_as_text() {
    let text = include_str!("scenarios/settlement.txt");

    scenario::play(text, || Settlement::new(EventId::ZERO, []), tell, show);
}
