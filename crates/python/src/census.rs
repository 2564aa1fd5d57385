//! Which types were found in unreachable cycles, and how often.
//!
//! Off unless somebody asked for it (`wrasse run` does): naming a type costs
//! more than finding it unreachable. Counts are kept by type name for the whole
//! process, because a type may die with its instances.

use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3_ffi::*;

static ENABLED: AtomicBool = AtomicBool::new(false);
static COUNTS: Mutex<Option<HashMap<String, u64>>> = Mutex::new(None);

/// Starts counting.
pub fn enable() {
    ENABLED.store(true, Ordering::Relaxed);
}

/// Name and count of each type seen, most frequent first.
pub fn totals() -> Vec<(String, u64)> {
    let counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut totals: Vec<_> = counts
        .iter()
        .flatten()
        .map(|(name, count)| (name.clone(), *count))
        .collect();
    totals.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    totals
}

/// Counts the objects that `each` adds, if counting is on.
pub fn count(each: impl FnOnce(&mut dyn FnMut(*mut PyObject))) {
    if ENABLED.load(Ordering::Relaxed) {
        count_enabled(each);
    }
}

#[cold]
fn count_enabled(each: impl FnOnce(&mut dyn FnMut(*mut PyObject))) {
    // Keyed by address while nothing foreign can run and no type can die.
    let mut by_type: HashMap<*mut PyTypeObject, u64> = HashMap::new();
    each(&mut |object| {
        // A census that memory is too short for is incomplete, not fatal.
        if by_type.try_reserve(1).is_ok() {
            // SAFETY: the objects added are alive.
            *by_type.entry(unsafe { Py_TYPE(object) }).or_default() += 1;
        }
    });
    if by_type.is_empty() {
        return;
    }
    // Another interpreter may be counting, or may have been when this process
    // was forked from it: a missed census is better than a wait.
    let Ok(mut counts) = COUNTS.try_lock() else {
        return;
    };
    let counts = counts.get_or_insert_default();
    for (kind, count) in by_type {
        // SAFETY: its instances, just seen, keep the type alive.
        *counts.entry(unsafe { name_of(kind) }).or_default() += count;
    }
}

/// `module.name` where the module is known, else the name.
///
/// # Safety
/// The GIL is held and the type is alive.
pub unsafe fn name_of(kind: *mut PyTypeObject) -> String {
    // SAFETY: a live type has a name, and the strings read from its dict are
    // borrowed for the moment of copying them.
    unsafe {
        let name = CStr::from_ptr((*kind).tp_name).to_string_lossy();
        // Types made in C carry their module in their name.
        let is_heap = (*kind).tp_flags & Py_TPFLAGS_HEAPTYPE != 0;
        if !is_heap || (*kind).tp_dict.is_null() || name.contains('.') {
            return name.into_owned();
        }
        let mut result = name.clone().into_owned();
        let key = PyUnicode_InternFromString(c"__module__".as_ptr());
        if !key.is_null() {
            let module = PyDict_GetItemWithError((*kind).tp_dict, key);
            if !module.is_null() && PyUnicode_Check(module) != 0 {
                let utf8 = PyUnicode_AsUTF8AndSize(module, std::ptr::null_mut());
                if !utf8.is_null() {
                    let module = CStr::from_ptr(utf8).to_string_lossy();
                    if module != "builtins" {
                        result = format!("{module}.{name}");
                    }
                }
            }
            Py_DECREF(key);
        }
        PyErr_Clear();
        result
    }
}
