//! Generators: an iterator whose state holds `Gc`s can itself be held in a `Gc`
//! and is traced like any other object, also when it is suspended for ever.
//!
//! The allocation tracer shows what that is good for: a generator has one item in
//! memory at a time, where a list has them all.
//!
//! `cargo run --example generators`

use std::cell::RefCell;

use wrasse::tracemalloc::{self, Allocator};
use wrasse::{Gc, Trace, gc};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::new();

/// Something that gives out one object after the other.
trait Generator: Trace {
    fn resume(&mut self) -> Option<Gc<Item>>;
}

/// A generator that several may resume.
type Shared = Gc<RefCell<Box<dyn Generator>>>;

#[derive(Trace)]
struct Item {
    number: u64,
    text: String,
    /// Who made it: items refer to their generator, a cycle while one is held.
    from: RefCell<Option<Shared>>,
}

fn item(number: u64) -> Gc<Item> {
    Gc::new(Item {
        number,
        text: format!("item number {number} of many").repeat(10),
        from: RefCell::default(),
    })
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
        let item = item(self.next);
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

/// What `work` returns, and the most bytes it had in use at a time.
fn peak<R>(work: impl FnOnce() -> R) -> (R, usize) {
    let (before, _) = tracemalloc::get_traced_memory();
    tracemalloc::reset_peak();
    let result = work();
    let (_, peak) = tracemalloc::get_traced_memory();
    (result, peak - before)
}

fn main() {
    const COUNT: u64 = 20_000;
    tracemalloc::start(1);

    let (size, one) = peak(|| item(COUNT).text.len());

    let (list_total, list) = peak(|| {
        let list: Vec<Gc<Item>> = (0..COUNT).map(item).collect();
        list.iter().map(|item| item.text.len()).sum::<usize>()
    });
    println!("list:      {list:>9} bytes at most, {list_total} of them text");

    let (generator_total, generated) = peak(|| {
        let count = generator(Count {
            next: 0,
            end: COUNT,
            last: None,
        });
        let mut total = 0;
        loop {
            let item = count.borrow_mut().resume();
            let Some(item) = item else { return total };
            total += item.text.len();
        }
    });
    println!("generator: {generated:>9} bytes at most, for the same work");
    println!("one item:  {one:>9} bytes at most, {size} of them text");
    assert_eq!(list_total, generator_total);
    assert!(list > COUNT as usize * 250, "the list has all of its items");
    // The item at hand, the one before until then, and the generator itself.
    assert!(generated < 3 * one, "the generator has one item");

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
    let (before, _) = tracemalloc::get_traced_memory();
    let freed = gc::collect();
    let (after, _) = tracemalloc::get_traced_memory();
    println!("suspended: {freed} objects were in its cycle");
    assert_eq!(gc::objects().len(), 0);
    assert!(after < before, "and their memory is free");
}
