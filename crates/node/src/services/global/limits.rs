//! Every limit and waiting time of `global`, and how they relate.
//!
//! Peers know the cookie, yet one of them may be broken: what it can make this node keep is
//! bounded here. "OTP" means `kernel/src/global.erl`.

use std::time::Duration;

/// The protocol version that is spoken: OTP 25 to 28.
pub const VERSION: i64 = 8;

/// The oldest version whose nodes take part in `init_connect_ack` and `cancel_connect`. OTP.
pub const VERIFY_CONNECT_VERSION: i64 = 8;

/// The oldest version that understands `lost_connection`, and versions in lists of nodes. OTP.
pub const PARTITION_VERSION: i64 = 7;

/// Nodes known, connected or being connected. A full mesh of more is far beyond OTP's practice.
pub const NODES_MAX: usize = 4096;

/// Node names, new to this OS process, that messages may add over the life of a node.
pub const NEW_NODE_NAMES_MAX: usize = 16_384;

/// Registered names. A guess, unmeasured.
pub const NAMES_MAX: usize = 262_144;

/// Locked resources. A guess, unmeasured.
pub const LOCKS_MAX: usize = 65_536;

/// Processes that share one lock. A guess: lockers share theirs by two.
pub const LOCK_HOLDERS_MAX: usize = 1024;

/// Callers of `sync` that wait, and delayed `whereis` requests. A guess, unmeasured.
pub const WAITERS_MAX: usize = 4096;

/// Messages kept for one node while it is being connected. A guess, unmeasured.
pub const QUEUED_MESSAGES_MAX: usize = 256;

/// Reports of lost connections that are remembered.
pub const LOST_CONNECTIONS_MAX: usize = 16_384;

/// How long a report of a lost connection is remembered. OTP.
pub const LOST_CONNECTION_TTL: Duration = Duration::from_secs(3600);

/// How long a node named by a peer may take to be connected: twice OTP's `net_setuptime`.
pub const CONNECT_WAIT: Duration = Duration::from_secs(14);

/// How long one round of lock calls may take. OTP waits for ever; a node that does not answer a
/// lock call for this long counts as having refused, and is told to release. A guess.
pub const LOCK_CALL_WAIT: Duration = Duration::from_secs(15);

/// How long the locks of both partitions are held for one session before it is begun again. OTP
/// waits for ever, and a peer that hangs then keeps a cluster from registering names. A guess.
pub const SESSION_WAIT: Duration = Duration::from_secs(60);

/// How long the node of a clashing process may take to resolve the clash. A guess.
pub const RESOLVE_WAIT: Duration = Duration::from_secs(20);

/// How long a node may be known and not synced, or synced and not known. A guess.
pub const CONFIRM_WAIT: Duration = Duration::from_secs(15);

/// How long a node that was asked to close its connection may take, before we close it. OTP leaves
/// it open: neither in the partition nor out of it. A guess.
pub const REMOVE_WAIT: Duration = Duration::from_secs(5);

/// How often in a row the connection to such a node is made again. A guess.
pub const RESETS_MAX: u32 = 3;

/// First wait of a locker that knows nobody. OTP.
pub const SELECT_WAIT_ALONE: Duration = Duration::from_millis(200);

/// First wait of a locker that knows somebody, and what each known node adds to it. OTP.
pub const SELECT_WAIT: Duration = Duration::from_millis(1000);
/// See [`SELECT_WAIT`].
pub const SELECT_WAIT_PER_NODE: Duration = Duration::from_millis(100);
/// The most that a first wait can be. OTP.
pub const SELECT_WAIT_MAX: Duration = Duration::from_secs(3);

/// What a locker whose peers all have lower names waits longer, so that of two Purlin nodes the
/// lower one usually begins, and the other still does if that one cannot. A guess.
pub const SELECT_WAIT_HIGHER: Duration = Duration::from_secs(1);

/// Back-off after a refused lock: at random up to this, doubled with each refusal. OTP.
pub const BACK_OFF: Duration = Duration::from_millis(250);
/// The most that a back-off can be. OTP.
pub const BACK_OFF_MAX: Duration = Duration::from_secs(8);

const _: () = assert!(LOCK_CALL_WAIT.as_secs() < SESSION_WAIT.as_secs());
const _: () = assert!(RESOLVE_WAIT.as_secs() < SESSION_WAIT.as_secs());
const _: () = assert!(CONNECT_WAIT.as_secs() < LOCK_CALL_WAIT.as_secs());
const _: () = assert!(CONNECT_WAIT.as_secs() < CONFIRM_WAIT.as_secs());
const _: () = assert!(BACK_OFF.as_millis() < BACK_OFF_MAX.as_millis());
