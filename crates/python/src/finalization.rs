//! The order in which CPython's last collection, after all modules are gone,
//! takes what is left apart.
//!
//! That collection is not ours, and it takes garbage apart in the order of its
//! list. Where a class comes before its instances, CPython cuts the class off its
//! module first, and instances that look for their module's state when they are
//! freed read through a null pointer: `itertools.tee` objects of 3.12 do, and a
//! program on stock that turns collections off early crashes by it at its exit.
//! With stock's small nursery, classes mostly stand behind because they are in
//! the middle generation when the program ends, which is merged in last. A larger
//! nursery still has them, in front. So they are moved to the end.

use std::ffi::c_int;

use pyo3_ffi::*;

use crate::list::{Link, List, append, object_of, unlink};

unsafe extern "C" {
    #[cfg_attr(not(Py_3_13), link_name = "_Py_IsFinalizing")]
    fn Py_IsFinalizing() -> c_int;
}

/// Is the interpreter being taken down?
pub fn has_begun() -> bool {
    // SAFETY: reads one word, at any time.
    unsafe { Py_IsFinalizing() != 0 }
}

/// Moves the classes on `list` behind everything else, in the order they have.
/// Linear in the objects on it.
///
/// # Safety
/// `list` is a proper list of live objects, the GIL is held, and no collection is
/// at work on it.
pub unsafe fn put_classes_last(list: &List) {
    if list.is_empty() {
        return;
    }
    let head = list.head();
    // SAFETY: links of a proper list lead to its live members and back to the
    // head; the next one is read before the list changes.
    unsafe {
        let last = (*head).prev as Link;
        let mut link = (*head).next as Link;
        loop {
            let next = (*link).next as Link;
            if PyType_Check(object_of(link)) != 0 {
                unlink(link);
                append(link, head);
            }
            // What was moved stands behind the one that was last.
            if link == last {
                break;
            }
            link = next;
        }
    }
}
