//! The option `retry(attempts = 5, from = "200ms", to = "30s")`: how often, and the waits between.

use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Meta, Path, Token};

use crate::nearest::did_you_mean;
use crate::problems::{Problems, shown};
use crate::values;

/// Each part with an example of it, for messages.
const PARTS: [(&str, &str); 3] = [("attempts", "attempts = 5"), ("from", "from = \"200ms\""), ("to", "to = \"30s\"")];

/// The call that says it of a declared processor; what is left out is as the settings have it.
pub(super) fn read(parts: &Punctuated<Meta, Token![,]>, path: &Path, problems: &mut Problems) -> Option<TokenStream> {
    let (mut attempts, mut times, mut seen) = (None, [None, None], Vec::new());
    for part in parts {
        let name = shown(part.path());
        let Some((_, example)) = PARTS.iter().find(|(known, _)| *known == name) else {
            let names = PARTS.map(|(known, _)| known);
            problems.tell(part.path(), format!("unknown option `{name}` of `retry`{}", did_you_mean(&name, &names)));
            // It may have been meant to be the one that is missing.
            return None;
        };
        if seen.contains(&name) {
            problems.tell(part.path(), format!("`{name}` is given twice"));
            continue;
        }
        let Meta::NameValue(pair) = part else {
            problems.tell(part, format!("`{name}` is written `{example}`"));
            continue;
        };
        match name.as_str() {
            "attempts" => attempts = problems.keep(values::count(&pair.value, 1, u64::from(u32::MAX), example)),
            "from" => times[0] = problems.keep(values::duration(&pair.value, example)),
            _ => times[1] = problems.keep(values::duration(&pair.value, example)),
        }
        seen.push(name);
    }
    if !seen.iter().any(|name| name == "attempts") {
        problems.tell(path, "`retry` says how often: `retry(attempts = 5)`");
    }
    if let [Some(from), Some(to)] = times
        && from > to
    {
        problems.tell(path, format!("`retry` waits from {from:?} to {to:?}: the first must not be longer"));
    }
    let attempts = attempts? as u32;
    let [from, to] = [(times[0], quote!(from)), (times[1], quote!(to))].map(|(time, field)| match time {
        Some(time) => values::duration_tokens(time),
        None => quote!(::runnel::__private::Retry::default().#field),
    });
    Some(quote!(.retry(#attempts, #from, #to)))
}

#[cfg(test)]
mod tests {
    use syn::parse::Parser;

    use super::*;

    fn read_from(parts: TokenStream) -> (Option<String>, Vec<String>) {
        let mut problems = Problems::default();
        let parts = Punctuated::parse_terminated.parse2(parts).expect("the test writes options");
        let change = read(&parts, &syn::parse_quote!(retry), &mut problems);
        (change.map(|change| change.to_string()), problems.texts())
    }

    #[test]
    fn what_is_left_out_is_as_the_settings_have_it() {
        let default = quote!(::runnel::__private::Retry::default());
        let time = quote!(::core::time::Duration::from_millis);
        assert_eq!(
            read_from(quote!(attempts = 5)),
            (Some(quote!(.retry(5u32, #default.from, #default.to)).to_string()), Vec::new())
        );
        assert_eq!(
            read_from(quote!(attempts = 5, to = "2s", from = "1s",)),
            (Some(quote!(.retry(5u32, #time(1000u64), #time(2000u64))).to_string()), Vec::new())
        );
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (parts, why) in [
            (quote!(attempt = 5), "unknown option `attempt` of `retry`: did you mean `attempts`?"),
            (quote!(attempts = 5, attempts = 6), "`attempts` is given twice"),
            (quote!(attempts = 5, to), "`to` is written `to = \"30s\"`"),
            (quote!(attempts = 0), "must be at least 1"),
            (quote!(from = "1s"), "`retry` says how often"),
            (quote!(attempts = 2, from = "2s", to = "1s"), "the first must not be longer"),
        ] {
            let text = parts.to_string();
            let (_, problems) = read_from(parts);
            assert!(problems.len() == 1 && problems[0].contains(why), "{text}\nexpected: {why}\n{problems:?}");
        }
    }
}
