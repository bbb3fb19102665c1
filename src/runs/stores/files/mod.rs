//! Stores in a folder: documents whole or in chunks, and lines of the task log appended to files.
//!
//! A file that is replaced is written beside its place, synced, and renamed: a reader sees the old or the new one, and
//! a writer that is killed leaves the old one. Locks are those of the system, and end with the process that holds them.

mod chunked_fs;
mod csv;
mod disk;
mod file_system;
mod line_file;
mod task_files;

pub use chunked_fs::ChunkedFs;
pub use csv::CsvRepo;
pub(super) use disk::encoded;
pub use file_system::FileSystem;
pub(crate) use task_files::TaskFiles;
