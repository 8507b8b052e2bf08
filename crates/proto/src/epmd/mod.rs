//! EPMD, the daemon that knows the port of each node on a host: both sides of its protocol.
//!
//! ERTS manual, *Distribution Protocol*, "EPMD Protocol"; bytes and habits measured against the
//! `epmd` of OTP 25.2.3. A request is `Length:16, Body`; a response has no length, and for some
//! requests ends only when the connection closes. A registered name lives as long as the
//! connection it was registered on.
//!
//! - [`Request`], [`Registration`] and [`Response`]: the messages.
//! - [`Client`]: one request and its response, for one connection.
//! - [`Server`]: the names of a host, for all connections, so that a node can be the EPMD where
//!   none runs.
//!
//! I1. Nothing is allocated from a length before the bytes have arrived.
//! I2. However the stream is cut, requests and responses are the same.
//!
//! Not here: sockets, and whether a connection comes from this host; the driver of a [`Server`]
//! knows and says so, since only local ones may change anything.

mod client;
mod request;
mod response;
mod server;

pub use client::{Client, ClientError};
pub use request::{NodeType, Registration, Request, RequestError};
pub use response::{NameEntry, Response};
pub use server::{Config, ConnectionId, Output, RegisterRefused, Server};
