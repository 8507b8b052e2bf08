//! One request to EPMD and its response: the machine of one client connection.
//!
//! The driver connects, sends [`Client::poll_transmit`], feeds what arrives, and takes the result
//! from [`Client::poll_event`]. After [`Response::Registered`] it keeps the connection open for
//! as long as the node lives; after anything else it closes.

use core::time::Duration;

use bytes::{Bytes, BytesMut};

use super::request::{Request, RequestError};
use super::response::Response;
use crate::limits::{EPMD_RESPONSE_LEN_MAX, EPMD_TIMEOUT};

/// Why there is no response. The machine has come to its end; close the connection. Whether a
/// registration was made is unknown unless the request was invalid; closing takes it back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The request cannot be sent.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The response cannot be read.
    #[error("EPMD's answer cannot be read: {what}; is something else listening on its port?")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The response is beyond the limit.
    #[error("EPMD's answer is longer than {len_max} bytes")]
    TooLong {
        /// Bytes allowed.
        len_max: usize,
    },
    /// The connection was closed before the response was complete.
    #[error("EPMD closed the connection before its answer was complete")]
    Closed,
    /// The response did not come in time.
    #[error("EPMD did not answer within {} ms", after.as_millis())]
    TimedOut {
        /// The time it was given.
        after: Duration,
    },
}

/// One request to EPMD.
#[derive(Debug)]
pub struct Client {
    request: Request,
    transmit: Option<Bytes>,
    buffer: BytesMut,
    deadline: Option<Duration>,
    timeout: Duration,
    event: Option<Result<Response, ClientError>>,
}

impl Client {
    /// A client with [`EPMD_TIMEOUT`] on a connection that was opened at `now`.
    pub fn new(now: Duration, request: Request) -> Self {
        Client::with_timeout(now, request, EPMD_TIMEOUT)
    }

    /// A client that waits for `timeout` at most.
    pub fn with_timeout(now: Duration, request: Request, timeout: Duration) -> Self {
        let (transmit, error) = match request.encode() {
            Ok(bytes) => (Some(bytes), None),
            Err(error) => (None, Some(Err(error.into()))),
        };
        let deadline = error.is_none().then(|| now.saturating_add(timeout));
        Client {
            request,
            transmit,
            buffer: BytesMut::new(),
            deadline,
            timeout,
            event: error,
        }
    }

    /// Bytes arrived. Ignored after the end.
    pub fn handle_bytes(&mut self, now: Duration, bytes: &[u8]) {
        self.handle_timeout(now);
        if self.deadline.is_none() {
            return;
        }
        let len_max = EPMD_RESPONSE_LEN_MAX;
        if bytes.len() > len_max - self.buffer.len() {
            return self.end(Err(ClientError::TooLong { len_max }));
        }
        self.buffer.extend_from_slice(bytes);
        self.decode(false);
    }

    /// EPMD closed the connection, which ends some responses.
    pub fn handle_closed(&mut self) {
        if self.deadline.is_some() {
            self.decode(true);
        }
        if self.deadline.is_some() {
            self.end(Err(ClientError::Closed));
        }
    }

    /// Time has passed. Before the deadline this does nothing.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.end(Err(ClientError::TimedOut {
                after: self.timeout,
            }));
        }
    }

    /// The request, once.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.transmit.take()
    }

    /// The outcome, once.
    pub fn poll_event(&mut self) -> Option<Result<Response, ClientError>> {
        self.event.take()
    }

    /// When [`Client::handle_timeout`] wants to be called; `None` at the end.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.deadline
    }

    /// Bytes that arrived and are not yet a response.
    pub fn buffered_len(&self) -> usize {
        self.buffer.len()
    }

    fn decode(&mut self, is_closed: bool) {
        match Response::decode(&self.request, &self.buffer, is_closed) {
            Ok(None) => {}
            Ok(Some(response)) => self.end(Ok(response)),
            Err(error) => self.end(Err(error)),
        }
    }

    fn end(&mut self, outcome: Result<Response, ClientError>) {
        self.deadline = None;
        self.transmit = None;
        self.buffer = BytesMut::new();
        self.event = Some(outcome);
    }
}
