//! The smallest pieces of the Redis protocol: one token at a time, versions 2 and 3.
//!
//! A token that has not arrived as a whole is asked for again later, from its beginning; that costs its head of a few
//! bytes, never its payload. Lengths are checked before anybody can believe them; nothing is allocated here.

/// Where something lies in the buffer of its reply.
pub(super) type Place = (u32, u32);

/// Replies end before this, because places in them are 32 bits wide.
const REPLY_LIMIT: u64 = u32::MAX as u64;

/// The longest simple string or refusal; servers send some hundred bytes.
const LINE_LIMIT: usize = 64 * 1024;

/// The longest number; so many digits cannot overflow, and no length or client id needs more.
const DIGITS: usize = 18;

/// One token of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Bytes of known length.
    Bulk(Place),
    /// Nothing, in any of its three spellings.
    Null,
    /// So many values follow.
    Array(u64),
    /// So many pairs of values follow.
    Map(u64),
    /// A number.
    Number(i64),
    /// A simple string.
    Line(Place),
    /// An error, without its dash.
    Refusal(Place),
}

/// Why bytes are no reply we can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// No type that we know.
    #[error("byte {0:#04x} where a value should begin")]
    Type(u8),
    /// Not a number, or too large a one.
    #[error("a length or number that is none")]
    Number,
    /// A line that does not end, or bytes longer than announced.
    #[error("no line end where one should be")]
    LineEnd,
    /// Well-formed, but not what was asked for.
    #[error("{0} where something else was expected")]
    Shape(&'static str),
    /// More than one buffer can hold.
    #[error("a reply of more than 4 GiB")]
    TooLarge,
}

/// The token at `at` and where the next one begins; `None` if it has not arrived as a whole.
#[inline]
pub(super) fn token(buffer: &[u8], at: usize) -> Result<Option<(Token, usize)>, Malformed> {
    let Some(&kind) = buffer.get(at) else { return Ok(None) };
    match kind {
        b'$' => bulk(buffer, at + 1),
        b'*' => counted(buffer, at + 1, Token::Array),
        b'%' => counted(buffer, at + 1, Token::Map),
        b':' => Ok(number(buffer, at + 1)?.map(|(n, next)| (Token::Number(n), next))),
        b'+' => Ok(line(buffer, at + 1)?.map(|(place, next)| (Token::Line(place), next))),
        b'-' => Ok(line(buffer, at + 1)?.map(|(place, next)| (Token::Refusal(place), next))),
        b'_' => match line(buffer, at + 1)? {
            Some(((from, to), _)) if from != to => Err(Malformed::Shape("a null with content")),
            other => Ok(other.map(|(_, next)| (Token::Null, next))),
        },
        other => Err(Malformed::Type(other)),
    }
}

#[inline]
fn bulk(buffer: &[u8], at: usize) -> Result<Option<(Token, usize)>, Malformed> {
    let Some((length, from)) = number(buffer, at)? else { return Ok(None) };
    if length == -1 {
        return Ok(Some((Token::Null, from)));
    }
    let length = u64::try_from(length).map_err(|_| Malformed::Number)?;
    if length > REPLY_LIMIT - 2 || from as u64 + length + 2 > REPLY_LIMIT {
        return Err(Malformed::TooLarge);
    }
    let to = from + length as usize;
    let Some(end) = buffer.get(to..to + 2) else { return Ok(None) };
    if end != b"\r\n" {
        return Err(Malformed::LineEnd);
    }
    Ok(Some((Token::Bulk((from as u32, to as u32)), to + 2)))
}

#[inline]
fn counted(buffer: &[u8], at: usize, token: impl Fn(u64) -> Token) -> Result<Option<(Token, usize)>, Malformed> {
    let Some((count, next)) = number(buffer, at)? else { return Ok(None) };
    match u64::try_from(count) {
        Ok(count) if count <= REPLY_LIMIT => Ok(Some((token(count), next))),
        Ok(_) => Err(Malformed::TooLarge),
        Err(_) if count == -1 => Ok(Some((Token::Null, next))),
        Err(_) => Err(Malformed::Number),
    }
}

/// Digits with an optional minus, up to the line end.
#[inline]
fn number(buffer: &[u8], at: usize) -> Result<Option<(i64, usize)>, Malformed> {
    let negative = buffer.get(at) == Some(&b'-');
    let first = at + usize::from(negative);
    let mut value: i64 = 0;
    for (next, &byte) in buffer.iter().enumerate().skip(first).take(DIGITS + 1) {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 && next - first < DIGITS {
            value = value * 10 + i64::from(digit);
            continue;
        }
        if byte != b'\r' || next == first {
            return Err(Malformed::Number);
        }
        return match buffer.get(next + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(Some((if negative { -value } else { value }, next + 2))),
            Some(_) => Err(Malformed::LineEnd),
        };
    }
    Ok(None)
}

fn line(buffer: &[u8], at: usize) -> Result<Option<(Place, usize)>, Malformed> {
    if at as u64 + LINE_LIMIT as u64 > REPLY_LIMIT {
        return Err(Malformed::TooLarge);
    }
    let rest = &buffer[at..buffer.len().min(at + LINE_LIMIT)];
    match rest.iter().position(|&b| b == b'\n') {
        Some(end) if end > 0 && rest[end - 1] == b'\r' => Ok(Some(((at as u32, (at + end - 1) as u32), at + end + 1))),
        Some(_) => Err(Malformed::LineEnd),
        None if rest.len() == LINE_LIMIT => Err(Malformed::LineEnd),
        None => Ok(None),
    }
}

/// Skips one value of any shape; answers its first token and where the next value begins.
///
/// It starts over with every call: for the short replies of a greeting, not for data.
pub(super) fn any_value(buffer: &[u8]) -> Result<Option<(Token, usize)>, Malformed> {
    let Some((first, mut at)) = token(buffer, 0)? else { return Ok(None) };
    let mut missing = parts(first);
    while missing > 0 {
        let Some((next, end)) = token(buffer, at)? else { return Ok(None) };
        missing = (missing - 1).saturating_add(parts(next));
        at = end;
    }
    Ok(Some((first, at)))
}

fn parts(token: Token) -> u64 {
    match token {
        Token::Array(n) => n,
        Token::Map(n) => n.saturating_mul(2),
        _ => 0,
    }
}

/// The first word of a refusal and the rest of it.
pub(super) fn refusal(text: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(text);
    let (code, message) = text.split_once(' ').unwrap_or((&text, ""));
    (code.to_owned(), message.to_owned())
}
