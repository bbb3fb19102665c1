//! The folder of a job: `<job_work_dir>/<job>`, with the traces that could not be stored in its `traces`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::Failure;

/// What is left alone when the folder is cleaned.
const TRACES: &str = "traces";

/// The folder of a job. It need not be there.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn of(work_dir: &Path, job: &str) -> Self {
        // The name of a job may hold a slash, which would lead elsewhere.
        Self(work_dir.join(job.replace('%', "%25").replace('/', "%2F")))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn traces(&self) -> PathBuf {
        self.0.join(TRACES)
    }

    /// Removes everything in it but the traces. A folder that is a link is left alone, and an error: what it leads to may
    /// be anything.
    pub(super) fn clean(&self) -> Result<(), Failure> {
        self.emptied().map_err(|error| {
            let text = format!(
                "the folder {} cannot be emptied, and the job is to be run from a clean one: {error}",
                self.0.display()
            );
            Failure::Invalid(text)
        })
    }

    fn emptied(&self) -> io::Result<()> {
        match fs::symlink_metadata(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
            Ok(found) if !found.is_dir() => return Err(io::Error::other("it is no folder")),
            Ok(_) => {}
        }
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if entry.file_name() == TRACES {
                continue;
            }
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_folder_keeps_its_traces_and_leads_nowhere_else() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::of(place.path(), "../etc");
        assert_eq!(folder.path().parent(), Some(place.path()));
        folder.clean().unwrap();
        fs::create_dir_all(folder.path().join("deep/er")).unwrap();
        fs::create_dir_all(folder.traces()).unwrap();
        fs::write(folder.path().join("a"), "").unwrap();
        fs::write(folder.traces().join("b"), "").unwrap();

        folder.clean().unwrap();

        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [TRACES]);
        assert!(folder.traces().join("b").exists());
        let link = Folder::of(place.path(), "link");
        std::os::unix::fs::symlink(folder.path(), link.path()).unwrap();
        assert!(link.clean().is_err());
    }
}
