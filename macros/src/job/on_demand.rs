//! What only jobs on demand have: a policy of retries, steps, and parameters that are given.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Expr, FnArg, Ident, ItemFn, Lit, Pat};

use super::Function;
use super::options::Options;
use crate::function::{Role, numbered};
use crate::nearest::did_you_mean;
use crate::problems::Problems;
use crate::{registration, values};

/// The names of the parameters, by which they are given.
pub(super) fn names(item: &ItemFn, problems: &mut Problems) -> Option<Vec<String>> {
    let names = item.sig.inputs.iter().filter_map(|parameter| match parameter {
        FnArg::Typed(typed) => Some(&*typed.pat),
        FnArg::Receiver(_) => None,
    });
    let read = |pattern: &Pat, problems: &mut Problems| match pattern {
        Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => Some(name.ident.unraw().to_string()),
        other => {
            problems.tell(other, "a parameter of a job has a plain name, by which it is given: write `day: NaiveDate`");
            None
        }
    };
    let read: Vec<_> = names.map(|pattern| read(pattern, problems)).collect();
    read.into_iter().collect()
}

/// `app.on_demand(on_demand(needs, inputs, |parts| ..)).name(..)` and what surrounds it.
pub(super) fn addition(
    role: &Role,
    item: &ItemFn,
    function: &Function,
    names: &[String],
    options: &Options,
) -> TokenStream {
    let here = proc_macro2::Span::mixed_site();
    let (name, app) = (&item.sig.ident, registration::app());
    let named = role.named_type(item);
    let types = &function.extractors;
    let (asked, given) = (numbered("asked", types), numbered("given", types));
    let asking = types.iter().zip(&asked).zip(names).map(|((ty, asked), name)| {
        let ask = quote_spanned!(ty.span()=> ::runnel::__private::ask_parameter::<#ty>(#name));
        quote_spanned!(here=> let #asked = #ask;)
    });
    let boxed = super::boxed(name, function, &given);
    let parts = Ident::new("parts", here);
    let changes = options.changes();
    let declared_name = options.name().map_or_else(|| name.unraw().to_string(), str::to_owned);
    let dag = dag(item);
    let body = quote_spanned! {here=>
        #(#asking)*
        #app.on_demand(::runnel::__private::on_demand(
            ::std::vec![#(#asked.needs()),*],
            ::std::vec![#(#asked.input()),*],
            move |#parts| {
                #(let #given = #asked.take(#parts)?;)*
                ::core::result::Result::Ok(#boxed)
            },
        ))
            .name(#declared_name)
            .dag(#dag)
            #(#changes)*
            .declared_at(::core::file!(), ::core::line!());
    };
    let registered = registration::registered(name, &app, &body);
    let inputs = types.iter().rev().fold(
        quote!(()),
        |rest, ty| quote_spanned!(ty.span()=> <#ty as ::runnel::__private::JobParameter>::Before<#rest>),
    );
    quote! {
        #named
        #registered
        impl ::runnel::__private::OnDemand for #name {
            type Inputs = #inputs;
            const NAME: &'static str = #declared_name;
        }
    }
}

/// A function with mistakes has no input, so that uses of its type make no more of them.
pub(super) fn mistaken(item: &ItemFn) -> TokenStream {
    if item.sig.receiver().is_some() {
        return TokenStream::new();
    }
    let name = &item.sig.ident;
    quote! {
        impl ::runnel::__private::OnDemand for #name {
            type Inputs = ();
            const NAME: &'static str = "";
        }
    }
}

/// The steps that can be seen in the function, in their order: `.step("load", ..)` and `.parallel("regions", ..)`.
fn dag(item: &ItemFn) -> String {
    fn look(tokens: TokenStream, found: &mut Vec<String>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            let TokenTree::Group(group) = token else { continue };
            let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
            let is_step = group.delimiter() == Delimiter::Parenthesis
                && matches!(before(1), Some(TokenTree::Ident(name)) if name == "step" || name == "parallel")
                && matches!(before(2), Some(TokenTree::Punct(dot)) if dot.as_char() == '.');
            if is_step
                && let Some(TokenTree::Literal(name)) = group.stream().into_iter().next()
                && let Lit::Str(name) = Lit::new(name)
            {
                found.push(name.value());
            }
            look(group.stream(), found);
        }
    }
    let mut steps = Vec::new();
    let block = &item.block;
    look(quote!(#block), &mut steps);
    steps.join(" ")
}

const POLICIES: [&str; 3] = ["backoff", "fixed", "none"];
const BACKOFF: &str = "retry = backoff(max_attempts = 5, multiplier = 2, min = \"1s\", max = \"10s\")";
const FIXED: &str = "retry = fixed(max_attempts = 3, wait = \"5s\")";
const NONE: &str = "retry = none";

/// `backoff(..)`, `fixed(..)` or `none`, as an expression.
pub(super) fn retry(value: &Expr) -> syn::Result<TokenStream> {
    let policy = quote!(::runnel::__private::RetryPolicy);
    let (path, call) = match value {
        Expr::Group(group) => return retry(&group.expr),
        Expr::Path(path) => (path, None),
        Expr::Call(call) => match &*call.func {
            Expr::Path(path) => (path, Some(call)),
            other => return Err(unreadable(other)),
        },
        other => return Err(unreadable(other)),
    };
    let name = crate::problems::shown(&path.path);
    let refused = |why: String| Err(syn::Error::new_spanned(value, why));
    match (name.as_str(), call) {
        ("none", None) => Ok(quote!(#policy::None)),
        ("none", Some(_)) => refused(format!("`none` has no parts: write `{NONE}`")),
        ("fixed", None) => refused(format!("`fixed` says how often, and what it waits between: write `{FIXED}`")),
        ("backoff", None) => refused(format!("`backoff` says how often, and what it waits between: write `{BACKOFF}`")),
        ("fixed", Some(call)) => {
            let parts = Parts::read(call, FIXED)?;
            parts.only(&["max_attempts", "wait"])?;
            let (attempts, wait) = (parts.attempts()?, parts.duration("wait")?.unwrap_or_default());
            let wait = values::duration_tokens(wait);
            Ok(quote!(#policy::fixed(#attempts, #wait)))
        }
        ("backoff", Some(call)) => {
            let parts = Parts::read(call, BACKOFF)?;
            parts.only(&["max_attempts", "multiplier", "min", "max"])?;
            let (attempts, multiplier) = (parts.attempts()?, parts.multiplier()?);
            let time = |name| parts.duration(name)?.ok_or_else(|| parts.missing(name));
            let (min, max) = (time("min")?, time("max")?);
            if min > max {
                let why = format!("`min` ({min:?}) must not be longer than `max` ({max:?})");
                return Err(syn::Error::new_spanned(parts.get("min"), why));
            }
            let (min, max) = (values::duration_tokens(min), values::duration_tokens(max));
            Ok(quote!(#policy::backoff(#attempts, #multiplier, #min, #max)))
        }
        _ => {
            let near = did_you_mean(&name, &POLICIES);
            Err(syn::Error::new_spanned(path, format!("`{name}` is no policy of retries{near}")))
        }
    }
}

fn unreadable(place: impl quote::ToTokens) -> syn::Error {
    syn::Error::new_spanned(place, format!("a policy of retries is written `{BACKOFF}`, `{FIXED}` or `{NONE}`"))
}

/// `name = value` in a policy's brackets.
struct Parts<'a> {
    given: Vec<(String, &'a Expr, &'a Expr)>,
    call: &'a syn::ExprCall,
    example: &'static str,
}

impl<'a> Parts<'a> {
    fn read(call: &'a syn::ExprCall, example: &'static str) -> syn::Result<Self> {
        let parts = call.args.iter().map(|part| match part {
            Expr::Assign(assign) => Ok((crate::problems::shown(&assign.left), &*assign.left, &*assign.right)),
            other => Err(syn::Error::new_spanned(other, format!("its parts have names: `{example}`"))),
        });
        let parts: Vec<_> = parts.collect::<syn::Result<_>>()?;
        for (at, (name, place, _)) in parts.iter().enumerate() {
            if parts[..at].iter().any(|(other, ..)| other == name) {
                return Err(syn::Error::new_spanned(place, format!("`{name}` is given twice")));
            }
        }
        Ok(Self { given: parts, call, example })
    }

    fn only(&self, known: &[&str]) -> syn::Result<()> {
        match self.given.iter().find(|(name, ..)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, place, _)) => {
                let why = format!("unknown part `{name}` of this policy{}", did_you_mean(name, known));
                Err(syn::Error::new_spanned(place, why))
            }
        }
    }

    fn get(&self, name: &str) -> Option<&'a Expr> {
        self.given.iter().find(|(given, ..)| given == name).map(|(.., value)| *value)
    }

    fn missing(&self, name: &str) -> syn::Error {
        let policy = crate::problems::shown(&self.call.func);
        syn::Error::new_spanned(self.call, format!("`{policy}` needs `{name}`: `{}`", self.example))
    }

    fn attempts(&self) -> syn::Result<u32> {
        let value = self.get("max_attempts").ok_or_else(|| self.missing("max_attempts"))?;
        Ok(values::count(value, 1, u64::from(u32::MAX), "max_attempts = 5")? as u32)
    }

    fn duration(&self, name: &str) -> syn::Result<Option<std::time::Duration>> {
        self.get(name).map(|value| values::duration(value, &format!("{name} = \"10s\""))).transpose()
    }

    fn multiplier(&self) -> syn::Result<f64> {
        let value = self.get("multiplier").ok_or_else(|| self.missing("multiplier"))?;
        let number = match values::literal(value) {
            Some(Lit::Int(number)) => number.base10_parse::<f64>().ok(),
            Some(Lit::Float(number)) => number.base10_parse::<f64>().ok(),
            _ => None,
        };
        number
            .filter(|number| number.is_finite() && *number > 0.0)
            .ok_or_else(|| syn::Error::new_spanned(value, "expected a number above 0: `multiplier = 2`"))
    }
}

/// `["load", "normalize"]`, as an expression.
pub(super) fn steps(value: &Expr, example: &str) -> syn::Result<TokenStream> {
    let Expr::Array(array) = value else {
        return Err(syn::Error::new_spanned(value, format!("expected a list of steps: `{example}`")));
    };
    let names = array.elems.iter().map(|step| Ok(values::text(step, example)?.value()));
    let names: Vec<String> = names.collect::<syn::Result<_>>()?;
    // Of an empty list nothing else would tell the type.
    Ok(quote!({
        let steps: ::std::vec::Vec<&str> = ::std::vec![#(#names),*];
        steps
    }))
}

/// `true`, `false` or the name of a store, as an expression.
pub(super) fn trace(value: &Expr, example: &str) -> syn::Result<TokenStream> {
    match values::literal(value) {
        Some(Lit::Bool(stored)) => Ok(quote!(#stored)),
        Some(Lit::Str(name)) if !name.value().is_empty() => Ok(quote!(#name)),
        _ => {
            let why = format!(
                "expected `true` (the app's run log store), `false` or the name of a store of traces in quotes: `{example}`"
            );
            Err(syn::Error::new_spanned(value, why))
        }
    }
}

/// Whether a switch is on.
pub(super) fn switch(value: &Expr, example: &str) -> syn::Result<bool> {
    match values::literal(value) {
        Some(Lit::Bool(on)) => Ok(on.value),
        _ => Err(syn::Error::new_spanned(value, format!("expected nothing, `true` or `false`: `{example}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, expand};
    use super::*;

    fn text(attr: TokenStream, item: TokenStream) -> String {
        expand(Kind::Job, attr, item).to_string().replace([' ', '\n'], "")
    }

    #[test]
    fn a_job_on_demand_asks_for_each_parameter_by_its_name_and_knows_its_steps() {
        let item = quote! {
            async fn ingest(run: RunContext, mut day: NaiveDate) -> Result<()> {
                let rows = run.step("extract", async { fetch(day).await }).await?;
                if rows > 0 { run.parallel("load", ["a"], go).await?; }
                Ok(())
            }
        };
        let policy = quote!(backoff(max_attempts = 5, multiplier = 2, min = "1s", max = "10s"));
        let text = text(
            quote!(retry = #policy, retry_steps = ["load"], store_trace_info, run_from_clean_folder, tag = "n"),
            item,
        );
        for part in [
            "letasked_1=::runnel::__private::ask_parameter::<NaiveDate>(\"day\");",
            "app.on_demand(::runnel::__private::on_demand(::std::vec![asked_0.needs(),asked_1.needs()]",
            ".dag(\"extractload\")",
            ".retry(::runnel::__private::RetryPolicy::backoff(5u32,2f64,::core::time::Duration::from_millis(1000u64)",
            "::std::vec![\"load\"];steps})",
            ".store_trace_info(true)",
            ".run_from_clean_folder()",
            ".tag(\"n\")",
            "typeInputs=<RunContextas::runnel::__private::JobParameter>::Before<<NaiveDateas",
            "constNAME:&'staticstr=\"ingest\";",
        ] {
            assert!(text.contains(part), "expected: {part}\nin: {text}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let item = quote!(
            async fn ingest() {}
        );
        for (attr, why) in [
            (quote!(retry = backof(max_attempts = 2)), "didyoumean`backoff`"),
            (quote!(retry = fixed(wait = "1s")), "`fixed`needs`max_attempts`"),
            (quote!(retry = fixed(max_attempts = 0)), "atleast1"),
            (quote!(retry = fixed(attempts = 2)), "unknownpart`attempts`"),
            (quote!(retry = backoff(max_attempts = 2, multiplier = 0, min = "1s", max = "2s")), "numberabove0"),
            (quote!(retry = backoff(max_attempts = 2, multiplier = 2, min = "3s", max = "2s")), "mustnotbelonger"),
            (quote!(retry = backoff(max_attempts = 2, min = "1s", max = "2s")), "needs`multiplier`"),
            (quote!(retry = fixed), "howoften,andwhatitwaits"),
            (quote!(retry = none()), "`none`hasnoparts"),
            (quote!(retry = 5), "iswritten`retry=backoff("),
            (quote!(store_trace_info = 5), "thenameofastore"),
            (quote!(store_trace_info = ""), "thenameofastore"),
            (quote!(retry_steps = "load"), "alistofsteps"),
            (quote!(on_leader), "whereitisaskedfor"),
            (quote!(interval = "1s"), "isfortimers"),
        ] {
            let shown = attr.to_string();
            let text = text(attr, item.clone());
            assert!(text.contains(why), "{shown}: {text}");
            assert!(!text.contains("submit"), "{shown}: {text}");
        }
        let unnamed = text(
            quote!(),
            quote!(
                async fn ingest((a, b): (u8, u8)) {}
            ),
        );
        assert!(unnamed.contains("aplainname"), "{unnamed}");
    }
}
