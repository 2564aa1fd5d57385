// The guard of exclusive access keeps the only reference borrowed.
use wrasse::Gc;

fn main() {
    let mut object = Gc::new(vec![1]);
    let mut access = Gc::get_mut(&mut object).unwrap();
    let other = object.clone();
    access.push(2);
    drop(other);

    let mut object = Gc::new(vec![1]);
    let first = &mut *Gc::make_mut(&mut object);
    first.push(1);
}
