//! The list of messages that a server takes, and what is made of it.
//!
//! `type Messages = (by::Call<Add>, by::Cast<Reset>)` is the whole protocol of a server: what is not in it
//! nobody can send to it by type, and nothing else is decoded for it. Of the list the compiler makes one
//! type with a variant for each entry, which lies in the server's queue: no allocation, no look-up, and one
//! `match`. Which variant a message is follows from its place in the list, which the compiler finds.

use purlin_runtime::Message;
use purlin_term::{DeserializeError, Term, View, atom};

use crate::by;
use crate::envelope::Caller;
use crate::gen_server::{
    Context, GenServer, HandleCallFrom, HandleCast, HandleContinue, HandleInfo,
};
use crate::reply_to::ReplyTo;
use crate::request::Request;

/// How a message came.
pub enum Form<'a> {
    /// As a call.
    Call(&'a Caller),
    /// As a cast.
    Cast,
    /// As a plain message.
    Info,
}

/// A list of the messages that a server takes, each in its form: a tuple of types of [`by`].
///
/// Implemented for tuples of up to sixteen, and of 24 and 32: fill up with `()`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of the messages that `{S}` takes",
    label = "each entry is a `by::Call<R>`, `by::Cast<M>`, `by::Info<M>` or `by::Continue<M>`",
    note = "`by::Call<R>` needs `impl HandleCall<R> for {S}`, `by::Cast<M>` needs `impl HandleCast<M> for {S}`, and so on"
)]
pub trait Messages<S: GenServer>: 'static {
    /// One of the messages.
    type Any: Send + 'static;

    /// The message that a term is, by the first entry of its form that it fits.
    ///
    /// # Errors
    /// That of the entry that came furthest; `None` where there is no entry of that form.
    fn decode(form: &Form<'_>, term: View<'_>) -> Result<Self::Any, Option<DeserializeError>>;

    /// A message as `sys` shows it: in its envelope.
    fn event(message: &Self::Any) -> Term;

    /// The server handles a message.
    fn handle(
        message: Self::Any,
        server: &mut S,
        ctx: &mut Context<S>,
    ) -> impl Future<Output = ()> + Send;
}

/// `E` is an entry of the list, at a place that the compiler finds.
#[diagnostic::on_unimplemented(
    message = "the server does not take this message: there is no `{E}` among its `Messages`",
    label = "not in the server's list of messages"
)]
pub trait Has<S: GenServer, E: Entry, Place>: Messages<S> {
    /// The entry's message, as one of the list.
    fn wrap(message: E::Carried) -> Self::Any;
}

/// An entry of a list of messages, whoever has the list.
pub trait Entry {
    /// What is handed to who takes it: of a call, the request with who waits for the reply.
    type Carried: Send + 'static;
}

impl<R: Request> Entry for by::Call<R> {
    type Carried = (R, ReplyTo<R::Reply>);
}

impl<M: Message> Entry for by::Cast<M> {
    type Carried = M;
}

impl<M: Message> Entry for by::Info<M> {
    type Carried = M;
}

impl<M: Send + 'static> Entry for by::Continue<M> {
    type Carried = M;
}

impl<S, R> Messages<S> for by::Call<R>
where
    S: GenServer + HandleCallFrom<R>,
    R: Request,
{
    type Any = (R, ReplyTo<R::Reply>);

    fn decode(form: &Form<'_>, term: View<'_>) -> Result<Self::Any, Option<DeserializeError>> {
        match form {
            Form::Call(caller) => {
                let request = decode::<R>(term)?;
                Ok((request, ReplyTo::remote((*caller).clone())))
            }
            _ => Err(None),
        }
    }

    fn event((request, from): &Self::Any) -> Term {
        let from = from.pid().map_or(atom!("undefined").into(), Term::from);
        Term::tuple([atom!("$gen_call").into(), from, shown(request)])
    }

    fn handle(
        (request, from): Self::Any,
        server: &mut S,
        ctx: &mut Context<S>,
    ) -> impl Future<Output = ()> + Send {
        server.handle_call_from(request, from.answered_by(&ctx.process), ctx)
    }
}

impl<S, M> Messages<S> for by::Cast<M>
where
    S: GenServer + HandleCast<M>,
    M: Message,
{
    type Any = M;

    fn decode(form: &Form<'_>, term: View<'_>) -> Result<Self::Any, Option<DeserializeError>> {
        match form {
            Form::Cast => Ok(decode(term)?),
            _ => Err(None),
        }
    }

    fn event(message: &M) -> Term {
        Term::tuple([atom!("$gen_cast").into(), shown(message)])
    }

    fn handle(message: M, server: &mut S, ctx: &mut Context<S>) -> impl Future<Output = ()> + Send {
        server.handle_cast(message, ctx)
    }
}

impl<S, M> Messages<S> for by::Info<M>
where
    S: GenServer + HandleInfo<M>,
    M: Message,
{
    type Any = M;

    fn decode(form: &Form<'_>, term: View<'_>) -> Result<Self::Any, Option<DeserializeError>> {
        match form {
            Form::Info => Ok(decode(term)?),
            _ => Err(None),
        }
    }

    fn event(message: &M) -> Term {
        shown(message)
    }

    fn handle(message: M, server: &mut S, ctx: &mut Context<S>) -> impl Future<Output = ()> + Send {
        server.handle_info(message, ctx)
    }
}

impl<S, M> Messages<S> for by::Continue<M>
where
    S: GenServer + HandleContinue<M>,
    M: Send + 'static,
{
    type Any = M;

    /// Never comes from elsewhere.
    fn decode(_: &Form<'_>, _: View<'_>) -> Result<Self::Any, Option<DeserializeError>> {
        Err(None)
    }

    fn event(_: &M) -> Term {
        Term::tuple([atom!("continue").into(), std::any::type_name::<M>().into()])
    }

    fn handle(message: M, server: &mut S, ctx: &mut Context<S>) -> impl Future<Output = ()> + Send {
        server.handle_continue(message, ctx)
    }
}

/// A message that has no encoding is shown by the name of its type.
fn shown<M: Message>(message: &M) -> Term {
    let term = message.encode().ok().and_then(|term| term.to_term().ok());
    term.unwrap_or_else(|| std::any::type_name::<M>().into())
}

pub(crate) fn decode<M: Message>(term: View<'_>) -> Result<M, DeserializeError> {
    M::decode(&term.to_encoded())
}

/// The place of an entry in a list.
pub struct At<const INDEX: usize>;

/// No message.
pub enum Never {}

impl<S: GenServer> Messages<S> for () {
    type Any = Never;

    fn decode(_: &Form<'_>, _: View<'_>) -> Result<Never, Option<DeserializeError>> {
        Err(None)
    }

    fn event(message: &Never) -> Term {
        match *message {}
    }

    async fn handle(message: Never, _: &mut S, _: &mut Context<S>) {
        match message {}
    }
}

/// Of two reasons why a message fits no entry, the one that came further into it.
pub(crate) fn further(
    one: Option<DeserializeError>,
    other: Option<DeserializeError>,
) -> Option<DeserializeError> {
    match (one, other) {
        (Some(one), Some(other)) if other.path().len() > one.path().len() => Some(other),
        (one, other) => one.or(other),
    }
}

macro_rules! list {
    ($any:ident: $($entry:ident $index:literal),+) => {
        /// One of the messages of a list.
        pub enum $any<$($entry),+> {
            $(
                /// The one of that entry.
                $entry($entry),
            )+
        }

        impl<S: GenServer, $($entry: Messages<S>),+> Messages<S> for ($($entry,)+) {
            type Any = $any<$($entry::Any),+>;

            fn decode(
                form: &Form<'_>,
                term: View<'_>,
            ) -> Result<Self::Any, Option<DeserializeError>> {
                let mut error = None;
                $(
                    match $entry::decode(form, term) {
                        Ok(message) => return Ok($any::$entry(message)),
                        Err(refused) => error = further(error, refused),
                    }
                )+
                Err(error)
            }

            fn event(message: &Self::Any) -> Term {
                match message {
                    $($any::$entry(message) => $entry::event(message),)+
                }
            }

            async fn handle(message: Self::Any, server: &mut S, ctx: &mut Context<S>) {
                match message {
                    $($any::$entry(message) => $entry::handle(message, server, ctx).await,)+
                }
            }
        }

        list!(@places $any ($($entry),+) $($entry $index),+);
    };
    (@places $any:ident $all:tt $($entry:ident $index:literal),+) => {
        $(list!(@place $any $all $entry $index);)+
    };
    (@place $any:ident ($($all:ident),+) $entry:ident $index:literal) => {
        impl<S: GenServer, $($all: Messages<S>),+> Has<S, $entry, At<$index>> for ($($all,)+)
        where
            $entry: Entry<Carried = <$entry as Messages<S>>::Any>,
        {
            fn wrap(message: <$entry as Entry>::Carried) -> Self::Any {
                $any::$entry(message)
            }
        }
    };
}

list!(Any1: A 0);
list!(Any2: A 0, B 1);
list!(Any3: A 0, B 1, C 2);
list!(Any4: A 0, B 1, C 2, D 3);
list!(Any5: A 0, B 1, C 2, D 3, E 4);
list!(Any6: A 0, B 1, C 2, D 3, E 4, F 5);
list!(Any7: A 0, B 1, C 2, D 3, E 4, F 5, G 6);
list!(Any8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
list!(Any9: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
list!(Any10: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
list!(Any11: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
list!(Any12: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
list!(Any13: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12);
list!(Any14: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13);
list!(Any15: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14);
list!(Any16: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15);
list!(Any24: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15, Q 16, R 17, S1 18, T 19, U 20, V 21, W 22, X 23);
list!(Any32: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15, Q 16, R 17, S1 18, T 19, U 20, V 21, W 22, X 23, Y 24, Z 25, ZA 26, ZB 27, ZC 28, ZD 29, ZE 30, ZF 31);
