//! [`Finalize`]: what an object does at its end.

/// Runs once, before anything of the object's cycle is dropped.
///
/// As Python's `__del__` (PEP 442): the object and everything it refers to are
/// still whole, and a finalizer may store a `Gc` to the object where it is
/// reachable, which *resurrects* it. It will not run a second time.
///
/// It runs both when the last reference is dropped and when the collector finds
/// the object in a cycle. A value that never was in a `Gc`, or was taken out of
/// one with [`Gc::try_unwrap`](crate::Gc::try_unwrap), is not finalized.
///
/// ```
/// use std::cell::RefCell;
/// use wrasse::{Finalize, Gc, Trace, gc};
///
/// #[derive(Trace)]
/// #[trace(finalize)]
/// struct File {
///     name: String,
///     myself: RefCell<Option<Gc<File>>>,
/// }
///
/// impl Finalize for File {
///     fn finalize(&self) {
///         println!("closing {}", self.name);
///     }
/// }
///
/// let file = Gc::new(File { name: "notes.txt".into(), myself: RefCell::default() });
/// *file.myself.borrow_mut() = Some(file.clone());
/// drop(file);
/// assert_eq!(gc::collect(), 1); // prints "closing notes.txt"
/// ```
pub trait Finalize {
    /// Called at the object's end, at most once.
    fn finalize(&self);
}
