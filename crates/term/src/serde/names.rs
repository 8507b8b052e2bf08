//! Names with a meaning of their own for this codec.
//!
//! serde hands a type's name to the format, and other formats ignore it. So the name is where a
//! type of this crate says what it is, and where `#[purlin::message]` says that a struct is a
//! variant of its own name. No Rust type has a name with `::` in it, so none is met by accident.

/// What a name that begins with `purlin::` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    /// Any term, read only: terms are written by their structure.
    Term,
    Atom,
    Pid,
    Port,
    Reference,
    /// Bytes that are a term already, written without atom references.
    Encoded,
    Message(Message),
}

/// A struct marked `#[purlin::message]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message {
    /// The atom it is written as.
    pub(crate) name: &'static str,
    /// The name of the Rust type, which is accepted too.
    pub(crate) rust: &'static str,
}

pub(crate) const TERM: &str = "purlin::Term";
pub(crate) const ATOM: &str = "purlin::Atom";
pub(crate) const PID: &str = "purlin::Pid";
pub(crate) const PORT: &str = "purlin::Port";
pub(crate) const REFERENCE: &str = "purlin::Reference";
pub(crate) const ENCODED: &str = "purlin::Encoded";

impl Special {
    /// `None` for the name of any other type.
    #[inline]
    pub(crate) fn of(name: &'static str) -> Option<Self> {
        name.strip_prefix("purlin::").and_then(Self::after_prefix)
    }

    fn after_prefix(name: &'static str) -> Option<Self> {
        Some(match name {
            "Term" => Self::Term,
            "Atom" => Self::Atom,
            "Pid" => Self::Pid,
            "Port" => Self::Port,
            "Reference" => Self::Reference,
            "Encoded" => Self::Encoded,
            // `message/RustName/name`, as the attribute writes it.
            _ => {
                let (rust, name) = name.strip_prefix("message/")?.split_once('/')?;
                Self::Message(Message { name, rust })
            }
        })
    }
}

impl Message {
    #[inline]
    pub(crate) fn of(name: &'static str) -> Option<Self> {
        match Special::of(name) {
            Some(Special::Message(message)) => Some(message),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_recognised_and_no_rust_name_is() {
        for (name, special) in [
            (TERM, Special::Term),
            (ATOM, Special::Atom),
            (PID, Special::Pid),
            (PORT, Special::Port),
            (REFERENCE, Special::Reference),
            (ENCODED, Special::Encoded),
        ] {
            assert_eq!(Special::of(name), Some(special));
        }
        for name in ["Term", "purlin", "Message", "purlin::Other"] {
            assert_eq!(Special::of(name), None);
        }
    }

    #[test]
    fn a_message_has_two_names_and_the_written_one_may_hold_anything() {
        let message = Message::of("purlin::message/Foo/Elixir.A/b").unwrap();
        assert_eq!((message.rust, message.name), ("Foo", "Elixir.A/b"));
    }
}
