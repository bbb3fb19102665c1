//! MessagePack, with maps for structs.

use rmp_serde::Serializer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use super::looks::refusal;
use super::{Codec, DecodeError, EncodeError, Limits};

/// MessagePack by `rmp-serde`. Structs are maps with names, so that fields may be added and other languages may read.
///
/// Values may be nested as deep as in [`Json`](super::Json), 127 levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsgPack;

const NAME: &str = "msgpack";

impl Codec for MsgPack {
    fn name(&self) -> String {
        NAME.into()
    }

    fn encode<T: Serialize>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        value.serialize(&mut Serializer::new(&mut *out).with_struct_map()).map_err(|error| {
            out.truncate(start);
            EncodeError::refused(NAME, error)
        })
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8], limits: &Limits) -> Result<T, DecodeError> {
        if bytes.len() > limits.bytes {
            return Err(DecodeError::TooLarge { limit: limits.bytes });
        }
        check(bytes).map_err(|malformed| refusal(NAME, bytes, malformed))?;
        rmp_serde::from_slice(bytes).map_err(|error| refusal(NAME, bytes, error))
    }
}

/// Containers in containers, at most.
const DEPTH: usize = 127;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Malformed {
    #[error("it is cut off")]
    CutOff,
    #[error("it is nested more than {DEPTH} levels deep")]
    TooDeep,
    #[error("{0} bytes follow the value")]
    Trailing(usize),
    #[error("byte {0} begins no value")]
    Reserved(usize),
}

/// Whether the bytes are one value, whole, not too deep, and nothing else.
///
/// `rmp-serde` has a depth limit, but recursive enums get around it and overflow the stack; and it does not mind what
/// follows a value. This walk needs no recursion.
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    let mut rest = bytes;
    // For each container we are in, how many values of it are still to come.
    let mut open = SmallVec::<[u64; 16]>::new();
    loop {
        let head = Head::read(rest).map_err(|malformed| match malformed {
            Malformed::Reserved(_) => Malformed::Reserved(bytes.len() - rest.len()),
            other => other,
        })?;
        rest = usize::try_from(head.size).ok().and_then(|size| rest.get(size..)).ok_or(Malformed::CutOff)?;
        if head.container {
            open.push(head.values);
            if open.len() > DEPTH {
                return Err(Malformed::TooDeep);
            }
        }
        // What was read may be the last of its container, and that the last of its own.
        let mut ended = !head.container;
        while let Some(left) = open.last_mut() {
            *left -= u64::from(ended);
            ended = *left == 0;
            if !ended {
                break;
            }
            open.pop();
        }
        match rest.len() {
            _ if !open.is_empty() => {}
            0 => return Ok(()),
            more => return Err(Malformed::Trailing(more)),
        }
    }
}

/// What a value's first bytes say of it.
struct Head {
    /// Bytes until the next value begins, which of a container is its first.
    size: u64,
    /// Whether it holds values.
    container: bool,
    /// How many; keys count.
    values: u64,
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let (&first, rest) = bytes.split_first().ok_or(Malformed::CutOff)?;
        let number = |width: usize| {
            let digits = rest.get(..width).ok_or(Malformed::CutOff)?;
            Ok(digits.iter().fold(0u64, |n, &digit| n << 8 | u64::from(digit)))
        };
        let plain = |size: u64| Ok(Self { size, container: false, values: 0 });
        let holds = |size: u64, values: u64| Ok(Self { size, container: true, values });
        // Lengths are written in 1, 2 or 4 bytes, in this order, for each kind of value.
        let width = |smallest: u8| 1usize << (first - smallest);
        match first {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => plain(1),
            0x80..=0x8f => holds(1, 2 * u64::from(first & 0x0f)),
            0x90..=0x9f => holds(1, u64::from(first & 0x0f)),
            0xa0..=0xbf => plain(1 + u64::from(first & 0x1f)),
            0xc1 => Err(Malformed::Reserved(0)),
            0xc4..=0xc6 => plain(1 + width(0xc4) as u64 + number(width(0xc4))?),
            0xc7..=0xc9 => plain(2 + width(0xc7) as u64 + number(width(0xc7))?),
            0xca | 0xcb => plain(1 + 4 * width(0xca) as u64),
            0xcc..=0xcf => plain(1 + width(0xcc) as u64),
            0xd0..=0xd3 => plain(1 + width(0xd0) as u64),
            0xd4..=0xd8 => plain(2 + width(0xd4) as u64),
            0xd9..=0xdb => plain(1 + width(0xd9) as u64 + number(width(0xd9))?),
            0xdc | 0xdd => holds(1 + 2 * width(0xdc) as u64, number(2 * width(0xdc))?),
            0xde | 0xdf => holds(1 + 2 * width(0xde) as u64, 2 * number(2 * width(0xde))?),
        }
    }
}
