//! Why a connection ended, in OTP's words.

use std::fmt;

use purlin_term::{Atom, atom};

/// Why a node is down: what `net_kernel:monitor_nodes/2` calls `nodedown_reason`.
///
/// The names are OTP's. What each stands for was tried on OTP 25 where its manual is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DownReason {
    /// The peer closed the connection, or the network broke it.
    ConnectionClosed,
    /// This node closed it: [`Node::disconnect`](crate::Node::disconnect), or `global` in order to
    /// prevent overlapping partitions.
    Disconnect,
    /// Nothing was read of the peer for `net_ticktime`.
    NetTickTimeout,
    /// This node stops.
    NetKernelTerminated,
    /// The peer sent what it must not send, or more than this node bears, or does not read; the log
    /// says which. OTP's word for it is that of an exit signal.
    Killed,
    /// The peer connected anew while this connection still seemed to live.
    WaitPending,
    /// There is no connection and none could be made: for who asked by
    /// [`Node::monitor_node`](crate::Node::monitor_node).
    ConnectionSetupFailed,
}

impl DownReason {
    /// OTP's atom for it.
    pub fn as_atom(self) -> Atom {
        match self {
            Self::ConnectionClosed => atom!("connection_closed"),
            Self::Disconnect => atom!("disconnect"),
            Self::NetTickTimeout => atom!("net_tick_timeout"),
            Self::NetKernelTerminated => atom!("net_kernel_terminated"),
            Self::Killed => atom!("killed"),
            Self::WaitPending => atom!("wait_pending"),
            Self::ConnectionSetupFailed => atom!("connection_setup_failed"),
        }
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_atom().as_str())
    }
}
