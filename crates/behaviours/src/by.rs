//! The forms in which messages come to a server, for the list of those that it takes:
//! `type Messages = (by::Call<Get>, by::Call<Add>, by::Cast<Reset>);`.
//!
//! These are names for types only; there are no values of them.

use std::marker::PhantomData;

/// Requests `R` come as calls: [`HandleCall`](crate::HandleCall).
pub struct Call<R>(PhantomData<fn(R)>);

/// `M`s come as casts: [`HandleCast`](crate::HandleCast).
pub struct Cast<M>(PhantomData<fn(M)>);

/// `M`s come as plain messages: [`HandleInfo`](crate::HandleInfo).
pub struct Info<M>(PhantomData<fn(M)>);

/// `M`s are what the server goes on with: [`HandleContinue`](crate::HandleContinue).
pub struct Continue<M>(PhantomData<fn(M)>);
