//! `#[runnel::stream]`: a `static` whose initialiser becomes a lazy declaration.
//!
//! `Stream::new(..)` is rewritten to `<Stream<Order>>::new(..)`, wherever it lies in the chain of options, so that the
//! key's closure takes the record's type from the static. It does not look into the options.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Expr, GenericArgument, Ident, PathArguments, Token, Type, Visibility};

use crate::problems::Problems;
use crate::registration;

const EXAMPLE: &str = "static ORDERS: Stream<Order> = Stream::new(\"orders\", |o| o.order_id.into());";

/// What the attribute becomes. Mistakes are in it, beside the static.
pub(crate) fn expand(attr: TokenStream, item: TokenStream) -> TokenStream {
    let mut problems = Problems::default();
    if !attr.is_empty() {
        problems.tell(
            &attr,
            "`#[runnel::stream]` has no arguments: options follow `Stream::new(..)`, as `.partitions(32)` does",
        );
    }
    let declaration = match syn::parse2::<StreamStatic>(item.clone()) {
        Ok(declaration) => declaration,
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#error #item);
        }
    };
    declaration.check(&mut problems);
    declaration.expand(problems)
}

/// `static NAME: Type = expression;`, or what comes near enough to be told what it lacks.
struct StreamStatic {
    attrs: Vec<Attribute>,
    vis: Visibility,
    constant: Option<Token![const]>,
    mutability: Option<Token![mut]>,
    name: Ident,
    ty: Type,
    init: Option<Expr>,
}

impl Parse for StreamStatic {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let constant: Option<Token![const]> = input.parse()?;
        if constant.is_none() && input.parse::<Option<Token![static]>>()?.is_none() {
            return Err(input.error(format!("`#[runnel::stream]` goes on a `static`: write `{EXAMPLE}`")));
        }
        let (mutability, name) = (input.parse()?, input.parse()?);
        input.parse::<Token![:]>()?;
        let ty = input.parse()?;
        let init = match input.parse::<Option<Token![=]>>()? {
            Some(_) => Some(input.parse()?),
            None => None,
        };
        input.parse::<Token![;]>()?;
        Ok(Self { attrs, vis, constant, mutability, name, ty, init })
    }
}

impl StreamStatic {
    fn check(&self, problems: &mut Problems) {
        if let Some(constant) = &self.constant {
            problems.tell(
                constant,
                format!("a `const` stream would be another one at each use: write `static {}`", self.name),
            );
        }
        if let Some(mutability) = &self.mutability {
            problems.tell(mutability, format!("a stream is shared and never changes: write `static {}`", self.name));
        }
        if !is_stream_of_records(&self.ty) {
            problems.tell(&self.ty, "a stream has the type `Stream<..>` of its records: write `Stream<Order>`");
        }
        if self.init.is_none() {
            let why =
                "lacks the name and the key of the stream: write `= Stream::new(\"orders\", |o| o.order_id.into())`";
            problems.tell(&self.name, format!("`{}` {why}", self.name));
        }
    }

    fn expand(self, problems: Problems) -> TokenStream {
        let Self { attrs, vis, name, ty, .. } = &self;
        if !is_stream_of_records(ty) {
            // Nothing that could be emitted would be free of further errors about the type.
            return problems.into_tokens();
        }
        let build = match &self.init {
            Some(init) => build(ty, init.clone()).into_token_stream(),
            None => quote!(::core::unreachable!()),
        };
        let declared = quote_spanned!(ty.span()=> <#ty>::declared);
        let declaration = quote! {
            #(#attrs)*
            #vis static #name: #ty = #declared(|| #build);
        };
        if !problems.is_empty() {
            let problems = problems.into_tokens();
            return quote!(#problems #declaration);
        }
        let (item, app) = (Ident::new("Declared", Span::mixed_site()), registration::app());
        let body = quote_spanned!(Span::mixed_site()=> let #app = #app.with_stream(&#name););
        let registered = registration::registered(&item, &app, &body);
        quote! {
            #declaration
            const _: () = {
                struct #item {}
                #registered
            };
        }
    }
}

/// Whether it is written `Stream<Something>`, with any path before.
fn is_stream_of_records(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    let Some(last) = path.path.segments.last() else { return false };
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return false };
    let is_one_type = arguments.args.len() == 1 && matches!(arguments.args[0], GenericArgument::Type(_));
    last.ident == "Stream" && is_one_type
}

/// The expression with `Stream::new` at its innermost end bound to the static's type.
fn build(ty: &Type, mut init: Expr) -> Expr {
    if let Some(new) = innermost_new(&mut init) {
        *new = syn::parse_quote_spanned!(new.span()=> <#ty>::new);
    }
    init
}

/// `Stream::new` in `Stream::new(..).partitions(32)`.
fn innermost_new(expr: &mut Expr) -> Option<&mut Expr> {
    match expr {
        Expr::MethodCall(call) => innermost_new(&mut call.receiver),
        Expr::Paren(paren) => innermost_new(&mut paren.expr),
        Expr::Group(group) => innermost_new(&mut group.expr),
        Expr::Call(call) => {
            let Expr::Path(path) = &*call.func else { return None };
            let mut names = path.path.segments.iter().rev().map(|segment| &segment.ident);
            let is_new = names.next()? == "new" && names.next()? == "Stream";
            is_new.then_some(&mut *call.func)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problems::assert_has;

    #[test]
    fn the_innermost_new_takes_the_type_of_the_static() {
        let expanded = expand(
            quote!(),
            quote!(
                pub static ORDERS: Stream<Order> = Stream::new("orders", |o| o.id.into()).partitions(32).codec(Json);
            ),
        );

        assert_has(
            &expanded,
            quote! {
                pub static ORDERS: Stream<Order> = <Stream<Order>>::declared(||
                    <Stream<Order>>::new("orders", |o| o.id.into()).partitions(32).codec(Json));
            },
        );
        assert_has(&expanded, quote!(.with_stream(&ORDERS)));
        assert_has(&expanded, quote!(inventory::submit!));
    }

    #[test]
    fn a_path_before_stream_and_a_turbofish_are_understood() {
        let expanded = expand(
            quote!(),
            quote!(
                static S: runnel::Stream<Order> = (runnel::Stream::<Order>::new("s", key)).partitions(2);
            ),
        );
        assert_has(&expanded, quote!(<runnel::Stream<Order>>::new("s", key)));
    }

    #[test]
    fn another_expression_is_left_as_it_is() {
        let expanded = expand(
            quote!(),
            quote!(
                static S: Stream<Order> = make_stream("s");
            ),
        );
        assert_has(&expanded, quote!(declared(|| make_stream("s"))));
    }

    #[test]
    fn attributes_stay_on_the_static() {
        let expanded = expand(
            quote!(),
            quote!(
                #[doc = "All orders."]
                static S: Stream<Order> = Stream::new("s", key);
            ),
        );
        assert_has(&expanded, quote!(#[doc = "All orders."] static S));
    }

    #[test]
    fn mistakes_are_told_all_at_once_and_the_static_stays() {
        let expanded = expand(
            quote!(partitions = 32),
            quote!(
                static mut S: Stream<Order>;
            ),
        );
        let text = expanded.to_string();
        for part in ["has no arguments", "never changes", "lacks the name and the key"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_has(&expanded, quote!(static S: Stream<Order>));
        assert!(!text.contains("inventory"), "what has mistakes is not registered: {text}");
    }

    #[test]
    fn what_is_no_static_of_a_stream_is_refused() {
        let refused = |item, why: &str| assert!(expand(quote!(), item).to_string().contains(why), "{why}");
        refused(
            quote!(
                const S: Stream<Order> = Stream::new("s", key);
            ),
            "write `static S`",
        );
        refused(
            quote!(
                fn s() {}
            ),
            "goes on a `static`",
        );
        refused(
            quote!(
                static S: u32 = 5;
            ),
            "write `Stream<Order>`",
        );
        refused(
            quote!(
                static S: Stream = Stream::new("s", key);
            ),
            "write `Stream<Order>`",
        );
    }
}
