//! What events are, and how they come.
//!
//! Events are one type, so that a handler can match on them. What others send is the message of an entry
//! of [`Events::Messages`], as to a server, and becomes an event by [`EventFrom`]; the attribute
//! `#[purlin::events]` writes both.

use purlin_otp::reason::Reason;
use purlin_runtime::{Message, Runtime};
use purlin_term::{DeserializeError, Pid, Reference, View};

use crate::by;
use crate::gen_server::Other;
use crate::messages::{Entry, Form, decode, further};
use crate::reply_to::ReplyTo;
use crate::request::Request;

/// The events of a state machine: an enum, mostly.
pub trait Events: Sized + Send + 'static {
    /// The messages that are events, in the forms in which they come: a tuple of types of
    /// [`by`](crate::by).
    type Messages: EventList<Self>;

    /// How `sys` shows it.
    fn name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }

    /// The event that a linked process ended, if there is one. The machine has to trap exits.
    fn exit(from: Pid, reason: &Reason) -> Option<Self> {
        let _ = (from, reason);
        None
    }

    /// The event that a watched process ended, if there is one.
    fn down(monitor: Reference, reason: &Reason) -> Option<Self> {
        let _ = (monitor, reason);
        None
    }

    /// The event that a message is which is none of the list.
    ///
    /// # Errors
    /// The message, if it is no event.
    fn other(message: Other) -> Result<Self, Other> {
        Err(message)
    }
}

/// The event that a message is which comes in the form of an entry.
#[diagnostic::on_unimplemented(
    message = "no event is a `{E}`",
    label = "not in the machine's list of messages"
)]
pub trait EventFrom<E: Entry>: Events {
    /// The event.
    fn event_from(carried: E::Carried) -> Self;
}

/// An event that came as a term.
pub enum Decoded<E> {
    /// As a cast or a plain message.
    Event(E),
    /// As a call: the event, once it is known who answers; and what is called.
    Call(Box<dyn FnOnce((Runtime, Pid)) -> E + Send>, &'static str),
}

/// A list of messages that are events.
///
/// Implemented for tuples of up to sixteen; lists are entries of others.
pub trait EventList<E> {
    /// The event that a term is, by the first entry of its form that it fits.
    ///
    /// # Errors
    /// That of an entry; `None` where there is none of that form.
    fn decode(form: &Form<'_>, term: View<'_>) -> Result<Decoded<E>, Option<DeserializeError>>;
}

impl<E: EventFrom<by::Call<R>>, R: Request> EventList<E> for by::Call<R> {
    fn decode(form: &Form<'_>, term: View<'_>) -> Result<Decoded<E>, Option<DeserializeError>> {
        match form {
            Form::Call(caller) => {
                let request = decode::<R>(term)?;
                let caller = (*caller).clone();
                let event = |by| E::event_from((request, ReplyTo::remote_by(caller, by)));
                Ok(Decoded::Call(Box::new(event), std::any::type_name::<R>()))
            }
            _ => Err(None),
        }
    }
}

impl<E: EventFrom<by::Cast<M>>, M: Message> EventList<E> for by::Cast<M> {
    fn decode(form: &Form<'_>, term: View<'_>) -> Result<Decoded<E>, Option<DeserializeError>> {
        match form {
            Form::Cast => Ok(Decoded::Event(E::event_from(decode(term)?))),
            _ => Err(None),
        }
    }
}

impl<E: EventFrom<by::Info<M>>, M: Message> EventList<E> for by::Info<M> {
    fn decode(form: &Form<'_>, term: View<'_>) -> Result<Decoded<E>, Option<DeserializeError>> {
        match form {
            Form::Info => Ok(Decoded::Event(E::event_from(decode(term)?))),
            _ => Err(None),
        }
    }
}

impl<E> EventList<E> for () {
    fn decode(_: &Form<'_>, _: View<'_>) -> Result<Decoded<E>, Option<DeserializeError>> {
        Err(None)
    }
}

macro_rules! lists {
    ($first:ident $($rest:ident)*) => {
        impl<Ev, $first: EventList<Ev>, $($rest: EventList<Ev>),*> EventList<Ev>
            for ($first, $($rest,)*)
        {
            fn decode(form: &Form<'_>, term: View<'_>) -> Result<Decoded<Ev>, Option<DeserializeError>> {
                let error = match $first::decode(form, term.clone()) {
                    Ok(event) => return Ok(event),
                    Err(error) => error,
                };
                $(
                    let error = match $rest::decode(form, term.clone()) {
                        Ok(event) => return Ok(event),
                        Err(other) => further(error, other),
                    };
                )*
                Err(error)
            }
        }
        lists!($($rest)*);
    };
    () => {};
}

lists!(A B C D E F G H I J K L M N O P);
