//! The table of control messages: number, name, size of the tuple, payload.

use std::fmt;

macro_rules! table {
    ($($variant:ident = $number:literal $name:ident, $elements:literal $(, $payload:ident)?;)*) => {
        /// A kind of control message, by OTP's number for it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Op {
            $(#[doc = concat!(stringify!($name), ".")] $variant = $number,)*
        }

        impl Op {
            /// All of them, by number.
            pub const ALL: &'static [Op] = &[$(Op::$variant),*];

            /// The control message of that number, if there is one.
            pub const fn from_number(number: i64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// OTP's name for it, without `DOP_`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($name),)* }
            }

            /// Elements of the tuple, the number included. [`Op::AltactSigSend`] has one more
            /// when its flags say that a trace token follows.
            pub const fn elements(self) -> usize {
                match self { $(Self::$variant => $elements,)* }
            }

            /// True if a payload follows the tuple.
            pub const fn has_payload(self) -> bool {
                match self { $(Self::$variant => false $(|| stringify!($payload).len() > 0)?,)* }
            }
        }
    };
}

table! {
    Link = 1 LINK, 3;
    Send = 2 SEND, 3, message;
    Exit = 3 EXIT, 4;
    Unlink = 4 UNLINK, 3;
    RegSend = 6 REG_SEND, 4, message;
    GroupLeader = 7 GROUP_LEADER, 3;
    Exit2 = 8 EXIT2, 4;
    SendTt = 12 SEND_TT, 4, message;
    ExitTt = 13 EXIT_TT, 5;
    RegSendTt = 16 REG_SEND_TT, 5, message;
    Exit2Tt = 18 EXIT2_TT, 5;
    MonitorP = 19 MONITOR_P, 4;
    DemonitorP = 20 DEMONITOR_P, 4;
    MonitorPExit = 21 MONITOR_P_EXIT, 5;
    SendSender = 22 SEND_SENDER, 3, message;
    SendSenderTt = 23 SEND_SENDER_TT, 4, message;
    PayloadExit = 24 PAYLOAD_EXIT, 3, reason;
    PayloadExitTt = 25 PAYLOAD_EXIT_TT, 4, reason;
    PayloadExit2 = 26 PAYLOAD_EXIT2, 3, reason;
    PayloadExit2Tt = 27 PAYLOAD_EXIT2_TT, 4, reason;
    PayloadMonitorPExit = 28 PAYLOAD_MONITOR_P_EXIT, 4, reason;
    SpawnRequest = 29 SPAWN_REQUEST, 6, arguments;
    SpawnRequestTt = 30 SPAWN_REQUEST_TT, 7, arguments;
    SpawnReply = 31 SPAWN_REPLY, 5;
    SpawnReplyTt = 32 SPAWN_REPLY_TT, 6;
    AliasSend = 33 ALIAS_SEND, 3, message;
    AliasSendTt = 34 ALIAS_SEND_TT, 4, message;
    UnlinkId = 35 UNLINK_ID, 4;
    UnlinkIdAck = 36 UNLINK_ID_ACK, 4;
    AltactSigSend = 37 ALTACT_SIG_SEND, 4, message_or_reason;
}

/// The bits of the second element of [`Op::AltactSigSend`] (ERTS, `DOP_ALTACT_SIG_FLG_*`).
pub mod altact {
    /// A priority signal.
    pub const PRIORITY: i64 = 1;
    /// A trace token follows as the fifth element.
    pub const TOKEN: i64 = 2;
    /// The recipient is an alias.
    pub const ALIAS: i64 = 4;
    /// The recipient is a registered name.
    pub const NAME: i64 = 8;
    /// An exit signal; without this bit a message.
    pub const EXIT: i64 = 16;
    /// All bits with a meaning.
    pub const ALL: i64 = PRIORITY | TOKEN | ALIAS | NAME | EXIT;
}

/// The bits of the flags of [`Op::SpawnReply`] (ERTS, `DOP_SPAWN_REPLY_FLG_*`).
pub mod spawn_reply {
    /// The new process is linked to who asked.
    pub const LINK: i64 = 1;
    /// The new process is monitored by who asked.
    pub const MONITOR: i64 = 2;
}

impl Op {
    /// OTP's number for it.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The form of it that carries a trace token, or it itself where there is none.
    pub(super) const fn with_token(self) -> Self {
        match self {
            Self::Send => Self::SendTt,
            Self::Exit => Self::ExitTt,
            Self::RegSend => Self::RegSendTt,
            Self::Exit2 => Self::Exit2Tt,
            Self::SendSender => Self::SendSenderTt,
            Self::PayloadExit => Self::PayloadExitTt,
            Self::PayloadExit2 => Self::PayloadExit2Tt,
            Self::SpawnRequest => Self::SpawnRequestTt,
            Self::SpawnReply => Self::SpawnReplyTt,
            Self::AliasSend => Self::AliasSendTt,
            other => other,
        }
    }

    /// True if it is a form that carries a trace token.
    pub(super) const fn is_traced(self) -> bool {
        matches!(
            self,
            Self::SendTt
                | Self::ExitTt
                | Self::RegSendTt
                | Self::Exit2Tt
                | Self::SendSenderTt
                | Self::PayloadExitTt
                | Self::PayloadExit2Tt
                | Self::SpawnRequestTt
                | Self::SpawnReplyTt
                | Self::AliasSendTt
        )
    }
}

/// `SEND_SENDER (22)`.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_find_their_kind_and_nothing_else_does() {
        for &op in Op::ALL {
            assert_eq!(Op::from_number(op.number().into()), Some(op));
        }
        let known = (-300..300).filter(|&n| Op::from_number(n).is_some());
        assert_eq!(known.count(), Op::ALL.len());
    }

    /// The list of section 4 of `docs/protocols/erlang-distribution.md`.
    #[test]
    fn payloads_follow_just_these() {
        let with_payload = Op::ALL.iter().filter(|op| op.has_payload());
        let numbers: Vec<u8> = with_payload.map(|op| op.number()).collect();
        assert_eq!(
            numbers,
            [2, 6, 12, 16, 22, 23, 24, 25, 26, 27, 28, 29, 30, 33, 34, 37]
        );
    }

    #[test]
    fn a_token_is_one_element_more_and_changes_nothing_else() {
        for &op in Op::ALL {
            let traced = op.with_token();
            assert_eq!(traced.has_payload(), op.has_payload());
            assert_eq!(traced.elements(), op.elements() + usize::from(traced != op));
            assert_eq!(traced != op || op.is_traced(), traced.is_traced());
        }
    }
}
