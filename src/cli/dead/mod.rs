//! `dead list | show | retry | drop`: what processors gave up, and an operator's hand.
//!
//! Letters are read as they lie in the store, without the types of their records; only `--key` needs those, and asks the
//! [`Host`]. Nothing here holds more than a page of events at a time, except what is shown.

use std::ops::ControlFlow;

use clap::{Arg, ArgMatches, Command, value_parser};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::broker::{Broker, StreamRef};
use crate::error::Failure;
use crate::event::EventId;
use crate::processor::dead_letter::Letter;

use super::fields::Reader;
use super::output::{grouped, instant};
use super::stream::named;
use super::{End, Host, Out, lookup};

mod act;
mod choice;
mod walk;

pub(super) use choice::no_keys;

use choice::Choice;
use walk::{Found, Met, walk};

/// Letters that a table shows unless told otherwise.
const SHOWN: u64 = 100;
/// Letters of an error that a table shows.
const SHORT: usize = 80;

pub(super) fn command() -> Command {
    let stream = || Arg::new("stream").value_name("STREAM").required(true);
    let limit = Arg::new("limit").long("limit").value_name("N").value_parser(value_parser!(u64).range(1..));
    let limit = limit.help("At most so many; else 100 in a table, and all of them as JSON");
    Command::new("dead")
        .about("Dead letters, events that were given up: list, show, retry, drop")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            choice::arguments(Command::new("list").about("What was given up, by whom and why").arg(stream()))
                .arg(limit),
        )
        .subcommand(
            Command::new("show")
                .about("One letter: its error with all causes, and its event's fields")
                .arg(stream())
                .arg(
                    Arg::new("ids")
                        .value_name("ID")
                        .value_parser(super::bounds::read_id)
                        .required(true)
                        .help("The letter's id, or that of its event"),
                ),
        )
        .subcommand(act::command(
            "retry",
            "Put events back into their partition, in the order they had, for the processor that gave them up",
        ))
        .subcommand(act::command("drop", "Delete letters for good"))
}

pub(super) async fn run(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let Some((verb, matches)) = matches.subcommand() else { return Err(End::Usage("`dead` what?".into())) };
    act::refuse_without_choice(verb, matches)?;
    let broker = host.broker().await?;
    let stream = lookup::stream(&*broker, named(matches)).await?;
    let choice = Choice::of(matches, &stream, host).await?;
    let reader = Reader::of(&stream, &host.settings().settings);
    let letters = Letters { broker: &*broker, stream, choice, reader };
    match verb {
        "retry" | "drop" => act::run(verb == "retry", &letters, out).await,
        "show" => letters.show(out).await,
        _ => letters.list(matches.get_one::<u64>("limit").copied(), out).await,
    }
}

/// The letters that are meant.
struct Letters<'a> {
    broker: &'a dyn Broker,
    stream: StreamRef,
    choice: Choice,
    reader: Reader,
}

/// One letter, for programs. What something else has written has only an id, a place and its fields.
#[derive(Serialize)]
struct LetterReport {
    letter: String,
    partition: u32,
    /// The event, as it was sent at first.
    event: Option<String>,
    processor: Option<String>,
    /// When it was given up.
    at: String,
    attempts: Option<u32>,
    crashes: Option<u32>,
    worker: Option<String>,
    error: String,
    fields: Map<String, Value>,
}

impl Letters<'_> {
    fn report(&self, found: &Found) -> LetterReport {
        let about = found.letter.as_ref().ok().map(|letter| &letter.about);
        let error = match &found.letter {
            Ok(letter) => letter.about.error.clone(),
            Err(why) => format!("this is no dead letter: {why}"),
        };
        LetterReport {
            letter: found.id.to_string(),
            partition: found.partition.0,
            event: about.map(|about| about.id.to_string()),
            processor: about.map(|about| about.processor.clone()),
            at: instant(about.map_or(found.id.ms, |about| about.at)),
            attempts: about.map(|about| about.attempts),
            crashes: about.map(|about| about.crashes),
            worker: about.map(|about| about.worker.clone()),
            error,
            fields: found.letter.as_ref().map(|letter| self.reader.show(&letter.fields)).unwrap_or_default(),
        }
    }

    async fn list(&self, limit: Option<u64>, out: &mut Out) -> Result<(), End> {
        let most = limit.unwrap_or(if out.is_json() { u64::MAX } else { SHOWN });
        let (mut count, mut rows) = (0, Vec::new());
        let met = walk(self.broker, &self.stream, &self.choice, |found| {
            if count == most {
                count += 1;
                return Ok(ControlFlow::Break(()));
            }
            count += 1;
            if out.is_json() {
                // One array, written as it is found: all of it may be large.
                out.raw(if count == 1 { "[" } else { "," })?;
                out.object(&self.report(&found))?;
            } else {
                rows.push(row(&found));
            }
            Ok(ControlFlow::Continue(()))
        });
        let met = met.await?;
        self.tell_keyless(&met);
        if count == 0 {
            self.refuse_unknown_processor(&met).await?;
        }
        match (out.is_json(), count) {
            (true, 0) => out.raw("[]\n"),
            (true, _) => out.raw("]\n"),
            (false, 0) => out.line(&format!("no dead letters of stream {} are meant by this", self.stream.name)),
            (false, _) => {
                out.table(["LETTER", "EVENT", "PARTITION", "PROCESSOR", "GIVEN UP", "ATTEMPTS", "ERROR"], rows)?;
                let more = format!("these are the first {}; --limit shows more", grouped(most));
                if count > most { out.line(&more) } else { Ok(()) }
            }
        }
    }

    async fn show(&self, out: &mut Out) -> Result<(), End> {
        let mut found = Vec::new();
        let met = walk(self.broker, &self.stream, &self.choice, |one| {
            found.push(one);
            Ok(ControlFlow::Continue(()))
        });
        met.await?;
        // An id may be that of a letter and, in another partition, that of an event: the letter's own name comes first.
        if found.iter().any(|one| self.choice.ids.contains(&one.id)) {
            found.retain(|one| self.choice.ids.contains(&one.id));
        }
        if found.is_empty() {
            return Err(self.nothing());
        }
        if out.is_json() {
            return out.object(&found.iter().map(|one| self.report(one)).collect::<Vec<_>>());
        }
        for (n, one) in found.iter().enumerate() {
            if n > 0 {
                out.line("")?;
            }
            self.print(one, out)?;
        }
        Ok(())
    }

    fn print(&self, found: &Found, out: &mut Out) -> Result<(), End> {
        let report = self.report(found);
        let unknown = || "unknown".to_owned();
        let mut facts = vec![
            ("letter", format!("{} in partition {} of stream {}", report.letter, report.partition, self.stream.name)),
            ("event", report.event.unwrap_or_else(unknown)),
            ("processor", report.processor.unwrap_or_else(unknown)),
            ("given up", report.at),
        ];
        if let Ok(Letter { about, .. }) = &found.letter {
            let by = if about.worker.is_empty() { "an operator".to_owned() } else { about.worker.clone() };
            facts.push(("by", by));
            facts.push(("attempts", about.attempts.to_string()));
            facts.push(("crashes", about.crashes.to_string()));
        }
        for (name, value) in facts {
            out.line(&format!("{name:<11}{value}"))?;
        }
        for (n, line) in report.error.lines().enumerate() {
            out.line(&format!("{:<11}{line}", if n == 0 { "error" } else { "" }))?;
        }
        out.line("fields")?;
        for (name, value) in found.letter.as_ref().map(|letter| letter.fields.iter()).into_iter().flatten() {
            let shown = self.reader.value(name, value);
            out.line(&format!("  {} = {shown}", String::from_utf8_lossy(name)))?;
        }
        Ok(())
    }

    /// Refuses a processor of which nothing is known, with the nearest: it is misspelt.
    async fn refuse_unknown_processor(&self, met: &Met) -> Result<(), End> {
        let Some(name) = &self.choice.processor else { return Ok(()) };
        let mut known = lookup::survey(self.broker, self.stream.clone()).await?.processors();
        known.extend(met.processors.iter().cloned());
        Ok(lookup::among("processor", name, &known)?)
    }

    fn tell_keyless(&self, met: &Met) {
        if met.keyless > 0 {
            tracing::warn!(stream = %self.stream.name, letters = met.keyless,
                "these records cannot be decoded, so nobody knows their key: left out; choose them by id or --processor");
        }
    }

    /// Nothing is meant.
    fn nothing(&self) -> End {
        let ids: Vec<String> = self.choice.ids.iter().map(EventId::to_string).collect();
        let text = match ids.as_slice() {
            [] => format!("no dead letter of stream `{}` is meant by this", self.stream.name),
            [id] => format!("stream `{}` has no dead letter {id}, and none of an event {id}", self.stream.name),
            _ => format!("stream `{}` has none of these dead letters: {}", self.stream.name, ids.join(", ")),
        };
        Failure::NotFound(text).into()
    }
}

fn row(found: &Found) -> [String; 7] {
    let (letter, partition) = (found.id.to_string(), found.partition.to_string());
    match &found.letter {
        Ok(Letter { about, .. }) => {
            let tries = (about.attempts + about.crashes).to_string();
            let (event, processor) = (about.id.to_string(), about.processor.clone());
            [letter, event, partition, processor, instant(about.at), tries, short(&about.error)]
        }
        Err(why) => {
            let [event, processor, tries] = [const { String::new() }; 3];
            let error = short(&format!("no dead letter: {why}"));
            [letter, event, partition, processor, instant(found.id.ms), tries, error]
        }
    }
}

/// The beginning of an error: its first line.
fn short(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    match line.char_indices().nth(SHORT) {
        None if line.len() == error.trim_end().len() => line.to_owned(),
        None => format!("{line} …"),
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn a_long_error_is_cut_between_letters_and_at_its_first_line() {
        assert_eq!(short("declined"), "declined");
        assert_eq!(short("declined\nby the bank"), "declined …");
        assert_eq!(short(&"é".repeat(90)), format!("{}…", "é".repeat(80)));
    }
}
