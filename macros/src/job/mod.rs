//! `#[runnel::task]`, `#[runnel::timer(..)]`, `#[runnel::crontab(..)]` and `#[runnel::job]`: an `async fn` that becomes a
//! job.
//!
//! Built as [`processor`](mod@crate::processor) is: the function is emitted as it is, beside it a type of the same name knows
//! how to declare it, and each type the user wrote is asked for its trait exactly once, at its own place.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Ident, ItemFn, Type};

use crate::function::{Role, numbered};
use crate::problems::Problems;
use crate::registration;

mod on_demand;
mod options;
mod schedule;

use options::Options;

/// When a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// At the start.
    Task,
    /// Every interval.
    Timer,
    /// At calendar instants.
    Crontab,
    /// When it is asked for.
    Job,
}

impl Kind {
    fn role(self) -> Role {
        let (noun, example) = match self {
            Self::Task => ("task", "async fn migrate() { .. }"),
            Self::Timer => ("timer", "async fn ping() { .. }"),
            Self::Crontab => ("crontab", "async fn report() { .. }"),
            Self::Job => ("job", "async fn ingest() { .. }"),
        };
        Role { noun, example, not_generic: "nobody calls it who could say which types are meant" }
    }
}

/// A function that can be a job, as far as its syntax shows.
struct Function {
    /// The types of its parameters.
    extractors: Vec<Type>,
    /// What it answers, if it says so.
    output: Option<Type>,
}

impl Function {
    /// Reads it, or tells why it cannot be a job.
    fn read(role: &Role, item: &ItemFn, problems: &mut Problems) -> Option<Self> {
        role.check_kind(&item.sig, problems);
        let output = role.output(&item.sig, problems);
        let types = role.parameters(&item.sig, problems);
        let extractors = types.iter().map(|ty| role.extractor(ty, problems)).collect::<Option<_>>()?;
        Some(Self { extractors, output })
    }
}

/// What the attribute becomes. Mistakes are in it, beside the function.
pub(crate) fn expand(kind: Kind, attr: TokenStream, item: TokenStream) -> TokenStream {
    let role = kind.role();
    let function = match role.function(&item) {
        Ok(function) => function,
        Err(advice) => return advice,
    };
    let mut problems = Problems::default();
    let options = Options::read(kind, attr, &mut problems);
    let parsed = Function::read(&role, &function, &mut problems);
    if kind == Kind::Job {
        let names = on_demand::names(&function, &mut problems);
        let addition = match (parsed, names) {
            (Some(parsed), Some(names)) if problems.is_empty() => {
                on_demand::addition(&role, &function, &parsed, &names, &options)
            }
            _ => {
                let (named, mistaken) = (role.mistaken_type(&function), on_demand::mistaken(&function));
                quote!(#named #mistaken)
            }
        };
        let problems = problems.into_tokens();
        return quote!(#item #problems #addition);
    }
    let addition = match (parsed, options.added()) {
        (Some(parsed), Some(added)) if problems.is_empty() => addition(&role, &function, &parsed, &added, &options),
        _ => role.mistaken_type(&function),
    };
    let problems = problems.into_tokens();
    quote!(#item #problems #addition)
}

/// `app.timer(interval, job(needs, |parts| ..)).name(..)` and what surrounds it; `added` is `timer(interval,`.
fn addition(role: &Role, item: &ItemFn, function: &Function, added: &options::Added, options: &Options) -> TokenStream {
    let (name, app) = (&item.sig.ident, registration::app());
    let named = role.named_type(item);
    let (method, when) = (&added.method, added.when.iter());
    let (asking, job) = job(name, function);
    let changes = options.changes();
    let declared_name = options.name().map_or_else(|| name.unraw().to_string(), str::to_owned);
    let body = quote_spanned! {Span::mixed_site()=>
        #asking
        #app.#method(#(#when,)* #job)
            .name(#declared_name)
            #(#changes)*
            .declared_at(::core::file!(), ::core::line!());
    };
    let registered = registration::registered(name, &app, &body);
    quote!(#named #registered)
}

/// The questions for its parameters, and the call that uses the answers.
fn job(name: &Ident, function: &Function) -> (TokenStream, TokenStream) {
    let here = Span::mixed_site();
    let extractors = &function.extractors;
    let (asked, given) = (numbered("asked", extractors), numbered("given", extractors));
    let asking = extractors.iter().zip(&asked).map(|(ty, asked)| {
        let ask = quote_spanned!(ty.span()=> ::runnel::__private::ask_of_job::<#ty>());
        quote_spanned!(here=> let #asked = #ask;)
    });
    let asking = quote!(#(#asking)*);
    let boxed = boxed(name, function, &given);
    let parts = Ident::new("parts", here);
    let job = quote_spanned! {here=>
        ::runnel::__private::job(
            ::std::vec![#(#asked.needs()),*],
            move |#parts| {
                #(let #given = #asked.extract(#parts)?;)*
                ::core::result::Result::Ok(#boxed)
            },
        )
    };
    (asking, job)
}

/// The call of the function, boxed.
fn boxed(name: &Ident, function: &Function, given: &[Ident]) -> TokenStream {
    let here = Span::mixed_site();
    let outcome = match &function.output {
        Some(output) => quote_spanned!(output.span()=> ::runnel::__private::job_outcome::<#output>),
        None => quote_spanned!(here=> ::runnel::__private::job_outcome::<()>),
    };
    // With the span of the function's name: a future that is not `Send` is told there.
    quote_spanned! {name.span()=>
        ::std::boxed::Box::pin(async move { #outcome(#name(#(#given),*).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problems::assert_has;

    /// A call whose arguments go on; written without blanks.
    #[track_caller]
    fn assert_begins_a_call(expanded: &TokenStream, call: &str) {
        let text = expanded.to_string().replace([' ', '\n'], "");
        assert!(text.contains(call), "expected: {call}\nin: {text}");
    }

    #[test]
    fn a_job_is_kept_named_declared_and_registered() {
        let ping = quote! {
            #[tracing::instrument]
            pub(crate) async fn ping(run: RunContext, db: State<Pool>) -> Result<()> { work(run, db).await }
        };

        let expanded = expand(Kind::Timer, quote!(interval = "10s", jitter = "1s", on_leader), ping.clone());

        let time = quote!(::core::time::Duration::from_millis);
        assert_has(&expanded, ping);
        assert_has(
            &expanded,
            quote!(
                pub(crate) struct ping {}
            ),
        );
        assert_has(&expanded, quote!(let asked_0 = ::runnel::__private::ask_of_job::<RunContext>();));
        assert_has(&expanded, quote!(::std::vec![asked_0.needs(), asked_1.needs()]));
        assert_begins_a_call(
            &expanded,
            "app.timer(::core::time::Duration::from_millis(10000u64),::runnel::__private::job(",
        );
        assert_has(&expanded, quote!(::runnel::__private::job_outcome::<Result<()>>(ping(given_0, given_1).await)));
        assert_has(&expanded, quote!(.name("ping").jitter(#time(1000u64)).on_leader().declared_at));
        assert_has(&expanded, quote!(inventory::submit! { ::runnel::__private::Registration::of::<ping>() }));
    }

    #[test]
    fn each_kind_is_added_in_its_own_way() {
        let item = quote!(
            async fn r#match() {}
        );
        assert_begins_a_call(&expand(Kind::Task, quote!(), item.clone()), "app.task(::runnel::__private::job(");
        let crontab = expand(Kind::Crontab, quote!("@daily", name = "nightly"), item);
        assert_begins_a_call(&crontab, "app.crontab(\"@daily\",::runnel::__private::job(");
        assert_has(&crontab, quote!(.name("nightly")));
    }

    #[test]
    fn beside_mistakes_the_function_and_its_type_stay_and_nothing_is_registered() {
        let item = quote!(
            fn ping(run: &RunContext) {}
        );
        let expanded = expand(Kind::Timer, quote!(), item.clone());
        assert_has(&expanded, item);
        assert_has(
            &expanded,
            quote!(
                struct ping {}
            ),
        );
        let text = expanded.to_string();
        for part in ["how often", "`async fn ping`", "write `RunContext`"] {
            assert!(text.contains(part), "{part} is not told: {text}");
        }
        assert!(!text.contains("submit"), "{text}");
    }

    #[test]
    fn a_method_gets_no_type_beside_it() {
        let item = quote!(
            async fn ping(&self) {}
        );
        let text = expand(Kind::Task, quote!(), item).to_string();
        assert!(
            !text.contains("struct") && text.contains("a task is a free function and cannot take `self`"),
            "{text}"
        );
    }

    #[test]
    fn what_is_no_function_is_emitted_with_the_advice() {
        let item = quote!(
            struct Ping;
        );
        let expanded = expand(Kind::Crontab, quote!("@daily"), item.clone());
        assert_has(&expanded, item);
        assert!(expanded.to_string().contains("`#[runnel::crontab(..)]` goes on a function"), "{expanded}");
    }
}
