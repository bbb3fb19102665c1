//! A worker that is asked over HTTP.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use futures::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::clock;
use crate::error::{Failure, chain};
use crate::http::client::{self, Unanswered, Wish, encoded};
use crate::runs::output::Channel;
use crate::runs::{Action, RunId, RunLog, RunLogQuery, Status, TaskLogEvent};
use crate::settings::{Secret, shown};

use super::End;

/// A worker may be starting again: how often it is asked, and how long between.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Far {
    url: String,
    token: Secret,
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

/// Which lines are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) channel: Channel,
    pub(super) follow: bool,
    pub(super) since: usize,
    pub(super) tail: Option<usize>,
}

/// How a run ended, as the last event says.
#[derive(Debug, Deserialize)]
pub(super) struct Complete {
    pub(super) exit_code: Option<i32>,
    pub(super) status: Status,
}

impl Far {
    pub(super) fn new(url: String, token: Secret) -> Self {
        Self { url, token }
    }

    pub(super) async fn runs(&self, query: &RunLogQuery) -> Result<Vec<RunLog>, End> {
        let mut path = format!("/api/job_runs?limit={}", query.page_size());
        for (name, text) in [("task_name", &query.task_name), ("tag", &query.tag)] {
            text.iter().for_each(|text| _ = write!(path, "&{name}={}", encoded(text)));
        }
        if !query.status.is_empty() {
            let words: Vec<_> = query.status.iter().map(|status| status.as_str()).collect();
            let _ = write!(path, "&status={}", words.join(","));
        }
        Ok(self.get::<Items<RunLog>>(&path).await?.items)
    }

    pub(super) async fn run(&self, id: &RunId) -> Result<RunLog, End> {
        self.get(&format!("/api/job_runs/{id}?full=true")).await
    }

    pub(super) async fn lines(&self, task: &str, actions: &[Action], limit: usize) -> Result<Vec<TaskLogEvent>, End> {
        let mut path = format!("/api/task_log?task_name={}&limit={limit}", encoded(task));
        if !actions.is_empty() {
            let words: Vec<_> = actions.iter().map(|action| action.as_str()).collect();
            let _ = write!(path, "&action__in={}", words.join(","));
        }
        Ok(self.get::<Items<TaskLogEvent>>(&path).await?.items)
    }

    pub(super) async fn state(&self, task: &str) -> Result<Value, End> {
        self.get(&format!("/api/tasks/{}/state", encoded(task))).await
    }

    pub(super) async fn retry(&self, id: &RunId) -> Result<(), End> {
        let path = format!("/api/job_runs/{id}/retry");
        self.ask(Method::POST, &path, HeaderMap::new()).await.map(drop)
    }

    /// Has each line told, and answers how the run ended, if it has. A connection that breaks while lines are followed
    /// is made again, behind the last line that was told.
    pub(super) async fn output(
        &self,
        id: &RunId,
        wanted: Wanted,
        mut tell: impl FnMut(usize, &str) -> Result<(), End>,
    ) -> Result<Option<Complete>, End> {
        let Wanted { channel, follow, since, tail } = wanted;
        let mut path = format!("/api/job_runs/{id}/logs/{channel}?follow={follow}&since={since}");
        tail.iter().for_each(|lines| _ = write!(path, "&lines={lines}"));
        let mut last: Option<usize> = None;
        let mut tries = 0;
        loop {
            let mut headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/event-stream"))]);
            headers.extend(last.map(|last| (HeaderName::from_static("last-event-id"), HeaderValue::from(last))));
            let (began, before) = (last.is_some() || tries > 0, last);
            match self.send(Method::GET, &path, headers).await {
                Ok(answer) => {
                    let body = refused(&self.url, answer).await?;
                    let mut events = Events::new(body);
                    while let Some(event) = events.next().await {
                        match event.name.as_str() {
                            "log" => {
                                tell(event.id.unwrap_or_default(), &event.data)?;
                                last = event.id.or(last);
                            }
                            "complete" => return Ok(serde_json::from_str(&event.data).ok()),
                            "end" => return Ok(None),
                            "failed" => {
                                return Err(End::Refused("the worker cannot read the lines of this run".into()));
                            }
                            _ => {}
                        }
                    }
                    if !follow {
                        return Err(End::Refused(format!("{} broke off in the middle", shown(&self.url))));
                    }
                }
                Err(error) if !(follow && began) => return Err(unanswered(&error)),
                Err(_) => {}
            }
            tries = if last == before { tries + 1 } else { 1 };
            if tries > TRIES {
                return Err(End::Refused(format!("{} does not answer any more", shown(&self.url))));
            }
            clock::sleep(PAUSE).await;
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, End> {
        let body = self.ask(Method::GET, path, HeaderMap::new()).await?;
        let not_ours = |why: String| End::Refused(format!("{} answers like no worker: {why}", shown(&self.url)));
        let text = client::whole(body).await.map_err(|error| not_ours(chain(&error)))?;
        serde_json::from_slice(&text).map_err(|error| not_ours(error.to_string()))
    }

    async fn ask(&self, method: Method, path: &str, headers: HeaderMap) -> Result<Body, End> {
        let answer = self.send(method, path, headers).await.map_err(|error| unanswered(&error))?;
        refused(&self.url, answer).await
    }

    async fn send(&self, method: Method, path: &str, mut headers: HeaderMap) -> Result<Response<Body>, Unanswered> {
        if let (false, Ok(token)) =
            (self.token.is_empty(), HeaderValue::try_from(format!("Bearer {}", self.token.expose())))
        {
            headers.insert(header::AUTHORIZATION, token);
        }
        client::ask(&self.url, Wish { method, path, headers }).await
    }
}

fn unanswered(error: &Unanswered) -> End {
    match error {
        Unanswered::Address { .. } => End::Usage(error.to_string()),
        _ => End::Refused(format!("{}; is a worker running there, with setting `http`?", chain(error))),
    }
}

/// What a worker refuses, in its own words.
async fn refused(url: &str, answer: Response<Body>) -> Result<Body, End> {
    let (parts, body) = answer.into_parts();
    if parts.status.is_success() {
        return Ok(body);
    }
    let text = client::whole(body).await.unwrap_or_default();
    let said: Value = serde_json::from_slice(&text).unwrap_or_default();
    let why = said["message"].as_str().unwrap_or("it answers like no worker").to_owned();
    Err(match parts.status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Failure::NotFound(why).into(),
        StatusCode::BAD_REQUEST => End::Usage(why),
        status => End::Refused(format!("{} refuses ({}): {why}", shown(url), status.as_u16())),
    })
}

/// Server-sent events, as they come.
struct Events {
    body: BodyDataStream,
    /// What has come and is no whole line yet.
    rest: Vec<u8>,
    event: Event,
}

#[derive(Debug, Default, PartialEq)]
struct Event {
    id: Option<usize>,
    name: String,
    data: String,
}

impl Events {
    fn new(body: Body) -> Self {
        Self { body: body.into_data_stream(), rest: Vec::new(), event: Event::default() }
    }

    /// The next one; none when the connection ends, in whatever way.
    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let whole = self.event.take(&String::from_utf8_lossy(&line[..end]));
                if whole.is_some() {
                    return whole;
                }
            }
            self.rest.extend(self.body.next().await?.ok()?);
        }
    }
}

impl Event {
    /// Takes a line; an empty one ends the event.
    fn take(&mut self, line: &str) -> Option<Self> {
        let (field, value) = line.split_once(": ").unwrap_or((line, ""));
        match field {
            "" if line.is_empty() => return Some(std::mem::take(self)).filter(|event| !event.name.is_empty()),
            "id" => self.id = value.parse().ok(),
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            _ => {}
        }
        None
    }
}
