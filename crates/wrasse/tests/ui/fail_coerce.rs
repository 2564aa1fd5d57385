use wrasse::{Gc, Trace, coerce};

trait Shape: Trace {}

#[derive(Trace)]
struct Square;

fn main() {
    let _: Gc<dyn Shape> = coerce!(Gc::new(Square) => dyn Shape);
    let _: Gc<u64> = coerce!(Gc::new(1_u8) => u64);
}
