//! The External Term Format: `head` knows its layout, `decode`, `view` and `encode` use it.

mod decode;
mod encode;
mod encoded;
mod error;
mod external;
mod head;
mod tag;
mod transcode;
mod view;

pub(crate) use head::{Cursor, Frequent, Head, ListTail, RawPid, RawPort, RawReference};
pub(crate) use view::{SMALL_INTEGERS, WALKED};

pub use decode::Decoder;
pub use encode::Encoder;
pub use encoded::EncodedTerm;
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use external::{from_external, from_external_prefix, inflate, to_external};
pub use head::AtomText;
pub(crate) use head::ShortText;
pub use view::{Elements, ListElements, Pairs, Shape, View};
