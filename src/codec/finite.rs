//! Finds the number in a value that JSON has no word for.
//!
//! A serializer that writes nothing. It walks a value until it meets a float that is NaN or infinite, and answers where
//! that is: `lines[2].price`.

use std::fmt::{self, Display};

use serde::ser::{self, Serialize, Serializer};

/// Where the first float is that is NaN or infinite, if there is one.
pub(super) fn first_not_finite<T: Serialize>(value: &T) -> Option<NotFinite> {
    match value.serialize(Walk) {
        Err(Found::NotFinite(place)) => Some(place),
        // A value that cannot be walked twice has been written once: nothing was found against it.
        Ok(()) | Err(Found::Refusal) => None,
    }
}

/// A float that JSON cannot say, and where it is.
#[derive(Debug)]
pub(super) struct NotFinite {
    number: f64,
    /// From the outside in; written from the inside out, so reversed.
    path: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Field(&'static str),
    Item(usize),
    Entry,
}

impl Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        for (at, step) in self.path.iter().rev().enumerate() {
            match step {
                Step::Field(name) if at == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Item(number) => write!(f, "[{number}]")?,
                Step::Entry => f.write_str("[..]")?,
            }
        }
        if self.path.is_empty() {
            f.write_str("the value")?;
        }
        write!(f, "` is {}, which JSON cannot say", self.number)
    }
}

impl std::error::Error for NotFinite {}

#[derive(Debug)]
enum Found {
    NotFinite(NotFinite),
    Refusal,
}

impl Found {
    fn below(mut self, step: Step) -> Self {
        if let Self::NotFinite(place) = &mut self {
            place.path.push(step);
        }
        self
    }
}

impl Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite(place) => place.fmt(f),
            Self::Refusal => f.write_str("the value cannot be walked"),
        }
    }
}

impl std::error::Error for Found {}

impl ser::Error for Found {
    fn custom<T: Display>(_: T) -> Self {
        Self::Refusal
    }
}

struct Walk;

/// Inside a sequence, a map or a struct: how many items were passed.
#[derive(Default)]
struct Inside {
    passed: usize,
}

impl Inside {
    fn item<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Found> {
        let at = self.passed;
        self.passed += 1;
        value.serialize(Walk).map_err(|found| found.below(Step::Item(at)))
    }

    fn field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<(), Found> {
        value.serialize(Walk).map_err(|found| found.below(Step::Field(name)))
    }
}

macro_rules! harmless {
    ($($method:ident: $type:ty,)*) => {$(
        fn $method(self, _: $type) -> Result<(), Found> {
            Ok(())
        }
    )*};
}

impl Serializer for Walk {
    type Ok = ();
    type Error = Found;
    type SerializeSeq = Inside;
    type SerializeTuple = Inside;
    type SerializeTupleStruct = Inside;
    type SerializeTupleVariant = Inside;
    type SerializeMap = Inside;
    type SerializeStruct = Inside;
    type SerializeStructVariant = Inside;

    harmless! {
        serialize_bool: bool, serialize_char: char, serialize_str: &str, serialize_bytes: &[u8],
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_unit_struct: &'static str,
    }

    fn serialize_f32(self, number: f32) -> Result<(), Found> {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<(), Found> {
        if number.is_finite() {
            return Ok(());
        }
        Err(Found::NotFinite(NotFinite { number, path: Vec::new() }))
    }

    fn serialize_none(self) -> Result<(), Found> {
        Ok(())
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Found> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Found> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Found> {
        Ok(())
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Result<(), Found> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Found> {
        Inside::default().field(variant, value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Inside, Found> {
        Ok(Inside::default())
    }

    fn serialize_tuple(self, _: usize) -> Result<Inside, Found> {
        Ok(Inside::default())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Inside, Found> {
        Ok(Inside::default())
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Inside, Found> {
        Ok(Inside::default())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Inside, Found> {
        Ok(Inside::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Inside, Found> {
        Ok(Inside::default())
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Inside, Found> {
        Ok(Inside::default())
    }

    fn collect_str<T: ?Sized + Display>(self, _: &T) -> Result<(), Found> {
        Ok(())
    }
}

macro_rules! items {
    ($($compound:ident::$method:ident)*) => {$(
        impl ser::$compound for Inside {
            type Ok = ();
            type Error = Found;

            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Found> {
                self.item(value)
            }

            fn end(self) -> Result<(), Found> {
                Ok(())
            }
        }
    )*};
}

items! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}

macro_rules! fields {
    ($($compound:ident)*) => {$(
        impl ser::$compound for Inside {
            type Ok = ();
            type Error = Found;

            fn serialize_field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<(), Found> {
                self.field(name, value)
            }

            fn end(self) -> Result<(), Found> {
                Ok(())
            }
        }
    )*};
}

fields! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Inside {
    type Ok = ();
    type Error = Found;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, _: &T) -> Result<(), Found> {
        Ok(())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Found> {
        value.serialize(Walk).map_err(|found| found.below(Step::Entry))
    }

    fn end(self) -> Result<(), Found> {
        Ok(())
    }
}
