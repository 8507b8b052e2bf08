//! Node names: `alive@host`, as text, with the rules of OTP.
//!
//! [`FullName::new`] takes what OTP takes from a *peer* (`dist_util`: exactly one `@`, neither
//! part empty; measured: anything else is closed without a word). [`FullName::check_own`] holds
//! our own name to what `net_kernel` takes from an operator, which is stricter and includes the
//! family: nodes started with `-name` have hosts with a dot and nodes started with `-sname` have
//! hosts without, and the two families do not connect.
//!
//! I1. A name is 3 to 1020 bytes of UTF-8, at most 255 characters, none of them a control character.
//! I2. Order and equality go by text, byte by byte: what decides a simultaneous dial.
//!
//! Not guaranteed: that the host resolves. Next: [`crate::handshake`].

use core::fmt;
use core::net::Ipv6Addr;
use std::sync::Arc;

use crate::limits::{ATOM_CHARS_MAX, QUOTED_CHARS_MAX};

/// The full name of a node, `alive@host`, checked: `shop@127.0.0.1`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FullName(Arc<str>);

/// Whether hosts in node names carry a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFamily {
    /// `-sname`: the host is one label, such as `laptop`.
    Short,
    /// `-name`: the host has a dot or is an IPv6 address.
    Long,
}

/// Why a text cannot be a node name. Nothing was changed; fix the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeNameError {
    /// There is no `@`.
    #[error("`{text}` has no `@`; a node name is NAME@HOST, such as shop@127.0.0.1")]
    NoHost {
        /// The text, shortened.
        text: String,
    },
    /// There is more than one `@`.
    #[error("`{text}` has more than one `@`; a node name is NAME@HOST, such as shop@127.0.0.1")]
    ManyHosts {
        /// The text, shortened.
        text: String,
    },
    /// Nothing stands before or after the `@`.
    #[error(
        "`{text}` has nothing {side} its `@`; a node name is NAME@HOST, such as shop@127.0.0.1"
    )]
    EmptyPart {
        /// The text, shortened.
        text: String,
        /// `before` or `after`.
        side: &'static str,
    },
    /// The name does not fit an Erlang atom.
    #[error("the node name has {chars} characters; an Erlang node name has at most 255")]
    TooLong {
        /// How many characters it has.
        chars: usize,
    },
    /// The bytes are not text.
    #[error("the node name `{text}` is not UTF-8")]
    NotUtf8 {
        /// The text, shortened, with replacements.
        text: String,
    },
    /// A character that no name needs and that would garble logs and listings.
    #[error("the node name `{text}` has a control character; use letters, digits, `_` and `-`")]
    ControlCharacter {
        /// The text, shortened and escaped.
        text: String,
    },
    /// A character that `erl` does not take before the `@`.
    #[error("`{character}` cannot stand in the name `{text}`; use letters, digits, `_` and `-`")]
    Character {
        /// The text, shortened.
        text: String,
        /// The first such character.
        character: char,
    },
    /// A short name in a network of long names.
    #[error(
        "the host `{host}` has no dot, but this node uses long names (as erl -name does); write \
         the full host name or an IP address"
    )]
    HostNeedsDot {
        /// The host, shortened.
        host: String,
    },
    /// A long name in a network of short names.
    #[error(
        "the host `{host}` has a dot, but this node uses short names (as erl -sname does); write \
         the host name up to its first dot"
    )]
    HostHasDot {
        /// The host, shortened.
        host: String,
    },
}

impl FullName {
    /// The node name with this text.
    ///
    /// # Errors
    /// [`NodeNameError`] says what is wrong with the text and how it should look.
    ///
    /// ```
    /// use purlin_proto::handshake::FullName;
    /// let name = FullName::new("shop@127.0.0.1")?;
    /// assert_eq!((name.alive(), name.host()), ("shop", "127.0.0.1"));
    /// assert!(FullName::new("shop").is_err());
    /// # Ok::<(), purlin_proto::handshake::NodeNameError>(())
    /// ```
    pub fn new(text: &str) -> Result<Self, NodeNameError> {
        check_text(text)?;
        let quoted = || quoted(text.as_bytes());
        let Some((alive, host)) = text.split_once('@') else {
            return Err(NodeNameError::NoHost { text: quoted() });
        };
        if host.contains('@') {
            return Err(NodeNameError::ManyHosts { text: quoted() });
        }
        for (part, side) in [(alive, "before"), (host, "after")] {
            if part.is_empty() {
                return Err(NodeNameError::EmptyPart {
                    text: quoted(),
                    side,
                });
            }
        }
        Ok(FullName(text.into()))
    }

    /// The node name in these bytes, as they come from the network.
    ///
    /// # Errors
    /// As [`FullName::new`], and when the bytes are not UTF-8.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NodeNameError> {
        FullName::new(utf8(bytes)?)
    }

    /// Checks that this name can be our own in a network of `family`.
    ///
    /// # Errors
    /// [`NodeNameError::Character`], or one of the two errors about the host.
    pub fn check_own(&self, family: NameFamily) -> Result<(), NodeNameError> {
        let is_foreign = |c: &char| !(c.is_ascii_alphanumeric() || *c == '_' || *c == '-');
        if let Some(character) = self.alive().chars().find(is_foreign) {
            return Err(NodeNameError::Character {
                text: quoted(self.0.as_bytes()),
                character,
            });
        }
        family.check(self)
    }

    /// The part before the `@`, which EPMD knows.
    pub fn alive(&self) -> &str {
        self.0.split_once('@').map_or("", |(alive, _)| alive)
    }

    /// The part after the `@`.
    pub fn host(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, host)| host)
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl NameFamily {
    /// The family that a node with this name belongs to.
    pub fn of(name: &FullName) -> Self {
        let host = name.host();
        let is_ipv6 = || host.parse::<Ipv6Addr>().is_ok();
        if host.contains('.') || is_ipv6() {
            NameFamily::Long
        } else {
            NameFamily::Short
        }
    }

    /// Checks that a node of this family may dial `name` (`inet_tcp_dist:splitnode/2`). OTP does
    /// not check it for those who dial in, and neither should we (measured: an `-name` node
    /// accepts `sh@localhost`).
    ///
    /// # Errors
    /// [`NodeNameError::HostNeedsDot`] or [`NodeNameError::HostHasDot`].
    pub fn check(self, name: &FullName) -> Result<(), NodeNameError> {
        let host = || quoted(name.host().as_bytes());
        match (self, NameFamily::of(name)) {
            (NameFamily::Short, NameFamily::Long) => {
                Err(NodeNameError::HostHasDot { host: host() })
            }
            (NameFamily::Long, NameFamily::Short) => {
                Err(NodeNameError::HostNeedsDot { host: host() })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for FullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The host in these bytes: what a node sends that asks for a name.
pub(super) fn host_from_bytes(bytes: &[u8]) -> Result<&str, NodeNameError> {
    let host = utf8(bytes)?;
    check_text(host)?;
    match host {
        "" => Err(NodeNameError::EmptyPart {
            text: "@".into(),
            side: "after",
        }),
        host if host.contains('@') => Err(NodeNameError::ManyHosts {
            text: quoted(bytes),
        }),
        host => Ok(host),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, NodeNameError> {
    core::str::from_utf8(bytes).map_err(|_| NodeNameError::NotUtf8 {
        text: quoted(bytes),
    })
}

/// I1, which holds for whole names and for hosts.
fn check_text(text: &str) -> Result<(), NodeNameError> {
    let chars = text.chars().count();
    if chars > ATOM_CHARS_MAX {
        return Err(NodeNameError::TooLong { chars });
    }
    if text.chars().any(char::is_control) {
        return Err(NodeNameError::ControlCharacter {
            text: quoted(text.as_bytes()),
        });
    }
    Ok(())
}

/// A peer's text for a message to people: shortened, escaped, and readable whatever it was.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    // Four bytes for each character, so that a long text is not converted as a whole.
    let head = &bytes[..bytes.len().min(4 * QUOTED_CHARS_MAX)];
    let text = String::from_utf8_lossy(head);
    let mut quoted: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    if quoted.len() < bytes.len() && text.chars().count() > QUOTED_CHARS_MAX {
        quoted.push('…');
    }
    quoted.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_at_and_two_parts() {
        assert!(FullName::new("a@b").is_ok());
        assert!(FullName::new("søren@måne.dk").is_ok());
        let refused = |text: &str| FullName::new(text).unwrap_err().to_string();
        assert!(refused("shop").contains("has no `@`"));
        assert!(refused("a@b@c").contains("more than one"));
        assert!(refused("@host").contains("nothing before"));
        assert!(refused("shop@").contains("nothing after"));
        assert!(refused("a\n@b").contains("control character"));
        assert!(
            FullName::from_bytes(b"a@\xff")
                .unwrap_err()
                .to_string()
                .contains("UTF-8")
        );
    }

    #[test]
    fn names_fit_an_atom() {
        assert!(FullName::new(&format!("{}@b", "ø".repeat(253))).is_ok());
        let error = FullName::new(&format!("{}@b", "ø".repeat(254))).unwrap_err();
        assert_eq!(error, NodeNameError::TooLong { chars: 256 });
    }

    #[test]
    fn families_follow_the_dot() {
        let check = |family: NameFamily, name: &str| family.check(&FullName::new(name).unwrap());
        assert!(check(NameFamily::Long, "a@127.0.0.1").is_ok());
        assert!(check(NameFamily::Long, "a@::1").is_ok());
        assert!(
            check(NameFamily::Long, "a@laptop")
                .unwrap_err()
                .to_string()
                .contains("no dot")
        );
        assert!(check(NameFamily::Short, "a@laptop").is_ok());
        assert!(
            check(NameFamily::Short, "a@b.c")
                .unwrap_err()
                .to_string()
                .contains("has a dot")
        );
    }

    #[test]
    fn our_own_name_is_held_to_what_erl_takes() {
        let check = |name: &str| FullName::new(name).unwrap().check_own(NameFamily::Long);
        assert!(check("shop_1-a@127.0.0.1").is_ok());
        assert!(matches!(
            check("my shop@127.0.0.1"),
            Err(NodeNameError::Character { character: ' ', .. })
        ));
        assert!(check("shop@laptop").is_err());
    }

    #[test]
    fn quoted_text_is_short_and_printable() {
        assert_eq!(quoted(b"a\x1b[2J"), "a\\u{1b}[2J");
        assert!(quoted(&[b'x'; 100_000]).chars().count() <= QUOTED_CHARS_MAX + 1);
    }
}
