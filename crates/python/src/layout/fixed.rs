//! Objects of CPython's own types that keep their references at fixed places:
//! functions, classes, cells, descriptors, weak references.
//!
//! Most are structs of CPython's public headers; what matters here is which of their
//! fields `tp_traverse` reports. That is not believed before an object met in the
//! program was read both ways, one of each type.

use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU8, Ordering};

use pyo3_ffi::*;

use super::instance::{BAD, GOOD, UNKNOWN};
use super::load;

/// Places of references in one type's objects.
pub struct Fixed {
    kind: fn() -> *mut PyTypeObject,
    offsets: &'static [u16],
    /// The place of a dict that is held but not reported, or 0.
    untold: u16,
    /// Where lines of memory begin that are needed besides the object's first.
    far: &'static [u16],
    /// An object with fewer references proves nothing.
    least: usize,
    checked: AtomicU8,
}

const fn near(kind: fn() -> *mut PyTypeObject, offsets: &'static [u16], least: usize) -> Fixed {
    Fixed {
        kind,
        offsets,
        untold: 0,
        far: &[],
        least,
        checked: AtomicU8::new(UNKNOWN),
    }
}

/// More than any of them has.
const MOST: usize = 16;

/// The offset of a field of `PyFunctionObject`.
macro_rules! in_function {
    ($field:ident) => {
        offset_of!(PyFunctionObject, $field) as u16
    };
}

const FUNCTION: &[u16] = &[
    in_function!(func_globals),
    in_function!(func_builtins),
    in_function!(func_name),
    in_function!(func_qualname),
    in_function!(func_code),
    in_function!(func_defaults),
    in_function!(func_kwdefaults),
    in_function!(func_closure),
    in_function!(func_doc),
    in_function!(func_dict),
    in_function!(func_module),
    in_function!(func_annotations),
    #[cfg(Py_3_12)]
    in_function!(func_typeparams),
];

const CLASS: &[u16] = &[
    offset_of!(PyTypeObject, tp_dict) as u16,
    offset_of!(PyTypeObject, tp_cache) as u16,
    offset_of!(PyTypeObject, tp_mro) as u16,
    offset_of!(PyTypeObject, tp_bases) as u16,
    offset_of!(PyTypeObject, tp_base) as u16,
    offset_of!(PyHeapTypeObject, ht_module) as u16,
];

/// A class keeps a dict of weak references to those derived from it, which marking would
/// not find elsewhere.
const SUBCLASSES: u16 = offset_of!(PyTypeObject, tp_subclasses) as u16;

const FAR_IN_FUNCTION: &[u16] = &[in_function!(func_doc), in_function!(vectorcall)];
const FAR_IN_CLASS: &[u16] = &[
    offset_of!(PyTypeObject, tp_dict) as u16,
    offset_of!(PyTypeObject, tp_mro) as u16,
    offset_of!(PyHeapTypeObject, ht_module) as u16,
];

/// The words behind an object's type.
const FIRST: u16 = 16;
const SECOND: u16 = 24;
const THIRD: u16 = 32;
const FOURTH: u16 = 40;
const FIFTH: u16 = 48;

#[rustfmt::skip]
static ALL: [Fixed; 13] = [
    Fixed { far: FAR_IN_FUNCTION, ..near(|| &raw mut PyFunction_Type, FUNCTION, 6) },
    Fixed { far: FAR_IN_CLASS, untold: SUBCLASSES, ..near(|| &raw mut PyType_Type, CLASS, 4) },
    near(|| &raw mut PyCell_Type, &[FIRST], 1),
    // Getter, setter, deleter, documentation, name.
    near(|| &raw mut PyProperty_Type, &[FIRST, SECOND, THIRD, FOURTH, FIFTH], 2),
    // The callable and the dict; of a bound method the function and the instance.
    near(|| &raw mut PyClassMethod_Type, &[FIRST, SECOND], 1),
    near(|| &raw mut PyStaticMethod_Type, &[FIRST, SECOND], 1),
    near(|| &raw mut PyMethod_Type, &[FIRST, SECOND], 2),
    // Behind the definition: what it is a method of, and the module.
    near(|| &raw mut PyCFunction_Type, &[SECOND, THIRD], 1),
    // The type that a descriptor belongs to.
    near(|| &raw mut PyWrapperDescr_Type, &[FIRST], 1),
    near(|| &raw mut PyMethodDescr_Type, &[FIRST], 1),
    near(|| &raw mut PyGetSetDescr_Type, &[FIRST], 1),
    near(|| &raw mut PyMemberDescr_Type, &[FIRST], 1),
    // The callback, which most have not.
    near(|| &raw mut _PyWeakref_RefType, &[SECOND], 1),
];

unsafe extern "C" {
    static mut PyMethod_Type: PyTypeObject;
}

const _: () = assert!(FUNCTION.len() <= MOST && CLASS.len() <= MOST);

impl Fixed {
    /// Those of the objects whose type is exactly `kind`, if they are known.
    pub fn of(kind: *mut PyTypeObject) -> Option<&'static Self> {
        ALL.iter().find(|fixed| (fixed.kind)() == kind)
    }

    /// The bytes from an object to memory that is needed to read it, besides its header
    /// and what follows that.
    #[inline(always)]
    pub fn far(&self) -> &'static [u16] {
        self.far
    }

    /// A dict that `object` keeps alive without telling of it, or null. Its
    /// [`offsets`](Self::offsets) were found to be right.
    ///
    /// # Safety
    /// `object` is alive, and its type is this one's.
    #[inline(always)]
    pub unsafe fn untold(&self, object: *mut PyObject) -> *mut PyObject {
        if self.untold == 0 {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's contract; confirmed by `check`.
        unsafe { load(object.cast(), self.untold.into()) }
    }

    /// The bytes from `object` to each place that holds a reference or null; `None` if
    /// it is to be asked itself.
    ///
    /// # Safety
    /// `object` is alive, and its type is this one's.
    #[inline(always)]
    pub unsafe fn offsets(&self, object: *mut PyObject) -> Option<&'static [u16]> {
        match self.checked.load(Ordering::Relaxed) {
            GOOD => Some(self.offsets),
            BAD => None,
            _ => {
                // SAFETY: the caller's contract.
                unsafe { self.check(object) };
                None
            }
        }
    }

    /// Compares what is read of `object` with what it says itself.
    #[cold]
    unsafe fn check(&self, object: *mut PyObject) {
        struct Told {
            objects: [usize; MOST],
            count: usize,
        }
        extern "C" fn visit(object: *mut PyObject, told: *mut c_void) -> i32 {
            // SAFETY: lent for the call.
            let told = unsafe { &mut *told.cast::<Told>() };
            if let Some(slot) = told.objects.get_mut(told.count) {
                *slot = object as usize;
            }
            told.count += 1;
            0
        }
        let mut told = Told {
            objects: [0; MOST],
            count: 0,
        };
        let mut read = [0; MOST];
        let mut count = 0;
        // SAFETY: the caller's contract. All offsets are within objects of the type,
        // whose size is looked at first; what is read is only compared.
        let is_small = unsafe {
            let size = usize::try_from((*Py_TYPE(object)).tp_basicsize).unwrap_or(0);
            for &offset in self.offsets {
                if usize::from(offset) + size_of::<usize>() > size {
                    break;
                }
                let word: usize = load(object.cast(), offset.into());
                if word != 0 {
                    read[count] = word;
                    count += 1;
                }
            }
            if let Some(traverse) = (*Py_TYPE(object)).tp_traverse {
                traverse(object, visit, (&raw mut told).cast());
            }
            self.offsets
                .iter()
                .any(|&offset| usize::from(offset) + size_of::<usize>() > size)
        };
        // SAFETY: a place within the object; a class that is
        // tracked is none of the static ones, which keep a number there.
        let untold = unsafe {
            let size = (*Py_TYPE(object)).tp_basicsize;
            let is_inside = usize::from(self.untold) + size_of::<usize>() <= size as usize;
            let dict = if is_inside {
                self.untold(object)
            } else {
                std::ptr::null_mut()
            };
            let is_dict = !dict.is_null() && Py_TYPE(dict) == &raw mut PyDict_Type;
            (dict.is_null(), is_dict)
        };
        let proves = self.untold == 0 || untold == (false, true);
        let speaks_against = self.untold != 0 && untold == (false, false);
        read[..count].sort_unstable();
        told.objects.sort_unstable();
        // Unused places are zeros, and come first.
        let unused = MOST.saturating_sub(told.count);
        let is_same = told.count == count && told.objects[unused..] == read[..count];
        if is_small || !is_same || speaks_against {
            self.checked.store(BAD, Ordering::Relaxed);
        } else if proves && count >= self.least {
            self.checked.store(GOOD, Ordering::Relaxed);
        }
    }
}
