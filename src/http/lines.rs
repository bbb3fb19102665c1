//! `GET /api/job_runs/{id}/logs/{channel}`: what a run printed, as server-sent events or as plain text.
//!
//! Each line is an event `log` with its number as id, so that a reader that was cut off goes on behind the last one it
//! has. The last event says why there are no more: `complete` with how the run ended, `end` where only the lines so far
//! were asked for, `failed` where they cannot be read. A carriage return within a line cannot be written in an event,
//! and stands there as a line break; nothing in a line can end its event.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, ReadyChunks, Stream, StreamExt};
use serde_json::{Value, json as value};

use crate::clock;
use crate::error::chain;
use crate::runs::RunId;
use crate::runs::output::{Channel, LineStream, LogError, LogLine, LogStore, StreamOptions};

use super::parameters::Parameters;
use super::place::Place;
use super::{Api, Refusal, run_id};

/// The most of the last lines that can be asked for.
const MOST_LINES: usize = 100_000;
/// Silence after which something is said, so that nobody in between takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// When the worker ends: how long after the last line another one is waited for.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Lines that are sent at once, if so many are there.
const AT_ONCE: usize = 256;

pub(super) async fn lines(
    State(api): State<Api>,
    Path((id, channel)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    given: Parameters,
) -> Result<Response, Refusal> {
    let id = run_id(&id)?;
    let channel: Channel = channel.parse().map_err(|wrong| Refusal::parameter("channel", format!("{wrong}")))?;
    let options = options(given, &headers)?;
    let logs = match api.place_of(&id, &headers).await? {
        Place::Here(logs) => logs,
        Place::There { worker, url } => {
            let path = format!("/api/job_runs/{id}/logs/{channel}");
            return api.pass_on((&worker, &url), &path, &uri, &headers).await;
        }
    };
    let shape = Shape::wanted(&headers);
    let lines = logs.stream(&id, channel, options).ready_chunks(AT_ONCE);
    let telling = Telling { api, id, logs, lines, shape, next: options.since_line, is_over: false, was_over: false };
    let kind = HeaderValue::from_static(shape.content_type());
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(telling.stream())).into_response())
}

fn options(mut given: Parameters, headers: &HeaderMap) -> Result<StreamOptions, Refusal> {
    let follow = given.truth("follow")?;
    let since = given.count("since")?.unwrap_or(0);
    let tail = given.count("lines")?.map(|lines| lines.min(MOST_LINES));
    given.nothing_else(&["follow", "since", "lines"])?;
    let last = headers.get("last-event-id").filter(|id| !id.is_empty());
    let Some(last) = last else { return Ok(StreamOptions { follow, since_line: since, max_lines: None, tail }) };
    let number = last.to_str().ok().and_then(|id| id.parse::<usize>().ok()).and_then(|number| number.checked_add(1));
    let wrong = || Refusal::parameter("Last-Event-ID", "`Last-Event-ID` must be the number of a line");
    // What came since then is all wanted, however few lines were at first.
    Ok(StreamOptions { follow, since_line: number.ok_or_else(wrong)?, max_lines: None, tail: None })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Events,
    Text,
}

impl Shape {
    /// Events, unless only text was asked for.
    fn wanted(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT);
        let takes = |kind: &str| accepted.iter().filter_map(|value| value.to_str().ok()).any(|value| value.contains(kind));
        if takes("text/plain") && !takes("text/event-stream") { Self::Text } else { Self::Events }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

/// One reader of one channel.
struct Telling {
    api: Api,
    id: RunId,
    logs: Arc<dyn LogStore>,
    lines: ReadyChunks<LineStream>,
    shape: Shape,
    /// The number of the next line.
    next: usize,
    is_over: bool,
    /// The document said before that the run has ended, though its log did not.
    was_over: bool,
}

impl Telling {
    /// All of it. Ends when there is nothing more to say, and soon after the worker ends.
    fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        stream::unfold(self, async |mut telling| {
            let text = telling.more().await?;
            Some((Ok(text.into()), telling))
        })
    }

    async fn more(&mut self) -> Option<String> {
        while !self.is_over {
            let closing = self.api.0.closing.clone();
            let patience = if closing.is_cancelled() { LAST_WORDS } else { KEEP_ALIVE };
            // All are safe to drop: none loses what it waits for.
            tokio::select! {
                biased;
                lines = self.lines.next() => return Some(match lines {
                    Some(lines) => self.told(lines),
                    None => self.end().await,
                }),
                () = closing.cancelled(), if patience == KEEP_ALIVE => {}
                () = clock::sleep(patience) => match closing.is_cancelled() {
                    true => return None,
                    false => if let Some(text) = self.silence().await { return Some(text) },
                },
            }
        }
        None
    }

    fn told(&mut self, lines: Vec<Result<LogLine, LogError>>) -> String {
        let mut text = String::new();
        for line in lines {
            match (line, self.shape) {
                (Ok(line), Shape::Text) => {
                    text.push_str(&line.text);
                    text.push('\n');
                }
                (Ok(line), Shape::Events) => {
                    self.next = line.number.saturating_add(1);
                    let _ = writeln!(text, "id: {}", line.number);
                    event(&mut text, "log", &line.text);
                }
                (Err(error), shape) => {
                    tracing::warn!(run_id = %self.id, error = %chain(&error), "lines of a run cannot be read");
                    self.is_over = true;
                    if shape == Shape::Events {
                        event(&mut text, "failed", &value!({ "error": "lines cannot be read" }).to_string());
                    }
                    break;
                }
            }
        }
        text
    }

    /// Nothing was printed for a while. The worker may have vanished and left its log open.
    async fn silence(&mut self) -> Option<String> {
        let is_over = match &self.api.0.stores {
            Some(stores) => {
                let document = stores.run_logs.get_run_log_by_id(&self.id, false).await;
                document.ok().filter(|document| document.status.is_terminal())
            }
            None => None,
        };
        if let (Some(document), true) = (&is_over, self.was_over) {
            self.is_over = true;
            let duration = document.runtime.map(|seconds| (seconds * 1e3) as u64);
            return self.last("complete", &value!({ "exit_code": null, "duration_ms": duration, "status": document.status }));
        }
        self.was_over = is_over.is_some();
        (self.shape == Shape::Events).then(|| ": still here\n\n".to_owned())
    }

    async fn end(&mut self) -> String {
        self.is_over = true;
        let metadata = self.logs.read_metadata(&self.id).await.ok().flatten().filter(|metadata| metadata.has_ended());
        let last = match metadata {
            Some(end) => {
                let said = value!({ "exit_code": end.exit_code, "duration_ms": end.duration_ms, "status": end.status });
                self.last("complete", &said)
            }
            None => self.last("end", &value!({ "next": self.next })),
        };
        last.unwrap_or_default()
    }

    fn last(&self, name: &str, data: &Value) -> Option<String> {
        let mut text = String::new();
        event(&mut text, name, &data.to_string());
        (self.shape == Shape::Events).then_some(text)
    }
}

/// Writes an event. Whatever a reader takes for the end of a line begins another one of its data.
fn event(text: &mut String, name: &str, data: &str) {
    let _ = writeln!(text, "event: {name}");
    for part in data.split(['\r', '\n']) {
        let _ = writeln!(text, "data: {part}");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_line_can_end_its_event() {
        let mut text = String::new();
        event(&mut text, "log", "a\rid: 7\r\n\r\nevent: complete\ndata: {}");

        let lines: Vec<&str> = text.split(['\r', '\n']).collect();
        assert_eq!(lines[0], "event: log");
        assert!(lines[1..lines.len() - 2].iter().all(|line| line.starts_with("data: ")), "{text:?}");
        assert!(text.ends_with("\n\n") && !text.contains('\r'), "{text:?}");
    }
}
