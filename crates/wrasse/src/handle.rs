//! [`Handle`]: a reference to an object of whatever type.

use std::any::TypeId;
use std::fmt;

use crate::header::{FINALIZED, Object, value_of};
use crate::heap;
use crate::pointer::Gc;
use crate::trace::{Trace, Tracer};

/// A counted reference to an object of whatever type, for looking at the heap.
///
/// ```
/// # use wrasse::{Gc, gc};
/// # use std::cell::RefCell;
/// let inner = Gc::new(RefCell::new(vec![Gc::new(1)]));
/// let handle = gc::referrers(&inner.borrow()[0]).remove(0);
/// assert!(handle.type_name().contains("RefCell"));
/// let same = handle.downcast::<RefCell<Vec<Gc<i32>>>>().unwrap();
/// assert!(Gc::ptr_eq(&same, &inner));
/// ```
pub struct Handle {
    object: Object,
}

impl Handle {
    /// Takes a reference to `object`.
    ///
    /// # Safety
    /// `object` is alive.
    pub(crate) unsafe fn to(object: Object) -> Self {
        // SAFETY: the caller's contract.
        unsafe { object.as_ref().increment() };
        Self { object }
    }

    /// The name of the value's type.
    pub fn type_name(&self) -> &'static str {
        // SAFETY: this reference keeps the object.
        unsafe { (self.object.as_ref().kind().name)() }
    }

    /// The address of the value.
    pub fn address(&self) -> *const () {
        value_of(self.object).as_ptr().cast_const().cast()
    }

    /// Bytes of the value.
    pub fn size(&self) -> usize {
        // SAFETY: this reference keeps the object.
        unsafe { (self.object.as_ref().kind().layout)(self.object).size() }
    }

    /// References to the object, this one included.
    pub fn ref_count(&self) -> usize {
        // SAFETY: this reference keeps the object.
        unsafe { self.object.as_ref().count() }
    }

    /// The generation the object is in; one above the oldest if frozen.
    pub fn generation(&self) -> usize {
        // SAFETY: this reference keeps the object.
        unsafe { self.object.as_ref().generation() }
    }

    /// Whether the object has no finalizer that is still to run.
    pub fn is_finalized(&self) -> bool {
        // SAFETY: this reference keeps the object.
        unsafe { self.object.as_ref().has(FINALIZED) }
    }

    /// Whether this is a reference to the object of `gc`.
    pub fn is<T: ?Sized>(&self, gc: &Gc<T>) -> bool {
        self.object == gc.object()
    }

    /// The typed reference, if the value's type is `T`.
    pub fn downcast<T: Trace>(&self) -> Option<Gc<T>> {
        // SAFETY: the type is compared; the new reference is counted.
        unsafe {
            let header = self.object.as_ref();
            if (header.kind().id)() != TypeId::of::<T>() {
                return None;
            }
            header.increment();
            Some(Gc::from_value(value_of(self.object).cast()))
        }
    }

    pub(crate) fn object(&self) -> Object {
        self.object
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        // SAFETY: this reference keeps the object.
        unsafe { Self::to(self.object) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: this reference was counted.
        unsafe { heap::drop_reference(self.object) }
    }
}

impl PartialEq for Handle {
    fn eq(&self, other: &Self) -> bool {
        self.object == other.object
    }
}

impl Eq for Handle {}

impl fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<{} {:p}>", self.type_name(), self.address())
    }
}

// SAFETY: reports the one reference that it is.
unsafe impl Trace for Handle {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.edge(self.object);
    }
}
