//! What lets an app find an item: a type that declares it, and an entry in the program-wide registry.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::Ident;

/// The body of `Item::declare` for a type, over an app that is bound to `app`; and the registry's entry of it.
pub(crate) fn registered(item: &Ident, app: &Ident, body: &TokenStream) -> TokenStream {
    let declared = declared(item, app, body);
    // Definitions of ours must not be seen by the user's expressions, nor the other way round.
    quote_spanned! {Span::mixed_site()=>
        #declared
        ::runnel::__private::inventory::submit! { ::runnel::__private::Registration::of::<#item>() }
    }
}

/// The same without the entry: for items whose mistakes were told, so that they do not make more.
pub(crate) fn declared(item: &Ident, app: &Ident, body: &TokenStream) -> TokenStream {
    quote_spanned! {Span::mixed_site()=>
        #[allow(deprecated, unused_mut)] // The function may be deprecated and still be processed with.
        impl ::runnel::__private::Item for #item {
            fn declare(mut #app: ::runnel::__private::App) -> ::runnel::__private::App {
                #body
                #app
            }
        }
    }
}

/// The name under which `declare` has its app.
pub(crate) fn app() -> Ident {
    Ident::new("app", Span::mixed_site())
}
