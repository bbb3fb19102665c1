//! How Python writes values as text.
//!
//! Partitioners of streams shared with Python hash a key's `repr`, and primitive records hold floats as Python prints
//! them. Both are in Redis already, so what is written here must never change.

use std::io::Write;

mod printable;

use printable::is_printable;

/// Appends a float as `repr` does: the shortest digits that read back, `1.0`, `1e+16`, `1.5e-07`, `inf`, `nan`.
pub(crate) fn write_f64(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        lay_out(ryu::Buffer::new().format_finite(value), out);
    } else {
        write_not_finite(value, out);
    }
}

/// As [`write_f64`], with the digits that read back as the same `f32`.
pub(crate) fn write_f32(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        lay_out(ryu::Buffer::new().format_finite(value), out);
    } else {
        write_not_finite(value.into(), out);
    }
}

fn write_not_finite(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(match value {
        v if v.is_nan() => b"nan",
        v if v > 0.0 => b"inf",
        _ => b"-inf",
    });
}

/// Lays shortest digits out anew: Python writes an exponent from 1e16 on and below 1e-4, with a sign and two digits.
fn lay_out(shortest: &str, out: &mut Vec<u8>) {
    let (sign, unsigned) = match shortest.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", shortest),
    };
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let exponent: i32 = exponent.parse().expect("ryu writes exponents in decimal");
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    // The power of ten of the first digit; of zero it is 0.
    let power = match significant.len() {
        0 => 0,
        n => exponent + whole.len() as i32 - 1 - (all.len() - n) as i32,
    };
    let digits = match significant.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    out.extend_from_slice(sign.as_bytes());
    if (-4..16).contains(&power) {
        write_plain(digits, power, out);
    } else {
        write_scientific(digits, power, out);
    }
}

fn write_plain(digits: &str, power: i32, out: &mut Vec<u8>) {
    if power < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', (-power - 1) as usize));
        return out.extend_from_slice(digits.as_bytes());
    }
    let whole = power as usize + 1;
    let (before, after) = digits.split_at(whole.min(digits.len()));
    out.extend_from_slice(before.as_bytes());
    out.extend(std::iter::repeat_n(b'0', whole - before.len()));
    out.push(b'.');
    out.extend_from_slice(if after.is_empty() { b"0" } else { after.as_bytes() });
}

fn write_scientific(digits: &str, power: i32, out: &mut Vec<u8>) {
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if power < 0 { '-' } else { '+' };
    put(out, format_args!("{first}{point}{rest}e{sign}{:02}", power.unsigned_abs()));
}

/// Appends `repr` of a text: in single quotes unless it has some and no double ones; what cannot be seen is escaped.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    let quote = quote_for(text.as_bytes());
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if c as u32 == u32::from(quote) => out.extend_from_slice(&[b'\\', quote]),
            ' '..='~' => out.push(c as u8),
            c if is_printable(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            c => match c as u32 {
                code @ ..=0xff => put(out, format_args!("\\x{code:02x}")),
                code @ ..=0xffff => put(out, format_args!("\\u{code:04x}")),
                code => put(out, format_args!("\\U{code:08x}")),
            },
        }
    }
    out.push(quote);
}

/// Appends `repr` of bytes: `b'..'`, with everything escaped that is no visible ASCII.
pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let quote = quote_for(bytes);
    out.extend_from_slice(&[b'b', quote]);
    for &byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte if byte == quote => out.extend_from_slice(&[b'\\', quote]),
            b' '..=b'~' => out.push(byte),
            byte => put(out, format_args!("\\x{byte:02x}")),
        }
    }
    out.push(quote);
}

fn quote_for(bytes: &[u8]) -> u8 {
    if bytes.contains(&b'\'') && !bytes.contains(&b'"') { b'"' } else { b'\'' }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repr(value: f64) -> String {
        let mut out = Vec::new();
        write_f64(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_change_their_layout_where_python_does() {
        let layouts = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (120.0, "120.0"),
            (0.5, "0.5"),
            (1e15, "1000000000000000.0"),
            (9999999999999998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1.5e16, "1.5e+16"),
            (1e-4, "0.0001"),
            (0.00012345, "0.00012345"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (-f64::NAN, "nan"),
        ];
        for (value, text) in layouts {
            assert_eq!(repr(value), text);
        }
    }

    #[test]
    fn a_short_float_gets_the_digits_it_needs_and_no_more() {
        let mut out = Vec::new();
        write_f32(0.1, &mut out);
        assert_eq!(out, b"0.1");
    }

    proptest! {
        #[test]
        fn every_float_reads_back_bit_for_bit(bits: u64) {
            let value = f64::from_bits(bits);
            let back: f64 = repr(value).parse().unwrap();
            prop_assert!(back.to_bits() == bits || (value.is_nan() && back.is_nan()), "{value:?} as {}", repr(value));
        }
    }
}
