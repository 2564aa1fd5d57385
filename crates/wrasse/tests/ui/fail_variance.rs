// An object is found again by its type (`Handle::downcast`), so no reference may
// change it: here a short-lived string would come out as a `'static` one.
use std::cell::RefCell;
use wrasse::{Gc, gc};

type Object<'a> = (&'a str, RefCell<Option<Gc<u8>>>);

fn main() {
    let text = String::from("short-lived");
    let long: Gc<Object<'static>> = Gc::new(("", RefCell::new(None)));
    let mut short: Gc<Object<'_>> = long;
    Gc::get_mut(&mut short).unwrap().0 = &text;
    let again = gc::objects()[0].downcast::<Object<'static>>().unwrap();
    std::mem::forget(short);
    drop(text);
    println!("{}", again.0);
}
