//! What options say of instants: specs, zones, and what becomes of those that were missed.

use proc_macro2::TokenStream;
use quote::quote;
use runnel_crontab::{Crontab, parse_timezone};
use syn::{Expr, Lit};

use crate::values;

/// As `runnel::Missed::MOST`, which a test holds against this.
const MOST_MISSED: u64 = 1_000;

/// A crontab that fires.
pub(super) fn spec(value: &Expr) -> syn::Result<String> {
    let spec = values::text(value, "#[runnel::crontab(\"45 17 * * *\")]")?.value();
    match spec.parse::<Crontab>() {
        Ok(_) => Ok(spec),
        Err(why) => Err(syn::Error::new_spanned(value, why)),
    }
}

/// A zone that there is.
pub(super) fn timezone(value: &Expr, example: &str) -> syn::Result<TokenStream> {
    let name = values::text(value, example)?.value();
    match parse_timezone(&name) {
        Ok(_) => Ok(quote!(#name)),
        Err(why) => Err(syn::Error::new_spanned(value, why)),
    }
}

/// What happens when a run is due while one runs.
pub(super) fn overlap(value: &Expr, example: &str) -> syn::Result<TokenStream> {
    let variant = match values::one_of(value, &["skip", "queue", "allow"], example)?.as_str() {
        "queue" => quote!(Queue),
        "allow" => quote!(Allow),
        _ => quote!(Skip),
    };
    Ok(quote!(::runnel::__private::Overlap::#variant))
}

/// Whether it is at least once, and the expression for it.
pub(super) fn delivery(value: &Expr, example: &str) -> syn::Result<(bool, TokenStream)> {
    let word = values::one_of(value, &["at_most_once", "at_least_once"], example)?;
    let (at_least_once, variant) = match word.as_str() {
        "at_least_once" => (true, quote!(AtLeastOnce)),
        _ => (false, quote!(AtMostOnce)),
    };
    Ok((at_least_once, quote!(::runnel::__private::Delivery::#variant)))
}

/// Which instants are caught up with: `"skip"`, `"latest"`, `"all(60)"` or `all(60)`.
pub(super) fn missed(value: &Expr, example: &str) -> syn::Result<TokenStream> {
    let missed = quote!(::runnel::__private::Missed);
    if let Some(newest) = all_of(value) {
        let newest = values::count(&newest, 1, MOST_MISSED, "missed = \"all(60)\"")? as u32;
        return Ok(quote!(#missed::All(#newest)));
    }
    let known = ["skip", "latest", "all(60)"];
    match values::one_of(value, &known, example)?.as_str() {
        "latest" => Ok(quote!(#missed::Latest)),
        _ => Ok(quote!(#missed::Skip)),
    }
}

/// What stands in `all(..)`, with or without quotes, at the place of the whole.
fn all_of(value: &Expr) -> Option<Expr> {
    let call = match values::literal(value) {
        Some(Lit::Str(text)) => text.parse::<syn::ExprCall>().ok()?,
        Some(_) => return None,
        None => match value {
            Expr::Call(call) => call.clone(),
            _ => return None,
        },
    };
    let is_all = matches!(&*call.func, Expr::Path(path) if path.path.is_ident("all"));
    (is_all && call.args.len() == 1).then(|| call.args[0].clone())
}
