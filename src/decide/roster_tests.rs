use super::*;
use crate::decide::scenario;

/// The roster of `a` with a ttl of 10 s, and the time. The server's clock shows what ours does.
struct Told {
    now: Instant,
    roster: Roster,
}

fn begin() -> Told {
    Told { now: Instant::at(0), roster: Roster::new(Duration::from_secs(10)) }
}

/// `b@14.5`: b is dead after 14.5 s.
fn member(text: &str) -> MemberEntry {
    let (name, dead_after) = text.split_once('@').unwrap();
    MemberEntry { name: name.into(), dead_after: ms(dead_after), since: 0 }
}

fn ms(seconds: &str) -> u64 {
    (seconds.parse::<f64>().unwrap() * 1_000.0) as u64
}

fn tell(told: &mut Told, words: &[&str]) {
    let (time, sent, members) = match words {
        ["at", time] => return told.now = Instant::at(ms(time)),
        ["beat", time, "sent", sent, members @ ..] => (ms(time), ms(sent), members),
        ["beat", time, members @ ..] => (ms(time), ms(time), members),
        _ => panic!("{words:?}"),
    };
    told.now = Instant::at(time);
    let members = members.iter().map(|text| member(text)).collect();
    let roll = Roll { now: time, since: 0, members, generation: 0, plan: None, stopped: vec![] };
    told.roster.answered(Instant::at(sent), told.now, &roll);
}

fn show(told: &mut Told) -> String {
    let Told { now, roster } = told;
    let names = |members: Vec<Candidate<'_>>| members.iter().map(|m| format!(" {}", m.name)).collect::<String>();
    let dead: String = roster.dead().iter().map(|name| format!(" {name}")).collect();
    let reaps = if roster.may_reap(*now) { "may reap" } else { "may not reap" };
    format!("alive{}; dead{dead}; {reaps}; plans with{}", names(roster.alive()), names(roster.standing(*now)))
}

#[test]
fn rosters_as_text() {
    scenario::play(include_str!("scenarios/roster.txt"), begin, tell, show);
}

#[test]
fn only_those_who_may_be_declared_dead_are_reaped() {
    let mut told = begin();
    tell(&mut told, &["beat", "0", "a@10", "b@3"]);
    tell(&mut told, &["beat", "4", "a@14", "b@3"]);

    assert_eq!(told.roster.to_reap(Instant::at(4_000)), Vec::<String>::new());
    assert_eq!(told.roster.to_reap(Instant::at(5_000)), vec!["b".to_owned()]);
}
