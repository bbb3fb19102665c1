//! What the code of `#[derive(Record)]` calls. No interface: it may change with every release.
//!
//! A primitive value lies in its field as text, as runnel for Python writes it: integers in decimal, floats as Python
//! prints them, `True` and `False`, texts in UTF-8, bytes as they are. Reading is a little more generous, as Python's is.

use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::codec::{DecodeError, EncodeError, Limits};
use crate::event::{Fields, Span};
use crate::python;

/// A type that a field of a primitive record may have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a primitive record",
    note = "such a field is an integer, `f32`, `f64`, `bool`, `String`, `Vec<u8>` or `bytes::Bytes`"
)]
pub trait Primitive: Sized {
    /// With its article: "a truth value".
    const EXPECTED: &'static str;

    /// Appends the value's text.
    fn write(&self, out: &mut Vec<u8>);

    /// The value of this text, if it has one.
    fn read(text: &[u8]) -> Option<Self>;

    /// The value as people see it.
    fn to_json(&self) -> Value;

    /// The value a person wrote. What JSON cannot say (`inf`, `True`) may be written as a string.
    fn from_json(json: &RawValue) -> Option<Self> {
        match serde_json::from_str::<String>(json.get()) {
            Ok(text) => Self::read(text.as_bytes()),
            Err(_) => Self::read(json.get().as_bytes()),
        }
    }
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

macro_rules! integers {
    ($($int:ident)*) => {$(
        impl Primitive for $int {
            const EXPECTED: &'static str = concat!("an integer that fits `", stringify!($int), "`");

            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.to_string().as_bytes());
            }

            fn read(text: &[u8]) -> Option<Self> {
                parse(text)
            }

            fn to_json(&self) -> Value {
                // A JSON value holds 64 bits; what is longer is shown, and read again, as a string.
                serde_json::to_value(self).unwrap_or_else(|_| self.to_string().into())
            }
        }
    )*};
}

integers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

macro_rules! floats {
    ($($float:ident by $write:ident)*) => {$(
        impl Primitive for $float {
            const EXPECTED: &'static str = "a number";

            fn write(&self, out: &mut Vec<u8>) {
                python::$write(*self, out);
            }

            fn read(text: &[u8]) -> Option<Self> {
                parse(text)
            }

            fn to_json(&self) -> Value {
                let mut text = Vec::new();
                self.write(&mut text);
                let text = String::from_utf8(text).expect("numbers are written in ASCII");
                // Through its digits: 0.1_f32 is shown as 0.1, not as the f64 nearest to it.
                text.parse().ok().and_then(serde_json::Number::from_f64).map_or(Value::String(text), Value::Number)
            }
        }
    )*};
}

floats!(f32 by write_f32 f64 by write_f64);

impl Primitive for bool {
    const EXPECTED: &'static str = "a truth value, as `True` or `False`";

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"True" } else { b"False" });
    }

    fn read(text: &[u8]) -> Option<Self> {
        let is = |word: &&[u8]| text.eq_ignore_ascii_case(word);
        let yes: [&[u8]; 6] = [b"true", b"t", b"1", b"on", b"yes", b"y"];
        let no: [&[u8]; 6] = [b"false", b"f", b"0", b"off", b"no", b"n"];
        match () {
            () if yes.iter().any(is) => Some(true),
            () if no.iter().any(is) => Some(false),
            () => None,
        }
    }

    fn to_json(&self) -> Value {
        (*self).into()
    }
}

impl Primitive for String {
    const EXPECTED: &'static str = "text in UTF-8";

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn read(text: &[u8]) -> Option<Self> {
        std::str::from_utf8(text).ok().map(str::to_owned)
    }

    fn to_json(&self) -> Value {
        self.as_str().into()
    }

    fn from_json(json: &RawValue) -> Option<Self> {
        serde_json::from_str(json.get()).ok()
    }
}

impl Primitive for Vec<u8> {
    const EXPECTED: &'static str = "bytes";

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn read(text: &[u8]) -> Option<Self> {
        Some(text.to_vec())
    }

    fn to_json(&self) -> Value {
        match std::str::from_utf8(self) {
            Ok(text) => text.into(),
            Err(_) => self.as_slice().into(),
        }
    }

    fn from_json(json: &RawValue) -> Option<Self> {
        let json = json.get();
        serde_json::from_str(json).map(String::into_bytes).or_else(|_| serde_json::from_str(json)).ok()
    }
}

impl Primitive for Bytes {
    const EXPECTED: &'static str = Vec::<u8>::EXPECTED;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn read(text: &[u8]) -> Option<Self> {
        // A copy: a record that is kept must not keep the whole reply it came in.
        Some(Self::copy_from_slice(text))
    }

    fn to_json(&self) -> Value {
        self.to_vec().to_json()
    }

    fn from_json(json: &RawValue) -> Option<Self> {
        Vec::from_json(json).map(Self::from)
    }
}

/// The fields of a record that is being written.
#[derive(Debug, Default)]
pub struct Row {
    buffer: Vec<u8>,
    spans: SmallVec<[Span; 1]>,
}

impl Row {
    /// Adds a field.
    pub fn put<T: Primitive>(&mut self, name: &str, value: &T) {
        // What does not fit is found out in `finish`; until then the spans may be wrong.
        let start = self.buffer.len() as u32;
        self.buffer.extend_from_slice(name.as_bytes());
        let middle = self.buffer.len() as u32;
        value.write(&mut self.buffer);
        self.spans.push(Span { name: (start, middle), value: (middle, self.buffer.len() as u32) });
    }

    /// The entry's fields.
    pub fn finish(self) -> Result<Fields, EncodeError> {
        if u32::try_from(self.buffer.len()).is_err() {
            return Err(EncodeError::refused("a primitive record", "an entry holds less than 4 GiB"));
        }
        Ok(Fields::shared(self.buffer.into(), self.spans))
    }
}

/// Refuses fields that are larger than allowed.
pub fn check(fields: &Fields, limits: &Limits) -> Result<(), DecodeError> {
    match fields.size() {
        size if size <= limits.bytes => Ok(()),
        _ => Err(DecodeError::TooLarge { limit: limits.bytes }),
    }
}

/// The value of the field of that name.
pub fn field<T: Primitive>(fields: &Fields, name: &str) -> Result<T, DecodeError> {
    let text = fields.get(name).ok_or_else(|| DecodeError::MissingField { name: name.to_owned() })?;
    T::read(text).ok_or_else(|| DecodeError::WrongType { name: name.to_owned(), expected: T::EXPECTED })
}

/// The members of a JSON object, as they were written.
#[derive(Debug)]
pub struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// Reads a JSON object. No name may be there twice.
    pub fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The value of the member of that name. Members nobody asks for are ignored, as in other records.
    pub fn get<T: Primitive>(&self, name: &'static str) -> Result<T, serde_json::Error> {
        let found = self.0.iter().find(|(member, _)| member == name);
        let (_, json) = found.ok_or_else(|| serde_json::Error::missing_field(name))?;
        T::from_json(json)
            .ok_or_else(|| serde_json::Error::custom(format_args!("field `{name}` is not {}", T::EXPECTED)))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object with a member for each field of the record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((name, json)) = map.next_entry::<String, _>()? {
                    if members.iter().any(|(earlier, _)| *earlier == name) {
                        return Err(de::Error::custom(format_args!("duplicate field `{name}`")));
                    }
                    members.push((name, json));
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Object)
    }
}
