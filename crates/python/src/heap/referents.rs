//! What an object refers to, without its type's help where that is known.
//!
//! Most objects are lists, tuples, dicts and instances of classes made in
//! Python. Reading those directly saves two calls through pointers for each
//! reference; everything else goes through `tp_traverse`, which reports the same.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;

use pyo3_ffi::*;

use crate::layout::{DICT, INSTANCE, Slots, Values};

/// How the references of a type's instances are read, lists, tuples and dicts apart.
#[derive(Clone, Copy)]
pub enum Shape {
    /// With [`INSTANCE`].
    Values,
    /// From its slots.
    Slots(Slots),
    /// By asking it.
    Other,
}

/// Reads referents; remembers some types that were asked about.
pub struct Referents {
    known: [Cell<(*mut PyTypeObject, Shape)>; KNOWN],
}

/// Types that are remembered, at most.
const KNOWN: usize = 16;

extern "C" fn trampoline<F: FnMut(*mut PyObject)>(
    object: *mut PyObject,
    visit: *mut c_void,
) -> i32 {
    // SAFETY: `visit` is the closure that `each` lent, exclusively, for the call.
    unsafe { (*visit.cast::<F>())(object) };
    0
}

impl Referents {
    /// Types are only remembered while nothing foreign runs: one of these is
    /// made anew for each collection.
    pub fn new() -> Self {
        Self {
            known: [const { Cell::new((ptr::null_mut(), Shape::Other)) }; KNOWN],
        }
    }

    /// How instances of `kind` are read.
    ///
    /// # Safety
    /// `kind` is a live object's type.
    #[inline(always)]
    pub unsafe fn shape(&self, kind: *mut PyTypeObject) -> Shape {
        let address = kind as usize;
        let place = &self.known[(address >> 4 ^ address >> 10) % KNOWN];
        let (known, shape) = place.get();
        if known == kind {
            return shape;
        }
        // SAFETY: the caller's contract.
        let shape = unsafe { shape_of(kind) };
        place.set((kind, shape));
        shape
    }

    /// What `object`, an instance of `kind`, refers to besides its type; `None` if it
    /// is to be asked itself.
    ///
    /// # Safety
    /// `object` is alive; nothing is changed as long as the result is used.
    #[inline(always)]
    pub unsafe fn values(&self, kind: *mut PyTypeObject, object: *mut PyObject) -> Option<Values> {
        // SAFETY: the caller's contract.
        unsafe {
            match self.shape(kind) {
                Shape::Values => INSTANCE.values(object),
                Shape::Slots(slots) => slots.values(object),
                Shape::Other => None,
            }
        }
    }

    /// Calls `visit` for each reference that `object` holds.
    ///
    /// # Safety
    /// `object` is alive, of a type with HAVE_GC; nothing is changed meanwhile.
    #[inline]
    pub unsafe fn each<F: FnMut(*mut PyObject)>(&self, object: *mut PyObject, mut visit: F) {
        // SAFETY: fields are read according to the exact type.
        unsafe {
            let kind = Py_TYPE(object);
            if kind == &raw mut PyList_Type {
                let first = (*object.cast::<PyListObject>()).ob_item;
                row(first, PyList_GET_SIZE(object) as usize, &mut visit);
                return;
            }
            if kind == &raw mut PyTuple_Type {
                let first = (*object.cast::<PyTupleObject>()).ob_item.as_mut_ptr();
                row(first, PyTuple_GET_SIZE(object) as usize, &mut visit);
                return;
            }
            if kind == &raw mut PyDict_Type {
                if let Some((first, count, stride)) = DICT.entries(object) {
                    for index in 0..count {
                        let slot = first.add(index * stride);
                        if (*slot).is_null() {
                            continue;
                        }
                        visit(*slot);
                        if stride == 3 {
                            visit(*slot.sub(1));
                        }
                    }
                    return;
                }
            } else if let Some(values) = self.values(kind, object) {
                row(values.first, values.count, &mut visit);
                if !values.dict.is_null() {
                    visit(values.dict);
                }
                visit(kind.cast());
                return;
            }
            if let Some(traverse) = (*kind).tp_traverse {
                traverse(object, trampoline::<F>, (&raw mut visit).cast());
            }
        }
    }
}

/// How instances of `kind` are read.
#[cold]
unsafe fn shape_of(kind: *mut PyTypeObject) -> Shape {
    // SAFETY: the caller passes a live type.
    unsafe {
        if INSTANCE.is_plain(kind) {
            return Shape::Values;
        }
        Slots::of(kind).map_or(Shape::Other, Shape::Slots)
    }
}

#[inline(always)]
unsafe fn row(first: *mut *mut PyObject, count: usize, visit: &mut impl FnMut(*mut PyObject)) {
    for index in 0..count {
        // SAFETY: the caller's array has so many members.
        let object = unsafe { *first.add(index) };
        if !object.is_null() {
            visit(object);
        }
    }
}
