// As fail_variance.rs, by way of a weak reference.
use std::cell::RefCell;
use wrasse::{Gc, Weak};

type Object<'a> = (&'a str, RefCell<Option<Gc<u8>>>);

fn shorten<'a>(weak: Weak<Object<'static>>) -> Weak<Object<'a>> {
    weak
}

fn main() {
    let long: Gc<Object<'static>> = Gc::new(("", RefCell::new(None)));
    shorten(Gc::downgrade(&long));
}
