//! A doubly linked list: the data structure that `Rc` leaks and `Weak` makes
//! clumsy. Here both directions are plain references.
//!
//! `cargo run --example linked_list`

use std::cell::RefCell;
use std::fmt::Debug;

use wrasse::{Gc, Trace, gc};

type Link<T> = RefCell<Option<Gc<Node<T>>>>;

#[derive(Trace)]
struct Node<T> {
    value: T,
    before: Link<T>,
    after: Link<T>,
}

#[derive(Trace)]
struct List<T> {
    first: Link<T>,
    last: Link<T>,
}

impl<T: Trace + Clone> List<T> {
    fn new() -> Self {
        Self {
            first: RefCell::default(),
            last: RefCell::default(),
        }
    }

    fn push_back(&self, value: T) -> Gc<Node<T>> {
        let before = self.last.take();
        let node = Gc::new(Node {
            value,
            before: RefCell::new(before.clone()),
            after: RefCell::default(),
        });
        match before {
            Some(before) => before.after.replace(Some(node.clone())),
            None => self.first.replace(Some(node.clone())),
        };
        self.last.replace(Some(node.clone()));
        node
    }

    /// Takes a node out of the middle, which needs both of its directions.
    fn remove(&self, node: &Gc<Node<T>>) {
        let (before, after) = (node.before.take(), node.after.take());
        match &before {
            Some(before) => before.after.replace(after.clone()),
            None => self.first.replace(after.clone()),
        };
        match &after {
            Some(after) => after.before.replace(before.clone()),
            None => self.last.replace(before.clone()),
        };
    }

    fn values(&self) -> impl Iterator<Item = T> {
        let first = self.first.borrow().clone();
        std::iter::successors(first, |node| node.after.borrow().clone())
            .map(|node| node.value.clone())
    }

    fn reversed(&self) -> impl Iterator<Item = T> {
        let last = self.last.borrow().clone();
        std::iter::successors(last, |node| node.before.borrow().clone())
            .map(|node| node.value.clone())
    }
}

fn show<T: Debug>(what: &str, values: impl Iterator<Item = T>) {
    println!("{what:>9}: {:?}", values.collect::<Vec<_>>());
}

fn main() {
    let list = List::new();
    let nodes: Vec<_> = ["cod", "eel", "gar", "ray"]
        .map(|fish| list.push_back(fish))
        .into();
    show("forwards", list.values());
    show("backwards", list.reversed());
    list.remove(&nodes[1]);
    show("removed", list.values());
    assert_eq!(list.reversed().collect::<Vec<_>>(), ["ray", "gar", "cod"]);

    drop(nodes);
    drop(list);
    println!(
        "the list is gone; the collector frees {} nodes",
        gc::collect()
    );
    assert_eq!(gc::objects().len(), 0);
}
