use wrasse::{Gc, Trace};

#[derive(Trace)]
struct Noisy {
    friend: Option<Gc<Noisy>>,
}

impl Drop for Noisy {
    fn drop(&mut self) {}
}

fn main() {}
