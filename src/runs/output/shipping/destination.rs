//! Where logs are shipped to: things under names, each whole or not there.

use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};

/// Bytes of a thing, block by block.
pub type Content = BoxStream<'static, io::Result<Bytes>>;

/// A store of things under names such as `<run_id>/stdout.log.gz`: an object store, or a folder that several machines see.
#[async_trait]
pub trait Destination: Send + Sync + 'static {
    /// Stores a thing, in place of an older one of that name. Nobody sees half of it, also if the content ends in an error.
    async fn put(&self, name: &str, content: Content) -> crate::Result;

    /// Reads a thing, if there is one of that name.
    async fn get(&self, name: &str) -> crate::Result<Option<Content>>;

    /// The names that begin so.
    async fn list(&self, prefix: &str) -> crate::Result<Vec<String>>;

    /// Removes a thing; answers whether there was one.
    async fn delete(&self, name: &str) -> crate::Result<bool>;
}

/// A folder, on a disk that outlives this machine or that others see as well.
#[derive(Clone, Debug)]
pub struct FolderDestination {
    folder: PathBuf,
}

/// How much is read at once.
const BLOCK: usize = 64 * 1024;
/// The end of names of things that are not whole yet.
const UNFINISHED: &str = ".unfinished";

impl FolderDestination {
    /// Things below this folder, which is made when the first one comes.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where a thing lies: below the folder, whatever its name is.
    fn path(&self, name: &str) -> crate::Result<PathBuf> {
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
        match name.split('/').all(is_plain) {
            true => Ok(self.folder.join(name)),
            false => Err(format!("{name:?} is no name of something in a folder").into()),
        }
    }
}

/// Runs what waits for a disk where that holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn names_below(folder: &Path, prefix: &str, found: &mut Vec<String>) -> io::Result<()> {
    let Some(entries) = present(std::fs::read_dir(folder))? else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        match entry.file_type()? {
            kind if kind.is_dir() => names_below(&entry.path(), &format!("{prefix}{name}/"), found)?,
            kind if kind.is_file() && !name.ends_with(UNFINISHED) => found.push(format!("{prefix}{name}")),
            _ => {}
        }
    }
    Ok(())
}

#[async_trait]
impl Destination for FolderDestination {
    async fn put(&self, name: &str, mut content: Content) -> crate::Result {
        use std::io::Write;
        let path = self.path(name)?;
        let beside = PathBuf::from(format!("{}.{}{UNFINISHED}", path.display(), uuid::Uuid::now_v7().simple()));
        let open = {
            let (folder, beside) = (path.parent().unwrap_or(&path).to_owned(), beside.clone());
            move || {
                std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)
            }
        };
        let mut file = blocking(open).await?;
        let written = async {
            while let Some(block) = content.next().await {
                let block = block?;
                file = blocking(move || file.write_all(&block).map(|()| file)).await?;
            }
            let beside = beside.clone();
            blocking(move || file.sync_all().and_then(|()| std::fs::rename(beside, path))).await
        };
        let written = written.await;
        if written.is_err() {
            // The first error says more than a second one could.
            let _ = blocking(move || std::fs::remove_file(beside)).await;
        }
        Ok(written?)
    }

    async fn get(&self, name: &str) -> crate::Result<Option<Content>> {
        use std::io::Read;
        let path = self.path(name)?;
        let Some(file) = present(blocking(move || std::fs::File::open(path)).await)? else { return Ok(None) };
        let blocks = stream::try_unfold(file, |mut file| async {
            let read = blocking(move || {
                let mut block = vec![0; BLOCK];
                let taken = file.read(&mut block)?;
                block.truncate(taken);
                Ok((block, file))
            });
            let (block, file) = read.await?;
            Ok((!block.is_empty()).then(|| (Bytes::from(block), file)))
        });
        Ok(Some(blocks.boxed()))
    }

    async fn list(&self, prefix: &str) -> crate::Result<Vec<String>> {
        let (folder, prefix) = (self.folder.clone(), prefix.to_owned());
        let listed = blocking(move || {
            let mut found = Vec::new();
            names_below(&folder, "", &mut found)?;
            found.retain(|name| name.starts_with(&prefix));
            found.sort();
            Ok(found)
        });
        Ok(listed.await?)
    }

    async fn delete(&self, name: &str) -> crate::Result<bool> {
        let path = self.path(name)?;
        let deleted = blocking(move || {
            let deleted = present(std::fs::remove_file(&path))?.is_some();
            // The folder of a run goes with its last thing.
            if let Some(folder) = path.parent() {
                let _ = std::fs::remove_dir(folder);
            }
            Ok(deleted)
        });
        Ok(deleted.await?)
    }
}
