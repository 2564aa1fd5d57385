use wrasse::Trace;

#[derive(Trace)]
union Either {
    a: u8,
    b: u16,
}

fn main() {}
