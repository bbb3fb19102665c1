//! The folder of logs: each file is opened below it, by its name alone, and never through a link.
//!
//! Who may write to the folder could else have a log appended to any file of ours. So every step goes from the open
//! folder (`openat`, `O_NOFOLLOW`), and what is found there must be what we would have made: folders of runs, plain files in them.
//! The folder that is configured may itself be a link; everything below may not.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Access, AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::super::{LogError, RunMetadata};
use crate::runs::RunId;

/// For us alone: lines may hold what only the app should know.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const FOLDER_MODE: Mode = Mode::RWXU;
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// How a run stands.
const METADATA: &str = "metadata.json";
/// Metadata are small; what is larger is none.
const LARGEST_METADATA: u64 = 1024 * 1024;

/// Where the folders of runs lie: `<logs>/job_runs`.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    path: PathBuf,
}

impl Runs {
    pub(super) fn below(logs: &Path) -> Self {
        Self { path: logs.join("job_runs") }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> Result<OwnedFd, LogError> {
        rustix::fs::openat(CWD, &self.path, FOLDER | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|errno| failed("open", self.path.display(), errno, "a link or no folder"))
    }

    /// The folder of a run, or `None` if there is none.
    pub(super) fn find(&self, run: &RunId) -> Result<Option<RunFolder>, LogError> {
        let runs = match self.open() {
            Err(error) if is_missing(&error) => return Ok(None),
            opened => opened?,
        };
        let path = self.path.join(run.as_str());
        match rustix::fs::openat(&runs, run.as_str(), FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(folder) => Ok(Some(RunFolder { folder, path, run: run.clone() })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed("open", path.display(), errno, "a link or no folder")),
        }
    }

    /// The folder of a run, made if there is none.
    pub(super) fn make(&self, run: &RunId) -> Result<RunFolder, LogError> {
        if let Some(folder) = self.find(run)? {
            return Ok(folder);
        }
        self.prepare()?;
        let path = self.path.join(run.as_str());
        made(rustix::fs::mkdirat(self.open()?, run.as_str(), FOLDER_MODE))
            .map_err(|errno| failed("make the folder", path.display(), errno, "no folder"))?;
        self.find(run)?.ok_or_else(|| LogError::NotFound { run: run.clone() })
    }

    /// The folder of all runs, made if there is none; one that we can write to.
    pub(super) fn prepare(&self) -> Result<(), LogError> {
        let logs = self.path.parent().unwrap_or(&self.path);
        std::fs::create_dir_all(logs).map_err(|source| io_failed("make the folder", logs.display(), source))?;
        made(rustix::fs::mkdirat(CWD, &self.path, FOLDER_MODE))
            .map_err(|errno| failed("make the folder", self.path.display(), errno, "no folder"))?;
        rustix::fs::accessat(self.open()?, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty())
            .map_err(|errno| failed("write to the folder", self.path.display(), errno, "no folder"))
    }

    /// The runs that have a folder, in order. What is no run's is left out.
    pub(super) fn all(&self) -> Result<Vec<RunId>, LogError> {
        let runs = match self.open() {
            Err(error) if is_missing(&error) => return Ok(Vec::new()),
            opened => opened?,
        };
        let mut found = Vec::new();
        for entry in Dir::read_from(&runs).map_err(|errno| failed("list", self.path.display(), errno, "no folder"))? {
            let entry = entry.map_err(|errno| failed("list", self.path.display(), errno, "no folder"))?;
            let name = entry.file_name().to_str().ok().and_then(|name| name.parse().ok());
            let may_be_folder = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
            found.extend(name.filter(|_| may_be_folder));
        }
        found.sort();
        Ok(found)
    }
}

/// The open folder of one run.
#[derive(Debug)]
pub(super) struct RunFolder {
    folder: OwnedFd,
    path: PathBuf,
    run: RunId,
}

/// A file of that size, opened.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: File,
    pub(super) size: u64,
}

impl RunFolder {
    pub(super) fn run(&self) -> &RunId {
        &self.run
    }

    pub(super) fn place(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// Says that this process writes to the log, for as long as the folder is open; others may too. Waits for who
    /// tidies it up just now.
    pub(super) fn hold(&self) -> Result<(), LogError> {
        rustix::fs::flock(&self.folder, FlockOperation::LockShared)
            .map_err(|errno| failed("lock", self.path.display(), errno, "no folder"))
    }

    /// Whether nobody writes to the log. Nobody will then, as long as the folder is open.
    pub(super) fn hold_alone(&self) -> Result<bool, LogError> {
        match rustix::fs::flock(&self.folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(failed("lock", self.path.display(), errno, "no folder")),
        }
    }

    /// Whether the folder was removed since it was opened.
    pub(super) fn is_gone(&self) -> bool {
        rustix::fs::fstat(&self.folder).is_ok_and(|stat| stat.st_nlink == 0)
    }

    fn open(&self, name: &str, flags: OFlags, doing: &'static str) -> Result<Option<Found>, LogError> {
        // Without NONBLOCK a named pipe in the place of a file would hold us for ever.
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.folder, name, flags, FILE_MODE) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(failed(doing, self.place(name), errno, "a link or no plain file")),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|errno| failed(doing, self.place(name), errno, "no plain file"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(LogError::Refused { place: self.place(name), found: "no plain file" });
        }
        Ok(Some(Found { file: File::from(fd), size: u64::try_from(stat.st_size).unwrap_or(0) }))
    }

    /// A file to read, if there is one.
    pub(super) fn read(&self, name: &str) -> Result<Option<Found>, LogError> {
        self.open(name, OFlags::RDONLY, "open")
    }

    /// A file to append to, made if there is none. What is appended begins on a line of its own, also after a writer
    /// who was killed within one.
    pub(super) fn append(&self, name: &str) -> Result<File, LogError> {
        let opened = self.open(name, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE, "append to")?;
        let Found { mut file, size } = opened.ok_or_else(|| LogError::NotFound { run: self.run.clone() })?;
        if size > 0 {
            use std::os::unix::fs::FileExt;
            let mut last = [0];
            file.read_exact_at(&mut last, size - 1)
                .and_then(|()| if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") })
                .map_err(|source| io_failed("append to", self.place(name), source))?;
        }
        Ok(file)
    }

    /// Makes a whole file or none: `write` fills one beside it, which takes its name when it is on the disk.
    pub(super) fn replace(
        &self,
        name: &str,
        write: impl FnOnce(&mut File) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let beside = format!("{name}.{}-{}.tmp", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        // What lies there is of a dead process that had our id.
        self.remove(&beside)?;
        let opened = self.open(&beside, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, "write")?;
        let mut file = opened.ok_or_else(|| LogError::NotFound { run: self.run.clone() })?.file;
        let replaced = write(&mut file)
            .and_then(|()| file.sync_all().map_err(|source| io_failed("write", self.place(name), source)))
            .and_then(|()| {
                rustix::fs::renameat(&self.folder, &*beside, &self.folder, name)
                    .map_err(|errno| failed("write", self.place(name), errno, "no plain file"))
            });
        if replaced.is_err() {
            // The first error says more than a second one could.
            let _ = self.remove(&beside);
        }
        replaced
    }

    /// Removes a file; whether there was one.
    pub(super) fn remove(&self, name: &str) -> Result<bool, LogError> {
        match rustix::fs::unlinkat(&self.folder, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(failed("remove", self.place(name), errno, "no plain file")),
        }
    }

    /// Removes the run's files and its folder. The metadata go last, so that what is left by a crash is still a run
    /// that has ended.
    pub(super) fn destroy(&self, runs: &Runs) -> Result<(), LogError> {
        for (name, _) in self.files()? {
            if name.to_bytes() != METADATA.as_bytes() {
                self.remove(&name.to_string_lossy())?;
            }
        }
        self.remove(METADATA)?;
        match rustix::fs::unlinkat(runs.open()?, self.run.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed("remove", self.path.display(), errno, "no folder")),
        }
    }

    /// The names in it, with sizes.
    fn files(&self) -> Result<Vec<(CString, u64)>, LogError> {
        let listed = |errno| failed("list", self.path.display(), errno, "no folder");
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.folder).map_err(listed)? {
            let name = entry.map_err(listed)?.file_name().to_owned();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            match rustix::fs::statat(&self.folder, &*name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => found.push((name, u64::try_from(stat.st_size).unwrap_or(0))),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(listed(errno)),
            }
        }
        Ok(found)
    }

    /// How much room its files take.
    pub(super) fn bytes(&self) -> Result<u64, LogError> {
        Ok(self.files()?.iter().map(|(_, size)| size).sum())
    }

    pub(super) fn metadata(&self) -> Result<Option<RunMetadata>, LogError> {
        let Some(found) = self.read(METADATA)? else { return Ok(None) };
        let mut text = Vec::new();
        let read = found.file.take(LARGEST_METADATA).read_to_end(&mut text);
        read.map_err(|source| io_failed("read", self.place(METADATA), source))?;
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| LogError::Damaged { place: self.place(METADATA), source: source.into() })
    }

    pub(super) fn set_metadata(&self, metadata: &RunMetadata) -> Result<(), LogError> {
        let text = serde_json::to_vec(metadata)
            .map_err(|source| LogError::Damaged { place: self.place(METADATA), source: source.into() })?;
        self.replace(METADATA, |file| {
            file.write_all(&text).map_err(|source| io_failed("write", self.place(METADATA), source))
        })
    }
}

impl AsFd for RunFolder {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

/// It being there already is as good.
fn made(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

fn is_missing(error: &LogError) -> bool {
    matches!(error, LogError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

pub(super) fn io_failed(doing: &'static str, place: impl ToString, source: io::Error) -> LogError {
    LogError::Io { doing, place: place.to_string(), source }
}

/// An error of the system; those that say that the wrong thing lies there name it.
fn failed(doing: &'static str, place: impl ToString, errno: Errno, otherwise: &'static str) -> LogError {
    match errno {
        // A link is LOOP for files, and NOTDIR where a folder is asked for; a pipe without reader is NXIO.
        Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO => {
            LogError::Refused { place: place.to_string(), found: otherwise }
        }
        errno => io_failed(doing, place, errno.into()),
    }
}
