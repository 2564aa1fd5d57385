use wrasse::{Trace, Tracer};

struct Opaque;

impl Trace for Opaque {
    fn trace(&self, _: &mut Tracer<'_>) {}
}

fn main() {}
