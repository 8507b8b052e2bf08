//! What `#[message]` writes.
//!
//! The derives and their attributes, nothing else: serde does the work. An enum's variants get
//! `rename_all` and an alias each. A struct gets the serde name `purlin::message/Rust/erlang`,
//! by which purlin-term knows that it is a variant of its own; other formats ignore the names of
//! structs.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, ExprLit, Ident, Lit, LitStr, Meta, Token, Type,
    Variant, parse_quote,
};

/// Where serde is, in the crate `purlin`.
const SERDE: &str = "__private::serde";

/// Attributes of serde that make it forget a struct's name.
const FORGET_NAME: [&str; 5] = ["transparent", "from", "try_from", "into", "remote"];

/// Attributes of serde after which a variant is not read by its name.
const NOT_READ_BY_NAME: [&str; 4] = ["skip", "skip_deserializing", "other", "untagged"];

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    let arguments = Arguments::parse(arguments)?;
    let serde = arguments.serde();
    let mut item: DeriveInput = syn::parse2(item)?;
    refuse_second_derive(&item.attrs)?;
    let names: Vec<Attribute> = match &mut item.data {
        Data::Enum(data) => {
            if data.variants.is_empty() {
                let text = "an enum without variants has no values, so it is no message";
                return Err(Error::new_spanned(&item.ident, text));
            }
            data.variants.iter_mut().try_for_each(accept_rust_name)?;
            enum_names(&item.attrs)?
        }
        Data::Struct(data) => {
            for field in &data.fields {
                refuse_flatten(&field.attrs)?;
            }
            vec![struct_name(&item.ident, &mut item.attrs)?]
        }
        Data::Union(data) => {
            let text = "a union cannot be a message: use a struct or an enum";
            return Err(Error::new_spanned(data.union_token, text));
        }
    };
    let path: syn::Path = serde.parse()?;
    let request = arguments.request(&item)?;
    Ok(quote! {
        #[derive(#path::Serialize, #path::Deserialize)]
        #[serde(crate = #serde)]
        #(#names)*
        #item
        #request
    })
}

/// What stands in `#[message(..)]`.
struct Arguments {
    /// Where serde is, if the crate `purlin` does not say.
    serde: Option<LitStr>,
    /// Where the crate `purlin` is.
    purlin: String,
    /// The type of the reply to a request.
    reply: Option<Type>,
}

impl Arguments {
    fn parse(arguments: TokenStream) -> Result<Self, Error> {
        let mut parsed = Self {
            serde: None,
            purlin: crate::PURLIN.to_owned(),
            reply: None,
        };
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("reply") {
                parsed.reply = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("serde") {
                parsed.serde = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("purlin") {
                parsed.purlin = meta.value()?.parse::<LitStr>()?.value();
            } else {
                let text = "expected the type of a request's reply, `reply = i64`, or where things \
                            are: `serde = \"::serde\"`, `purlin = \"::purlin\"`";
                return Err(meta.error(text));
            }
            Ok(())
        });
        parser.parse2(arguments)?;
        Ok(parsed)
    }

    fn serde(&self) -> LitStr {
        let usual = || {
            let path = format!("{}::{SERDE}", self.purlin);
            LitStr::new(&path, proc_macro2::Span::call_site())
        };
        self.serde.clone().unwrap_or_else(usual)
    }

    /// That the message is a request, if it has a reply.
    fn request(&self, item: &DeriveInput) -> Result<Option<TokenStream>, Error> {
        let Some(reply) = &self.reply else {
            return Ok(None);
        };
        let purlin: syn::Path = syn::parse_str(&self.purlin)?;
        let name = &item.ident;
        let (generics, arguments, bounds) = item.generics.split_for_impl();
        Ok(Some(quote! {
            impl #generics #purlin::behaviours::Request for #name #arguments #bounds {
                type Reply = #reply;
            }
        }))
    }
}

fn refuse_second_derive(attributes: &[Attribute]) -> Result<(), Error> {
    for derive in attributes.iter().filter(|a| a.path().is_ident("derive")) {
        let paths = Punctuated::<syn::Path, Token![,]>::parse_terminated;
        for path in derive.parse_args_with(paths)? {
            let last = path
                .segments
                .last()
                .map(|segment| segment.ident.to_string());
            if matches!(last.as_deref(), Some("Serialize" | "Deserialize")) {
                let text = "`message` derives this already: remove it here";
                return Err(Error::new_spanned(path, text));
            }
        }
    }
    Ok(())
}

/// The attributes of serde among `attributes`, one by one.
fn serde_metas(attributes: &[Attribute]) -> Result<Vec<Meta>, Error> {
    let mut metas = Vec::new();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("serde")) {
        metas.extend(attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?);
    }
    Ok(metas)
}

fn refuse_flatten(attributes: &[Attribute]) -> Result<(), Error> {
    for meta in serde_metas(attributes)? {
        if meta.path().is_ident("flatten") {
            let text = "serde forgets the name of a struct with a flattened field, and a message \
                        needs it: mark `struct Name(Fields)` instead, and flatten in `Fields`";
            return Err(Error::new_spanned(meta, text));
        }
    }
    Ok(())
}

/// `Stop` is read as `stop` and as `Stop`.
fn accept_rust_name(variant: &mut Variant) -> Result<(), Error> {
    let metas = serde_metas(&variant.attrs)?;
    let is_read_by_name = !metas.iter().any(|meta| {
        NOT_READ_BY_NAME
            .iter()
            .any(|name| meta.path().is_ident(name))
    });
    if is_read_by_name {
        let rust = plain(&variant.ident);
        variant.attrs.push(parse_quote!(#[serde(alias = #rust)]));
    }
    Ok(())
}

fn enum_names(attributes: &[Attribute]) -> Result<Vec<Attribute>, Error> {
    let metas = serde_metas(attributes)?;
    let is_chosen = metas.iter().any(|meta| meta.path().is_ident("rename_all"));
    Ok(match is_chosen {
        true => Vec::new(),
        false => vec![parse_quote!(#[serde(rename_all = "snake_case")])],
    })
}

/// The serde name of a struct. The user's own `rename` is taken out of `attributes`: it is the
/// Erlang name in ours.
fn struct_name(ident: &Ident, attributes: &mut Vec<Attribute>) -> Result<Attribute, Error> {
    let metas = serde_metas(attributes)?;
    for meta in &metas {
        if FORGET_NAME.iter().any(|name| meta.path().is_ident(name)) {
            let name = meta.path().to_token_stream();
            let text =
                format!("`{name}` makes serde forget the struct's name, which a message needs");
            return Err(Error::new_spanned(meta, text));
        }
    }
    let rust = plain(ident);
    let (mut written, mut read) = (snake_case(&rust), snake_case(&rust));
    let (renames, others): (Vec<Meta>, Vec<Meta>) = metas
        .into_iter()
        .partition(|meta| meta.path().is_ident("rename"));
    for rename in &renames {
        match rename {
            Meta::NameValue(pair) => {
                written = text(&pair.value)?;
                read.clone_from(&written);
            }
            Meta::List(list) => list.parse_nested_meta(|meta| {
                let value = text(&meta.value()?.parse()?)?;
                match () {
                    () if meta.path.is_ident("serialize") => written = value,
                    () if meta.path.is_ident("deserialize") => read = value,
                    () => return Err(meta.error("expected `serialize` or `deserialize`")),
                }
                Ok(())
            })?,
            Meta::Path(path) => return Err(Error::new_spanned(path, "expected a name")),
        }
    }
    attributes.retain(|attribute| !attribute.path().is_ident("serde"));
    if !others.is_empty() {
        attributes.push(parse_quote!(#[serde(#(#others),*)]));
    }
    let [written, read] = [written, read].map(|name| format!("purlin::message/{rust}/{name}"));
    Ok(parse_quote!(#[serde(rename(serialize = #written, deserialize = #read))]))
}

fn text(value: &Expr) -> Result<String, Error> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Ok(text.value()),
        other => Err(Error::new_spanned(other, "expected a string literal")),
    }
}

/// The name without `r#`.
fn plain(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").unwrap_or(&name).to_owned()
}

/// As serde's `rename_all = "snake_case"` names a variant.
pub(crate) fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: &str, item: &str) -> Result<String, String> {
        let tokens = |text: &str| text.parse::<TokenStream>().unwrap();
        expand(tokens(arguments), tokens(item))
            .map(|tokens| tokens.to_string())
            .map_err(|error| error.to_string())
    }

    /// Compared without regard to white space.
    #[track_caller]
    fn assert_expands(arguments: &str, item: &str, expected: &str) {
        let dense = |text: &str| text.replace(char::is_whitespace, "");
        let expanded = expanded(arguments, item).unwrap();
        assert_eq!(dense(&expanded), dense(expected));
    }

    #[test]
    fn an_enum_gets_snake_case_and_an_alias_for_each_variant() {
        assert_expands(
            "",
            "#[doc = \"C\"] enum Command<'a, T> { Stop, #[serde(rename = \"EXIT\")] Exit(&'a T) }",
            r#"
            #[derive(::purlin::__private::serde::Serialize, ::purlin::__private::serde::Deserialize)]
            #[serde(crate = "::purlin::__private::serde")]
            #[serde(rename_all = "snake_case")]
            #[doc = "C"]
            enum Command<'a, T> {
                #[serde(alias = "Stop")] Stop,
                #[serde(rename = "EXIT")] #[serde(alias = "Exit")] Exit(&'a T)
            }"#,
        );
    }

    #[test]
    fn the_users_rename_all_and_unread_variants_are_left_alone() {
        assert_expands(
            r#"serde = "::serde""#,
            r#"#[serde(rename_all = "UPPERCASE")] enum E { A, #[serde(other)] B }"#,
            r#"
            #[derive(::serde::Serialize, ::serde::Deserialize)]
            #[serde(crate = "::serde")]
            #[serde(rename_all = "UPPERCASE")]
            enum E { #[serde(alias = "A")] A, #[serde(other)] B }"#,
        );
    }

    #[test]
    fn a_struct_gets_a_name_that_the_codec_recognises() {
        assert_expands(
            r#"serde = "::serde""#,
            "struct AddAll(i64);",
            r#"
            #[derive(::serde::Serialize, ::serde::Deserialize)]
            #[serde(crate = "::serde")]
            #[serde(rename(
                serialize = "purlin::message/AddAll/add_all",
                deserialize = "purlin::message/AddAll/add_all"))]
            struct AddAll(i64);"#,
        );
    }

    #[test]
    fn the_users_rename_of_a_struct_becomes_the_erlang_name() {
        assert_expands(
            r#"serde = "::serde""#,
            r#"#[serde(deny_unknown_fields, rename = "Elixir.Add")] struct Add { n: i64 }"#,
            r#"
            #[derive(::serde::Serialize, ::serde::Deserialize)]
            #[serde(crate = "::serde")]
            #[serde(rename(
                serialize = "purlin::message/Add/Elixir.Add",
                deserialize = "purlin::message/Add/Elixir.Add"))]
            #[serde(deny_unknown_fields)]
            struct Add { n: i64 }"#,
        );
    }

    #[test]
    fn a_message_with_a_reply_is_a_request() {
        assert_expands(
            r#"serde = "::serde", reply = Vec<T>"#,
            "struct Get<T: Copy>(T);",
            r#"
            #[derive(::serde::Serialize, ::serde::Deserialize)]
            #[serde(crate = "::serde")]
            #[serde(rename(
                serialize = "purlin::message/Get/get",
                deserialize = "purlin::message/Get/get"))]
            struct Get<T: Copy>(T);
            impl<T: Copy> ::purlin::behaviours::Request for Get<T> { type Reply = Vec<T>; }"#,
        );
    }

    #[test]
    fn misuse_is_refused_with_what_to_do() {
        let cases = [
            (
                "",
                "union U { a: u8 }",
                "a union cannot be a message: use a struct or an enum",
            ),
            (
                "",
                "enum E {}",
                "an enum without variants has no values, so it is no message",
            ),
            (
                "",
                "#[serde(transparent)] struct S(u8);",
                "`transparent` makes serde forget the struct's name, which a message needs",
            ),
            (
                "",
                "#[derive(Debug, serde::Serialize)] struct S;",
                "`message` derives this already: remove it here",
            ),
            (
                "name = \"x\"",
                "struct S;",
                "expected the type of a request's reply, `reply = i64`, or where things are: \
                 `serde = \"::serde\"`, `purlin = \"::purlin\"`",
            ),
        ];
        for (arguments, item, error) in cases {
            assert_eq!(expanded(arguments, item), Err(error.to_owned()), "{item}");
        }
        let flatten = expanded("", "struct S { #[serde(flatten)] f: F }").unwrap_err();
        assert!(flatten.starts_with("serde forgets the name"), "{flatten}");
        assert!(expanded("", "fn f() {}").is_err());
    }
}
