// A static is for all threads; an object is for one.
use wrasse::{Gc, Handle, Weak};
use std::sync::OnceLock;

static OBJECT: OnceLock<Gc<u8>> = OnceLock::new();
static WEAK: OnceLock<Weak<u8>> = OnceLock::new();
static HANDLE: OnceLock<Handle> = OnceLock::new();

fn main() {}
