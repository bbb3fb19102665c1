//! Options in an attribute: known by their names, each at most once.

use proc_macro2::{Span, TokenStream};
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Expr, Lit, Meta, Token};

use crate::nearest::did_you_mean;
use crate::problems::{Problems, shown};

/// An option's name, with an example of it for messages.
pub(crate) type Known = (&'static str, &'static str);

/// Options, separated by commas.
pub(crate) type List = Punctuated<Meta, Token![,]>;

/// The names that were given so far.
#[derive(Default)]
pub(crate) struct Seen(Vec<&'static str>);

impl Seen {
    /// Which of the known options this is, if it is one, and given for the first time.
    pub(crate) fn find(&mut self, option: &Meta, known: &[Known], problems: &mut Problems) -> Option<Known> {
        let path = option.path();
        let Some(found) = known.iter().copied().find(|(name, _)| path.is_ident(name)) else {
            let written = shown(path);
            let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            problems.tell(path, format!("unknown option `{written}`{}", did_you_mean(&written, &names)));
            return None;
        };
        if self.has(found.0) {
            problems.tell(path, format!("`{}` is given twice", found.0));
            return None;
        }
        self.0.push(found.0);
        Some(found)
    }

    /// Whether it was given, be it with mistakes.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }
}

/// An option in another form than its own.
pub(crate) fn another_form(option: &Meta, (name, example): Known) -> syn::Error {
    let why = match name == example {
        true => format!("`{name}` takes no value"),
        false => format!("`{name}` is written `{example}`"),
    };
    syn::Error::new_spanned(option, why)
}

/// What comes first, if it is there and is that, and the options behind it; else this advice.
pub(crate) fn behind_first(
    attr: TokenStream,
    is_that: impl Fn(&Expr) -> bool,
    advice: &str,
) -> syn::Result<(Expr, List)> {
    let read = |input: ParseStream<'_>| {
        if input.is_empty() {
            return Err(syn::Error::new(Span::call_site(), advice));
        }
        let first: Expr = input.parse()?;
        if !is_that(&first) {
            return Err(syn::Error::new(first.span(), advice));
        }
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
        Ok((first, input.parse_terminated(named, Token![,])?))
    };
    read.parse2(attr)
}

/// Options alone. A value without a name is answered with an example.
pub(crate) fn alone(attr: TokenStream, example: &str) -> syn::Result<List> {
    let read = |input: ParseStream<'_>| {
        if let Ok(value) = input.fork().parse::<Lit>() {
            return Err(syn::Error::new(value.span(), format!("options have names: write `{example}`")));
        }
        input.parse_terminated(named, Token![,])
    };
    read.parse2(attr)
}

fn named(input: ParseStream<'_>) -> syn::Result<Meta> {
    if input.peek(Lit) {
        return Err(input.error("an option begins with its name"));
    }
    input.parse()
}
