//! Objects of CPython's own types that keep their references at fixed places:
//! functions, classes, cells, descriptors, weak references.
//!
//! Most are structs of CPython's public headers; what matters here is which of their
//! fields `tp_traverse` reports. That is not believed before an object met in the
//! program was read both ways, one of each type.

use std::mem::offset_of;
use std::sync::atomic::{AtomicU8, Ordering};

use pyo3_ffi::*;

use super::instance::{BAD, GOOD, UNKNOWN};
use super::load;
use super::told::{MOST, Told};

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

    /// Finds out whether `object` is as expected, if that can be told by it.
    #[cold]
    unsafe fn check(&self, object: *mut PyObject) {
        // SAFETY: the caller's contract.
        let size = usize::try_from(unsafe { (*Py_TYPE(object)).tp_basicsize }).unwrap_or(0);
        let mut places = self.offsets.iter().chain([&self.untold]);
        let is_good = if places.all(|&place| usize::from(place) + size_of::<usize>() <= size) {
            // SAFETY: as above.
            unsafe { self.is_as_told(object) }
        } else {
            Some(false)
        };
        if let Some(is_good) = is_good {
            let checked = if is_good { GOOD } else { BAD };
            self.checked.store(checked, Ordering::Relaxed);
        }
    }

    /// Whether what is read of `object` is what it tells of itself; `None` if it is, but
    /// proves nothing.
    ///
    /// # Safety
    /// As for [`offsets`](Self::offsets); all places are within the object.
    unsafe fn is_as_told(&self, object: *mut PyObject) -> Option<bool> {
        // SAFETY: the caller's contract. What is read is only compared, but for the dict:
        // a class that tells of the rest as expected is tracked, and so none of the
        // static ones, which keep a number there.
        unsafe {
            let mut read = [std::ptr::null_mut(); MOST];
            let mut count = 0;
            for &offset in self.offsets {
                let held: *mut PyObject = load(object.cast(), offset.into());
                if !held.is_null() {
                    read[count] = held;
                    count += 1;
                }
            }
            let read = &mut read[..count];
            read.sort_unstable();
            let is_same = Told::by(object).all().is_some_and(|told| {
                told.sort_unstable();
                told == read
            });
            if !is_same {
                return Some(false);
            }
            let untold = self.untold(object);
            if !untold.is_null() && Py_TYPE(untold) != &raw mut PyDict_Type {
                return Some(false);
            }
            let is_shown = self.untold == 0 || !untold.is_null();
            (is_shown && count >= self.least).then_some(true)
        }
    }
}
