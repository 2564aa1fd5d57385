use wrasse::Trace;

#[derive(Trace)]
#[trace(finalize)]
struct File(u8);

fn main() {}
