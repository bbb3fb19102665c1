//! What a user's type must be to lie in a stream.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{Codec, DecodeError, EncodeError, Limits};
use crate::event::Fields;

#[doc(hidden)]
pub mod primitive;

/// The field under which records lie that are no primitive records.
pub(crate) const DATA: &str = "data";

/// A typed value that can be sent and processed.
///
/// Every `Serialize + DeserializeOwned` type is one: it is stored under the one field `data` with the stream's codec.
/// `#[derive(Record)] #[record(primitive)]` stores each field as a field of the Redis entry instead, without codec.
///
#[cfg_attr(feature = "macros", doc = "```")]
#[cfg_attr(not(feature = "macros"), doc = "```ignore")]
/// use runnel::Record;
/// use runnel::codec::{Json, Limits};
///
/// #[derive(Debug, PartialEq, Record)]
/// #[record(primitive)]
/// struct Action {
///     user_id: i64,
///     ratio: f64,
///     active: bool,
/// }
///
/// let action = Action { user_id: 1, ratio: 1e-7, active: true };
/// let fields = action.to_fields(&Json)?;
///
/// assert_eq!(fields.get("ratio"), Some(&b"1e-07"[..]));
/// assert_eq!(fields.get("active"), Some(&b"True"[..]));
/// assert_eq!(Action::from_fields(&fields, &Json, &Limits::default())?, action);
/// # Ok::<(), runnel::Error>(())
/// ```
pub trait Record: Sized + Send + Sync + 'static {
    /// Whether each field of the record is a field of the entry.
    const PRIMITIVE: bool = false;

    /// The entry's fields for this record.
    fn to_fields<C: Codec>(&self, codec: &C) -> Result<Fields, EncodeError>;

    /// The record in these fields.
    fn from_fields<C: Codec>(fields: &Fields, codec: &C, limits: &Limits) -> Result<Self, DecodeError>;

    /// The record a person wrote as JSON, on the command line for example.
    fn from_json(text: &[u8]) -> Result<Self, serde_json::Error>;

    /// The record as JSON, to show it to a person.
    fn to_json(&self) -> Result<serde_json::Value, serde_json::Error>;
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Record for T {
    fn to_fields<C: Codec>(&self, codec: &C) -> Result<Fields, EncodeError> {
        let mut data = Vec::with_capacity(128);
        codec.encode(self, &mut data)?;
        Ok(Fields::from_pairs([(DATA, data)]))
    }

    fn from_fields<C: Codec>(fields: &Fields, codec: &C, limits: &Limits) -> Result<Self, DecodeError> {
        let data = fields.get(DATA).ok_or(DecodeError::MissingField { name: DATA.into() })?;
        codec.decode(data, limits)
    }

    fn from_json(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(self)
    }
}
