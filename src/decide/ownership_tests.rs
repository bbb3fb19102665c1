use super::*;
use crate::decide::scenario;

/// An [`Ownership`] and the time.
struct Told {
    now: Instant,
    machine: Ownership,
}

fn begin() -> Told {
    Told { now: Instant::at(0), machine: Ownership::new(Duration::from_millis(250), None) }
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn tell(told: &mut Told, words: &[&str]) {
    let p = |text: &str| Partition(number(text));
    let Told { now, machine } = told;
    match words {
        ["attempts", n] => *machine = Ownership::new(Duration::from_millis(250), Some(number(n))),
        ["at", ms] => *now = Instant::at(number(ms)),
        ["plan", mine @ ..] => machine.planned(mine.iter().map(|text| p(text)), *now),
        ["acquired", which @ ..] => which.iter().for_each(|text| machine.acquired(p(text))),
        ["held", which, "for", ms] => machine.held(p(which), Duration::from_millis(number(ms)), *now),
        ["stopped", which] => machine.stopped(p(which), *now),
        ["closing", which] => machine.closing(p(which)),
        ["released", which] => machine.released(p(which)),
        ["lost", which] => machine.lost(p(which), *now),
        ["failed", which] => machine.failed(p(which), *now),
        _ => panic!("{words:?}"),
    }
}

fn list(partitions: impl IntoIterator<Item = Partition>) -> String {
    partitions.into_iter().map(|p| format!(" {p}")).collect()
}

fn show(told: &mut Told) -> String {
    let mut lines = Vec::new();
    let steps = told.machine.steps(told.now);
    lines.extend(steps.iter().map(|step| match step {
        Step::Acquire(p) => format!("acquire {p}"),
        Step::Close(p) => format!("close {p}"),
    }));
    lines.push(format!("owns{}", list(told.machine.owned())));
    lines.extend(told.machine.next_at().map(|at| format!("again at {}", at.since(Instant::at(0)).as_millis())));
    lines.extend(told.machine.is_settled().then(|| "settled".to_owned()));
    lines.join("; ")
}

#[test]
fn steps_as_text() {
    scenario::play(include_str!("scenarios/ownership.txt"), begin, tell, show);
}
