//! Generators: an iterator whose state holds `Gc`s can itself be held in a `Gc`
//! and is traced like any other object, also when it is suspended for ever.
//!
//! `cargo run --example generators`

use std::cell::RefCell;

use wrasse::{Gc, Trace, gc};

/// Something that gives out one object after the other.
trait Generator: Trace {
    fn resume(&mut self) -> Option<Gc<Item>>;
}

/// A generator that several may resume.
type Shared = Gc<RefCell<Box<dyn Generator>>>;

#[derive(Trace)]
struct Item {
    number: u64,
    /// Who made it: items refer to their generator, a cycle while one is held.
    from: RefCell<Option<Shared>>,
}

/// The numbers from one to another: what a generator function with a loop in it
/// comes down to, its local variables as fields.
#[derive(Trace)]
struct Count {
    next: u64,
    end: u64,
    last: Option<Gc<Item>>,
}

impl Generator for Count {
    fn resume(&mut self) -> Option<Gc<Item>> {
        if self.next == self.end {
            self.last = None;
            return None;
        }
        let item = Gc::new(Item {
            number: self.next,
            from: RefCell::default(),
        });
        self.next += 1;
        self.last = Some(item.clone());
        Some(item)
    }
}

/// Every second item of another generator.
#[derive(Trace)]
struct Every {
    step: usize,
    source: Shared,
}

impl Generator for Every {
    fn resume(&mut self) -> Option<Gc<Item>> {
        let mut source = self.source.borrow_mut();
        for _ in 1..self.step {
            source.resume()?;
        }
        source.resume()
    }
}

fn generator(generator: impl Generator) -> Shared {
    Gc::new(RefCell::new(Box::new(generator)))
}

fn main() {
    const COUNT: u64 = 100_000;

    // A list holds all of its items.
    let list: Vec<Gc<Item>> = (0..COUNT)
        .map(|number| {
            Gc::new(Item {
                number,
                from: RefCell::default(),
            })
        })
        .collect();
    println!(
        "list:      {:>6} objects alive at once",
        gc::objects().len()
    );
    let sum: u64 = list.iter().map(|item| item.number).sum();
    drop(list);

    // A generator holds one, however many it makes.
    let count = generator(Count {
        next: 0,
        end: COUNT,
        last: None,
    });
    let (mut most, mut total) = (0, 0);
    while let Some(item) = {
        let mut count = count.borrow_mut();
        count.resume()
    } {
        total += item.number;
        if item.number % 1000 == 0 {
            most = most.max(gc::objects().len());
        }
    }
    assert_eq!(sum, total);
    println!("generator: {most:>6} objects alive at once");
    assert!(most <= 2, "the generator and one item");
    drop(count);

    // A suspended generator in a cycle: its last item refers to it.
    let count = generator(Count {
        next: 0,
        end: 10,
        last: None,
    });
    let every = generator(Every {
        step: 2,
        source: count.clone(),
    });
    let item = every.borrow_mut().resume().expect("the second number");
    assert_eq!(item.number, 1);
    *item.from.borrow_mut() = Some(count.clone());
    drop((count, item));
    assert_eq!(gc::collect(), 0, "the second generator still holds it");
    drop(every);
    let freed = gc::collect();
    println!("suspended: {freed:>6} objects were in its cycle");
    assert_eq!(gc::objects().len(), 0);
}
