//! The mailbox of a process: one queue that any thread pushes to and one receiver takes from.
//!
//! It holds all signals of a process (messages, exits, answers of monitors, timers) in the order in
//! which they were pushed. The receiver takes the oldest ([`Receiver::pop`]), or visits what waits
//! and takes from the middle ([`Receiver::next`], [`Receiver::take`]): Erlang's selective receive.
//! All of it lies in a single allocation, [`Shared`], with whatever its owner wants beside the queue:
//! a header that all see (a pid, flags), and a state of its own. So the `Arc` around it can be *the*
//! address of a process, coerced to a trait object if need be; its task has another, and takes the
//! receiving side out of it when it runs ([`Shared::owner`]).
//!
//! Source: the queue is a list of blocks into which positions are handed out by one `fetch_add`, as
//! in tokio's `sync/mpsc/list.rs`; from there also the rule by which blocks are freed. Different:
//! closing is part of the same word; a waiting receiver marks the slot it waits for, so that a push
//! costs two atomic read-modify-writes in all and exactly one push wakes; the newest block is known
//! even while an older push is unfinished; a receiver that closes never waits for an unfinished
//! push; blocks grow and shrink with what waits in them; items can be taken from the middle.
//!
//! Guaranteed: what one thread pushes arrives in that order; an item is never seen before all that
//! was reserved before it; a push either succeeds, and then its item is taken or dropped by the
//! receiver, or fails and gives its item back; no wake-up is lost; an unused mailbox has no memory
//! beyond [`Shared`]. Not guaranteed: a bound (that is the runtime's, who knows which signals may
//! never be refused); that a push finishes before a later one (until it does, the later ones are
//! not seen).
//!
//! Invariants, named where they are relied on:
//!
//! - `I1` A position is reserved by one push and published at most once (`queue.rs`).
//! - `I2` The receiver passes no position that is not published: all before its *frontier* are.
//! - `I3` A block is freed when its items are taken, newer ones are found without it, and the
//!   frontier has reached what was reserved by then: nobody can hold it any more (`block.rs`).
//! - `I4` For each time that the receiver starts to wait, one push at most wakes it; the waker is
//!   replaced only when none is to come and all that came are done with it (`wake.rs`).
//! - `I5` When the receiver closes, each unfinished push is either in the queue or gets its item
//!   back: one word per block decides (`Block::abandon`).
//!
//! ```
//! use purlin_mailbox::mailbox;
//!
//! let (shared, mut receiver) = mailbox::<u32, &str>("a header");
//! for number in [1, 2, 3] {
//!     shared.push(number).unwrap();
//! }
//! let mut cursor = receiver.start();
//! while let Some(number) = receiver.next(&mut cursor) {
//!     if *number == 2 {
//!         break;
//!     }
//! }
//! assert_eq!(receiver.take(&cursor), Some(2));
//! assert_eq!(receiver.pop(), Some(1));
//! assert_eq!(receiver.pop(), Some(3));
//! assert_eq!(*shared.header(), "a header");
//! ```
//!
//! Start reading at `shared.rs`, then `queue.rs` (pushing) and `receiver.rs`.

mod block;
mod known;
mod lazy;
mod link;
mod queue;
mod receiver;
mod shared;
mod sync;
mod wake;

pub use lazy::Lazy;
pub use queue::Closed;
pub use receiver::{Awaited, Cursor};
pub use shared::{Hold, Owner, Receiver, Shared};

use sync::Arc;

/// A new mailbox: what senders share, and the receiver.
pub fn mailbox<T, H>(header: H) -> (Arc<Shared<T, H>>, Receiver<T, H>) {
    let shared = Arc::new(Shared::new(header, ()));
    let receiver = Receiver::new(Arc::clone(&shared));
    (shared, receiver)
}
