//! Which types are CPython's own all the way, or made in Python from such.
//!
//! A library may know its objects by other means than references: many keep a table
//! that leads from what they wrap to the wrapper, which leaves the table only when it
//! is destroyed. Through that the program can get hold of an object that nothing
//! refers to. CPython's own types keep no such tables.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use pyo3_ffi::*;

/// Whether what destroys objects of `kind` is in the interpreter's own image: code of
/// CPython's, for its own types and for classes made in Python.
///
/// # Safety
/// `kind` is a live type.
pub unsafe fn is_own(kind: *mut PyTypeObject) -> bool {
    static IMAGE: OnceLock<(usize, usize)> = OnceLock::new();
    let &(start, end) = IMAGE.get_or_init(image);
    let mut base = kind;
    // SAFETY: a live type's bases are alive.
    unsafe {
        while !base.is_null() {
            let destroys = (*base).tp_dealloc.map_or(0, |function| function as usize);
            if !(start..end).contains(&destroys) {
                return false;
            }
            base = (*base).tp_base;
        }
    }
    true
}

/// The addresses of the image that has the code of `type`'s destructor; none if they
/// are not found.
fn image() -> (usize, usize) {
    extern "C" fn visit(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
        // SAFETY: the system passes what it describes, and what `image` gave it.
        unsafe {
            let (info, found) = (&*info, &mut *found.cast::<(usize, usize)>());
            let known = PyType_Type.tp_dealloc;
            let known = known.map_or(0, |function| function as usize);
            let (mut first, mut last, mut is_here) = (usize::MAX, 0, false);
            for index in 0..usize::from(info.dlpi_phnum) {
                let segment = &*info.dlpi_phdr.add(index);
                if segment.p_type == libc::PT_LOAD {
                    let start = (info.dlpi_addr as usize).wrapping_add(segment.p_vaddr as usize);
                    let end = start.wrapping_add(segment.p_memsz as usize);
                    (first, last) = (first.min(start), last.max(end));
                    is_here |= (start..end).contains(&known);
                }
            }
            if is_here {
                *found = (first, last);
            }
            c_int::from(is_here)
        }
    }
    let mut found = (0, 0);
    // SAFETY: `visit` gets the address of `found`, for the time of the call.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut found).cast()) };
    found
}
