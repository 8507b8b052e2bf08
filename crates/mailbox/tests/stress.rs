//! Real threads: every item is accounted for, in the order of its sender, and no wake-up is lost.
//!
//! All tests of the crate run under AddressSanitizer, and these, which give it the most to see, under
//! ThreadSanitizer too (std is not instrumented, hence the suppressions; run it in this folder):
//!
//!     RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address \
//!         cargo test -p purlin-mailbox --tests --target x86_64-unknown-linux-gnu
//!     RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" \
//!         TSAN_OPTIONS=suppressions=$PWD/tests/tsan.supp \
//!         cargo test --test stress --target x86_64-unknown-linux-gnu

#![cfg(not(purlin_loom))]

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use purlin_mailbox::{Receiver, Shared, mailbox};

/// What each sender pushes: a second under a sanitizer. A guess, unmeasured otherwise.
const ITEMS: usize = 20_000;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// An item that knows its sender and number, and counts itself.
#[derive(Debug)]
struct Item {
    sender: usize,
    number: usize,
    dropped: Arc<AtomicUsize>,
}

impl Drop for Item {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// What all senders of a test share.
#[derive(Clone)]
struct Senders {
    shared: Arc<Shared<Item, ()>>,
    made: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Senders {
    fn new() -> (Self, Receiver<Item, ()>) {
        let (shared, receiver) = mailbox(());
        let senders = Self {
            shared,
            made: Arc::default(),
            refused: Arc::default(),
            dropped: Arc::default(),
        };
        (senders, receiver)
    }

    fn spawn(&self, sender: usize, count: usize) -> thread::JoinHandle<()> {
        let senders = self.clone();
        thread::spawn(move || {
            for number in 0..count {
                senders.made.fetch_add(1, Ordering::Relaxed);
                let dropped = Arc::clone(&senders.dropped);
                let item = Item {
                    sender,
                    number,
                    dropped,
                };
                if senders.shared.push(item).is_err() {
                    senders.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    }

    fn dropped(&self) -> usize {
        self.dropped.load(Ordering::Relaxed)
    }
}

async fn receive(receiver: &mut Receiver<Item, ()>) -> Option<Item> {
    let start = receiver.start();
    poll_fn(|cx| receiver.poll_arrival(cx, &start)).await;
    receiver.pop()
}

#[test]
fn each_sender_is_heard_completely_and_in_order() {
    const SENDERS: usize = 4;
    let (senders, mut receiver) = Senders::new();
    let threads: Vec<_> = (0..SENDERS)
        .map(|sender| senders.spawn(sender, ITEMS))
        .collect();
    let mut heard = [0; SENDERS];
    block_on(async {
        for _ in 0..SENDERS * ITEMS {
            let item = receive(&mut receiver).await.unwrap();
            assert_eq!(item.number, heard[item.sender]);
            heard[item.sender] += 1;
        }
    });
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert!(receiver.pop().is_none());
    assert_eq!(senders.dropped(), SENDERS * ITEMS);
}

#[test]
fn answers_pass_the_noise() {
    let (noise, mut receiver) = Senders::new();
    let answers = noise.clone();
    let thread = noise.spawn(0, ITEMS);
    block_on(async {
        for number in 0..2000 {
            let mut cursor = receiver.end();
            let answering = Item {
                sender: 1,
                number,
                dropped: Arc::clone(&answers.dropped),
            };
            let shared = Arc::clone(&answers.shared);
            shared.push(answering).unwrap();
            loop {
                poll_fn(|cx| receiver.poll_arrival(cx, &cursor)).await;
                if receiver.next(&mut cursor).unwrap().sender == 1 {
                    break;
                }
            }
            assert_eq!(receiver.take(&cursor).unwrap().number, number);
        }
        for number in 0..ITEMS {
            assert_eq!(receive(&mut receiver).await.unwrap().number, number);
        }
    });
    thread.join().unwrap();
    assert_eq!(noise.dropped(), ITEMS + 2000);
}

#[test]
fn closing_in_the_middle_loses_nothing() {
    for round in 0..200 {
        let (senders, mut receiver) = Senders::new();
        let threads = [0, 1, 2].map(|sender| senders.spawn(sender, 300));
        let mut received = 0;
        while received < round {
            received += usize::from(receiver.pop().is_some());
        }
        receiver.close();
        let closed_at = received;
        while receiver.pop().is_some() {
            received += 1;
        }
        assert!(received >= closed_at && receiver.is_ended());
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert!(receiver.pop().is_none());
        let refused = senders.refused.load(Ordering::Relaxed);
        assert_eq!(received + refused, 900);
        assert_eq!(senders.dropped(), 900);
        assert_eq!(senders.shared.len(), 0);
    }
}

#[test]
fn dropping_in_the_middle_drops_everything() {
    for round in 0..200 {
        let (senders, mut receiver) = Senders::new();
        let threads = [0, 1, 2].map(|sender| senders.spawn(sender, 300));
        block_on(async {
            for _ in 0..round {
                receive(&mut receiver).await.unwrap();
            }
        });
        drop(receiver);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(senders.dropped(), 900);
    }
}

#[test]
fn a_sender_may_close_while_others_push() {
    for _ in 0..200 {
        let (senders, mut receiver) = Senders::new();
        let threads = [0, 1].map(|sender| senders.spawn(sender, 300));
        let closing = senders.clone();
        let closer = thread::spawn(move || {
            closing.spawn(2, 100).join().unwrap();
            closing.shared.close();
        });
        let received = block_on(async {
            let mut received = 0;
            while receive(&mut receiver).await.is_some() {
                received += 1;
            }
            received
        });
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        closer.join().unwrap();
        assert_eq!(received + senders.refused.load(Ordering::Relaxed), 700);
        assert_eq!(senders.dropped(), 700);
    }
}

#[test]
fn a_ping_finds_its_pong() {
    let (ping, mut pinged) = mailbox::<usize, ()>(());
    let (pong, mut ponged) = mailbox::<usize, ()>(());
    let echo = thread::spawn(move || {
        block_on(async {
            for _ in 0..ITEMS {
                let start = pinged.start();
                poll_fn(|cx| pinged.poll_arrival(cx, &start)).await;
                pong.push(pinged.pop().unwrap()).unwrap();
            }
        });
    });
    block_on(async {
        for number in 0..ITEMS {
            ping.push(number).unwrap();
            let start = ponged.start();
            poll_fn(|cx| ponged.poll_arrival(cx, &start)).await;
            assert_eq!(ponged.pop(), Some(number));
        }
    });
    echo.join().unwrap();
}
