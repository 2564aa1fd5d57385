//! The crate under another name.
extern crate wrasse as fish;

#[derive(fish::Trace)]
#[trace(crate = fish)]
struct Node<T> {
    next: Option<fish::Gc<Node<T>>>,
    value: T,
}

fn main() {
    let node = fish::Gc::new(Node { next: None, value: 1 });
    assert!(node.next.is_none() && node.value == 1);
}
