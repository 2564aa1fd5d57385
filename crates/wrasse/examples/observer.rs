//! Subjects and observers that do not keep each other alive: a weak reference
//! whose callback takes it off the list when its observer goes.
//!
//! `cargo run --example observer`

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use wrasse::{Finalize, Gc, Trace, Weak, gc};

#[derive(Trace)]
#[trace(finalize)]
struct Observer {
    name: &'static str,
    seen: Cell<u32>,
    /// An observer may well be part of a cycle.
    friend: RefCell<Option<Gc<Observer>>>,
}

impl Finalize for Observer {
    fn finalize(&self) {
        println!("{} has seen {} and goes", self.name, self.seen.get());
    }
}

type Observers = Rc<RefCell<BTreeMap<u32, Weak<Observer>>>>;

#[derive(Default)]
struct Subject {
    observers: Observers,
    next: Cell<u32>,
}

impl Subject {
    fn add(&self, observer: &Gc<Observer>) {
        let id = self.next.replace(self.next.get() + 1);
        let observers = Rc::downgrade(&self.observers);
        let weak = Gc::downgrade_with(observer, move || {
            if let Some(observers) = observers.upgrade() {
                println!("observer {id} is taken off the list");
                // What is taken off is dropped when the list is free again.
                let gone = observers.borrow_mut().remove(&id);
                drop(gone);
            }
        });
        self.observers.borrow_mut().insert(id, weak);
    }

    fn notify(&self) -> usize {
        let observers: Vec<_> = self
            .observers
            .borrow()
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        for observer in &observers {
            observer.seen.set(observer.seen.get() + 1);
        }
        observers.len()
    }
}

fn main() {
    let subject = Subject::default();
    let observers = ["Ann", "Bob", "Cem"].map(|name| {
        let observer = Gc::new(Observer {
            name,
            seen: Cell::new(0),
            friend: RefCell::default(),
        });
        subject.add(&observer);
        observer
    });
    let [ann, bob, cem] = observers;
    *ann.friend.borrow_mut() = Some(bob.clone());
    *bob.friend.borrow_mut() = Some(ann.clone());
    assert_eq!(subject.notify(), 3);

    drop(cem); // by its count, at once
    assert_eq!(subject.notify(), 2);

    drop((ann, bob)); // a cycle
    assert_eq!(subject.notify(), 2, "nobody has looked yet");
    gc::collect();
    assert_eq!(subject.notify(), 0);
    assert!(subject.observers.borrow().is_empty());
}
