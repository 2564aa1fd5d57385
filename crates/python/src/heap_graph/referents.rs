//! What an object refers to, without creating an object or running Python.
//!
//! `tp_traverse` is what the cycle collector needs to know, which is less than
//! all: it leaves out what cannot be part of a cycle. Code objects and the
//! types that are no heap objects have none; dicts leave out keys that are
//! strings, types the table of their subclasses, and instances of some releases
//! of 3.13 a `__dict__` that shares their values. These are read here.

use std::ffi::{CStr, c_void};
use std::sync::OnceLock;
use std::{mem, ptr};

use pyo3_ffi::*;

use super::edge;
use super::layout::CODE_REFERENCES;
use crate::layout::{DICT, load};
use crate::list::{has_link, link_of};
use crate::symbols;

/// `_Py_TPFLAGS_STATIC_BUILTIN`.
const STATIC_BUILTIN: std::ffi::c_ulong = 1 << 1;

/// Whether `object` is a type that was not made at run time.
///
/// # Safety
/// `object` is alive; so everywhere here.
unsafe fn is_static_type(object: *mut PyObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        PyType_Check(object) != 0
            && (*object.cast::<PyTypeObject>()).tp_flags & Py_TPFLAGS_HEAPTYPE == 0
    }
}

/// Whether `object` lives as long as the process, or as good as: its count
/// says nothing, and nobody keeps it alive.
pub unsafe fn is_eternal(object: *mut PyObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        #[cfg(Py_3_12)]
        let counted = (Py_REFCNT(object) as i32) >= 0;
        // What is compiled into a 3.11 has a count that no program reaches.
        #[cfg(not(Py_3_12))]
        let counted = Py_REFCNT(object) < 500_000_000;
        !counted
            || is_static_type(object)
            || [
                Py_None(),
                Py_True(),
                Py_False(),
                Py_Ellipsis(),
                Py_NotImplemented(),
            ]
            .contains(&object)
    }
}

/// Whether CPython's collector has `object` on one of its lists.
pub unsafe fn is_tracked(object: *mut PyObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe { has_link(object) && (*link_of(object)).next != 0 }
}

/// Whether [`referents`] can have anything to say about `object`.
pub unsafe fn may_refer(object: *mut PyObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let kind = Py_TYPE(object);
        kind == &raw mut PyCode_Type
            || has_link(object)
            || (*kind).tp_dictoffset > 0
            || is_static_type(object)
    }
}

/// Calls `visit` with what `object` refers to, once for each reference.
///
/// Untracked objects are only asked where they are known to be whole: a type
/// of an extension may not have begun to track an object that it is still
/// filling.
pub unsafe fn referents<F: FnMut(*mut PyObject)>(object: *mut PyObject, visit: &mut F) {
    // SAFETY: the caller's contract; `tp_traverse` gets what it expects.
    unsafe {
        let kind = Py_TYPE(object);
        if kind == &raw mut PyCode_Type {
            for offset in CODE_REFERENCES {
                some(load(object.cast(), offset), visit);
            }
            return;
        }
        if is_static_type(object) {
            let kind = object.cast::<PyTypeObject>();
            some((*kind).tp_base.cast(), visit);
            some((*kind).tp_bases, visit);
            some((*kind).tp_mro, visit);
            with_type_dict(kind, |dict| some(dict, visit));
            // Of the interpreter's own since 3.12 it is no address.
            if cfg!(not(Py_3_12)) || (*kind).tp_flags & STATIC_BUILTIN == 0 {
                some((*kind).tp_subclasses.cast(), visit);
            }
            return;
        }
        if !has_link(object) {
            // A type that the collector does not know may keep a namespace.
            if (*kind).tp_dictoffset > 0 {
                some(edge::namespace(object), visit);
            }
            return;
        }
        let whole = (*link_of(object)).next != 0
            || PyTuple_CheckExact(object) != 0
            || PyDict_CheckExact(object) != 0
            || kind == &raw mut PyFrame_Type;
        let Some(traverse) = (*kind).tp_traverse else {
            return;
        };
        if !whole {
            return;
        }
        let shared = edge::dict_beside_values(object);
        if shared.is_null() {
            ask(traverse, object, visit);
        } else {
            let mut is_told = false;
            let mut both = |target: *mut PyObject| {
                is_told |= target == shared;
                visit(target);
            };
            ask(traverse, object, &mut both);
            if !is_told {
                visit(shared);
            }
        }
        if PyDict_Check(object) != 0 {
            keys(object, visit);
        } else if PyType_Check(object) != 0 {
            some((*object.cast::<PyTypeObject>()).tp_subclasses.cast(), visit);
        }
    }
}

/// `tp_traverse` with a closure.
unsafe fn ask<F: FnMut(*mut PyObject)>(
    traverse: traverseproc,
    object: *mut PyObject,
    visit: &mut F,
) {
    // SAFETY: the caller passes a live object and the function of its type.
    unsafe { traverse(object, trampoline::<F>, ptr::from_mut(visit).cast()) };
}

extern "C" fn trampoline<F: FnMut(*mut PyObject)>(
    object: *mut PyObject,
    visit: *mut c_void,
) -> i32 {
    // SAFETY: `visit` is the closure that `referents` lent, exclusively.
    unsafe { some(object, &mut *visit.cast::<F>()) };
    0
}

/// What is no address of an object is passed over, whoever claims it.
#[inline]
fn some<F: FnMut(*mut PyObject)>(object: *mut PyObject, visit: &mut F) {
    if !object.is_null() && (object as usize).is_multiple_of(align_of::<PyObject>()) {
        visit(object);
    }
}

/// The keys that `tp_traverse` leaves out because they are strings. Those of
/// dicts that share a table belong to the table.
unsafe fn keys<F: FnMut(*mut PyObject)>(dict: *mut PyObject, visit: &mut F) {
    // SAFETY: the caller passes a live dict; the layout was confirmed.
    // `PyDict_Next` runs no code of the program's.
    unsafe {
        if !DICT.has_own_strings(dict) {
            return;
        }
        let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
        while PyDict_Next(dict, &mut position, &mut key, &mut value) != 0 {
            some(key, visit);
        }
    }
}

type TypeDict = unsafe extern "C" fn(*mut PyTypeObject) -> *mut PyObject;

/// Calls `with` with the namespace of a type, or null.
pub unsafe fn with_type_dict(kind: *mut PyTypeObject, with: impl FnOnce(*mut PyObject)) {
    static GET: OnceLock<Option<TypeDict>> = OnceLock::new();
    // SAFETY: the caller passes a live type. Since 3.12 those of built-in types
    // belong to the interpreter, and a function hands out a reference.
    unsafe {
        if !(*kind).tp_dict.is_null() {
            return with((*kind).tp_dict);
        }
        let get = GET.get_or_init(|| {
            const NAME: &CStr = c"PyType_GetDict";
            let found = symbols::lookup(NAME);
            (!found.is_null()).then(|| mem::transmute::<*mut c_void, TypeDict>(found))
        });
        let dict = get.map_or(ptr::null_mut(), |get| get(kind));
        with(dict);
        Py_XDECREF(dict);
    }
}
