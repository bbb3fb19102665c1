//! From samples to figures: medians over the rounds, each beside the base of its discipline in the same round.
//!
//! The base of a discipline is the first contender that takes part in it.

use serde::Serialize;

use super::contender::{Contender, Discipline};
use super::costs::{median, us};
use super::measure::{PACE, Sample};

/// One contender in one discipline.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Figure {
    Throughput(Throughput),
    Latency(Latency),
}

#[derive(Debug, Serialize)]
pub(crate) struct Throughput {
    discipline: &'static str,
    contender: String,
    rounds: usize,
    events: usize,
    events_per_second: f64,
    /// Events per second, as a multiple of the base's.
    ratio: f64,
    redis_us_per_event: f64,
    /// The server's time, as a multiple of the base's.
    redis_ratio: f64,
    client_us_per_event: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    discipline: &'static str,
    contender: String,
    rounds: usize,
    events: usize,
    p50_us: f64,
    /// Above the base's.
    p50_above_base_us: f64,
    p90_us: f64,
    p99_us: f64,
    /// As a multiple of the base's.
    p99_ratio: f64,
}

/// All figures, discipline by discipline.
pub(crate) fn figures(samples: &[Sample], contenders: &[Box<dyn Contender>]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for discipline in [Discipline::Send, Discipline::Drain, Discipline::Latency] {
        let takes_part = |contender: &usize| contenders[*contender].disciplines().contains(&discipline);
        let taking_part: Vec<usize> = (0..contenders.len()).filter(takes_part).collect();
        let of = |contender: usize| {
            let mut own: Vec<&Sample> =
                samples.iter().filter(|s| s.discipline == discipline && s.contender == contender).collect();
            own.sort_by_key(|sample| sample.round);
            own
        };
        for contender in &taking_part {
            let name = contenders[*contender].name().to_owned();
            let (own, base) = (of(*contender), of(taking_part[0]));
            figures.push(match discipline {
                Discipline::Send => Figure::Throughput(Throughput::of("send", name, &own, &base)),
                Discipline::Drain => Figure::Throughput(Throughput::of("drain", name, &own, &base)),
                Discipline::Latency => Figure::Latency(Latency::of(name, &own, &base)),
            });
        }
    }
    figures
}

impl Throughput {
    fn of(discipline: &'static str, contender: String, own: &[&Sample], base: &[&Sample]) -> Self {
        let rate = |sample: &Sample| sample.events as f64 / sample.wall.as_secs_f64();
        let redis = |sample: &Sample| us(sample.redis_cpu) / sample.events as f64;
        Self {
            discipline,
            contender,
            rounds: own.len(),
            events: own.first().map_or(0, |sample| sample.events),
            events_per_second: median(own.iter().map(|sample| rate(sample))),
            ratio: median(own.iter().zip(base).map(|(own, base)| rate(own) / rate(base))),
            redis_us_per_event: median(own.iter().map(|sample| redis(sample))),
            redis_ratio: median(own.iter().zip(base).map(|(own, base)| redis(own) / redis(base))),
            client_us_per_event: median(own.iter().map(|sample| us(sample.client_cpu) / sample.events as f64)),
        }
    }
}

impl Latency {
    fn of(contender: String, own: &[&Sample], base: &[&Sample]) -> Self {
        Self {
            discipline: "latency",
            contender,
            rounds: own.len(),
            events: own.first().map_or(0, |sample| sample.events),
            p50_us: median(own.iter().map(|sample| percentile(sample, 50))),
            p50_above_base_us: median(
                own.iter().zip(base).map(|(own, base)| percentile(own, 50) - percentile(base, 50)),
            ),
            p90_us: median(own.iter().map(|sample| percentile(sample, 90))),
            p99_us: median(own.iter().map(|sample| percentile(sample, 99))),
            p99_ratio: median(own.iter().zip(base).map(|(own, base)| percentile(own, 99) / percentile(base, 99))),
        }
    }
}

fn percentile(sample: &Sample, percent: usize) -> f64 {
    let last = sample.ages.len().saturating_sub(1);
    sample.ages.get(last * percent / 100).copied().map_or(f64::NAN, us)
}

/// For people: one table a discipline.
pub(crate) fn tables(figures: &[Figure]) -> String {
    let mut lines = Vec::new();
    let mut last = "";
    for figure in figures {
        let (discipline, contender) = match figure {
            Figure::Throughput(of) => (of.discipline, &of.contender),
            Figure::Latency(of) => (of.discipline, &of.contender),
        };
        if discipline != last {
            let title = match figure {
                Figure::Throughput(_) => {
                    format!(
                        "{discipline:<34}{:>10}{:>8}{:>11}{:>8}{:>11}",
                        "events/s", "ratio", "Redis µs", "ratio", "client µs"
                    )
                }
                Figure::Latency(_) => {
                    let title = format!("latency at {PACE} events/s, µs");
                    format!("{title:<34}{:>10}{:>8}{:>11}{:>8}{:>11}", "p50", "above", "p90", "p99", "p99 ratio")
                }
            };
            lines.extend([String::new(), title]);
        }
        lines.push(match figure {
            Figure::Throughput(of) => format!(
                "{contender:<34}{:>10.0}{:>8.2}{:>11.3}{:>8.2}{:>11.3}",
                of.events_per_second, of.ratio, of.redis_us_per_event, of.redis_ratio, of.client_us_per_event
            ),
            Figure::Latency(of) => format!(
                "{contender:<34}{:>10.0}{:>8.0}{:>11.0}{:>8.0}{:>11.2}",
                of.p50_us, of.p50_above_base_us, of.p90_us, of.p99_us, of.p99_ratio
            ),
        });
        last = discipline;
    }
    lines.join("\n")
}
