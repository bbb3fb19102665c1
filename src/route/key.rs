//! What decides the partition of a record.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

/// What decides the partition of a record: text, a number, a truth value or bytes.
///
/// It is made with `into()`: `|order| order.id.into()`, `|user| (&user.name).into()`. There is no `From<f32>`: whether
/// `0.1_f32` should lie with `0.1` or with `0.10000000149011612` is for its owner to say.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Key {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i128),
    /// A whole number too large for [`Key::Int`].
    Large(u128),
    /// A floating-point number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Key {
    /// Its text, as [`Partitioner::Xxh64`](super::Partitioner::Xxh64) reads it: what a person writes to name it.
    #[cfg(feature = "cli")]
    pub(crate) fn canonical(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Bool(truth) => truth.to_string().into_bytes(),
            Self::Int(number) => number.to_string().into_bytes(),
            Self::Large(number) => number.to_string().into_bytes(),
            Self::Float(number) => {
                let mut text = Vec::with_capacity(32);
                crate::python::write_f64(*number, &mut text);
                text
            }
        }
    }
}

macro_rules! whole_numbers {
    ($($int:ty)*) => {$(
        impl From<$int> for Key {
            fn from(number: $int) -> Self {
                Self::Int(number.into())
            }
        }
    )*};
}

whole_numbers!(u8 u16 u32 u64 i8 i16 i32 i64 i128);

impl From<u128> for Key {
    fn from(number: u128) -> Self {
        i128::try_from(number).map_or(Self::Large(number), Self::Int)
    }
}

impl From<usize> for Key {
    fn from(number: usize) -> Self {
        Self::from(number as u128)
    }
}

impl From<isize> for Key {
    fn from(number: isize) -> Self {
        Self::Int(number as i128)
    }
}

impl From<f64> for Key {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for Key {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

macro_rules! texts {
    ($($text:ty)*) => {$(
        impl From<$text> for Key {
            fn from(text: $text) -> Self {
                Self::Text(AsRef::<str>::as_ref(&text).to_owned())
            }
        }
    )*};
}

texts!(&str &String &&str Box<str> Arc<str> &Arc<str> &Cow<'_, str>);

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Cow<'_, str>> for Key {
    fn from(text: Cow<'_, str>) -> Self {
        Self::Text(text.into_owned())
    }
}

impl From<char> for Key {
    fn from(character: char) -> Self {
        Self::Text(character.into())
    }
}

macro_rules! byte_strings {
    ($($bytes:ty)*) => {$(
        impl From<$bytes> for Key {
            fn from(bytes: $bytes) -> Self {
                Self::Bytes(bytes.to_vec())
            }
        }
    )*};
}

byte_strings!(&[u8] &Vec<u8> Bytes &Bytes Cow<'_, [u8]>);

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<const N: usize> From<[u8; N]> for Key {
    fn from(bytes: [u8; N]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl<const N: usize> From<&[u8; N]> for Key {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(bytes.into())
    }
}
