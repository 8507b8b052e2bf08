//! The queue against the simplest thing that behaves alike: a list of all items ever pushed, each
//! with a mark whether it was taken.

#![cfg(not(purlin_loom))]

use proptest::prelude::*;
use purlin_mailbox::{Cursor, Receiver, mailbox};

#[derive(Debug, Clone)]
enum Step {
    Push(u8),
    Pop(u8),
    /// Puts one of the cursors at the start, or at the end.
    Start(usize),
    End(usize),
    /// Visits that many items with one of the cursors, and takes the last one or not.
    Visit(usize, u8, bool),
    Copy(usize, usize),
    Close,
}

const CURSORS: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let cursor = 0..CURSORS;
    prop_oneof![
        8 => (0u8..60).prop_map(Step::Push),
        5 => (0u8..50).prop_map(Step::Pop),
        2 => cursor.clone().prop_map(Step::Start),
        2 => cursor.clone().prop_map(Step::End),
        20 => (cursor.clone(), 1u8..40, any::<bool>()).prop_map(|(c, n, t)| Step::Visit(c, n, t)),
        1 => (cursor.clone(), cursor).prop_map(|(from, to)| Step::Copy(from, to)),
    ]
}

/// The model: `items[position]` is there until it is taken.
#[derive(Default)]
struct Model {
    items: Vec<Option<u32>>,
    cursors: [(usize, bool); CURSORS],
}

impl Model {
    fn first_from(&self, position: usize) -> Option<usize> {
        (position..self.items.len()).find(|&position| self.items[position].is_some())
    }

    fn pop(&mut self) -> Option<u32> {
        let position = self.first_from(0)?;
        self.items[position].take()
    }

    fn visit(&mut self, cursor: usize) -> Option<u32> {
        let position = self.first_from(self.cursors[cursor].0)?;
        self.cursors[cursor] = (position + 1, true);
        self.items[position]
    }

    fn take(&mut self, cursor: usize) -> Option<u32> {
        let (position, visited) = self.cursors[cursor];
        if visited {
            self.items[position - 1].take()
        } else {
            None
        }
    }

    fn waiting(&self) -> usize {
        self.items.iter().flatten().count()
    }
}

/// Does a step on both, and compares what they answer.
fn run(step: &Step, model: &mut Model, receiver: &mut Receiver<u32, ()>, cursors: &mut [Cursor]) {
    match *step {
        Step::Push(count) => {
            for _ in 0..count {
                let item = model.items.len() as u32;
                if receiver.shared().push(item).is_ok() {
                    model.items.push(Some(item));
                } else {
                    assert!(receiver.is_ended());
                }
            }
        }
        Step::Pop(count) => (0..count).for_each(|_| assert_eq!(receiver.pop(), model.pop())),
        Step::Start(cursor) => {
            cursors[cursor] = receiver.start();
            model.cursors[cursor] = (0, false);
        }
        Step::End(cursor) => {
            cursors[cursor] = receiver.end();
            model.cursors[cursor] = (model.items.len(), false);
        }
        Step::Visit(cursor, count, takes) => {
            for _ in 0..count {
                let visited = receiver.next(&mut cursors[cursor]).copied();
                assert_eq!(visited, model.visit(cursor));
            }
            if takes {
                assert_eq!(receiver.take(&cursors[cursor]), model.take(cursor));
                assert_eq!(receiver.take(&cursors[cursor]), None);
            }
        }
        Step::Copy(from, to) => {
            cursors[to] = cursors[from];
            model.cursors[to] = model.cursors[from];
        }
        Step::Close => receiver.close(),
    }
    assert_eq!(receiver.len(), model.waiting());
}

proptest! {
    #[test]
    fn the_queue_is_a_list_with_holes(
        mut steps in prop::collection::vec(step(), 1..120),
        closes_at in prop::option::of(any::<prop::sample::Index>()),
    ) {
        if let Some(at) = closes_at {
            let at = at.index(steps.len());
            steps[at] = Step::Close;
        }
        let (_shared, mut receiver) = mailbox(());
        let mut model = Model::default();
        let mut cursors = [receiver.start(); CURSORS];
        for step in &steps {
            run(step, &mut model, &mut receiver, &mut cursors);
        }
        while let Some(item) = model.pop() {
            prop_assert_eq!(receiver.pop(), Some(item));
        }
        prop_assert_eq!(receiver.pop(), None);
    }
}
