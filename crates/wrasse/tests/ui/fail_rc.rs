use std::rc::Rc;

use wrasse::{Gc, Trace};

#[derive(Trace)]
struct Shared {
    same: Rc<Gc<u8>>,
}

fn main() {}
