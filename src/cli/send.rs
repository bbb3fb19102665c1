//! `send STREAM JSON|-` and `sendmany STREAM FILE|-`.
//!
//! A file is checked to its end before anything of it is sent. What comes through a pipe is sent as it comes, up to the
//! first bad line, and the error says how much went out.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};

use clap::{Arg, ArgMatches, Command, value_parser};
use indicatif::{ProgressBar, ProgressStyle};

use crate::error::Failure;
use crate::event::EventId;
use crate::settings::shown;

use super::feed::{FeedOptions, Feeder, Line, LineError};
use super::output::grouped;
use super::stream::named;
use super::{End, Host, Out};

/// Lines sent at once.
const PAGE: usize = 500;
/// Bad lines that are told one by one.
const TOLD: usize = 20;

pub(super) fn one() -> Command {
    arguments(
        Command::new("send").about("Send one event").arg(stream()).arg(
            Arg::new("json")
                .value_name("JSON|-")
                .required(true)
                .allow_hyphen_values(true)
                .help("The record, or - to read it from stdin"),
        ),
    )
}

pub(super) fn many() -> Command {
    arguments(Command::new("sendmany").about("Send many events, one JSON record a line").arg(stream()).arg(
        Arg::new("file").value_name("FILE|-").required(true).allow_hyphen_values(true).help("The file, or - for stdin"),
    ))
}

fn stream() -> Arg {
    Arg::new("stream").value_name("STREAM").required(true)
}

fn arguments(command: Command) -> Command {
    command
        .arg(
            Arg::new("key")
                .long("key")
                .value_name("FIELD")
                .help("The field that is the key, where the program does not know it"),
        )
        .arg(
            Arg::new("partition")
                .long("partition")
                .value_name("N")
                .value_parser(value_parser!(u32))
                .conflicts_with("key")
                .help("The partition, whatever the key"),
        )
}

async fn feeder(matches: &ArgMatches, host: &dyn Host) -> Result<Box<dyn Feeder>, End> {
    let options = FeedOptions {
        key: matches.get_one::<String>("key").cloned(),
        partition: matches.get_one::<u32>("partition").copied(),
    };
    Ok(host.feeder(named(matches), &options).await?)
}

pub(super) async fn run_one(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let given = matches.get_one::<String>("json").expect("clap asks for the record");
    let text = match given.as_str() {
        "-" => {
            let mut text = Vec::new();
            std::io::stdin().lock().read_to_end(&mut text).map_err(|error| unread("stdin", &error))?;
            text
        }
        text => text.as_bytes().to_vec(),
    };
    let line = Line { number: 1, text };
    let feeder = feeder(matches, host).await?;
    let ids = match feeder.send(&[line]).await {
        Ok(ids) => ids,
        Err(LineError::Bad { why, .. }) => {
            let text = format!("this is no record of stream `{}`: {why}; nothing was sent", named(matches));
            return Err(End::Refused(text));
        }
        Err(LineError::Unsent { source, .. }) => return Err((*source).into()),
    };
    print_ids(&ids, out)
}

fn print_ids(ids: &[EventId], out: &mut Out) -> Result<(), End> {
    if out.is_json() {
        return out.object(&serde_json::json!({ "ids": ids }));
    }
    ids.iter().try_for_each(|id| out.line(&id.to_string()))
}

pub(super) async fn run_many(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let path = matches.get_one::<String>("file").expect("clap asks for the file").as_str();
    let feeder = feeder(matches, host).await?;
    let mut sending = Sending { feeder: &*feeder, name: shown(path), sent: 0, bar: ProgressBar::hidden() };
    let regular = path != "-" && std::fs::metadata(path).is_ok_and(|facts| facts.is_file());
    if regular {
        let count = check_all(&*feeder, path)?;
        sending.bar = bar(Some(count));
        let mut lines = Lines::new(BufReader::new(open(path)?));
        loop {
            let page = lines.page(PAGE).map_err(|error| unread(path, &error))?;
            if page.is_empty() {
                break;
            }
            sending.send(&page).await?;
        }
    } else {
        sending.bar = bar(None);
        sending.send_as_it_comes(path).await?;
    }
    sending.bar.finish_and_clear();
    if out.is_json() {
        return out.object(&serde_json::json!({ "sent": sending.sent }));
    }
    out.line(&format!("sent {} events to stream {}", grouped(sending.sent), named(matches)))
}

/// Shown on stderr, and only where that is a terminal.
fn bar(count: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let Some(count) = count else { return ProgressBar::new_spinner() };
    let style = ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
    ProgressBar::new(count).with_style(style.expect("the template is well formed"))
}

fn open(path: &str) -> Result<File, End> {
    File::open(path).map_err(|error| unread(path, &error))
}

fn unread(path: &str, error: &std::io::Error) -> End {
    let text = format!("{} cannot be read: {error}", shown(path));
    match error.kind() {
        std::io::ErrorKind::NotFound => Failure::NotFound(text).into(),
        _ => End::Refused(text),
    }
}

/// Refuses a file with bad lines, naming them. Answers how many records it has.
fn check_all(feeder: &dyn Feeder, path: &str) -> Result<u64, End> {
    let mut lines = Lines::new(BufReader::new(open(path)?));
    let (mut count, mut bad, mut told) = (0u64, 0u64, Vec::new());
    while let Some(line) = lines.next().map_err(|error| unread(path, &error))? {
        count += 1;
        if let Err(error) = feeder.check(&line) {
            bad += 1;
            if told.len() < TOLD {
                told.push(format!("{}:{error}", shown(path)));
            }
        }
    }
    if bad == 0 {
        return Ok(count);
    }
    let more = match bad - told.len() as u64 {
        0 => String::new(),
        more => format!("\n... and {} more", grouped(more)),
    };
    Err(End::Refused(format!(
        "{}{more}\nnothing was sent: {} of {} lines are bad",
        told.join("\n"),
        grouped(bad),
        grouped(count)
    )))
}

struct Sending<'a> {
    feeder: &'a dyn Feeder,
    name: String,
    sent: u64,
    bar: ProgressBar,
}

impl Sending<'_> {
    async fn send(&mut self, page: &[Line]) -> Result<(), End> {
        match self.feeder.send(page).await {
            Ok(ids) => {
                self.sent += ids.len() as u64;
                self.bar.set_position(self.sent);
                Ok(())
            }
            Err(error) => {
                self.bar.finish_and_clear();
                let text = format!("{}:{error}\n{} events were sent before", self.name, grouped(self.sent));
                Err(match error {
                    LineError::Bad { .. } => End::Refused(text),
                    LineError::Unsent { source, .. } => match *source {
                        // The code of the cause tells an outage from a refusal; the text tells the rest.
                        Failure::Broker { source, .. } => {
                            Failure::Broker { doing: format!("send all events: {text}"), source }.into()
                        }
                        _ => End::Refused(text),
                    },
                })
            }
        }
    }

    /// Lines of a pipe, in pages of what has come. A thread reads, because a read of a pipe may last for ever.
    async fn send_as_it_comes(&mut self, path: &str) -> Result<(), End> {
        let input: Box<dyn Read + Send> = if path == "-" { Box::new(std::io::stdin()) } else { Box::new(open(path)?) };
        let (to, mut from) = tokio::sync::mpsc::channel(PAGE);
        std::thread::spawn(move || {
            let mut lines = Lines::new(BufReader::new(input));
            while let Some(line) = lines.next().transpose() {
                let failed = line.is_err();
                // Nobody waits for it once an error has ended the command.
                if to.blocking_send(line).is_err() || failed {
                    break;
                }
            }
        });
        let mut arrived = Vec::new();
        while from.recv_many(&mut arrived, PAGE).await > 0 {
            let (mut page, mut broken) = (Vec::new(), Ok(()));
            for line in arrived.drain(..) {
                match line.map(|line| (self.feeder.check(&line), line)) {
                    Ok((Ok(()), line)) => page.push(line),
                    Ok((Err(error), _)) => broken = Err(format!("{}:{error}", self.name)),
                    Err(error) => broken = Err(format!("{} cannot be read: {error}", self.name)),
                }
                if broken.is_err() {
                    break;
                }
            }
            self.send(&page).await?;
            if let Err(why) = broken {
                self.bar.finish_and_clear();
                let sent = grouped(self.sent);
                return Err(End::Refused(format!("{why}\n{sent} events were sent before")));
            }
        }
        Ok(())
    }
}

/// The lines of an input with their numbers, blank ones left out.
struct Lines<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R) -> Self {
        Self { input, number: 0 }
    }

    fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            let mut text = Vec::new();
            if self.input.read_until(b'\n', &mut text)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            let trimmed = text.trim_ascii();
            if !trimmed.is_empty() {
                return Ok(Some(Line { number: self.number, text: trimmed.to_vec() }));
            }
        }
    }

    fn page(&mut self, count: usize) -> std::io::Result<Vec<Line>> {
        let mut page = Vec::new();
        while page.len() < count
            && let Some(line) = self.next()?
        {
            page.push(line);
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests;
