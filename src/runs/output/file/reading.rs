//! Reading a log that may still be written to, by this process or another.
//!
//! It asks the files, and only them: whether the run has ended is what its metadata say. That is asked when there are no
//! more bytes, and then the bytes are asked for once more: metadata are written after the last line, so whoever sees them
//! first and finds nothing afterwards has seen every line.
//!
//! Memory is bounded by a block, not by the log: the last lines are found by counting, in one pass before.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::sync::watch;

use super::super::lines::Cutter;
use super::super::{Channel, LineStream, LogError, LogLine, StreamOptions};
use super::folder::{RunFolder, Runs, io_failed};
use super::gz;
use crate::clock;
use crate::runs::RunId;

/// How much is read at once.
const BLOCK: usize = 64 * 1024;
/// How often a log is looked at that another process may write to.
const POLL: Duration = Duration::from_millis(100);
/// How far apart the places are that counting remembers.
const MARKS: u64 = 1024 * 1024;

/// What a look at the files brought.
enum Look {
    Lines(VecDeque<LogLine>),
    /// Nothing yet.
    Wait,
    End,
}

/// A reader's place in a log. Its functions block.
struct Reading {
    folder: RunFolder,
    channel: Channel,
    options: StreamOptions,
    source: Option<Box<dyn Read + Send>>,
    cutter: Cutter,
    /// The first line that is wanted.
    first: usize,
    /// How many may still be delivered.
    left: usize,
    ended: bool,
    over: bool,
    block: Vec<u8>,
}

impl Reading {
    fn begin(runs: &Runs, run: &RunId, channel: Channel, options: StreamOptions) -> Result<Self, LogError> {
        let folder = runs.find(run)?.ok_or_else(|| LogError::NotFound { run: run.clone() })?;
        let mut reading = Self {
            folder,
            channel,
            options,
            source: None,
            cutter: Cutter::default(),
            first: options.since_line,
            left: options.max_lines.unwrap_or(usize::MAX),
            ended: false,
            over: false,
            block: vec![0; BLOCK],
        };
        match options.tail {
            Some(tail) => reading.go_to_last(tail)?,
            None => reading.source = reading.open()?.map(Opened::bytes),
        }
        Ok(reading)
    }

    fn open(&self) -> Result<Option<Opened>, LogError> {
        let plain = format!("{}.log", self.channel);
        if let Some(found) = self.folder.read(&plain)? {
            return Ok(Some(Opened::Plain(found.file)));
        }
        let packed = format!("{plain}.gz");
        let Some(found) = self.folder.read(&packed)? else { return Ok(None) };
        let bytes = gz::plain(found.file);
        bytes
            .map(|bytes| Some(Opened::Packed(bytes)))
            .ok_or_else(|| LogError::NoGzip { place: self.folder.place(&packed) })
    }

    /// Counts the lines, and goes to where the last ones begin.
    fn go_to_last(&mut self, tail: usize) -> Result<(), LogError> {
        self.ended = self.has_ended()?;
        let Some(mut opened) = self.open()? else { return Ok(()) };
        let mut counter = Cutter::default();
        let (mut read, mut marks) = (0, vec![(0, 0)]);
        loop {
            let taken = read_block(&self.folder, opened.reader(), &mut self.block)?;
            if taken == 0 {
                break;
            }
            counter.push(&self.block[..taken], |_, _| {});
            read += taken as u64;
            let (_, last) = marks[marks.len() - 1];
            // The next line begins where what is held begins.
            let begins = read - counter.held() as u64;
            if begins >= last + MARKS {
                marks.push((counter.next(), begins));
            }
        }
        if self.ended {
            counter.finish(|_, _| {});
        }
        self.first = self.first.max(counter.next().saturating_sub(tail));
        match opened {
            Opened::Plain(mut file) => {
                let (number, at) = marks[marks.partition_point(|&(number, _)| number <= self.first) - 1];
                file.seek(SeekFrom::Start(at)).map_err(|source| self.unread(source))?;
                self.cutter = Cutter::at(number);
                self.source = Some(Box::new(file));
            }
            Opened::Packed(_) => self.source = self.open()?.map(Opened::bytes),
        }
        Ok(())
    }

    fn has_ended(&self) -> Result<bool, LogError> {
        Ok(self.folder.metadata()?.is_some_and(|metadata| metadata.has_ended()))
    }

    fn unread(&self, source: std::io::Error) -> LogError {
        io_failed("read", self.folder.place(&format!("{}.log", self.channel)), source)
    }

    /// Reads on.
    fn look(&mut self) -> Result<Look, LogError> {
        while !self.over && self.left > 0 {
            if self.source.is_none() {
                self.source = self.open()?.map(Opened::bytes);
            }
            let taken = match &mut self.source {
                Some(source) => read_block(&self.folder, source.as_mut(), &mut self.block)?,
                None => 0,
            };
            let mut found = VecDeque::new();
            let mut take = |number: usize, line: &[u8]| {
                if number >= self.first && self.left > 0 {
                    self.left -= 1;
                    found.push_back(LogLine { number, text: String::from_utf8_lossy(line).into_owned() });
                }
            };
            if taken > 0 {
                self.cutter.push(&self.block[..taken], &mut take);
            } else if self.ended {
                self.over = true;
                self.cutter.finish(&mut take);
            } else {
                match self.has_ended()? {
                    true => self.ended = true,
                    false if self.folder.is_gone() => {
                        return Err(LogError::NotFound { run: self.folder.run().clone() });
                    }
                    false if self.options.follow => return Ok(Look::Wait),
                    // Its last line may be half a line yet.
                    false => self.over = true,
                }
            }
            if !found.is_empty() {
                return Ok(Look::Lines(found));
            }
        }
        Ok(Look::End)
    }
}

/// An open file of lines.
enum Opened {
    Plain(File),
    Packed(Box<dyn Read + Send>),
}

impl Opened {
    fn reader(&mut self) -> &mut dyn Read {
        match self {
            Self::Plain(file) => file,
            Self::Packed(bytes) => bytes,
        }
    }

    fn bytes(self) -> Box<dyn Read + Send> {
        match self {
            Self::Plain(file) => Box::new(file),
            Self::Packed(bytes) => bytes,
        }
    }
}

fn read_block(folder: &RunFolder, source: &mut dyn Read, block: &mut [u8]) -> Result<usize, LogError> {
    loop {
        match source.read(block) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            read => return read.map_err(|source| io_failed("read the log in", folder.place(""), source)),
        }
    }
}

/// What rings when this process has written to a log; `None` when it does not write to it.
pub(super) type Bell = Option<watch::Receiver<()>>;

/// A reader who delivers line by line.
struct Delivery {
    reading: Reading,
    ready: VecDeque<LogLine>,
    bell: Bell,
}

impl Delivery {
    async fn next(mut self) -> Result<Option<(LogLine, Self)>, LogError> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(Some((line, self)));
            }
            // Before the look: what is written during it rings again.
            if let Some(bell) = &mut self.bell {
                bell.borrow_and_update();
            }
            let mut reading = self.reading;
            let (reading, look) = blocking(move || {
                let look = reading.look();
                (reading, look)
            })
            .await?;
            self.reading = reading;
            match look? {
                Look::Lines(lines) => self.ready = lines,
                Look::Wait => wait(&mut self.bell).await,
                Look::End => return Ok(None),
            }
        }
    }
}

/// Waits for a change, and not for long: another process rings no bell here.
async fn wait(bell: &mut Bell) {
    let rung = match bell {
        Some(bell) => bell.changed(),
        None => return clock::sleep(POLL).await,
    };
    let silent = tokio::select! {
        rung = rung => rung.is_err(),
        () = clock::sleep(POLL) => false,
    };
    if silent {
        *bell = None;
    }
}

pub(super) fn stream(runs: Runs, run: RunId, channel: Channel, options: StreamOptions, bell: Bell) -> LineStream {
    let begin = async move {
        let reading = blocking(move || Reading::begin(&runs, &run, channel, options)).await??;
        Ok(stream::try_unfold(Delivery { reading, ready: VecDeque::new(), bell }, Delivery::next))
    };
    stream::once(begin)
        .flat_map(|begun| match begun {
            Ok(lines) => lines.boxed(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        })
        .boxed()
}

/// Runs what waits for a disk where that holds up nobody.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => io_failed("look at", "the folder of logs", std::io::Error::other("the runtime ends")),
    })
}
