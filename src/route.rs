//! From a record's key to its partition.
//!
//! The functions here must give the same answer for ever: what is in Redis was placed by them. They promise nothing
//! about how evenly keys spread; a stream with three keys uses three partitions at most.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;

use md5::{Digest, Md5};
use xxhash_rust::xxh64::xxh64;

use crate::error::Failure;
use crate::event::Partition;
use crate::nearest::nearest;
use crate::python;

mod key;

pub use key::Key;

/// The function from key to partition.
#[derive(Clone)]
#[non_exhaustive]
pub enum Partitioner {
    /// xxh64, seed 0, of the key's canonical bytes. The default.
    ///
    /// Those are: text as UTF-8, whole numbers in decimal, `true` or `false`, bytes as they are, floats as Python prints
    /// them. Kinds are not told apart: `1`, `"1"` and `b"1"` share a partition.
    Xxh64,
    /// What runnel for Python computes where xxhash is installed: xxh64 of the key's `repr`. Kinds are told apart.
    ///
    /// What `repr` escapes follows Unicode 12.1, as in Python 3.8. Python 3.9 and later print some newer characters, so
    /// text keys with those (mostly emoji since 2020) lie elsewhere for them.
    Python,
    /// What runnel for Python computes where xxhash is not installed: md5 of the key's `repr`, else as [`Self::Python`].
    PythonMd5,
    /// The user's own function from key and partition count, by name.
    Own {
        /// Kept with the stream's facts: processes that disagree about it are refused.
        name: &'static str,
        /// Must answer a number below the count; an event it does not answer so for cannot be sent.
        function: fn(&Key, u32) -> u32,
    },
}

/// The names of the built-in partitioners.
const NAMES: [&str; 3] = ["xxh64", "python", "python-md5"];

impl Partitioner {
    /// The partition of `key` among `count`.
    ///
    /// Fails if there is none to choose from, or if a function of the user's answers a number that is no partition.
    pub fn place(&self, key: &Key, count: u32) -> Result<Partition, Misplaced> {
        if count == 0 {
            return Err(Misplaced::NoPartitions);
        }
        // A remainder by a u32 fits into a u32.
        let number = match self {
            Self::Xxh64 => (canonical_hash(key) % u64::from(count)) as u32,
            Self::Python => (xxh64(&python_repr(key), 0) % u64::from(count)) as u32,
            Self::PythonMd5 => {
                let digest: [u8; 16] = Md5::digest(python_repr(key)).into();
                (u128::from_be_bytes(digest) % u128::from(count)) as u32
            }
            Self::Own { name, function } => match function(key, count) {
                answer if answer < count => answer,
                answer => return Err(Misplaced::OutOfRange { name, answer, count }),
            },
        };
        Ok(Partition(number))
    }

    /// Its name, as it is kept with the stream's facts: `xxh64`, `python`, `python-md5`; `own:` and its name for a
    /// function of the user's, so that none can pass for one of these.
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Self::Xxh64 => "xxh64".into(),
            Self::Python => "python".into(),
            Self::PythonMd5 => "python-md5".into(),
            Self::Own { name, .. } => format!("own:{name}").into(),
        }
    }

    /// The built-in partitioner of that name.
    pub fn from_name(name: &str) -> Result<Self, UnknownPartitioner> {
        match name {
            "xxh64" => Ok(Self::Xxh64),
            "python" => Ok(Self::Python),
            "python-md5" => Ok(Self::PythonMd5),
            _ => Err(UnknownPartitioner { name: name.to_owned(), nearest: nearest(name, NAMES) }),
        }
    }
}

impl std::str::FromStr for Partitioner {
    type Err = UnknownPartitioner;
    fn from_str(name: &str) -> Result<Self, UnknownPartitioner> {
        Self::from_name(name)
    }
}

impl fmt::Debug for Partitioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partitioner({})", self.name())
    }
}

/// A key that was given no partition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misplaced {
    /// There is no partition at all.
    #[error("a key cannot be placed in a stream of 0 partitions")]
    NoPartitions,
    /// A function of the user's answered a number that is no partition.
    #[error(
        "partitioner `{name}` answered {answer} for a stream of {count} partitions; it must answer a number below {count}"
    )]
    OutOfRange {
        /// The partitioner's name.
        name: &'static str,
        /// What it answered.
        answer: u32,
        /// How many partitions there are.
        count: u32,
    },
}

impl From<Misplaced> for Failure {
    fn from(misplaced: Misplaced) -> Self {
        Self::Invalid(misplaced.to_string())
    }
}

/// A name that no built-in partitioner has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPartitioner {
    name: String,
    nearest: Option<&'static str>,
}

impl fmt::Display for UnknownPartitioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no partitioner `{}`", self.name)?;
        if let Some(nearest) = self.nearest {
            write!(f, "; did you mean `{nearest}`?")?;
        }
        write!(f, " There are `xxh64`, `python` and `python-md5`; a function of your own is given in code")
    }
}

impl std::error::Error for UnknownPartitioner {}

impl From<UnknownPartitioner> for Failure {
    fn from(unknown: UnknownPartitioner) -> Self {
        Self::Invalid(unknown.to_string())
    }
}

fn canonical_hash(key: &Key) -> u64 {
    match key {
        Key::Text(text) => xxh64(text.as_bytes(), 0),
        Key::Bytes(bytes) => xxh64(bytes, 0),
        Key::Bool(true) => xxh64(b"true", 0),
        Key::Bool(false) => xxh64(b"false", 0),
        Key::Int(number) => hash_of_decimal(number),
        Key::Large(number) => hash_of_decimal(number),
        Key::Float(number) => {
            let mut text = Vec::with_capacity(32);
            python::write_f64(*number, &mut text);
            xxh64(&text, 0)
        }
    }
}

fn hash_of_decimal(number: impl fmt::Display) -> u64 {
    // 128 bits have 39 digits and a sign: almost every key is an integer, and none of them is worth an allocation.
    let mut buffer = [0u8; 40];
    let mut rest = &mut buffer[..];
    write!(rest, "{number}").expect("128 bits fit into 40 characters");
    let free = rest.len();
    xxh64(&buffer[..40 - free], 0)
}

fn python_repr(key: &Key) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    match key {
        Key::Text(text) => python::write_text(text, &mut out),
        Key::Bytes(bytes) => python::write_bytes(bytes, &mut out),
        Key::Bool(true) => out.extend_from_slice(b"True"),
        Key::Bool(false) => out.extend_from_slice(b"False"),
        Key::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Key::Large(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Key::Float(number) => python::write_f64(*number, &mut out),
    }
    out
}

#[cfg(test)]
mod tests;
