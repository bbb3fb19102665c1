//! Counts the commands that a server is sent. What its scripts call is sent by nobody and not counted.
//!
//! Being watched costs the server more than many a command, so no CPU time is to be trusted meanwhile.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::JoinHandle;

/// Counts until it is stopped.
pub(crate) struct Monitor {
    stream: TcpStream,
    counting: JoinHandle<BTreeMap<String, u64>>,
}

impl Monitor {
    pub(crate) fn start(port: u16) -> io::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.write_all(b"MONITOR\r\n")?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut greeting = String::new();
        reader.read_line(&mut greeting)?;
        let counting = std::thread::spawn(move || {
            let mut counts = BTreeMap::new();
            for label in reader.lines().map_while(Result::ok).filter_map(|line| label(&line)) {
                *counts.entry(label).or_default() += 1;
            }
            counts
        });
        Ok(Self { stream, counting })
    }

    /// How often each command was sent. Scripts are told apart by what their first key begins with.
    pub(crate) fn stop(self) -> io::Result<BTreeMap<String, u64>> {
        self.stream.shutdown(Shutdown::Both)?;
        self.counting.join().map_err(|_| io::Error::other("what counts commands has panicked"))
    }
}

/// `+1795315492.410000 [0 127.0.0.1:6379] "evalsha" "<digest>" "2" "__own:{..}" ..`; scripts stand there as `[0 lua]`.
fn label(line: &str) -> Option<String> {
    let (source, command) = line.split_once("] ")?;
    if source.ends_with(" lua") {
        return None;
    }
    let mut words = command.split(' ').map(|word| word.trim_matches('"'));
    match words.next()?.to_ascii_lowercase().as_str() {
        // Sent by whoever measures.
        "info" => None,
        "evalsha" => {
            let key = words.nth(2).and_then(|key| key.split(':').next());
            Some(format!("script {}", key.unwrap_or_default()))
        }
        "client" => Some(format!("client {}", words.next().unwrap_or_default().to_ascii_lowercase())),
        name => Some(name.to_owned()),
    }
}
