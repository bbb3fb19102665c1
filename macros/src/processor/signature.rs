//! The function under the attribute: which style it is, what it takes, what it answers.
//!
//! Only what can be seen without types is checked here; the types are checked by what the macro writes.

use syn::{GenericArgument, ItemFn, PathArguments, Type, TypeReference};

use crate::function::{Role, bare, is_named};
use crate::problems::{Problems, shown};

pub(super) const ROLE: Role = Role {
    noun: "processor",
    example: "async fn printer(order: Order) { .. }",
    not_generic: "its stream has one type of records, so write that type",
};

/// How the function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Once for each event or batch.
    Handler,
    /// Once for each tenancy of a partition, lent its events.
    Loop,
}

/// A function that can be a processor, as far as its syntax shows.
pub(super) struct Function {
    pub(super) style: Style,
    /// What it takes, or what is lent by `Events<..>`.
    pub(super) input: Type,
    /// The types of its other parameters.
    pub(super) extractors: Vec<Type>,
    /// What it answers, if it says so.
    pub(super) output: Option<Type>,
}

impl Function {
    /// Reads it, or tells why it cannot be a processor.
    pub(super) fn read(item: &ItemFn, problems: &mut Problems) -> Option<Self> {
        ROLE.check_kind(&item.sig, problems);
        let output = ROLE.output(&item.sig, problems);
        let types = ROLE.parameters(&item.sig, problems);
        let Some((first, rest)) = types.split_first() else {
            if item.sig.receiver().is_none() {
                problems.tell(&item.sig, "a processor takes the event as its first parameter: `order: Order`");
            }
            return None;
        };
        let input = input(first, problems);
        let extractors = rest.iter().map(|ty| extractor(ty, problems)).collect::<Option<Vec<_>>>();
        let (style, input) = input?;
        Some(Self { style, input, extractors: extractors?, output })
    }
}

/// The first parameter: a `&mut Events<..>` is the event loop, everything by value a handler.
fn input(ty: &Type, problems: &mut Problems) -> Option<(Style, Type)> {
    match bare(ty) {
        Type::Reference(reference) => lent(reference, problems).map(|of| (Style::Loop, of)),
        by_value if is_named(by_value, "Events") => {
            problems.tell(ty, format!("the event loop is lent its events: write `&mut {}`", shown(ty)));
            None
        }
        by_value => Some((Style::Handler, by_value.clone())),
    }
}

/// What `&mut Events<..>` lends.
fn lent(reference: &TypeReference, problems: &mut Problems) -> Option<Type> {
    let target = bare(&reference.elem);
    if !is_named(target, "Events") {
        let name = shown(target);
        let why = match reference.mutability {
            Some(_) => format!(
                "only the event loop borrows, as `&mut Events<..>`: a handler takes its record by value, `{name}`"
            ),
            None => format!("a handler takes its record by value, `{name}`: it is decoded for this call alone"),
        };
        problems.tell(reference, why);
        return None;
    }
    if reference.mutability.is_none() {
        problems.tell(reference, format!("the event loop moves on through its events: write `&mut {}`", shown(target)));
        return None;
    }
    if let Some(lifetime) = reference.lifetime.as_ref().filter(|lifetime| lifetime.ident != "_") {
        problems
            .tell(lifetime, format!("events are lent for one call, not for longer: write `&mut {}`", shown(target)));
        return None;
    }
    let of = only_type_argument(target);
    if of.is_none() {
        problems.tell(
            target,
            "say what the events are read as: `&mut Events<Order>`, or `&mut Events<Event>` for raw ones",
        );
    }
    of.cloned()
}

/// A parameter behind the first one.
fn extractor(ty: &Type, problems: &mut Problems) -> Option<Type> {
    match bare(ty) {
        Type::Reference(reference) if is_named(bare(&reference.elem), "Events") => {
            problems.tell(ty, "the event loop must be the first parameter");
            None
        }
        _ => ROLE.extractor(ty, problems),
    }
}

impl Function {
    /// The parameters of a type with that name.
    pub(super) fn extractors_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Type> {
        self.extractors.iter().filter(move |ty| is_named(ty, name))
    }
}

fn only_type_argument(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else { return None };
    match arguments.args.iter().collect::<Vec<_>>()[..] {
        [GenericArgument::Type(of)] => Some(of),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proc_macro2::TokenStream;
    use quote::quote;

    use super::*;

    fn read(item: TokenStream) -> (Option<Function>, Vec<String>) {
        let mut problems = Problems::default();
        let function = Function::read(&syn::parse2(item).expect("the test writes a function"), &mut problems);
        (function, problems.texts())
    }

    #[track_caller]
    fn refused(item: TokenStream, why: &str) {
        let text = item.to_string();
        let (_, problems) = read(item);
        assert!(problems.len() == 1 && problems[0].contains(why), "{text}\nexpected: {why}\n{problems:?}");
    }

    #[test]
    fn the_first_parameter_tells_the_styles_apart() {
        let style = |item| read(item).0.map(|function| function.style);
        assert_eq!(
            style(quote!(
                async fn f(o: Order) {}
            )),
            Some(Style::Handler)
        );
        assert_eq!(
            style(quote!(
                async fn f(Order { id, .. }: Order) {}
            )),
            Some(Style::Handler)
        );
        assert_eq!(
            style(quote!(
                async fn f(o: Vec<Event>, ctx: Context) {}
            )),
            Some(Style::Handler)
        );
        assert_eq!(
            style(quote!(
                async fn f(e: &mut Events<Order>) {}
            )),
            Some(Style::Loop)
        );
        assert_eq!(
            style(quote!(
                async fn f(e: &'_ mut runnel::Events<Order>, k: State<u8>) {}
            )),
            Some(Style::Loop)
        );
    }

    #[test]
    fn a_function_of_another_kind_is_refused() {
        refused(
            quote!(
                fn f(o: Order) {}
            ),
            "write `async fn f`",
        );
        refused(
            quote!(
                async unsafe fn f(o: Order) {}
            ),
            "cannot be `unsafe`",
        );
        refused(
            quote!(
                async extern "C" fn f(o: Order) {}
            ),
            "cannot be `extern`",
        );
        refused(
            quote!(
                const async fn f(o: Order) {}
            ),
            "cannot be `const`",
        );
        refused(
            quote!(
                async fn f<T>(o: T) {}
            ),
            "cannot be generic",
        );
        refused(
            quote!(
                async fn f(o: Order)
                where
                    Order: Clone,
                {
                }
            ),
            "cannot have a `where` clause",
        );
        refused(
            quote!(
                async fn f(&self, o: Order) {}
            ),
            "cannot take `self`",
        );
        refused(
            quote!(
                async fn f() {}
            ),
            "as its first parameter",
        );
    }

    #[test]
    fn references_are_refused_except_for_the_lent_loop() {
        refused(
            quote!(
                async fn f(o: &Order) {}
            ),
            "by value, `Order`",
        );
        refused(
            quote!(
                async fn f(o: &mut Vec<Order>) {}
            ),
            "by value, `Vec<Order>`",
        );
        refused(
            quote!(
                async fn f(e: Events<Order>) {}
            ),
            "write `&mut Events<Order>`",
        );
        refused(
            quote!(
                async fn f(e: &Events<Order>) {}
            ),
            "write `&mut Events<Order>`",
        );
        refused(
            quote!(
                async fn f(e: &'static mut Events<Order>) {}
            ),
            "lent for one call",
        );
        refused(
            quote!(
                async fn f(e: &mut Events) {}
            ),
            "say what the events are read as",
        );
        refused(
            quote!(
                async fn f(o: Order, ctx: &Context) {}
            ),
            "write `Context`",
        );
        refused(
            quote!(
                async fn f(o: Order, e: &mut Events<Order>) {}
            ),
            "must be the first parameter",
        );
    }

    #[test]
    fn types_without_a_name_are_refused() {
        refused(
            quote!(
                async fn f(o: impl Record) {}
            ),
            "`impl Trait`",
        );
        refused(
            quote!(
                async fn f(o: Vec<impl Record>) {}
            ),
            "`impl Trait`",
        );
        refused(
            quote!(
                async fn f(o: Order) -> impl Sized {}
            ),
            "returns nothing",
        );
        refused(
            quote!(
                async fn f(o: Order) -> ! {}
            ),
            "could not be drained",
        );
        refused(
            quote!(
                async fn f(o: Order) -> (u8, u8) {}
            ),
            "returns nothing",
        );
    }
}
