use wrasse::{Gc, Trace};

#[derive(Trace)]
struct Borrowed<'a> {
    #[trace(skip)]
    text: &'a str,
}

fn main() {
    let text = String::from("x");
    let _ = Gc::new(Borrowed { text: &text });
}
