//! What functions under our attributes have in common: what they may be, what they become, and the words for it.
//!
//! Only what can be seen without types is checked here; the types are checked by what the macros write.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{FnArg, Ident, ItemFn, ReturnType, Signature, Type};

use crate::problems::{Problems, shown};
use crate::registration;

/// What a function is made by an attribute, in the words of its messages.
pub(crate) struct Role {
    /// `processor`
    pub(crate) noun: &'static str,
    /// The shortest function that fits, behind `write`.
    pub(crate) example: &'static str,
    /// Why it cannot be generic.
    pub(crate) not_generic: &'static str,
}

impl Role {
    /// The function that this is, or the advice to write one, beside what was written instead.
    pub(crate) fn function(&self, item: &TokenStream) -> Result<ItemFn, TokenStream> {
        syn::parse2::<ItemFn>(item.clone()).map_err(|_| {
            let first: TokenStream = item.clone().into_iter().take(1).collect();
            let why = format!("`#[runnel::{}(..)]` goes on a function: write `{}`", self.noun, self.example);
            let error = syn::Error::new_spanned(first, why).into_compile_error();
            quote!(#error #item)
        })
    }

    /// Async, safe, not generic.
    pub(crate) fn check_kind(&self, sig: &Signature, problems: &mut Problems) {
        let noun = self.noun;
        if sig.asyncness.is_none() {
            problems.tell(sig.fn_token, format!("a {noun} is asynchronous: write `async fn {}`", sig.ident));
        }
        if let Some(constness) = &sig.constness {
            problems.tell(constness, format!("a {noun} cannot be `const`"));
        }
        if let Some(unsafety) = &sig.unsafety {
            problems.tell(unsafety, format!("a {noun} cannot be `unsafe`: it is called by safe code"));
        }
        if let Some(abi) = &sig.abi {
            problems.tell(abi, format!("a {noun} cannot be `extern`"));
        }
        if !sig.generics.params.is_empty() {
            problems.tell(&sig.generics, format!("a {noun} cannot be generic: {}", self.not_generic));
        } else if let Some(clause) = &sig.generics.where_clause {
            problems.tell(clause, format!("a {noun} cannot have a `where` clause: nothing in it is generic"));
        }
    }

    /// The types of its parameters, which all have a name.
    pub(crate) fn parameters<'a>(&self, sig: &'a Signature, problems: &mut Problems) -> Vec<&'a Type> {
        let mut types = Vec::new();
        for parameter in &sig.inputs {
            match parameter {
                FnArg::Receiver(receiver) => problems.tell(
                    receiver,
                    format!(
                        "a {} is a free function and cannot take `self`: what it needs is given by `State<T>` parameters",
                        self.noun
                    ),
                ),
                FnArg::Typed(typed) => types.push(&*typed.ty),
            }
        }
        for ty in types.iter().filter(|ty| mentions_impl(ty.to_token_stream())) {
            problems.tell(
                ty,
                format!("a parameter of a {} needs a named type: `impl Trait` leaves open which one it is", self.noun),
            );
        }
        types
    }

    /// A parameter that is asked for, by value.
    pub(crate) fn extractor(&self, ty: &Type, problems: &mut Problems) -> Option<Type> {
        match bare(ty) {
            Type::Reference(reference) => {
                let name = shown(&reference.elem);
                problems.tell(ty, format!("a {} takes what it asks for by value: write `{name}`", self.noun));
                None
            }
            by_value => Some(by_value.clone()),
        }
    }

    /// What it answers, if it says so.
    pub(crate) fn output(&self, sig: &Signature, problems: &mut Problems) -> Option<Type> {
        let advice = format!("a {} returns nothing, or a `Result<()>`", self.noun);
        let ReturnType::Type(_, ty) = &sig.output else { return None };
        match &**ty {
            Type::Never(_) => problems.tell(ty, format!("{advice}: one that never returns could not be drained")),
            Type::ImplTrait(_) => problems.tell(ty, advice),
            Type::Path(path) if mentions_impl(path.to_token_stream()) => problems.tell(ty, advice),
            Type::Tuple(tuple) if tuple.elems.is_empty() => {}
            Type::Path(_) | Type::Group(_) | Type::Paren(_) | Type::Macro(_) => {}
            _ => problems.tell(ty, advice),
        }
        Some((**ty).clone())
    }

    /// The type that stands for the function where types are asked for: `.with::<printer>()`.
    pub(crate) fn named_type(&self, function: &ItemFn) -> TokenStream {
        let (vis, name) = (&function.vis, &function.sig.ident);
        let doc = format!("The {} [`{name}()`]({name}()), for `App::with`.", self.noun);
        quote! {
            #[doc = #doc]
            #[allow(non_camel_case_types, missing_debug_implementations)]
            #vis struct #name {}
        }
    }

    /// The same for a function with mistakes: it declares nothing, so that its uses make no more of them.
    pub(crate) fn mistaken_type(&self, function: &ItemFn) -> TokenStream {
        // A method cannot have a type beside it.
        if function.sig.receiver().is_some() {
            return TokenStream::new();
        }
        let declared = registration::declared(&function.sig.ident, &registration::app(), &TokenStream::new());
        let named = self.named_type(function);
        quote!(#named #declared)
    }
}

/// The type without the invisible or visible brackets around it.
pub(crate) fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        _ => ty,
    }
}

/// Whether the last part of a type's path is this.
pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == name))
}

fn mentions_impl(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == "impl",
        TokenTree::Group(group) => mentions_impl(group.stream()),
        _ => false,
    })
}

/// What each parameter is asked as, and given as.
pub(crate) fn numbered(prefix: &str, types: &[Type]) -> Vec<Ident> {
    let here = proc_macro2::Span::mixed_site();
    (0..types.len()).map(|n| quote::format_ident!("{prefix}_{n}", span = here)).collect()
}
