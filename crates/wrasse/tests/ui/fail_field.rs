use wrasse::Trace;

struct Opaque;

#[derive(Trace)]
struct Holder {
    name: String,
    opaque: Opaque,
}

fn main() {}
