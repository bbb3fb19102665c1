//! `#[derive(Record)]`: a struct whose fields are fields of the Redis entry.
//!
//! It looks at the names of types, since a macro sees nothing else, so that a wrong one is refused where it is written.
//! That the names mean what they say is checked by the trait that the generated code calls.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Field, Fields, GenericArgument, PathArguments, Result, Type};

pub(crate) fn expand(item: TokenStream) -> TokenStream {
    syn::parse2(item).and_then(|input| record(&input)).unwrap_or_else(Error::into_compile_error)
}

fn record(input: &DeriveInput) -> Result<TokenStream> {
    only_primitive(&input.attrs)?;
    let fields = named_fields(input)?;
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "a primitive record cannot be generic: the types of its fields are a short list, and must be seen here",
        ));
    }
    // All wrong fields at once: nobody wants to be told one a build.
    if let Some(errors) = fields.iter().filter_map(|field| check(field).err()).reduce(|mut all, error| {
        all.combine(error);
        all
    }) {
        return Err(errors);
    }
    Ok(implementation(input, &fields))
}

fn only_primitive(attributes: &[Attribute]) -> Result<()> {
    let mut primitive = false;
    for attribute in attributes.iter().filter(|a| a.path().is_ident("record")) {
        if matches!(attribute.meta, syn::Meta::Path(_)) {
            return Err(Error::new_spanned(attribute, "`#[record]` alone says nothing: write `#[record(primitive)]`"));
        }
        attribute.parse_nested_meta(|option| {
            if !option.path.is_ident("primitive") {
                let named = option.path.to_token_stream();
                return Err(option.error(format!("there is no option `{named}`: the only one is `primitive`")));
            }
            if !option.input.is_empty() && !option.input.peek(syn::Token![,]) {
                return Err(option.error("`primitive` takes no value: write `#[record(primitive)]`"));
            }
            primitive = true;
            Ok(())
        })?;
    }
    if primitive {
        return Ok(());
    }
    Err(Error::new(
        Span::call_site(),
        "every type that is `Serialize` and `Deserialize` is a record already: derive those instead of `Record`.\n\
         To store each field of a struct as a field of the Redis entry, without a codec, add `#[record(primitive)]`",
    ))
}

fn named_fields(input: &DeriveInput) -> Result<Vec<&Field>> {
    let no_struct = |tokens: &dyn ToTokens, what: &str| {
        Err(Error::new_spanned(
            tokens.to_token_stream(),
            format!(
                "{what} cannot be a primitive record, which is a struct with named fields.\n\
                 Derive `Serialize` and `Deserialize` instead of `Record`: then it is a record with the stream's codec"
            ),
        ))
    };
    match &input.data {
        Data::Enum(data) => no_struct(&data.enum_token, "an enum"),
        Data::Union(data) => no_struct(&data.union_token, "a union"),
        Data::Struct(data) => match &data.fields {
            Fields::Unnamed(fields) => no_struct(fields, "a tuple struct"),
            fields if fields.is_empty() => Err(Error::new_spanned(
                &input.ident,
                "a primitive record needs a field: Redis stores no entry without one",
            )),
            fields => Ok(fields.iter().collect()),
        },
    }
}

fn check(field: &Field) -> Result<()> {
    if let Some(attribute) = field.attrs.iter().find(|a| a.path().is_ident("record")) {
        return Err(Error::new_spanned(attribute, "the fields of a primitive record have no options"));
    }
    if let Some(name) = field.ident.as_ref().filter(|name| name.unraw().to_string().starts_with("__")) {
        let why =
            format!("`{name}` cannot be a field of a primitive record: names that begin with `__` are runnel's own");
        return Err(Error::new_spanned(name, why));
    }
    if is_primitive(&field.ty) {
        return Ok(());
    }
    Err(Error::new_spanned(
        &field.ty,
        "a field of a primitive record is an integer, `f32`, `f64`, `bool`, `String`, `Vec<u8>` or `bytes::Bytes`, \
         by that name and by no alias.\n\
         For a record with other types, derive `Serialize` and `Deserialize` instead of `Record`",
    ))
}

const PLAIN: [&str; 17] = [
    "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128", "usize", "f32", "f64", "bool",
    "String", "Bytes",
];

fn is_primitive(written: &Type) -> bool {
    let path = match written {
        // A type that came through another macro is in a group.
        Type::Group(group) => return is_primitive(&group.elem),
        Type::Path(path) if path.qself.is_none() => &path.path,
        _ => return false,
    };
    let Some(last) = path.segments.last() else { return false };
    match &last.arguments {
        PathArguments::None => PLAIN.iter().any(|name| last.ident == name),
        PathArguments::AngleBracketed(list) if last.ident == "Vec" && list.args.len() == 1 => {
            matches!(&list.args[0], GenericArgument::Type(Type::Path(of)) if of.path.is_ident("u8"))
        }
        _ => false,
    }
}

fn implementation(input: &DeriveInput, fields: &[&Field]) -> TokenStream {
    let record = &input.ident;
    let members: Vec<_> = fields.iter().filter_map(|field| field.ident.as_ref()).collect();
    let names: Vec<_> = members.iter().map(|member| member.unraw().to_string()).collect();
    // A type that only has the name of a primitive one is reported where it is written.
    let reads = fields
        .iter()
        .zip(&names)
        .map(|(field, name)| quote_spanned!(field.ty.span()=> ::runnel::__record::field(fields, #name)?));
    quote! {
        #[automatically_derived]
        impl ::runnel::Record for #record {
            const PRIMITIVE: bool = true;

            fn to_fields<C: ::runnel::codec::Codec>(
                &self,
                _: &C,
            ) -> ::core::result::Result<::runnel::event::Fields, ::runnel::codec::EncodeError> {
                let mut row = ::runnel::__record::Row::default();
                #( row.put(#names, &self.#members); )*
                row.finish()
            }

            fn from_fields<C: ::runnel::codec::Codec>(
                fields: &::runnel::event::Fields,
                _: &C,
                limits: &::runnel::codec::Limits,
            ) -> ::core::result::Result<Self, ::runnel::codec::DecodeError> {
                ::runnel::__record::check(fields, limits)?;
                ::core::result::Result::Ok(Self { #( #members: #reads, )* })
            }

            fn from_json(text: &[u8]) -> ::core::result::Result<Self, ::runnel::__serde_json::Error> {
                let members = ::runnel::__record::Members::read(text)?;
                ::core::result::Result::Ok(Self { #( #members: members.get(#names)?, )* })
            }

            fn to_json(&self) -> ::core::result::Result<::runnel::__serde_json::Value, ::runnel::__serde_json::Error> {
                let mut members = ::runnel::__serde_json::Map::new();
                #( members.insert(
                    ::std::string::String::from(#names),
                    ::runnel::__record::Primitive::to_json(&self.#members),
                ); )*
                ::core::result::Result::Ok(::runnel::__serde_json::Value::Object(members))
            }
        }
    }
}
