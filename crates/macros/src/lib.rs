//! The attribute macros of Purlin. Use them through the crate `purlin`.
//!
//! [`macro@message`] makes types messages, [`macro@gen_server`] writes what a server repeats, [`macro@events`] what
//! the events of a state machine do. What they
//! write is decided in the modules of their names; how the names of messages are read, in
//! `purlin-term`'s `serde::names`.

mod events;
mod gen_server;
mod message;

use proc_macro::TokenStream;

/// Where users find the crate `purlin`.
const PURLIN: &str = "::purlin";

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
/// A request says what it is answered by: `#[message(reply = i64)]`.
///
/// The user's crate needs no dependency on serde. A crate that does not depend on `purlin` says
/// where serde is: `#[message(serde = "::serde")]`.
#[proc_macro_attribute]
pub fn message(arguments: TokenStream, item: TokenStream) -> TokenStream {
    message::expand(arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Writes what a server repeats: a type for each message it takes, their list, and their handlers.
///
/// On an `impl GenServer for` a type, whose functions are OTP's callbacks, and those that are marked:
///
/// - `#[call] async fn add(&mut self, n: i64) -> i64` answers the request `Add(n)`, `{add, N}` in Erlang,
///   for which it makes the type. The function may take the context last, `ctx: &mut Context<Self>`, and who
///   waits for the reply, `from: ReplyTo<i64>`: then it returns nothing, and answers when it can;
/// - `#[cast] async fn reset(&mut self)` takes the cast `Reset`;
/// - `#[info] async fn tick(&mut self)` takes the plain message `Tick`;
/// - `#[continued] async fn load(&mut self)` goes on with `Load` after `ctx.continue_with(Load)`.
///
/// With a type, `#[call(Add)]`, the message is one that exists already, and the function takes it as one
/// argument. The functions need not be async.
///
/// The types that it makes are `pub`, or what the function says: a server, its messages and their replies are seen
/// from the same places. So where the reply is a type that is not `pub`, `pub(crate) fn stats(&self) -> Figures`
/// makes the request one, too, which the compiler asks for (`E0446`).
///
/// A state that serde can write is what `sys:get_state` shows, and one that it can read is taken back.
#[proc_macro_attribute]
pub fn gen_server(arguments: TokenStream, item: TokenStream) -> TokenStream {
    gen_server::expand(arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes an enum the events of a state machine: writes a type for each message that is one, and how it
/// becomes the event.
///
/// On an enum whose variants are marked by how they come:
///
/// - `#[call] Take(u32, ReplyTo<bool>)` is the request `Take(n)`, `{take, N}` in Erlang, with who waits for
///   the reply, last;
/// - `#[cast] Button(char)` is the cast `Button(c)`;
/// - `#[info] Tick` is the plain message `Tick`;
/// - `#[exit] Ended(Pid, Reason)` is the end of a linked process, `#[down] Down(Reference, Reason)` that of a
///   watched one, `#[other] Other(Other)` any message that is none of the others;
/// - what is not marked does not come from elsewhere: timeouts, and events that the machine inserts.
///
/// With a type, `#[cast(Button)]`, the message is one that exists already, and the event carries it.
#[proc_macro_attribute]
pub fn events(arguments: TokenStream, item: TokenStream) -> TokenStream {
    events::expand(arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
