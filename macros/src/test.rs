//! `#[runnel::test]`: an `async fn` that becomes a test, on a runtime that runnel brings along.
//!
//! The function is emitted as it is, within a function of the same name that runs it. Its attributes are on the outer
//! one, where `#[ignore]` and `#[should_panic]` belong.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{ItemFn, Meta};

use crate::function::Role;
use crate::options::{Known, Seen, alone, another_form};
use crate::problems::Problems;

const ROLE: Role = Role {
    noun: "test",
    example: "async fn every_order_is_charged() { .. }",
    not_generic: "nobody calls it who could say which types are meant",
};

const OPTIONS: [Known; 1] = [("real_time", "real_time")];

/// What the attribute becomes. Mistakes are beside the function, which then is none of the tests.
pub(crate) fn expand(attr: TokenStream, item: TokenStream) -> TokenStream {
    let function = match ROLE.function(&item) {
        Ok(function) => function,
        Err(advice) => return advice,
    };
    let mut problems = Problems::default();
    let time = time(attr, &mut problems);
    check(&function, &mut problems);
    match problems.is_empty() {
        true => tested(function, &time),
        false => {
            let problems = problems.into_tokens();
            quote!(#item #problems)
        }
    }
}

/// `paused` or `real_time`: which runtime is asked for.
fn time(attr: TokenStream, problems: &mut Problems) -> TokenStream {
    let mut seen = Seen::default();
    for option in problems.keep(alone(attr, "real_time")).unwrap_or_default() {
        let Some(known) = seen.find(&option, &OPTIONS, problems) else { continue };
        if !matches!(option, Meta::Path(_)) {
            problems.keep(Err::<(), _>(another_form(&option, known)));
        }
    }
    match seen.has("real_time") {
        true => quote!(real_time),
        false => quote!(paused),
    }
}

fn check(function: &ItemFn, problems: &mut Problems) {
    ROLE.check_kind(&function.sig, problems);
    if !function.sig.inputs.is_empty() {
        problems.tell(
            &function.sig.inputs,
            "a test takes no parameters: start what it needs in it, as with `TestApp::start(app)`",
        );
    }
    let is_test = |path: &syn::Path| path.segments.last().is_some_and(|last| last.ident == "test");
    for second in function.attrs.iter().filter(|attribute| is_test(attribute.path())) {
        problems.tell(second, "this is a test already, by `#[runnel::test]`: it would run twice");
    }
}

fn tested(mut function: ItemFn, time: &TokenStream) -> TokenStream {
    let (attributes, vis) = (std::mem::take(&mut function.attrs), function.vis.clone());
    function.vis = syn::Visibility::Inherited;
    let (name, output) = (&function.sig.ident, &function.sig.output);
    let run = quote_spanned!(Span::mixed_site()=> ::runnel::__run_test!(#time, #name()));
    quote! {
        #(#attributes)*
        #[::core::prelude::v1::test]
        #vis fn #name() #output {
            #function
            #run
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problems::assert_has;

    #[track_caller]
    fn refused(attr: TokenStream, item: TokenStream, why: &str) {
        let expanded = expand(attr, item.clone());
        assert_has(&expanded, item);
        let text = expanded.to_string();
        assert!(text.contains(why) && !text.contains("__run_test"), "expected: {why}\nin: {text}");
    }

    #[test]
    fn the_function_is_run_by_one_of_its_name_that_has_its_attributes() {
        let item = quote!(
            #[ignore]
            async fn orders_are_kept() -> Result<()> {
                Ok(())
            }
        );

        let expanded = expand(quote!(), item.clone());

        assert_has(
            &expanded,
            quote! {
                #[ignore]
                #[::core::prelude::v1::test]
                fn orders_are_kept() -> Result<()> {
                    async fn orders_are_kept() -> Result<()> { Ok(()) }
                    ::runnel::__run_test!(paused, orders_are_kept())
                }
            },
        );
        assert_has(&expand(quote!(real_time), item), quote!(__run_test!(real_time, orders_are_kept())));
    }

    #[test]
    fn what_cannot_be_a_test_is_refused_and_kept() {
        let fine = quote!(
            async fn kept() {}
        );
        let of = |text: &str| -> TokenStream { text.parse().expect("it is Rust") };
        refused(quote!(), of("fn kept() {}"), "a test is asynchronous: write `async fn kept`");
        refused(quote!(), of("async fn kept<T>() {}"), "a test cannot be generic");
        refused(quote!(), of("async fn kept(shop: TestApp) {}"), "a test takes no parameters");
        refused(quote!(), of("#[tokio::test] async fn kept() {}"), "this is a test already");
        refused(quote!(), of("struct Kept;"), "goes on a function: write `async fn every_order_is_charged() { .. }`");
        refused(quote!(realtime), fine.clone(), "unknown option `realtime`: did you mean `real_time`?");
        refused(quote!(real_time = true), fine.clone(), "`real_time` takes no value");
        refused(quote!(real_time, real_time), fine, "`real_time` is given twice");
    }
}
