//! What `#[events]` writes.
//!
//! Of each marked variant a type of message, an entry in the list of messages, and how the message becomes
//! the event; all of which a user can write by hand. The enum itself loses its marks and nothing else.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Attribute, Error, Fields, Ident, ItemEnum, Path, Type, Variant, Visibility};

use crate::gen_server::{argument_of, is_named, path_text, purlin};
use crate::message::snake_case;

/// Entries of one tuple; more are tuples in tuples.
const LIST_LEN: usize = 16;

/// How an event comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Call,
    Cast,
    Info,
    /// Of the functions of `Events`, the one with this name.
    Signal(&'static str),
}

impl Form {
    fn of(attribute: &Attribute) -> Option<Self> {
        let path = attribute.path();
        Some(match () {
            () if path.is_ident("call") => Self::Call,
            () if path.is_ident("cast") => Self::Cast,
            () if path.is_ident("info") => Self::Info,
            () if path.is_ident("exit") => Self::Signal("exit"),
            () if path.is_ident("down") => Self::Signal("down"),
            () if path.is_ident("other") => Self::Signal("other"),
            () => return None,
        })
    }

    fn entry(self) -> Ident {
        let name = match self {
            Self::Call => "Call",
            Self::Cast => "Cast",
            _ => "Info",
        };
        Ident::new(name, Span::call_site())
    }
}

/// A marked variant that comes as a message.
struct Event {
    form: Form,
    name: Ident,
    /// The message, if it exists already.
    existing: Option<Type>,
    /// What the message carries.
    fields: Vec<Type>,
    /// What a call is answered by.
    reply: Option<Type>,
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    let purlin = purlin(arguments)?;
    let mut item: ItemEnum = syn::parse2(item)?;
    if !item.generics.params.is_empty() {
        let text = "events have no type parameters: their messages are types of their own";
        return Err(Error::new_spanned(&item.generics, text));
    }
    let (mut events, mut signals) = (Vec::new(), Vec::new());
    for variant in &mut item.variants {
        let Some((form, existing)) = mark(variant)? else {
            continue;
        };
        match form {
            Form::Signal(function) => signals.push(signal(function, variant, &purlin)?),
            form => events.push(Event::new(form, existing, variant)?),
        }
    }
    let name = &item.ident;
    let list = list(events.iter().map(|event| event.entry(&purlin)).collect());
    let messages = events
        .iter()
        .filter_map(|event| event.message(&item.vis, &purlin));
    let from = events.iter().map(|event| event.from(name, &purlin));
    let names = item.variants.iter().map(|variant| {
        let (variant, shown) = (&variant.ident, snake_case(&variant.ident.to_string()));
        quote!(Self::#variant { .. } => #shown,)
    });
    let behaviours = quote!(#purlin::behaviours);
    let shown = match item.variants.is_empty() {
        true => quote!(match *self {}),
        false => quote!(match self { #(#names)* }),
    };
    Ok(quote! {
        #item
        #(#messages)*
        impl #behaviours::Events for #name {
            type Messages = #list;

            fn name(&self) -> &'static str {
                #shown
            }

            #(#signals)*
        }
        #(#from)*
    })
}

/// How a variant is marked, with the message that the mark names; the mark is taken away.
fn mark(variant: &mut Variant) -> Result<Option<(Form, Option<Type>)>, Error> {
    let mut found = None;
    for attribute in &variant.attrs {
        let Some(form) = Form::of(attribute) else {
            continue;
        };
        if found.is_some() {
            let text = "an event comes in one form";
            return Err(Error::new_spanned(attribute, text));
        }
        let existing = match &attribute.meta {
            syn::Meta::Path(_) => None,
            _ => Some(attribute.parse_args::<Type>()?),
        };
        found = Some((form, existing));
    }
    variant
        .attrs
        .retain(|attribute| Form::of(attribute).is_none());
    Ok(found)
}

/// The types that a variant carries, in order.
fn carried(variant: &Variant) -> Result<Vec<Type>, Error> {
    match &variant.fields {
        Fields::Unit => Ok(Vec::new()),
        Fields::Unnamed(fields) => Ok(fields.unnamed.iter().map(|f| f.ty.clone()).collect()),
        Fields::Named(fields) => {
            let text = "an event that comes as a message carries values without names; or mark it with \
                        the type of a message that exists, `#[cast(Put)]`, and let it carry that";
            Err(Error::new_spanned(fields, text))
        }
    }
}

/// The function of `Events` that makes a variant.
fn signal(function: &str, variant: &Variant, purlin: &Path) -> Result<TokenStream, Error> {
    let (name, count) = (&variant.ident, carried(variant)?.len());
    let (wanted, text) = match function {
        "exit" => (2, "`exit` carries who ended and why: `(Pid, Reason)`"),
        "down" => (
            2,
            "`down` carries the monitor and the reason: `(Reference, Reason)`",
        ),
        _ => (1, "`other` carries the message: `(Other)`"),
    };
    if count != wanted {
        return Err(Error::new_spanned(variant, text));
    }
    let private = quote!(#purlin::behaviours::__private);
    Ok(match function {
        "exit" => quote! {
            fn exit(from: #private::Pid, reason: &#private::Reason) -> ::core::option::Option<Self> {
                ::core::option::Option::Some(Self::#name(from, reason.clone()))
            }
        },
        "down" => quote! {
            fn down(
                monitor: #private::Reference,
                reason: &#private::Reason,
            ) -> ::core::option::Option<Self> {
                ::core::option::Option::Some(Self::#name(monitor, reason.clone()))
            }
        },
        _ => quote! {
            fn other(
                message: #purlin::behaviours::Other,
            ) -> ::core::result::Result<Self, #purlin::behaviours::Other> {
                ::core::result::Result::Ok(Self::#name(message))
            }
        },
    })
}

impl Event {
    fn new(form: Form, existing: Option<Type>, variant: &Variant) -> Result<Self, Error> {
        let mut fields = carried(variant)?;
        let reply = fields
            .last()
            .filter(|last| is_named(last, "ReplyTo"))
            .and_then(argument_of);
        if reply.is_some() {
            fields.pop();
        }
        let text = match (form, &reply) {
            (Form::Call, None) => {
                Some("a call carries last who waits for the reply: `ReplyTo<i64>`")
            }
            (Form::Cast | Form::Info, Some(_)) => Some("only a caller waits for a reply"),
            _ if existing.is_some() && fields.len() != 1 => Some(
                "an event for a message that exists carries it alone, and who waits for a reply",
            ),
            _ => None,
        };
        if let Some(text) = text {
            return Err(Error::new_spanned(variant, text));
        }
        let name = variant.ident.clone();
        Ok(Self {
            form,
            name,
            existing,
            fields,
            reply,
        })
    }

    fn message_type(&self) -> TokenStream {
        let name = &self.name;
        match &self.existing {
            Some(existing) => quote!(#existing),
            None => quote!(#name),
        }
    }

    fn entry(&self, purlin: &Path) -> TokenStream {
        let (entry, message) = (self.form.entry(), self.message_type());
        quote!(#purlin::behaviours::by::#entry<#message>)
    }

    /// The type of a message that does not exist yet.
    fn message(&self, vis: &Visibility, purlin: &Path) -> Option<TokenStream> {
        if self.existing.is_some() {
            return None;
        }
        let (name, types, path) = (&self.name, &self.fields, path_text(purlin));
        let fields = (!types.is_empty()).then(|| quote!((#(pub #types),*)));
        let reply = self.reply.iter();
        let docs = format!(
            "The message of the event of that name: `{}`.",
            snake_case(&name.to_string())
        );
        Some(quote! {
            #[#purlin::message(purlin = #path #(, reply = #reply)*)]
            #[doc = #docs]
            #[allow(missing_docs)]
            #vis struct #name #fields;
        })
    }

    /// How the message becomes the event.
    fn from(&self, events: &Ident, purlin: &Path) -> TokenStream {
        let (name, entry, message) = (&self.name, self.entry(purlin), self.message_type());
        let fields: Vec<Ident> = (0..self.fields.len())
            .map(|place| format_ident!("field_{place}"))
            .collect();
        let pattern = match (&self.existing, fields.is_empty()) {
            (Some(_), _) => quote!(#(#fields)*),
            (None, true) => quote!(#name),
            (None, false) => quote!(#name(#(#fields),*)),
        };
        let made = match (&self.reply, fields.is_empty()) {
            (None, true) => quote!(Self::#name),
            (None, false) => quote!(Self::#name(#(#fields),*)),
            (Some(_), _) => quote!(Self::#name(#(#fields,)* from)),
        };
        let behaviours = quote!(#purlin::behaviours);
        let argument = match &self.reply {
            Some(reply) => quote!((#pattern, from): (#message, #behaviours::ReplyTo<#reply>)),
            None => quote!(#pattern: #message),
        };
        quote! {
            impl #behaviours::EventFrom<#entry> for #events {
                fn event_from(#argument) -> Self {
                    #made
                }
            }
        }
    }
}

/// A list of the entries, in lists of the length that there is.
fn list(entries: Vec<TokenStream>) -> TokenStream {
    if entries.len() <= LIST_LEN {
        return quote!((#(#entries,)*));
    }
    let parts = entries.chunks(LIST_LEN).map(|part| quote!((#(#part,)*)));
    list(parts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(item: &str) -> Result<String, String> {
        let item: TokenStream = item.parse().unwrap();
        let written = expand(TokenStream::new(), item).map_err(|error| error.to_string())?;
        Ok(written.to_string().replace([' ', '\n'], ""))
    }

    #[test]
    fn each_marked_variant_becomes_a_message_an_entry_and_the_event() {
        let written = expanded(
            "enum Event { #[call] Take(u32, ReplyTo<bool>), #[cast] Reset, #[info(Tick)] Tick(Tick),
             Refill }",
        );
        let written = written.unwrap();
        for expected in [
            "enumEvent{Take(u32,ReplyTo<bool>),Reset,Tick(Tick),Refill}",
            "#[::purlin::message(purlin=\"::purlin\",reply=bool)]",
            "structTake(pubu32);",
            "structReset;",
            "typeMessages=(::purlin::behaviours::by::Call<Take>,",
            "::purlin::behaviours::by::Cast<Reset>,::purlin::behaviours::by::Info<Tick>,);",
            "::purlin::behaviours::EventFrom<::purlin::behaviours::by::Cast<Reset>>forEvent",
            "Self::Refill{..}=>\"refill\",",
        ] {
            assert!(written.contains(expected), "{expected} is not in {written}");
        }
        assert!(!written.contains("structTick"), "{written}");
        assert!(!written.contains("structRefill"), "{written}");
    }

    #[test]
    fn more_entries_than_a_tuple_takes_are_tuples_in_a_tuple() {
        let variants: Vec<String> = (0..17).map(|n| format!("#[cast] E{n}")).collect();
        let written = expanded(&format!("enum Event {{ {} }}", variants.join(","))).unwrap();
        let end = "Cast<E15>,),(::purlin::behaviours::by::Cast<E16>,),);";
        assert!(written.contains(end), "{written}");
    }

    #[test]
    fn misuse_is_refused_with_what_to_do() {
        for (item, expected) in [
            ("enum E { #[call] Get }", "ReplyTo<i64>"),
            (
                "enum E { #[cast] Put(ReplyTo<bool>) }",
                "only a caller waits",
            ),
            ("enum E { #[cast] Put { key: u32 } }", "without names"),
            ("enum E { #[call] #[cast] Put(u32) }", "one form"),
            ("enum E { #[down] Down(Reference) }", "(Reference, Reason)"),
            ("enum E { #[info(Tick)] Tick }", "carries it alone"),
            ("enum E<T> { #[cast] Put(T) }", "no type parameters"),
        ] {
            let error = expanded(item).unwrap_err();
            assert!(error.contains(expected), "{item}: {error}");
        }
    }
}
