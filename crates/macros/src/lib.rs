//! The attribute macros of Purlin. Use them through the crate `purlin`.
//!
//! [`macro@message`] is the one there is. What it writes is decided in `message`; how its names are
//! read, in `purlin-term`'s `serde::names`.

mod message;

use proc_macro::TokenStream;

/// Makes a type a message: a value that Erlang processes can send and receive.
///
/// It derives serde's `Serialize` and `Deserialize`, with names as Erlang writes them. Of an enum
/// each variant is a message; a struct is the variant of its own name:
///
/// | Rust | Erlang |
/// | --- | --- |
/// | `enum Command { Stop, Add(i64, i64), Put { key: String } }` | `stop`, `{add, 1, 2}`, `{put, #{key => <<"k">>}}` |
/// | `struct Get;` | `get` |
/// | `struct Add(i64);` | `{add, 2}` |
/// | `struct Move(i64, i64);` | `{move, 1, 2}` |
/// | `struct Put { key: String }` | `{put, #{key => <<"k">>}}` |
///
/// A struct has this form wherever it stands, also inside other types. The Rust name is accepted
/// too: `'Stop'`, `{'Add', 2}`. Other formats see the struct as if it were not marked.
///
/// All of serde's attributes work, and win: `#[serde(rename = "EXIT")]`, `#[serde(rename_all =
/// "UPPERCASE")]` on an enum. What would drop a struct's name is refused: `transparent`, `flatten`,
/// `from`, `try_from`, `into`, `remote`.
///
/// The user's crate needs no dependency on serde. A crate that does not depend on `purlin` says
/// where serde is: `#[message(serde = "::serde")]`.
#[proc_macro_attribute]
pub fn message(arguments: TokenStream, item: TokenStream) -> TokenStream {
    message::expand(arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
