//! A log at a destination: how it is packed and unpacked, never all of it in memory.
//!
//! `<run_id>/stdout.log.gz`, `<run_id>/stderr.log.gz`, and `<run_id>/metadata.json` last: who sees the metadata sees all lines.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, MultiGzDecoder};
use futures::{StreamExt, stream};

use super::super::lines::Cutter;
use super::super::{Channel, LineStream, LogError, LogLine, LogStore, RunMetadata, StreamOptions};
use super::destination::{Content, Destination};
use crate::runs::RunId;

/// How large a block is that is sent.
const BLOCK: usize = 64 * 1024;
/// How much is decompressed at once: a thousand times that is the most that can come out.
const SIP: usize = 4 * 1024;
/// How many lines are compressed at once.
const LINES: usize = 256;
/// Metadata are small; what is larger is none.
const LARGEST_METADATA: usize = 1024 * 1024;

/// The name of what a run printed.
fn lines_name(run: &RunId, channel: Channel) -> String {
    format!("{run}/{channel}.log.gz")
}

fn metadata_name(run: &RunId) -> String {
    format!("{run}/metadata.json")
}

/// Logs at a destination.
#[derive(Clone)]
pub(super) struct Remote(pub(super) Arc<dyn Destination>);

fn failed(doing: &str, name: &str) -> impl FnOnce(crate::Error) -> LogError + use<> {
    let doing = format!("{doing} {name}");
    move |source| LogError::Destination { doing, source }
}

impl Remote {
    pub(super) async fn metadata(&self, run: &RunId) -> Result<Option<RunMetadata>, LogError> {
        let name = metadata_name(run);
        let Some(mut content) = self.0.get(&name).await.map_err(failed("read", &name))? else { return Ok(None) };
        let mut text = Vec::new();
        while let Some(block) = content.next().await {
            text.extend_from_slice(&block.map_err(|error| failed("read", &name)(error.into()))?);
            if text.len() > LARGEST_METADATA {
                return Err(LogError::Damaged { place: name, source: "it is too large".into() });
            }
        }
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| LogError::Damaged { place: name, source: source.into() })
    }

    pub(super) async fn put_metadata(&self, metadata: &RunMetadata) -> Result<(), LogError> {
        let name = metadata_name(&metadata.run_id);
        let text = serde_json::to_vec(metadata)
            .map_err(|source| LogError::Damaged { place: name.clone(), source: source.into() })?;
        let content = stream::once(async { Ok(Bytes::from(text)) }).boxed();
        self.0.put(&name, content).await.map_err(failed("store", &name))
    }

    pub(super) async fn delete_metadata(&self, run: &RunId) -> Result<bool, LogError> {
        let name = metadata_name(run);
        self.0.delete(&name).await.map_err(failed("delete", &name))
    }

    /// Stores the lines of a channel.
    pub(super) async fn put_lines(&self, run: &RunId, channel: Channel, lines: LineStream) -> Result<(), LogError> {
        let name = lines_name(run, channel);
        self.0.put(&name, packed(lines)).await.map_err(failed("store", &name))
    }

    pub(super) async fn delete(&self, run: &RunId) -> Result<bool, LogError> {
        let was_there = self.delete_metadata(run).await?;
        for channel in Channel::ALL {
            let name = lines_name(run, channel);
            self.0.delete(&name).await.map_err(failed("delete", &name))?;
        }
        Ok(was_there)
    }

    /// The runs that are there, whole.
    pub(super) async fn runs(&self) -> Result<Vec<RunId>, LogError> {
        let names = self.0.list("").await.map_err(failed("list", "all logs"))?;
        Ok(names.iter().filter_map(|name| name.strip_suffix("/metadata.json")?.parse().ok()).collect())
    }

    /// The lines of a run. It has ended, so there is nothing to follow.
    pub(super) fn stream(&self, run: &RunId, channel: Channel, options: StreamOptions) -> LineStream {
        let (remote, run) = (self.clone(), run.clone());
        let begin = async move {
            if remote.metadata(&run).await?.is_none() {
                return Err(LogError::NotFound { run });
            }
            let mut first = options.since_line;
            if let Some(tail) = options.tail {
                let mut all = remote.unpacked(&run, channel).await?;
                let mut count = 0;
                while let Some(line) = all.next().await {
                    count = line?.number + 1;
                }
                first = first.max(usize::saturating_sub(count, tail));
            }
            let before = move |line: &Result<LogLine, LogError>| line.as_ref().is_ok_and(|line| line.number < first);
            let lines = remote.unpacked(&run, channel).await?.skip_while(move |line| std::future::ready(before(line)));
            Ok(lines.take(options.max_lines.unwrap_or(usize::MAX)).boxed())
        };
        stream::once(begin).flat_map(|begun| begun.unwrap_or_else(|error| stream::iter([Err(error)]).boxed())).boxed()
    }

    async fn unpacked(&self, run: &RunId, channel: Channel) -> Result<LineStream, LogError> {
        let name = lines_name(run, channel);
        let content = self.0.get(&name).await.map_err(failed("read", &name))?;
        let Some(content) = content else { return Ok(stream::empty().boxed()) };
        let decoder = MultiGzDecoder::new(Vec::new());
        let unpacking = Unpacking {
            name,
            content,
            sip: Bytes::new(),
            decoder,
            cutter: Cutter::default(),
            ready: VecDeque::new(),
            over: false,
        };
        Ok(stream::try_unfold(unpacking, Unpacking::next).boxed())
    }

    /// Brings a log back, so that its run can go on printing where it stopped.
    pub(super) async fn restore(&self, run: &RunId, to: &dyn LogStore) -> Result<(), LogError> {
        for channel in Channel::ALL {
            let mut chunks = self.unpacked(run, channel).await?.chunks(LINES);
            while let Some(chunk) = chunks.next().await {
                let lines = chunk.into_iter().collect::<Result<Vec<_>, _>>()?;
                let texts: Vec<&str> = lines.iter().map(|line| &*line.text).collect();
                to.append(run, channel, &texts).await?;
            }
        }
        Ok(())
    }
}

/// Lines as gzip, block by block.
fn packed(lines: LineStream) -> Content {
    let encoder = GzEncoder::new(Vec::new(), Compression::default());
    stream::try_unfold(Some((lines.ready_chunks(LINES), encoder)), |state| async {
        let Some((mut lines, mut encoder)) = state else { return Ok(None) };
        while encoder.get_ref().len() < BLOCK {
            let Some(chunk) = lines.next().await else {
                return Ok(Some((Bytes::from(encoder.finish()?), None)));
            };
            for line in chunk {
                encoder.write_all(line.map_err(io::Error::other)?.text.as_bytes())?;
                encoder.write_all(b"\n")?;
            }
        }
        let block = std::mem::take(encoder.get_mut());
        Ok(Some((Bytes::from(block), Some((lines, encoder)))))
    })
    .boxed()
}

/// Lines that come out of gzip.
struct Unpacking {
    name: String,
    content: Content,
    sip: Bytes,
    decoder: MultiGzDecoder<Vec<u8>>,
    cutter: Cutter,
    ready: VecDeque<LogLine>,
    over: bool,
}

impl Unpacking {
    async fn next(mut self) -> Result<Option<(LogLine, Self)>, LogError> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(Some((line, self)));
            }
            if self.over {
                return Ok(None);
            }
            if self.sip.is_empty() {
                match self.content.next().await {
                    Some(block) => self.sip = block.map_err(|error| failed("read", &self.name)(error.into()))?,
                    None => self.over = true,
                }
            }
            let sip = self.sip.split_to(self.sip.len().min(SIP));
            let decoded = self.decoder.write_all(&sip).and_then(|()| match self.over {
                true => self.decoder.try_finish(),
                false => self.decoder.flush(),
            });
            decoded.map_err(|source| LogError::Damaged { place: self.name.clone(), source: source.into() })?;
            let bytes = std::mem::take(self.decoder.get_mut());
            let mut take = |number, line: &[u8]| {
                self.ready.push_back(LogLine { number, text: String::from_utf8_lossy(line).into_owned() });
            };
            self.cutter.push(&bytes, &mut take);
            if self.over {
                self.cutter.finish(&mut take);
            }
        }
    }
}
