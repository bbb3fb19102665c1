//! An app that is served on a port of its own, and plain questions to it.

use std::net::SocketAddr;

use runnel::App;
use runnel::runs::output::{Channel, LogStore, MemoryLogStore, RunMetadata};
use runnel::runs::{NewRunLog, RunId, RunLog, Status, Stores, WorkerRef};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::in_time;

/// An app whose runs and lines a test writes itself.
pub(crate) struct Shop {
    pub(crate) stores: Stores,
    pub(crate) logs: MemoryLogStore,
    pub(crate) at: SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::with(Stores::memory(), |app| app).await
    }

    /// With these stores, and an app that is changed like that.
    pub(crate) async fn with(stores: Stores, change: impl FnOnce(App) -> App) -> Self {
        let logs = MemoryLogStore::default();
        let app = App::bare("shop").redis("memory://").run_logs_in(stores.clone()).log_store(logs.clone());
        let routes = change(app).connect().await.unwrap().http().await.unwrap();
        Self::serve(stores, logs, routes).await
    }

    pub(crate) async fn serve(stores: Stores, logs: MemoryLogStore, routes: axum::Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { stores, logs, at, serving }
    }

    /// A document of a run that stands like that.
    pub(crate) async fn run(&self, id: &str, status: Status) -> RunLog {
        self.run_of(id, status, WorkerRef::default()).await
    }

    pub(crate) async fn run_of(&self, id: &str, status: Status, worker: WorkerRef) -> RunLog {
        let created = self.stores.run_logs.create_run_log(NewRunLog::new(run_id(id), "report")).await.unwrap();
        let log = RunLog { status, worker, ..created };
        self.stores.run_logs.put_run_log(&log).await.unwrap();
        log
    }

    pub(crate) async fn print(&self, id: &str, lines: &[&str]) {
        self.logs.append(&run_id(id), Channel::Stdout, lines).await.unwrap();
    }

    pub(crate) async fn begin(&self, id: &str) {
        self.logs.write_metadata(&run_id(id), &begun(id)).await.unwrap();
    }

    pub(crate) async fn end(&self, id: &str) {
        let mut ended = begun(id).ended(Status::Success, "2026-11-22T02:00:01.500Z".parse().unwrap());
        ended.exit_code = Some(0);
        self.logs.write_metadata(&run_id(id), &ended).await.unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        ask(self.at, "GET", path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.at, "GET", path, headers).await
    }
}

pub(crate) fn run_id(text: &str) -> RunId {
    text.parse().unwrap()
}

fn begun(id: &str) -> RunMetadata {
    RunMetadata::begun(run_id(id), "report", 1, "2026-11-22T02:00:00Z".parse().unwrap())
}

/// The whole of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Asks, and reads the answer to its end.
pub(crate) async fn ask(at: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    in_time(async {
        let mut reading = begin(at, method, path, headers).await;
        while reading.more().await {}
        reading.answer
    })
    .await
}

/// An answer that is still coming.
pub(crate) struct Reading {
    stream: BufReader<TcpStream>,
    pub(crate) answer: Answer,
    chunked: bool,
}

impl Reading {
    /// Reads on until the text is there.
    pub(crate) async fn until(&mut self, text: &str) {
        in_time(async {
            while !self.answer.body.contains(text) {
                assert!(self.more().await, "it ended before `{text}`: {:?}", self.answer);
            }
        })
        .await;
    }

    /// Reads to the end.
    pub(crate) async fn rest(mut self) -> Answer {
        in_time(async { while self.more().await {} }).await;
        self.answer
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    /// Reads some more; answers whether there may be more still.
    async fn more(&mut self) -> bool {
        if !self.chunked {
            let mut body = Vec::new();
            self.stream.read_to_end(&mut body).await.unwrap();
            self.answer.body.push_str(&String::from_utf8(body).unwrap());
            return false;
        }
        let Ok(size) = usize::from_str_radix(&self.line().await, 16) else { return false };
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).await.unwrap();
        self.answer.body.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
        size > 0
    }
}

/// Asks, and reads the head of the answer.
pub(crate) async fn begin(at: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Reading {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let mut question = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        question.push_str(&format!("Host: {at}\r\n"));
    }
    headers.iter().for_each(|(name, value)| question.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all(format!("{question}\r\n").as_bytes()).await.unwrap();
    let answer = Answer { status: 0, headers: Vec::new(), body: String::new() };
    let mut reading = Reading { stream: BufReader::new(stream), answer, chunked: false };
    in_time(async {
        let status = reading.line().await;
        reading.answer.status = status.split(' ').nth(1).unwrap().parse().unwrap();
        loop {
            let line = reading.line().await;
            let Some((name, value)) = line.split_once(": ") else { break };
            reading.answer.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    })
    .await;
    reading.chunked = reading.answer.header("transfer-encoding") == "chunked";
    reading
}
