//! Files that are whole or not there, names that stay in their folder, and locks between processes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::runs::StoreError;

/// What the names of files begin with that are being written.
const UNFINISHED: &str = ".tmp-";

/// A file that is being written for longer than this has no writer any more.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Does something with files, away from the tasks of the runtime, which it would hold up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is being shut down.
            Err(cancelled) => {
                Err(StoreError::Backend { doing: "reach its files".into(), transient: true, source: cancelled.into() })
            }
        },
    }
}

/// The error of an operation on a file.
pub(super) fn failed<'a>(doing: &'a str, path: &'a Path) -> impl Fn(io::Error) -> StoreError + 'a {
    move |source| StoreError::Backend {
        doing: format!("{doing} {}", path.display()),
        // A full disk may have room again, a descriptor may be free again. A missing permission needs somebody.
        transient: !matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem),
        source: source.into(),
    }
}

/// Makes a folder that only its owner can look into.
pub(super) fn make_folder(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make the folder", path))
}

/// The file, or nothing if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Puts a file in its place, whole.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let unfinished = folder.join(format!("{UNFINISHED}{}", uuid::Uuid::now_v7()));
    let written = write_and_rename(&unfinished, path, bytes);
    if written.is_err() {
        // Nobody reads it; if it cannot be removed now, it will be as an abandoned one.
        let _ = fs::remove_file(&unfinished);
    }
    written.map_err(failed("write", path))?;
    sync_folder(folder)
}

fn write_and_rename(unfinished: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished)?;
    file.write_all(bytes)?;
    // Before the rename: else a crash of the machine could leave the new name with nothing behind it.
    file.sync_all()?;
    fs::rename(unfinished, path)
}

/// Makes what was renamed or removed in a folder last through a crash of the machine.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync the folder", folder))
}

/// Removes a file; `false` if there was none.
pub(super) fn remove(path: &Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("remove", path)(error)),
    }
}

/// The names in a folder, apart from what is hidden or being written; none if there is no folder.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed("list", folder))?;
        // Names that are not Unicode are not ours.
        names.extend(entry.file_name().into_string().ok().filter(|name| !name.starts_with('.')));
    }
    Ok(names)
}

/// Removes what writers that were killed have left in a folder.
pub(super) fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let unfinished = entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED));
        let changed = entry.metadata().and_then(|facts| facts.modified());
        let age = changed.ok().and_then(|changed| changed.elapsed().ok());
        if unfinished && age.is_some_and(|age| age > ABANDONED) {
            // It is of no harm where it is: the next one to come by tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A lock between threads and processes, held until it is dropped or its process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until nobody else has it. Nothing if the folder of the lock is not there.
    pub(super) fn exclusive(path: &Path) -> Result<Option<Self>, StoreError> {
        Self::take(path, File::lock)
    }

    /// Waits until nobody has it for itself alone. Nothing if the folder of the lock is not there.
    pub(super) fn shared(path: &Path) -> Result<Option<Self>, StoreError> {
        Self::take(path, File::lock_shared)
    }

    fn take(path: &Path, lock: fn(&File) -> io::Result<()>) -> Result<Option<Self>, StoreError> {
        let failed = failed("lock", path);
        loop {
            let mut options = OpenOptions::new();
            let file = match options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(failed(error)),
            };
            lock(&file).map_err(&failed)?;
            // Whoever had it may have removed it meanwhile, and somebody else made a new one: a lock that nobody else
            // can find locks nothing.
            let ours = file.metadata().map_err(&failed)?.ino();
            match fs::metadata(path) {
                Ok(found) if found.ino() == ours => return Ok(Some(Self { _file: file })),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

/// A name as part of a file's name: what is not a letter, a digit, `-`, `_` or `.` of ASCII is percent-encoded, and so
/// is a leading dot. A name too long for a file system is cut and ends with its hash.
pub(in crate::runs::stores) fn encoded(name: &str) -> String {
    // What stands around it must fit into the 255 bytes that file systems allow as well.
    const LONGEST: usize = 200;
    let mut encoded = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'.' if at == 0 => encoded.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => encoded.push(byte.into()),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    if encoded.len() > LONGEST {
        encoded.truncate(LONGEST - 17);
        encoded.push_str(&format!("~{:016x}", xxhash_rust::xxh64::xxh64(name.as_bytes(), 0)));
    }
    encoded
}

/// A folder as it is configured.
pub(super) fn folder(path: impl Into<PathBuf>) -> Result<PathBuf, StoreError> {
    let path = path.into();
    make_folder(&path)?;
    sweep(&path);
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder_and_differ_if_they_differ() {
        let long = "ä".repeat(300);
        let names = ["a.b", ".", "..", "../x", "a/b", "a%2Fb", "a b", "ä", "a\0", "", &long, &format!("{long}b")];
        let files: std::collections::HashSet<_> = names.iter().map(|name| encoded(name)).collect();

        assert_eq!(files.len(), names.len());
        for file in files {
            assert!(file.len() <= 200 && !file.starts_with('.') && !file.contains(['/', '\0']), "{file}");
        }
        assert_eq!(encoded("load.eu-1_x"), "load.eu-1_x");
    }

    #[test]
    fn a_lock_whose_file_was_removed_meanwhile_is_taken_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let first = Lock::exclusive(&path).unwrap().unwrap();
        let waiting = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Lock::exclusive(&path).unwrap().unwrap());
            fs::remove_file(&path).unwrap();
            drop(first);
            waiting.join().unwrap()
        });

        let other = OpenOptions::new().write(true).open(&path).unwrap();
        assert!(other.try_lock().is_err(), "the lock that is held is not the one that others find");
        drop(waiting);
        assert!(other.try_lock().is_ok());
        assert!(Lock::exclusive(&folder.path().join("gone/.lock")).unwrap().is_none());
    }
}
