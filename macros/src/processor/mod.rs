//! `#[runnel::processor(STREAM, ..)]`: an `async fn` that becomes a processor.
//!
//! The function is emitted as it is. What is added is a type of the same name, in the type namespace only, that knows
//! how to declare it. Each type the user wrote is asked for its trait exactly once, with the span of that type, so
//! that a wrong one is one error, at its own place.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Expr, Ident, ItemFn};

use crate::function::numbered;
use crate::problems::Problems;
use crate::registration;

mod options;
mod retry;
mod signature;

use options::{Arguments, Options};
use signature::{Function, ROLE, Style};

/// What the attribute becomes. Mistakes are in it, beside the function.
pub(crate) fn expand(attr: TokenStream, item: TokenStream) -> TokenStream {
    let function = match ROLE.function(&item) {
        Ok(function) => function,
        Err(advice) => return advice,
    };
    let mut problems = Problems::default();
    let arguments = Arguments::read(attr, &mut problems);
    let parsed = Function::read(&function, &mut problems);
    if let Some(parsed) = &parsed {
        arguments.options.check_against(parsed, &mut problems);
    }
    let addition = match (parsed, arguments.stream) {
        (Some(parsed), Some(stream)) if problems.is_empty() => {
            addition(&function, &parsed, &stream, &arguments.options)
        }
        _ => ROLE.mistaken_type(&function),
    };
    let problems = problems.into_tokens();
    quote!(#item #problems #addition)
}

fn addition(item: &ItemFn, function: &Function, stream: &Expr, options: &Options) -> TokenStream {
    let (name, app) = (&item.sig.ident, registration::app());
    let named = ROLE.named_type(item);
    let called = called(name, function, &app, stream, options);
    let changes = options.changes();
    let declared_name = options.name.clone().unwrap_or_else(|| name.unraw().to_string());
    let body = quote_spanned! {Span::mixed_site()=>
        #called
            .name(#declared_name)
            #(#changes)*
            .declared_at(::core::file!(), ::core::line!());
    };
    let registered = registration::registered(name, &app, &body);
    quote!(#named #registered)
}

/// `adding(&mut app, &ORDERS).handler::<Order>(needs, |input, parts| ..)`, or the same for another style.
fn called(name: &Ident, function: &Function, app: &Ident, stream: &Expr, options: &Options) -> TokenStream {
    let here = Span::mixed_site();
    let extractors = &function.extractors;
    let asked = numbered("asked", extractors);
    let asking = extractors.iter().zip(&asked).map(|(ty, asked)| {
        let ask = quote_spanned!(ty.span()=> ::runnel::__private::ask::<#ty>());
        quote_spanned!(here=> let #asked = #ask;)
    });
    let given = numbered("given", extractors);
    let (lent, method) = match function.style {
        Style::Loop => (true, "event_loop"),
        Style::Handler if options.batch.is_some() => (false, "batch_handler"),
        Style::Handler => (false, "handler"),
    };
    let input = &function.input;
    let method = Ident::new(method, input.span());
    let adding = quote_spanned!(stream.span()=> ::runnel::__private::adding(&mut #app, &#stream));
    let outcome = match &function.output {
        Some(output) => quote_spanned!(output.span()=> ::runnel::__private::outcome::<#output>),
        None => quote_spanned!(here=> ::runnel::__private::outcome::<()>),
    };
    let event = Ident::new(if lent { "events" } else { "event" }, here);
    let parts = Ident::new("parts", here);
    // With the span of the function's name: a future that is not `Send` is told there.
    let boxed = quote_spanned! {name.span()=>
        ::std::boxed::Box::pin(async move { #outcome(#name(#event #(, #given)*).await) })
    };
    quote_spanned! {here=>
        #(#asking)*
        #adding.#method::<#input>(
            ::std::vec![#(#asked.needs()),*],
            move |#event, #parts| {
                #(let #given = #asked.extract(#parts)?;)*
                ::core::result::Result::Ok(#boxed)
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problems::assert_has;

    #[test]
    fn a_handler_is_kept_named_declared_and_registered() {
        let printer = quote! {
            #[tracing::instrument]
            pub(crate) async fn printer(order: Order, ctx: Context) -> Result<()> { work(order, ctx).await }
        };

        let expanded = expand(quote!(ORDERS), printer.clone());

        assert_has(&expanded, printer);
        assert_has(
            &expanded,
            quote!(
                pub(crate) struct printer {}
            ),
        );
        assert_has(&expanded, quote!(adding(&mut app, &ORDERS).handler::<Order>));
        assert_has(&expanded, quote!(let asked_0 = ::runnel::__private::ask::<Context>();));
        assert_has(&expanded, quote!(::runnel::__private::outcome::<Result<()>>(printer(event, given_0).await)));
        assert_has(&expanded, quote!(.name("printer")));
        assert_has(&expanded, quote!(inventory::submit! { ::runnel::__private::Registration::of::<printer>() }));
    }

    #[test]
    fn a_loop_is_recognised_by_what_it_is_lent() {
        let expanded = expand(
            quote!(ORDERS),
            quote!(
                async fn totals(events: &mut Events<Order>) -> Result<()> {
                    Ok(())
                }
            ),
        );
        assert_has(&expanded, quote!(.event_loop::<Order>));
    }

    #[test]
    fn options_become_calls() {
        let expanded = expand(
            quote!(ORDERS.dead_letters(), batch = 500, within = "2s", retry(attempts = 5), timeout = "10s", name = "w"),
            quote!(
                async fn warehouse(orders: Vec<Order>) {}
            ),
        );

        assert_has(&expanded, quote!(&ORDERS.dead_letters()));
        assert_has(&expanded, quote!(.batch_handler::<Vec<Order>>));
        assert_has(
            &expanded,
            quote! {
                .batch_parts(
                    ::core::option::Option::Some(500usize),
                    ::core::option::Option::Some(::core::time::Duration::from_millis(2000u64))
                )
            },
        );
        assert_has(&expanded, quote!(.timeout(::core::time::Duration::from_millis(10000u64))));
        assert_has(&expanded, quote!(.name("w")));
    }

    #[test]
    fn a_raw_name_is_named_without_its_mark() {
        let expanded = expand(
            quote!(ORDERS),
            quote!(
                async fn r#match(order: Order) {}
            ),
        );
        assert_has(
            &expanded,
            quote!(
                struct r#match {}
            ),
        );
        assert_has(&expanded, quote!(.name("match")));
    }

    #[test]
    fn beside_mistakes_the_function_and_its_type_stay_and_nothing_is_registered() {
        let expanded = expand(
            quote!(),
            quote!(
                fn printer(order: Order) {}
            ),
        );
        assert_has(
            &expanded,
            quote!(
                fn printer(order: Order) {}
            ),
        );
        assert_has(
            &expanded,
            quote!(
                struct printer {}
            ),
        );
        let text = expanded.to_string();
        assert!(text.contains("which stream") && text.contains("`async fn printer`"), "both mistakes are told: {text}");
        assert!(!text.contains("submit"), "{text}");
    }

    #[test]
    fn a_method_gets_no_type_beside_it() {
        let text = expand(
            quote!(ORDERS),
            quote!(
                async fn printer(&self, order: Order) {}
            ),
        )
        .to_string();
        assert!(!text.contains("struct") && text.contains("cannot take `self`"), "{text}");
    }

    #[test]
    fn what_is_no_function_is_emitted_with_the_advice() {
        let expanded = expand(
            quote!(ORDERS),
            quote!(
                struct Printer;
            ),
        );
        assert_has(
            &expanded,
            quote!(
                struct Printer;
            ),
        );
        assert!(expanded.to_string().contains("goes on a function"), "{expanded}");
    }
}
