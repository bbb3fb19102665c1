use std::collections::HashMap;
use std::fmt::Write;

use super::*;
use crate::event::Fields;

mod random;

fn entry(ms: u64) -> Entry {
    Entry { id: EventId::new(ms, 0), fields: Fields::default() }
}

/// Plays a scenario; answers what demand said to it, a line each.
///
/// `ask NAME KEY AFTER COUNT [flowing]`, `drop NAME`, `read LINE`, `reply LINE [KEY:ID,ID ..]`, `refuse LINE`,
/// `refuse-all LINE`, `lost LINE`, `stale LINE`; a line is `direct` or `b0`, `b1` ..
struct Play {
    demand: Demand,
    names: HashMap<Ticket, String>,
    asked: HashMap<String, VecDeque<Command>>,
    said: String,
}

fn play(lines: usize, scenario: &str) -> String {
    let mut play =
        Play { demand: Demand::over(lines), names: HashMap::new(), asked: HashMap::new(), said: String::new() };
    scenario.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| play.act(line));
    play.said
}

fn line(name: &str) -> Line {
    match name.strip_prefix('b') {
        Some(n) => Line::Blocking(n.parse().unwrap()),
        None => Line::Direct,
    }
}

fn name(line: Line) -> String {
    match line {
        Line::Direct => "direct".into(),
        Line::Blocking(n) => format!("b{n}"),
    }
}

impl Play {
    fn act(&mut self, action: &str) {
        let words: Vec<&str> = action.split_whitespace().collect();
        match words[..] {
            ["ask", who, key, after, count, ref flowing @ ..] => {
                let wish = Wish { key: key.into(), after: after.parse().unwrap(), count: count.parse().unwrap() };
                let (ticket, line) = self.demand.ask(wish, !flowing.is_empty());
                self.names.insert(ticket, who.into());
                writeln!(self.said, "{who} waits on {}", name(line)).unwrap();
            }
            ["drop", who] => {
                let ticket = *self.names.iter().find(|(_, name)| *name == who).unwrap().0;
                self.demand.withdraw(ticket);
            }
            ["read", on] => {
                let commands = self.demand.next_read(line(on));
                let texts: Vec<String> = commands.iter().map(text).collect();
                let reads = if texts.is_empty() { "nothing".into() } else { texts.join(" | ") };
                writeln!(self.said, "{on}: {reads}").unwrap();
                self.asked.insert(on.into(), commands.into());
            }
            ["reply", on, ref found @ ..] => {
                let command = self.asked.get_mut(on).unwrap().pop_front().unwrap();
                let found = found.iter().map(|found| {
                    let (key, ids) = found.split_once(':').unwrap();
                    let slot = command.keys.iter().position(|(k, _)| **k == *key).unwrap();
                    (slot, ids.split(',').map(|id| entry(id.parse().unwrap())).collect())
                });
                let step = self.demand.answered(line(on), Reply::Entries(found.collect()));
                self.tell(step);
            }
            ["refuse", on] => {
                self.asked.get_mut(on).unwrap().pop_front();
                let step = self.demand.answered(line(on), Reply::Refused(()));
                self.tell(step);
            }
            ["refuse-all", on] => {
                let step = self.demand.refuse_all(line(on), ());
                self.tell(step);
            }
            ["lost", on] => self.demand.lost(line(on)),
            ["stale", on] => writeln!(self.said, "stale: {}", self.demand.is_stale(line(on))).unwrap(),
            _ => panic!("{action}"),
        }
    }

    fn tell(&mut self, step: Step<()>) {
        for (ticket, answer) in step.deliveries {
            let who = &self.names[&ticket];
            match answer {
                Ok(entries) => {
                    let ids: Vec<String> = entries.iter().map(|e| e.id.ms.to_string()).collect();
                    writeln!(self.said, "{who} gets {}", ids.join(",")).unwrap();
                }
                Err(()) => writeln!(self.said, "{who} is refused").unwrap(),
            }
        }
        for line in step.joined {
            writeln!(self.said, "{} has something new", name(line)).unwrap();
        }
    }
}

fn text(command: &Command) -> String {
    let keys: Vec<String> = command.keys.iter().map(|(key, after)| format!("{key}>{}", after.ms)).collect();
    format!("{} of {}", command.count, keys.join(" "))
}

fn check(lines: usize, scenario: &str, expected: &str) {
    let expected: String =
        expected.lines().map(str::trim).filter(|l| !l.is_empty()).map(|l| format!("{l}\n")).collect();
    assert_eq!(play(lines, scenario), expected);
}

#[test]
fn those_that_were_not_answered_are_read_again_without_asking() {
    check(
        1,
        "ask A a 0 10
         ask B b 5 10
         read b0
         reply b0 a:1,2
         read b0",
        "A waits on b0
         B waits on b0
         b0: 10 of a>0 b>5
         A gets 1,2
         b0: 10 of b>5",
    );
}

#[test]
fn a_key_that_joins_makes_the_read_under_way_stale_until_it_ends() {
    check(
        1,
        "ask A a 0 10
         stale b0
         read b0
         ask B b 0 10
         ask C c 0 10
         stale b0
         reply b0
         stale b0
         read b0
         stale b0",
        "A waits on b0
         stale: false
         b0: 10 of a>0
         B waits on b0
         C waits on b0
         stale: true
         stale: false
         b0: 10 of a>0 b>0 c>0
         stale: false",
    );
}

#[test]
fn a_read_that_was_dropped_and_repeated_gets_back_into_the_read_under_way() {
    check(
        1,
        "ask A a 0 10
         read b0
         drop A
         ask A2 a 0 10
         stale b0
         reply b0 a:1",
        "A waits on b0
         b0: 10 of a>0
         A2 waits on b0
         stale: false
         A2 gets 1",
    );
}

#[test]
fn what_arrives_for_a_dropped_read_is_dropped() {
    check(
        1,
        "ask A a 0 10
         ask B b 0 10
         read b0
         drop A
         reply b0 a:1 b:1
         read b0",
        "A waits on b0
         B waits on b0
         b0: 10 of a>0 b>0
         B gets 1
         b0: nothing",
    );
}

#[test]
fn flowing_keys_are_read_at_once_those_of_one_count_in_one_command() {
    check(
        1,
        "ask A a 7 10 flowing
         ask B b 8 10 flowing
         ask C c 9 64 flowing
         read direct
         reply direct a:8,9 b:9
         reply direct c:10",
        "A waits on direct
         B waits on direct
         C waits on direct
         direct: 10 of a>7 b>8 | 64 of c>9
         A gets 8,9
         B gets 9
         C gets 10",
    );
}

#[test]
fn a_flowing_key_that_has_nothing_joins_the_blocking_read() {
    check(
        1,
        "ask Z z 0 10
         read b0
         ask A a 7 10 flowing
         read direct
         reply direct
         stale b0
         reply b0
         read b0",
        "Z waits on b0
         b0: 10 of z>0
         A waits on direct
         direct: 10 of a>7
         b0 has something new
         stale: true
         b0: 10 of z>0 a>7",
    );
}

#[test]
fn a_blocking_read_takes_the_least_count_and_the_rest_follows_directly() {
    check(
        1,
        "ask A a 0 2
         ask B b 0 64
         read b0
         reply b0 b:1,2
         ask B b 2 64",
        "A waits on b0
         B waits on b0
         b0: 2 of a>0 b>0
         B gets 1,2
         B waits on direct",
    );
}

#[test]
fn readers_of_one_key_share_it_and_each_gets_what_follows_its_position() {
    check(
        2,
        "ask SLOW a 0 10
         ask FAST a 5 10
         ask LAST a 9 1
         read b0
         reply b0 a:6",
        "SLOW waits on b0
         FAST waits on b0
         LAST waits on b0
         b0: 1 of a>0
         SLOW gets 6
         FAST gets 6",
    );
}

#[test]
fn flowing_readers_at_different_positions_of_one_key_do_not_hold_each_other_up() {
    check(
        1,
        "ask SLOW a 0 2 flowing
         ask FAST a 50 2 flowing
         ask TWIN a 50 2 flowing
         read direct
         reply direct a:1,2
         reply direct a:51",
        "SLOW waits on direct
         FAST waits on direct
         TWIN waits on direct
         direct: 2 of a>0 | 2 of a>50
         SLOW gets 1,2
         FAST gets 51
         TWIN gets 51",
    );
}

#[test]
fn a_refusal_reaches_only_the_key_it_is_about_and_stops_the_others_once() {
    check(
        1,
        "ask A a 0 10
         ask BAD bad 0 10
         read b0
         refuse b0
         read direct
         reply direct
         refuse direct
         read b0
         ask F f 0 10 flowing
         ask BAD bad 0 10
         stale b0
         read direct",
        "A waits on b0
         BAD waits on b0
         b0: 10 of a>0 bad>0
         direct has something new
         direct: 10 of a>0 | 10 of bad>0
         b0 has something new
         BAD is refused
         b0: 10 of a>0
         F waits on direct
         BAD waits on direct
         stale: false
         direct: 10 of f>0 | 10 of bad>0",
    );
}

#[test]
fn a_lost_connection_fails_nobody_and_a_refusing_server_fails_all_of_its_line() {
    check(
        1,
        "ask A a 0 10
         ask B b 0 10 flowing
         read b0
         read direct
         lost b0
         lost direct
         read b0
         read direct
         refuse-all b0
         read b0",
        "A waits on b0
         B waits on direct
         b0: 10 of a>0
         direct: 10 of b>0
         b0: 10 of a>0
         direct: 10 of b>0
         A is refused
         b0: nothing",
    );
}

#[test]
fn keys_spread_evenly_over_as_many_lines_as_they_need() {
    for (keys, expected) in [(1, [1, 0, 0, 0]), (64, [64, 0, 0, 0]), (65, [64, 1, 0, 0]), (400, [100, 100, 100, 100])] {
        let mut demand = Demand::over(4);
        for n in 0..keys {
            demand.ask(Wish { key: format!("k{n}").into(), after: EventId::ZERO, count: 10 }, false);
        }
        let read = |n| demand.next_read(Line::Blocking(n)).first().map_or(0, |command| command.keys.len());
        assert_eq!([0, 1, 2, 3].map(read), expected, "{keys} keys");
    }
}
