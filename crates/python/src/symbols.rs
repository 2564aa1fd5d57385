//! Symbols that exist in some CPython versions only, looked up at run time.

use std::ffi::{CStr, c_void};

/// The address of `name` in the running process, or null.
pub fn lookup(name: &CStr) -> *mut c_void {
    // SAFETY: `name` is a C string; RTLD_DEFAULT searches the global scope,
    // which contains the interpreter whether it is a library or the program.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}
