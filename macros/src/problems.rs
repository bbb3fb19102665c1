//! Mistakes in what the user wrote, told all at once.

use std::fmt::Display;

use proc_macro2::TokenStream;
use quote::ToTokens;

/// The mistakes found so far.
#[derive(Default)]
pub(crate) struct Problems(Option<syn::Error>);

impl Problems {
    /// Tells a mistake at the tokens that make it.
    pub(crate) fn tell(&mut self, at: impl ToTokens, text: impl Display) {
        self.take(syn::Error::new_spanned(at, text));
    }

    /// Keeps the value, or the mistake.
    pub(crate) fn keep<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.take(error)).ok()
    }

    fn take(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            none => *none = Some(error),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What makes the compiler say them.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0.map(|error| error.into_compile_error()).unwrap_or_default()
    }

    /// The texts, for tests.
    #[cfg(test)]
    pub(crate) fn texts(self) -> Vec<String> {
        self.0.into_iter().flatten().map(|error| error.to_string()).collect()
    }
}

/// A path or type as a person would write it: `&mut Vec<Order>`, not `& mut Vec < Order >`.
pub(crate) fn shown(tokens: impl ToTokens) -> String {
    let spaced = tokens.to_token_stream().to_string();
    let mut text = String::new();
    for (before, word) in std::iter::once("").chain(spaced.split(' ')).zip(spaced.split(' ')) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        if before.ends_with(',') || before.ends_with(is_word) && word.starts_with(is_word) {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// Checks that these tokens are among those, for tests: blanks do not count.
#[cfg(test)]
#[track_caller]
pub(crate) fn assert_has(expanded: &TokenStream, part: TokenStream) {
    assert!(contains(expanded, &part), "expected: {part}\nin: {expanded}");
}

/// Whether these tokens are among those, for tests: blanks do not count.
#[cfg(test)]
fn contains(tokens: &TokenStream, part: &TokenStream) -> bool {
    let without_blanks = |tokens: &TokenStream| tokens.to_string().replace([' ', '\n'], "");
    without_blanks(tokens).contains(&without_blanks(part))
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn types_are_shown_as_people_write_them() {
        let types = ["Order", "Vec<Order>", "&mut Events<shop::Order>", "(u8, Option<u8>)", "Box<dyn Any>"];
        for ty in types {
            let tokens: TokenStream = ty.parse().expect("it is Rust");
            assert_eq!(shown(tokens), ty);
        }
        assert!(contains(
            &quote!(
                struct A {
                    b: u8,
                }
            ),
            &quote!(b: u8)
        ));
    }
}
