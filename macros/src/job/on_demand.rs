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
const RETRY: &str = "retry = backoff(max_attempts = 5, multiplier = 2, min = \"1s\", max = \"10s\")";

/// `backoff(..)`, `fixed(..)` or `none`, as an expression.
pub(super) fn retry(value: &Expr) -> syn::Result<TokenStream> {
    let policy = quote!(::runnel::__private::RetryPolicy);
    let unreadable =
        |place: &dyn quote::ToTokens| syn::Error::new_spanned(place, format!("a policy is written `{RETRY}`"));
    match value {
        Expr::Group(group) => retry(&group.expr),
        Expr::Path(path) if path.path.is_ident("none") => Ok(quote!(#policy::None)),
        Expr::Call(call) => {
            let Expr::Path(function) = &*call.func else { return Err(unreadable(&call.func)) };
            let parts = Parts::read(call)?;
            if function.path.is_ident("fixed") {
                parts.only(&["max_attempts", "wait"])?;
                let (attempts, wait) =
                    (parts.attempts(call)?, parts.time("wait")?.unwrap_or(quote!(::core::time::Duration::ZERO)));
                Ok(quote!(#policy::fixed(#attempts, #wait)))
            } else if function.path.is_ident("backoff") {
                parts.only(&["max_attempts", "multiplier", "min", "max"])?;
                let missing =
                    |name: &str| syn::Error::new_spanned(call, format!("`backoff` needs `{name}`: `{RETRY}`"));
                let attempts = parts.attempts(call)?;
                let multiplier = parts.multiplier()?.ok_or_else(|| missing("multiplier"))?;
                let min = parts.time("min")?.ok_or_else(|| missing("min"))?;
                let max = parts.time("max")?.ok_or_else(|| missing("max"))?;
                if let (Some(min), Some(max)) = (parts.duration("min")?, parts.duration("max")?)
                    && min > max
                {
                    let why = format!("it waits from {min:?} to {max:?}: the first must not be longer");
                    return Err(syn::Error::new_spanned(call, why));
                }
                Ok(quote!(#policy::backoff(#attempts, #multiplier, #min, #max)))
            } else {
                let name = crate::problems::shown(&function.path);
                let why =
                    format!("`{name}` is no policy of retries{}: write `{RETRY}`", did_you_mean(&name, &POLICIES));
                Err(syn::Error::new_spanned(function, why))
            }
        }
        other => Err(unreadable(other)),
    }
}

/// `name = value` in a policy's brackets.
struct Parts<'a>(Vec<(String, &'a Expr, &'a Expr)>);

impl<'a> Parts<'a> {
    fn read(call: &'a syn::ExprCall) -> syn::Result<Self> {
        let parts = call.args.iter().map(|part| match part {
            Expr::Assign(assign) => Ok((crate::problems::shown(&assign.left), &*assign.left, &*assign.right)),
            other => Err(syn::Error::new_spanned(other, format!("its parts have names: `{RETRY}`"))),
        });
        let parts: Vec<_> = parts.collect::<syn::Result<_>>()?;
        for (at, (name, place, _)) in parts.iter().enumerate() {
            if parts[..at].iter().any(|(other, ..)| other == name) {
                return Err(syn::Error::new_spanned(place, format!("`{name}` is given twice")));
            }
        }
        Ok(Self(parts))
    }

    fn only(&self, known: &[&str]) -> syn::Result<()> {
        match self.0.iter().find(|(name, ..)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, place, _)) => {
                let why = format!("unknown part `{name}` of this policy{}", did_you_mean(name, known));
                Err(syn::Error::new_spanned(place, why))
            }
        }
    }

    fn get(&self, name: &str) -> Option<&'a Expr> {
        self.0.iter().find(|(given, ..)| given == name).map(|(.., value)| *value)
    }

    fn attempts(&self, call: &syn::ExprCall) -> syn::Result<u32> {
        let example = "max_attempts = 5";
        match self.get("max_attempts") {
            Some(value) => Ok(values::count(value, 1, u64::from(u32::MAX), example)? as u32),
            None => Err(syn::Error::new_spanned(call, format!("a policy says how often: `{example}`"))),
        }
    }

    fn duration(&self, name: &str) -> syn::Result<Option<std::time::Duration>> {
        self.get(name).map(|value| values::duration(value, &format!("{name} = \"10s\""))).transpose()
    }

    fn time(&self, name: &str) -> syn::Result<Option<TokenStream>> {
        Ok(self.duration(name)?.map(values::duration_tokens))
    }

    fn multiplier(&self) -> syn::Result<Option<TokenStream>> {
        let Some(value) = self.get("multiplier") else { return Ok(None) };
        let number = match values::literal(value) {
            Some(Lit::Int(number)) => number.base10_parse::<f64>().ok(),
            Some(Lit::Float(number)) => number.base10_parse::<f64>().ok(),
            _ => None,
        };
        match number.filter(|number| number.is_finite() && *number > 0.0) {
            Some(number) => Ok(Some(quote!(#number))),
            None => Err(syn::Error::new_spanned(value, "expected a number above 0: `multiplier = 2`")),
        }
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
        _ => {
            let name = values::text(value, example)?;
            Ok(quote!(#name))
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
            (quote!(retry = fixed(wait = "1s")), "sayshowoften"),
            (quote!(retry = fixed(max_attempts = 0)), "atleast1"),
            (quote!(retry = fixed(attempts = 2)), "unknownpart`attempts`"),
            (quote!(retry = backoff(max_attempts = 2, multiplier = 0, min = "1s", max = "2s")), "numberabove0"),
            (quote!(retry = backoff(max_attempts = 2, multiplier = 2, min = "3s", max = "2s")), "mustnotbelonger"),
            (quote!(retry = backoff(max_attempts = 2, min = "1s", max = "2s")), "needs`multiplier`"),
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
