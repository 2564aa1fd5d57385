use wrasse::{Gc, Weak};

fn send<T: Send>(_: T) {}
fn share<T: Sync>(_: T) {}

fn main() {
    send(Gc::new(1));
    share(Gc::new(1));
    send(Weak::<u8>::new());
}
