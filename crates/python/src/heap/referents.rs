//! What an object refers to, without its type's help where that is known.
//!
//! Most objects are lists, tuples, dicts and instances of classes made in
//! Python. Reading those directly saves two calls through pointers for each
//! reference; everything else goes through `tp_traverse`, which reports the same.

use std::ffi::c_void;

use pyo3_ffi::*;

use super::by_type::ByType;
use crate::layout::{DICT, Fixed, INSTANCE, Slots};

/// How the references of a type's instances are read.
#[derive(Clone, Copy)]
pub enum Shape {
    /// As a list's.
    List,
    /// As a tuple's.
    Tuple,
    /// With [`DICT`].
    Dict,
    /// With [`INSTANCE`].
    Values,
    /// From its slots.
    Slots(Slots),
    /// From places that all objects of the type have.
    Fixed(&'static Fixed),
    /// By asking it.
    Other,
}

/// Which instances of a type have a link in front of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Linked {
    /// All.
    All,
    /// None.
    None,
    /// Each must be asked.
    Some,
}

/// What is remembered of a type.
#[derive(Clone, Copy)]
pub struct Known {
    /// How references are read.
    pub shape: Shape,
    /// Who has a link.
    pub linked: Linked,
}

/// Reads referents; remembers some types that were asked about.
pub struct Referents {
    known: ByType<Known, KNOWN>,
}

/// Types that are remembered, at most.
const KNOWN: usize = 32;

const NOTHING: Known = Known {
    shape: Shape::Other,
    linked: Linked::Some,
};

extern "C" fn trampoline<F: FnMut(*mut PyObject)>(
    object: *mut PyObject,
    visit: *mut c_void,
) -> i32 {
    // SAFETY: `visit` is the closure that `each` lent, exclusively, for the call.
    unsafe { (*visit.cast::<F>())(object) };
    0
}

impl Referents {
    /// Types are only remembered while nothing foreign runs: after that, this is
    /// made anew or has to [`forget`](Self::forget).
    pub fn new() -> Self {
        Self {
            known: ByType::new(NOTHING),
        }
    }

    /// Knows no type any more: there may be another one at the same address.
    pub fn forget(&self) {
        self.known.forget();
    }

    /// What is to be known of `kind`.
    ///
    /// # Safety
    /// `kind` is a live object's type.
    #[inline(always)]
    pub unsafe fn known(&self, kind: *mut PyTypeObject) -> Known {
        // SAFETY: the caller's contract.
        self.known.of(kind, || unsafe { know(kind) })
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
            } else {
                let values = match self.known(kind).shape {
                    Shape::Values => INSTANCE.values(object),
                    Shape::Slots(slots) => slots.values(object),
                    Shape::Fixed(fixed) => {
                        if let Some(offsets) = fixed.offsets(object) {
                            for &offset in offsets {
                                row(at(object, offset), 1, &mut visit);
                            }
                            return;
                        }
                        None
                    }
                    _ => None,
                };
                if let Some(values) = values {
                    row(values.first, values.count, &mut visit);
                    if !values.dict.is_null() {
                        visit(values.dict);
                    }
                    visit(kind.cast());
                    return;
                }
            }
            if let Some(traverse) = (*kind).tp_traverse {
                traverse(object, trampoline::<F>, (&raw mut visit).cast());
            }
        }
    }
}

#[cold]
#[inline(never)]
unsafe fn know(kind: *mut PyTypeObject) -> Known {
    // SAFETY: the caller passes a live type.
    unsafe {
        let linked = if (*kind).tp_flags & Py_TPFLAGS_HAVE_GC == 0 {
            Linked::None
        } else if (*kind).tp_is_gc.is_some() {
            Linked::Some
        } else {
            Linked::All
        };
        Known {
            shape: shape_of(kind),
            linked,
        }
    }
}

/// How instances of `kind` are read.
unsafe fn shape_of(kind: *mut PyTypeObject) -> Shape {
    if kind == &raw mut PyList_Type {
        return Shape::List;
    }
    if kind == &raw mut PyTuple_Type {
        return Shape::Tuple;
    }
    if kind == &raw mut PyDict_Type {
        return Shape::Dict;
    }
    // SAFETY: the caller passes a live type.
    unsafe {
        if INSTANCE.is_plain(kind) {
            return Shape::Values;
        }
        if let Some(slots) = Slots::of(kind) {
            return Shape::Slots(slots);
        }
    }
    Fixed::of(kind).map_or(Shape::Other, Shape::Fixed)
}

/// The place `offset` bytes into `object`.
#[inline(always)]
pub fn at(object: *mut PyObject, offset: u16) -> *mut *mut PyObject {
    object.wrapping_byte_add(offset.into()).cast()
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
