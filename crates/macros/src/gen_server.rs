//! What `#[gen_server]` writes.
//!
//! Of each marked function a type of message, an entry in the list of messages, and an implementation of
//! the trait that handles it; all of which a user can write by hand. The functions' bodies are moved, not
//! wrapped. What is not marked stays in the `impl GenServer`.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::parse::Parser;
use syn::{
    Attribute, Error, FnArg, GenericArgument, GenericParam, Ident, ImplItem, ImplItemFn, ItemImpl,
    LitStr, Pat, Path, PathArguments, ReturnType, Type, Visibility, parse_quote,
};

/// Lists of messages have these lengths, or up to the first of them; shorter ones are filled up.
const LENGTHS: [usize; 3] = [16, 24, 32];

/// How a message comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Call,
    Cast,
    Info,
    Continue,
}

impl Form {
    fn of(attribute: &Attribute) -> Option<Self> {
        let path = attribute.path();
        Some(match () {
            () if path.is_ident("call") => Self::Call,
            () if path.is_ident("cast") => Self::Cast,
            () if path.is_ident("info") => Self::Info,
            () if path.is_ident("continued") => Self::Continue,
            () => return None,
        })
    }

    /// The entry's name in `by`.
    fn entry(self) -> &'static str {
        match self {
            Self::Call => "Call",
            Self::Cast => "Cast",
            Self::Info => "Info",
            Self::Continue => "Continue",
        }
    }
}

/// A marked function.
struct Handler {
    form: Form,
    function: ImplItemFn,
    /// The message, if it exists already.
    existing: Option<Type>,
    /// Names and types of what the message carries.
    fields: Vec<(Pat, Type)>,
    context: Option<Pat>,
    /// Who waits for the reply, and its type.
    from: Option<(Pat, Type)>,
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    let purlin = purlin(arguments)?;
    let mut item: ItemImpl = syn::parse2(item)?;
    check(&item)?;
    let (mut handlers, mut kept) = (Vec::new(), Vec::new());
    for member in item.items {
        match member {
            ImplItem::Fn(function) => match mark(&function)? {
                Some((form, existing)) => handlers.push(Handler::new(form, existing, function)?),
                None => kept.push(ImplItem::Fn(function)),
            },
            other => kept.push(other),
        }
    }
    for handler in &handlers {
        handler.check_parameters(&item.generics)?;
    }
    let entries = list(&handlers, &purlin)?;
    let state = state(&kept, &purlin);
    item.items = kept;
    item.items
        .push(parse_quote!(type Messages = (#(#entries,)*);));
    item.items.extend(state);
    let messages = handlers.iter().filter_map(|h| h.message(&purlin));
    let (server, generics) = (&item.self_ty, &item.generics);
    let handled = handlers.iter().map(|h| h.handle(server, generics, &purlin));
    Ok(quote! {
        #(#messages)*
        #item
        #(#handled)*
    })
}

/// Where the crate `purlin` is.
pub(crate) fn purlin(arguments: TokenStream) -> Result<Path, Error> {
    let mut path = crate::PURLIN.to_owned();
    let parser = syn::meta::parser(|meta| {
        if !meta.path.is_ident("purlin") {
            let text = "expected nothing, or where purlin is: `purlin = \"::purlin\"`";
            return Err(meta.error(text));
        }
        path = meta.value()?.parse::<LitStr>()?.value();
        Ok(())
    });
    parser.parse2(arguments)?;
    syn::parse_str(&path)
}

fn check(item: &ItemImpl) -> Result<(), Error> {
    let is_server = item.trait_.as_ref().is_some_and(|(path, _)| {
        path.segments
            .last()
            .is_some_and(|segment| segment.ident == "GenServer")
    });
    if !is_server {
        let text = "`gen_server` is for `impl GenServer for` a type";
        return Err(Error::new_spanned(&item.self_ty, text));
    }
    for member in &item.items {
        if let ImplItem::Type(given) = member
            && given.ident == "Messages"
        {
            let text = "`gen_server` writes this list from the marked functions: remove it, or write \
                        all by hand, without `gen_server`";
            return Err(Error::new_spanned(given, text));
        }
    }
    Ok(())
}

/// How a function is marked, with the message that the mark names.
fn mark(function: &ImplItemFn) -> Result<Option<(Form, Option<Type>)>, Error> {
    let mut found = None;
    for attribute in &function.attrs {
        let Some(form) = Form::of(attribute) else {
            continue;
        };
        if found.is_some() {
            let text = "a function handles messages of one form";
            return Err(Error::new_spanned(attribute, text));
        }
        let existing = match &attribute.meta {
            syn::Meta::Path(_) => None,
            _ => Some(attribute.parse_args::<Type>()?),
        };
        found = Some((form, existing));
    }
    Ok(found)
}

impl Handler {
    fn new(form: Form, existing: Option<Type>, mut function: ImplItemFn) -> Result<Self, Error> {
        function.attrs.retain(|a| Form::of(a).is_none());
        check_attributes(&function)?;
        let own = &function.sig.generics;
        if !own.params.is_empty() {
            let text = "a handler handles messages of one type: it has no generics of its own";
            return Err(Error::new_spanned(own, text));
        }
        if function.sig.receiver().is_none() {
            let text = "a handler takes `&mut self`, the server";
            return Err(Error::new_spanned(&function.sig, text));
        }
        let mut handler = Self {
            form,
            existing,
            fields: Vec::new(),
            context: None,
            from: None,
            function,
        };
        for argument in handler.function.sig.inputs.clone() {
            handler.take(argument)?;
        }
        handler.check()?;
        Ok(handler)
    }

    fn take(&mut self, argument: FnArg) -> Result<(), Error> {
        let FnArg::Typed(argument) = argument else {
            return Ok(());
        };
        let (name, given) = (*argument.pat, *argument.ty);
        match &given {
            Type::Reference(reference) if is_named(&reference.elem, "Context") => {
                self.context = Some(name);
            }
            Type::Reference(_) => {
                let text = "a message owns what it carries: take the value, not a reference";
                return Err(Error::new_spanned(given, text));
            }
            given if is_named(given, "ReplyTo") => {
                let reply = argument_of(given).ok_or_else(|| {
                    Error::new_spanned(given, "say what the reply is: `ReplyTo<i64>`")
                })?;
                self.from = Some((name, reply));
            }
            _ => self.fields.push((name, given)),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        let sig = &self.function.sig;
        if self.form != Form::Call {
            if let ReturnType::Type(_, returned) = &sig.output {
                let text = "only a call has a reply";
                return Err(Error::new_spanned(returned, text));
            }
            if self.from.is_some() {
                let text = "only a caller waits for a reply";
                return Err(Error::new_spanned(&sig.inputs, text));
            }
        }
        if self.from.is_some()
            && let ReturnType::Type(_, returned) = &sig.output
        {
            let text = "the reply goes by `ReplyTo`: the function returns nothing";
            return Err(Error::new_spanned(returned, text));
        }
        if self.existing.is_some() && self.fields.len() != 1 {
            let text = "a function for a message that exists takes it as its one argument";
            return Err(Error::new_spanned(&sig.inputs, text));
        }
        Ok(())
    }

    /// A message that is made is a type without generics, so it cannot carry those of the server.
    fn check_parameters(&self, generics: &syn::Generics) -> Result<(), Error> {
        if self.existing.is_some() {
            return Ok(());
        }
        let reply = (self.form == Form::Call).then(|| self.reply());
        let mut types = self.fields.iter().map(|(_, given)| given).chain(&reply);
        let names = generics.params.iter().map(|parameter| match parameter {
            GenericParam::Type(given) => &given.ident,
            GenericParam::Const(given) => &given.ident,
            GenericParam::Lifetime(given) => &given.lifetime.ident,
        });
        let names: Vec<&Ident> = names.collect();
        match types.find(|given| mentions(given.to_token_stream(), &names)) {
            Some(given) => {
                let text = "the message has a type of its own, which cannot be generic: write a message that \
                            is, and name it in the mark, `#[call(Put<T>)]`";
                Err(Error::new_spanned(given, text))
            }
            None => Ok(()),
        }
    }

    fn reply(&self) -> Type {
        match (&self.from, &self.function.sig.output) {
            (Some((_, reply)), _) => reply.clone(),
            (None, ReturnType::Type(_, reply)) => (**reply).clone(),
            (None, ReturnType::Default) => parse_quote!(()),
        }
    }

    /// The type of the message.
    fn message_type(&self) -> Type {
        let made = || {
            let name = camel_case(&self.function.sig.ident);
            parse_quote!(#name)
        };
        self.existing.clone().unwrap_or_else(made)
    }

    /// The type of a message that does not exist yet.
    fn message(&self, purlin: &Path) -> Option<TokenStream> {
        if self.existing.is_some() {
            return None;
        }
        let ident = &self.function.sig.ident;
        let (name, erlang) = (camel_case(ident), plain(ident));
        let docs = self
            .function
            .attrs
            .iter()
            .filter(|a| a.path().is_ident("doc"));
        let visibility = match &self.function.vis {
            Visibility::Inherited => parse_quote!(pub),
            given => given.clone(),
        };
        let types = self.fields.iter().map(|(_, given)| given);
        let fields = (!self.fields.is_empty()).then(|| quote!((#(#visibility #types),*)));
        let path = path_text(purlin);
        let attribute = match self.form {
            Form::Call => {
                let reply = self.reply();
                quote!(#[#purlin::message(purlin = #path, reply = #reply)])
            }
            Form::Cast | Form::Info => quote!(#[#purlin::message(purlin = #path)]),
            Form::Continue => TokenStream::new(),
        };
        let rename = (self.form != Form::Continue).then(|| quote!(#[serde(rename = #erlang)]));
        Some(quote! {
            #attribute
            #rename
            #(#docs)*
            #[allow(unreachable_pub, missing_docs)]
            #visibility struct #name #fields;
        })
    }

    /// The message taken apart into the function's arguments.
    fn pattern(&self) -> TokenStream {
        let names = self.fields.iter().map(|(name, _)| name);
        if self.existing.is_some() {
            return quote!(#(#names)*);
        }
        let message = camel_case(&self.function.sig.ident);
        match self.fields.is_empty() {
            true => quote!(#message),
            false => quote!(#message(#(#names),*)),
        }
    }

    fn handle(&self, server: &Type, generics: &syn::Generics, purlin: &Path) -> TokenStream {
        let (message, pattern) = (self.message_type(), self.pattern());
        let behaviours = quote!(#purlin::behaviours);
        let context = self.context.clone().unwrap_or_else(|| parse_quote!(_));
        let context = quote!(#context: &mut #behaviours::Context<Self>);
        let (body, attrs) = (&self.function.block, &self.function.attrs);
        let attrs = attrs.iter().filter(|a| !a.path().is_ident("doc"));
        let (handles, function) = match (self.form, &self.from) {
            (Form::Call, None) => {
                let reply = self.reply();
                let function = quote! {
                    async fn handle_call(&mut self, #pattern: #message, #context) -> #reply #body
                };
                ("HandleCall", function)
            }
            (Form::Call, Some((from, reply))) => {
                let function = quote! {
                    async fn handle_call_from(
                        &mut self,
                        #pattern: #message,
                        #from: #behaviours::ReplyTo<#reply>,
                        #context,
                    ) #body
                };
                ("HandleCallFrom", function)
            }
            (form, _) => {
                let (handles, function) = match form {
                    Form::Cast => ("HandleCast", "handle_cast"),
                    Form::Info => ("HandleInfo", "handle_info"),
                    _ => ("HandleContinue", "handle_continue"),
                };
                let function = format_ident!("{function}");
                let function = quote! {
                    async fn #function(&mut self, #pattern: #message, #context) #body
                };
                (handles, function)
            }
        };
        let handles = Ident::new(handles, Span::call_site());
        let (parameters, _, bounds) = generics.split_for_impl();
        quote! {
            impl #parameters #behaviours::#handles<#message> for #server #bounds {
                #(#attrs)*
                #function
            }
        }
    }
}

/// What is left out by a condition would still be in the list of messages.
fn check_attributes(function: &ImplItemFn) -> Result<(), Error> {
    let is_conditional = |a: &&Attribute| a.path().is_ident("cfg") || a.path().is_ident("cfg_attr");
    match function.attrs.iter().find(is_conditional) {
        Some(attribute) => {
            let text = "a handler is there in any case, as is its message in the server's list: put the \
                        condition inside the function, or on the whole `impl`";
            Err(Error::new_spanned(attribute, text))
        }
        None => Ok(()),
    }
}

/// Whether one of the names stands in it.
fn mentions(tokens: TokenStream, names: &[&Ident]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => names.contains(&&ident),
        TokenTree::Group(group) => mentions(group.stream(), names),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// The list of messages, filled up to a length that there is.
fn list(handlers: &[Handler], purlin: &Path) -> Result<Vec<TokenStream>, Error> {
    let mut entries: Vec<TokenStream> = handlers
        .iter()
        .map(|handler| {
            let entry = Ident::new(handler.form.entry(), Span::call_site());
            let message = handler.message_type();
            quote!(#purlin::behaviours::by::#entry<#message>)
        })
        .collect();
    if entries.len() <= LENGTHS[0] {
        return Ok(entries);
    }
    match LENGTHS.into_iter().find(|length| *length >= entries.len()) {
        Some(length) => entries.resize(length, quote!(())),
        None => {
            let text = format!(
                "a server takes at most {} messages; make one an enum of several",
                LENGTHS[LENGTHS.len() - 1]
            );
            return Err(Error::new(Span::call_site(), text));
        }
    }
    Ok(entries)
}

/// How `sys` sees the state, where the user does not say.
fn state(kept: &[ImplItem], purlin: &Path) -> Vec<ImplItem> {
    let has = |name: &str| {
        kept.iter().any(|member| match member {
            ImplItem::Fn(function) => function.sig.ident == name,
            _ => false,
        })
    };
    let mut written = Vec::new();
    let private = quote!(#purlin::behaviours::__private);
    if !has("state") {
        written.push(parse_quote! {
            fn state(&self) -> ::core::option::Option<#private::Term> {
                #[allow(unused_imports)]
                use #private::{ShownBySerde as _, NotShown as _};
                (&#private::Probe(self)).shown()
            }
        });
    }
    if !has("replace_state") {
        written.push(parse_quote! {
            fn replace_state(&mut self, state: &#private::EncodedTerm) -> bool {
                #[allow(unused_imports)]
                use #private::{ReadBySerde as _, NotRead as _};
                match (&#private::Kind::<Self>::NEW).read(state) {
                    ::core::option::Option::Some(state) => {
                        *self = state;
                        true
                    }
                    ::core::option::Option::None => false,
                }
            }
        });
    }
    written
}

/// Whether the last part of a path is that.
pub(crate) fn is_named(given: &Type, name: &str) -> bool {
    match given {
        Type::Path(given) => given
            .path
            .segments
            .last()
            .is_some_and(|segment| segment.ident == name),
        _ => false,
    }
}

/// The one type argument of a path.
pub(crate) fn argument_of(given: &Type) -> Option<Type> {
    let Type::Path(given) = given else {
        return None;
    };
    let PathArguments::AngleBracketed(arguments) = &given.path.segments.last()?.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(argument) => Some(argument.clone()),
        _ => None,
    }
}

pub(crate) fn path_text(path: &Path) -> String {
    let text = quote!(#path).to_string();
    text.replace(' ', "")
}

/// The name without `r#`.
fn plain(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").unwrap_or(&name).to_owned()
}

/// `add_all` as `AddAll`.
fn camel_case(ident: &Ident) -> Ident {
    let mut name = String::new();
    for part in plain(ident).split('_') {
        let mut letters = part.chars();
        name.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        name.push_str(letters.as_str());
    }
    Ident::new(&name, ident.span())
}
