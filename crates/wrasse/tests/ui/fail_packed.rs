// A field of a packed struct cannot be referred to, so it cannot be traced.
use wrasse::{Gc, Trace};

#[derive(Trace)]
#[repr(packed)]
struct Packed {
    small: u8,
    link: Gc<u8>,
}

fn main() {}
