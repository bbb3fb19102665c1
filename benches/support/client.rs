//! A blocking client for RESP2 with nothing in it that costs: the measure of what Redis itself can do.
//!
//! Commands gather until [`Client::flush`]; replies are read in the same order. Entries of a stream are handed out
//! where they lie in the buffer. It never reconnects.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::Range;

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    out: Vec<u8>,
    received: Vec<u8>,
    /// Up to where `received` has been read.
    at: usize,
}

/// How much is asked of the socket at once.
const CHUNK: usize = 1 << 18;

impl Client {
    pub(crate) fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, out: Vec::with_capacity(CHUNK), received: Vec::with_capacity(2 * CHUNK), at: 0 })
    }

    /// Adds a command to what the next flush sends.
    pub(crate) fn command<W: AsRef<[u8]>>(&mut self, words: impl ExactSizeIterator<Item = W>) {
        number(&mut self.out, b'*', words.len());
        for word in words {
            let word = word.as_ref();
            number(&mut self.out, b'$', word.len());
            self.out.extend_from_slice(word);
            self.out.extend_from_slice(b"\r\n");
        }
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// A command of plain words, and its reply as text: for what is not measured.
    pub(crate) fn call(&mut self, words: &str) -> io::Result<String> {
        self.command(words.split(' ').collect::<Vec<_>>().into_iter());
        self.flush()?;
        self.begin();
        match self.header()? {
            (b'$', length) => {
                let text = self.bulk(length)?;
                Ok(String::from_utf8_lossy(&self.received[text]).into_owned())
            }
            (b':', number) => Ok(number.to_string()),
            (b'*', count) => (0..count).try_for_each(|_| self.pass()).map(|()| String::new()),
            _ => Ok(String::new()),
        }
    }

    /// Reads a reply that only has to be no error.
    pub(crate) fn acknowledged(&mut self) -> io::Result<()> {
        self.begin();
        self.pass()
    }

    /// Reads the reply of an XREAD or XREADGROUP over `keys`: of each entry the partition, the id and the value of its
    /// one field.
    pub(crate) fn entries(&mut self, keys: &[String], mut each: impl FnMut(usize, &[u8], &[u8])) -> io::Result<()> {
        self.begin();
        for _ in 0..self.array()? {
            self.array()?;
            let key = self.text()?;
            let key = &self.received[key];
            let partition = keys.iter().position(|known| known.as_bytes() == key).ok_or_else(|| unexpected("key"))?;
            for _ in 0..self.array()? {
                self.array()?;
                let id = self.text()?;
                if self.array()? != 2 {
                    return Err(unexpected("number of fields"));
                }
                self.text()?;
                let value = self.text()?;
                each(partition, &self.received[id], &self.received[value]);
            }
        }
        Ok(())
    }

    /// Forgets what was read. Ranges handed out inside one reply stay valid until the next begins.
    fn begin(&mut self) {
        if self.at == self.received.len() {
            self.received.clear();
            self.at = 0;
        } else if self.at >= CHUNK {
            self.received.drain(..self.at);
            self.at = 0;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let had = self.received.len();
        self.received.resize(had + CHUNK, 0);
        let got = self.stream.read(&mut self.received[had..])?;
        self.received.truncate(had + got);
        if got == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// The type of the next value, and its number: an integer, a length or a count; -1 for none.
    fn header(&mut self) -> io::Result<(u8, i64)> {
        let end = loop {
            match self.received[self.at..].iter().position(|byte| *byte == b'\n') {
                Some(length) => break self.at + length,
                None => self.fill()?,
            }
        };
        let line = &self.received[self.at..end - 1];
        self.at = end + 1;
        let text = || String::from_utf8_lossy(&line[1..]);
        match line[0] {
            b'-' => Err(io::Error::other(text().into_owned())),
            b'+' => Ok((b'+', 0)),
            kind => {
                let negative = line.get(1) == Some(&b'-');
                let digits = &line[1 + usize::from(negative)..];
                let number = digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
                Ok((kind, if negative { -number } else { number }))
            }
        }
    }

    fn array(&mut self) -> io::Result<i64> {
        match self.header()? {
            (b'*', count) => Ok(count),
            _ => Err(unexpected("value instead of an array")),
        }
    }

    fn text(&mut self) -> io::Result<Range<usize>> {
        match self.header()? {
            (b'$', length) => self.bulk(length),
            _ => Err(unexpected("value instead of a text")),
        }
    }

    fn bulk(&mut self, length: i64) -> io::Result<Range<usize>> {
        let Ok(length) = usize::try_from(length) else { return Ok(self.at..self.at) };
        while self.received.len() < self.at + length + 2 {
            self.fill()?;
        }
        let text = self.at..self.at + length;
        self.at = text.end + 2;
        Ok(text)
    }

    fn pass(&mut self) -> io::Result<()> {
        match self.header()? {
            (b'$', length) => self.bulk(length).map(drop),
            (b'*', count) => (0..count).try_for_each(|_| self.pass()),
            _ => Ok(()),
        }
    }
}

/// `*3\r\n`. By hand: through `write!` it would cost more than everything else of a command.
fn number(out: &mut Vec<u8>, kind: u8, number: usize) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    let mut rest = number;
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.push(kind);
    out.extend_from_slice(&digits[first..]);
    out.extend_from_slice(b"\r\n");
}

fn unexpected(what: &str) -> io::Error {
    io::Error::other(format!("the server's reply has an unexpected {what}"))
}
