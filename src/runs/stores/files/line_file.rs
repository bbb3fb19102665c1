//! Lines of the task log in files that only grow: one line of text for each, in whatever format.
//!
//! Writers of all processes wait for each other by a lock of the system's. Readers need none: a line counts when its
//! newline is there. What a killed writer has left of a line was never acknowledged, and the next writer cuts it off.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::disk::{self, Lock, failed};
use crate::runs::query::{Condition, Field, Literal, Match};
use crate::runs::{StoreError, TaskLogEvent, TaskLogQuery};

/// How a line is written and read. It holds no newline.
pub(super) trait Format: Send + Sync + 'static {
    /// The first line of each file.
    fn heading(&self) -> Option<String> {
        None
    }
    /// The line.
    fn write(&self, event: &TaskLogEvent) -> Result<String, Unreadable>;
    /// What it says.
    fn read(&self, line: &str) -> Result<TaskLogEvent, Unreadable>;
}

/// Why a line is none.
pub(super) type Unreadable = Box<dyn std::error::Error + Send + Sync>;

/// Where lines are.
#[derive(Clone, Debug)]
pub(super) enum Layout {
    /// All in one file.
    One(PathBuf),
    /// Each task's in a file of its own in that folder, with that ending.
    PerTask(PathBuf, &'static str),
}

/// The files of a repository of lines.
pub(super) struct LineFiles<F> {
    format: F,
    layout: Layout,
    lock: PathBuf,
    known: Mutex<HashMap<PathBuf, Known>>,
}

/// What is known of a file without reading it again.
#[derive(Default)]
struct Known {
    /// The ids of its lines, removed ones included.
    ids: HashSet<Uuid>,
    /// Up to where it was read.
    read_to: u64,
    /// Which file that was: another one has taken its place once lines were removed.
    inode: u64,
}

impl<F: Format> LineFiles<F> {
    pub(super) fn new(format: F, layout: Layout, lock: PathBuf) -> Arc<Self> {
        Arc::new(Self { format, layout, lock, known: Mutex::default() })
    }

    pub(super) fn format(&self) -> &F {
        &self.format
    }

    fn lock(&self) -> Result<Lock, StoreError> {
        loop {
            if let Some(folder) = self.lock.parent() {
                disk::make_folder(folder)?;
            }
            if let Some(lock) = Lock::exclusive(&self.lock)? {
                return Ok(lock);
            }
        }
    }

    fn path(&self, task: &str) -> PathBuf {
        match &self.layout {
            Layout::One(path) => path.clone(),
            Layout::PerTask(folder, ending) => folder.join(format!("{}{ending}", disk::encoded(task))),
        }
    }

    /// The files that can hold an answer.
    fn paths(&self, query: &TaskLogQuery) -> Result<Vec<PathBuf>, StoreError> {
        let (folder, ending) = match &self.layout {
            Layout::One(path) => return Ok(vec![path.clone()]),
            Layout::PerTask(folder, ending) => (folder, ending),
        };
        let named = query.conditions().iter().find_map(|condition| match condition {
            Condition { field: Field::TaskName, test: Match::Eq(Literal::Text(name)) } => Some(self.path(name)),
            _ => None,
        });
        match named {
            Some(path) => Ok(vec![path]),
            None => {
                let mut names = disk::names(folder)?;
                names.sort_unstable();
                Ok(names.into_iter().filter(|name| name.ends_with(ending)).map(|name| folder.join(name)).collect())
            }
        }
    }

    /// Adds lines that are not there yet.
    pub(super) fn append(&self, events: &[TaskLogEvent]) -> Result<(), StoreError> {
        let mut by_file = BTreeMap::<PathBuf, Vec<&TaskLogEvent>>::new();
        for event in events {
            by_file.entry(self.path(&event.task_name)).or_default().push(event);
        }
        let _lock = self.lock()?;
        // What a panic left is right: ids and place are noted after the lines are written.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, events) in by_file {
            self.append_to(&path, known.entry(path.clone()).or_default(), &events)?;
        }
        Ok(())
    }

    fn append_to(&self, path: &Path, known: &mut Known, events: &[&TaskLogEvent]) -> Result<(), StoreError> {
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).append(true).create(true).mode(0o600).open(path).map_err(failed("open", path))?;
        self.catch_up(path, &mut file, known)?;

        let mut text = String::new();
        if let Some(heading) = self.format.heading().filter(|_| known.read_to == 0) {
            text.push_str(&heading);
            text.push('\n');
        }
        let mut added = Vec::new();
        for event in events {
            if known.ids.contains(&event.event_id) || added.contains(&event.event_id) {
                continue;
            }
            let refused = |source| StoreError::Backend { doing: "write a line".into(), transient: false, source };
            text.push_str(&self.format.write(event).map_err(refused)?);
            text.push('\n');
            added.push(event.event_id);
        }
        if added.is_empty() {
            return Ok(());
        }
        file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).map_err(failed("append to", path))?;
        known.ids.extend(added);
        known.read_to += text.len() as u64;
        Ok(())
    }

    /// Learns which lines are there, and cuts off what a killed writer has left behind the last newline.
    fn catch_up(&self, path: &Path, file: &mut File, known: &mut Known) -> Result<(), StoreError> {
        let facts = file.metadata().map_err(failed("look at", path))?;
        if facts.ino() != known.inode || facts.len() < known.read_to {
            (known.inode, known.read_to) = (facts.ino(), 0);
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(known.read_to))
            .and_then(|_| file.read_to_end(&mut bytes))
            .map_err(failed("read", path))?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let heading = usize::from(known.read_to == 0 && self.format.heading().is_some());
        let lines = whole_lines(&bytes[..whole]).skip(heading);
        known.ids.extend(lines.filter_map(|line| self.read_line(path, line)).map(|event| event.event_id));
        known.read_to += whole as u64;
        if whole < bytes.len() {
            file.set_len(known.read_to).map_err(failed("cut half a line off", path))?;
        }
        Ok(())
    }

    /// A line, unless it is damaged: that is said, and it stays where it is.
    fn read_line(&self, path: &Path, line: &[u8]) -> Option<TaskLogEvent> {
        let read = std::str::from_utf8(line).map_err(Unreadable::from).and_then(|line| self.format.read(line));
        read.inspect_err(|error| tracing::warn!(file = %path.display(), %error, "a line of the task log is damaged"))
            .ok()
    }

    /// The lines of that file that can be read, each beside its text.
    fn lines<'a>(&'a self, path: &'a Path, bytes: &'a [u8]) -> impl Iterator<Item = (&'a [u8], Option<TaskLogEvent>)> {
        let lines = whole_lines(bytes).skip(usize::from(self.format.heading().is_some()));
        lines.map(|line| (line, self.read_line(path, line)))
    }

    /// All lines that can hold an answer: those of a task in their order, those of several by when they were created.
    pub(super) fn read(&self, query: &TaskLogQuery) -> Result<Vec<TaskLogEvent>, StoreError> {
        let mut files = Vec::new();
        for path in self.paths(query)? {
            let bytes = disk::read(&path)?.unwrap_or_default();
            let lines: Vec<_> = self.lines(&path, &bytes).filter_map(|(_, event)| event).collect();
            files.push(lines.into_iter().peekable());
        }
        if files.len() == 1 {
            return Ok(files.remove(0).collect());
        }
        let mut merged = Vec::new();
        loop {
            let next = files.iter_mut().filter_map(|lines| Some((lines.peek()?.created, lines)));
            let Some((_, lines)) = next.min_by(|(a, _), (b, _)| a.total_cmp(b)) else { return Ok(merged) };
            merged.extend(lines.next());
        }
    }

    /// Removes the lines that fulfil the conditions. Damaged ones stay.
    pub(super) fn delete(&self, query: &TaskLogQuery) -> Result<u64, StoreError> {
        let _lock = self.lock()?;
        let mut deleted = 0;
        for path in self.paths(query)? {
            let bytes = disk::read(&path)?.unwrap_or_default();
            let mut kept: Vec<u8> =
                self.format.heading().into_iter().flat_map(|line| (line + "\n").into_bytes()).collect();
            let before = deleted;
            for (line, event) in self.lines(&path, &bytes) {
                match event.is_some_and(|event| query.matches(&event)) {
                    true => deleted += 1,
                    false => kept.extend(line.iter().chain(b"\n")),
                }
            }
            if deleted > before {
                disk::replace(&path, &kept)?;
            }
        }
        Ok(deleted)
    }

    /// The heading of the file that is there, if any.
    pub(super) fn found_heading(path: &Path) -> Result<Option<String>, StoreError> {
        let found = fs::read(path).ok().filter(|bytes| !bytes.is_empty());
        Ok(found.and_then(|bytes| Some(String::from_utf8_lossy(whole_lines(&bytes).next()?).into_owned())))
    }
}

/// The lines that have their newline.
fn whole_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"))
}
