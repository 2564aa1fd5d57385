use wrasse::Trace;

#[derive(Trace)]
#[trace(skip)]
struct OnType(u8);

#[derive(Trace)]
#[trace(finalise)]
struct Misspelled(u8);

#[derive(Trace)]
struct OnField(#[trace(ignore)] u8);

#[derive(Trace)]
enum OnVariant {
    #[trace(skip)]
    A(u8),
}

fn main() {}
