//! Values of options: numbers, texts, times and places to start, read where they are written.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Expr, Lit, LitStr};

use crate::nearest::did_you_mean;

/// A text in quotes.
pub(crate) fn text<'a>(value: &'a Expr, example: &str) -> syn::Result<&'a LitStr> {
    match literal(value) {
        Some(Lit::Str(text)) => Ok(text),
        _ => Err(syn::Error::new_spanned(value, format!("expected a text in quotes: `{example}`"))),
    }
}

/// The name of a processor or job.
pub(crate) fn name(value: &Expr, noun: &str, example: &str) -> syn::Result<String> {
    match text(value, example)?.value() {
        empty if empty.is_empty() => {
            Err(syn::Error::new_spanned(value, format!("a {noun} needs a name that is not empty")))
        }
        name => Ok(name),
    }
}

/// One of these words.
pub(crate) fn one_of(value: &Expr, words: &[&str], example: &str) -> syn::Result<String> {
    let text = text(value, example)?.value();
    match words.contains(&text.as_str()) {
        true => Ok(text),
        false => {
            let why = format!("`{text}` is not known here{}", did_you_mean(&text, words));
            Err(syn::Error::new_spanned(value, why))
        }
    }
}

/// An exception policy, by its word and as an expression.
pub(crate) fn policy(value: &Expr, example: &str) -> syn::Result<(String, TokenStream)> {
    let policy = one_of(value, &["halt", "quarantine", "ignore"], example)?;
    let variant = match policy.as_str() {
        "quarantine" => quote!(Quarantine),
        "ignore" => quote!(Ignore),
        _ => quote!(Halt),
    };
    Ok((policy, quote!(::runnel::__private::ExceptionPolicy::#variant)))
}

/// A whole number in these bounds.
pub(crate) fn count(value: &Expr, least: u64, most: u64, example: &str) -> syn::Result<u64> {
    let Some(Lit::Int(number)) = literal(value) else {
        return Err(syn::Error::new_spanned(value, format!("expected a whole number: `{example}`")));
    };
    match number.base10_parse::<i128>() {
        Ok(n) if n < i128::from(least) => {
            Err(syn::Error::new_spanned(value, format!("must be at least {least}: `{example}`")))
        }
        Ok(n) if n <= i128::from(most) => Ok(n as u64),
        _ => Err(syn::Error::new_spanned(value, format!("must be at most {most}: `{example}`"))),
    }
}

/// A time as people write it: `250ms`, `10s`, `2m`.
pub(crate) fn duration(value: &Expr, example: &str) -> syn::Result<Duration> {
    let Some(Lit::Str(text)) = literal(value) else {
        return Err(syn::Error::new_spanned(value, format!("expected a duration in quotes: `{example}`")));
    };
    read_duration(&text.value()).ok_or_else(|| {
        let why = format!("`{}` is not a duration: write `250ms`, `10s`, `2m`", text.value());
        syn::Error::new_spanned(value, why)
    })
}

/// `0` needs no unit; everything else says which.
fn read_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(unit_at);
    let micros: u64 = match unit.trim_start() {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    // Nine digits are finer than anything a wait can tell apart, and keep the scale in range.
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let scale = 10u64.pow(fraction.len() as u32);
    let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(micros) / u128::from(scale);
    let total = u128::from(whole.parse::<u64>().ok()?) * u128::from(micros) + part;
    Some(Duration::from_micros(u64::try_from(total).ok()?))
}

/// The expression for a time.
pub(crate) fn duration_tokens(time: Duration) -> TokenStream {
    match time.subsec_micros() % 1_000 {
        0 => {
            let ms = time.as_millis() as u64;
            quote!(::core::time::Duration::from_millis(#ms))
        }
        _ => {
            let us = time.as_micros() as u64;
            quote!(::core::time::Duration::from_micros(#us))
        }
    }
}

/// A place to start, as an expression: `0`, `$`, an id or a time.
pub(crate) fn start(value: &Expr) -> syn::Result<TokenStream> {
    let text = text(value, "start = \"0\"")?;
    read_start(&text.value()).ok_or_else(|| {
        let why = format!(
            "`{}` is no place to start: write `0` (the beginning), `$` (the end), an event id like `1795315492410-0`, or a \
             time like `2026-11-01T09:00:00Z`",
            text.value()
        );
        syn::Error::new_spanned(value, why)
    })
}

fn read_start(text: &str) -> Option<TokenStream> {
    let after =
        |ms: u64, seq: u64| quote!(::runnel::__private::Start::After(::runnel::__private::EventId::new(#ms, #seq)));
    match text {
        "0" => return Some(quote!(::runnel::__private::Start::Beginning)),
        "$" => return Some(quote!(::runnel::__private::Start::End)),
        _ => {}
    }
    if let Some((ms, seq)) = read_id(text) {
        return Some(after(ms, seq));
    }
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    // From the first event of that time on: after the last id that could lie before it.
    match u64::try_from(time.timestamp_millis()).ok()?.checked_sub(1) {
        Some(before) => Some(after(before, u64::MAX)),
        None => Some(quote!(::runnel::__private::Start::Beginning)),
    }
}

/// `ms-seq`, or `ms` alone. Nothing else: no signs, no blanks.
fn read_id(text: &str) -> Option<(u64, u64)> {
    let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?;
    match text.split_once('-') {
        Some((ms, seq)) => Some((number(ms)?, number(seq)?)),
        None => Some((number(text)?, 0)),
    }
}

/// The literal in an expression, also where a `macro_rules!` has passed it on.
pub(crate) fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(literal) => Some(&literal.lit),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let ms = |n| Some(Duration::from_millis(n));
        for (text, time) in [
            ("0", ms(0)),
            ("250ms", ms(250)),
            ("10s", ms(10_000)),
            ("10 s", ms(10_000)),
            ("1.5s", ms(1_500)),
            ("2m", ms(120_000)),
            ("1h", ms(3_600_000)),
            ("1d", ms(86_400_000)),
            ("250us", Some(Duration::from_micros(250))),
        ] {
            assert_eq!(read_duration(text), time, "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let far = format!("{}h", u64::MAX);
        for bad in ["", "s", "10", "10x", "-1s", "1e3s", "1_000s", "1.5.2s", ".s", "1.s", ".5s", "١s", far.as_str()] {
            assert_eq!(read_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_start_is_a_word_an_id_or_a_time() {
        for (text, expected) in [
            ("0", quote!(Beginning)),
            ("$", quote!(End)),
            ("5-3", quote!(After(::runnel::__private::EventId::new(5u64, 3u64)))),
            ("5", quote!(After(::runnel::__private::EventId::new(5u64, 0u64)))),
            ("1970-01-01T00:00:01Z", quote!(After(::runnel::__private::EventId::new(999u64, 18446744073709551615u64)))),
            ("1970-01-01T00:00:00Z", quote!(Beginning)),
        ] {
            let start = read_start(text).unwrap_or_else(|| panic!("{text} is a start"));
            assert_eq!(start.to_string(), quote!(::runnel::__private::Start::#expected).to_string(), "{text}");
        }
        for bad in ["", "yesterday", "-5", "5-", "+5", "1960-01-01T00:00:00Z", "2026-11-01"] {
            assert!(read_start(bad).is_none(), "{bad}");
        }
    }
}
