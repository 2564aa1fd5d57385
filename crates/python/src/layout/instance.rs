//! Instances of classes made in Python, without slots.
//!
//! Their attributes are an array of values, whose names the class keeps, until
//! somebody asks for a dict: inside the object (3.13), or in a block of its own
//! that a word before the object points to. [`InstanceLayout::values`] finds the
//! array. It is not believed before an instance met in the program was read both
//! ways, by it and by its type's `tp_traverse`.

use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use pyo3_ffi::*;

#[cfg(Py_3_13)]
use super::INLINE_VALUES;
use super::told::{self, Told};

/// The layout; it has no fields, because what differs between versions is more
/// than an offset.
pub struct InstanceLayout;

/// The layout.
pub const INSTANCE: InstanceLayout = InstanceLayout;

/// Words from the object to the pointer to its dict.
const DICT_WORD: usize = 3;
/// `PyDictKeysObject`: entries used.
const ENTRIES_USED: usize = 24;
/// `Py_TPFLAGS_MANAGED_DICT`.
pub(super) const MANAGED_DICT: std::ffi::c_ulong = 1 << 4;

/// Instances with more attributes are left to `tp_traverse`.
pub(super) const MOST_VALUES: usize = 30;
// Besides them, a dict and the type.
const _: () = assert!(MOST_VALUES + 2 <= told::MOST);

/// The `tp_traverse` of all classes made in Python, once it is known.
static TRAVERSE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static CHECKED: AtomicU8 = AtomicU8::new(UNKNOWN);
/// Not looked yet.
pub(super) const UNKNOWN: u8 = 0;
/// As expected.
pub(super) const GOOD: u8 = 1;
/// Not as expected.
pub(super) const BAD: u8 = 2;

/// What an instance refers to.
pub struct Values {
    /// The array; members may be null.
    pub first: *mut *mut PyObject,
    /// Its length.
    pub count: usize,
    /// Its dict, or null.
    pub dict: *mut PyObject,
}

impl InstanceLayout {
    /// Finds out what classes made in Python have in common; before [`is_plain`].
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    ///
    /// [`is_plain`]: InstanceLayout::is_plain
    pub unsafe fn prepare(&self) {
        if !TRAVERSE.load(Ordering::Relaxed).is_null() {
            return;
        }
        // SAFETY: the caller's contract; `sys.__spec__`, where it is what it
        // should be, is an instance of a class made in Python.
        unsafe {
            let spec = PySys_GetObject(c"__spec__".as_ptr());
            if spec.is_null() || (*Py_TYPE(spec)).tp_flags & Py_TPFLAGS_HEAPTYPE == 0 {
                return;
            }
            if let Some(traverse) = (*Py_TYPE(spec)).tp_traverse {
                TRAVERSE.store(traverse as *mut c_void, Ordering::Relaxed);
            }
        }
    }

    /// Whether instances of `kind` hold attributes, their type and nothing else.
    ///
    /// # Safety
    /// `kind` is a live type.
    pub unsafe fn is_plain(&self, kind: *mut PyTypeObject) -> bool {
        // SAFETY: a live type's bases are alive.
        unsafe {
            #[cfg(Py_3_13)]
            let needed = MANAGED_DICT | INLINE_VALUES | Py_TPFLAGS_HEAPTYPE;
            #[cfg(not(Py_3_13))]
            let needed = MANAGED_DICT | Py_TPFLAGS_HEAPTYPE;
            if (*kind).tp_flags & needed != needed {
                return false;
            }
            let mut base = kind;
            while base != &raw mut PyBaseObject_Type {
                // A type's size is the number of its slots.
                if base.is_null()
                    || !is_made_in_python(base)
                    || (*base.cast::<PyVarObject>()).ob_size != 0
                {
                    return false;
                }
                base = (*base).tp_base;
            }
            true
        }
    }

    /// Where the values of a plain instance are, to ask for that memory early.
    ///
    /// # Safety
    /// `object` is a live instance of a plain type.
    #[inline]
    pub unsafe fn hint(&self, object: *mut PyObject) -> *const u8 {
        // SAFETY: such an object has the words read.
        unsafe {
            #[cfg(Py_3_13)]
            return object.cast::<u8>().add(64);
            #[cfg(all(Py_3_12, not(Py_3_13)))]
            return object.cast::<*const u8>().sub(3).read();
            #[cfg(not(Py_3_12))]
            return object.cast::<*const u8>().sub(4).read();
        }
    }

    /// What `object` refers to besides its type; `None` if it is to be asked
    /// itself.
    ///
    /// # Safety
    /// `object` is a live instance of a plain type. Nothing is changed as long
    /// as the result is used.
    #[inline]
    pub unsafe fn values(&self, object: *mut PyObject) -> Option<Values> {
        // SAFETY: the caller's contract.
        unsafe {
            let values = self.read(object)?;
            match CHECKED.load(Ordering::Relaxed) {
                GOOD => Some(values),
                BAD => None,
                _ => {
                    // One with less than two values proves nothing.
                    if let Some(good) = reads_the_same(object, &values, 3) {
                        CHECKED.store(if good { GOOD } else { BAD }, Ordering::Relaxed);
                    }
                    None
                }
            }
        }
    }

    #[cfg(Py_3_13)]
    #[inline(always)]
    unsafe fn read(&self, object: *mut PyObject) -> Option<Values> {
        // SAFETY: the caller's contract; behind the object stand four bytes
        // (room, size, whether inside, whether valid) and, 8-aligned, the values.
        unsafe {
            let size = usize::try_from((*Py_TYPE(object)).tp_basicsize).ok()?;
            let values = object.cast::<u8>().add(size);
            let (room, valid) = (values.read() as usize, values.add(3).read() != 0);
            let dict = object.cast::<*mut PyObject>().sub(DICT_WORD).read();
            let values = Values {
                first: values.add(8).cast(),
                // Most of the room is often empty.
                count: if valid { room.min(names(object)?) } else { 0 },
                dict,
            };
            // A dict that shares the object's values: whether it is reported
            // besides them depends on the patch release.
            let shared = valid && !dict.is_null();
            (!shared && values.count <= MOST_VALUES).then_some(values)
        }
    }

    #[cfg(not(Py_3_13))]
    unsafe fn read(&self, object: *mut PyObject) -> Option<Values> {
        // SAFETY: the caller's contract; a class made in Python is a heap type,
        // whose table of keys is alive as long as it has any.
        unsafe {
            let word = object.cast::<usize>().sub(DICT_WORD).read();
            // One word for both in 3.12: the values' address less one, or the dict's.
            #[cfg(Py_3_12)]
            let (first, dict) = if word & 1 != 0 {
                (word + 1, 0)
            } else {
                (0, word)
            };
            #[cfg(not(Py_3_12))]
            let (first, dict) = (object.cast::<usize>().sub(4).read(), word);
            let mut count = 0;
            if first != 0 {
                count = names(object)?;
            }
            Some(Values {
                first: first as *mut *mut PyObject,
                count,
                dict: dict as *mut PyObject,
            })
            .filter(|values| values.count <= MOST_VALUES)
        }
    }
}

/// How many names of attributes the class of `object` keeps: no instance has more
/// values. `None` if it keeps none any more.
///
/// # Safety
/// `object` is a live instance of a plain type.
#[inline(always)]
unsafe fn names(object: *mut PyObject) -> Option<usize> {
    // SAFETY: a class made in Python is a heap type, whose table of keys is alive
    // as long as it has any.
    unsafe {
        let keys = (*Py_TYPE(object).cast::<PyHeapTypeObject>()).ht_cached_keys;
        (!keys.is_null()).then(|| keys.cast::<u8>().add(ENTRIES_USED).cast::<usize>().read())
    }
}

/// Whether `kind` has the `tp_traverse` of all classes made in Python.
///
/// # Safety
/// `kind` is a live type.
#[inline]
pub(super) unsafe fn is_made_in_python(kind: *mut PyTypeObject) -> bool {
    let traverse = TRAVERSE.load(Ordering::Relaxed);
    // SAFETY: the caller's contract.
    let own = unsafe { (*kind).tp_traverse.map_or(0, |function| function as usize) };
    own == traverse as usize && !traverse.is_null()
}

/// Whether `object` tells, through its type, of the same references as `values` and
/// its type. `None` if those are fewer than `least`.
///
/// # Safety
/// `object` is alive and of a type with `tp_traverse`.
#[cold]
pub(super) unsafe fn reads_the_same(
    object: *mut PyObject,
    values: &Values,
    least: usize,
) -> Option<bool> {
    // SAFETY: the caller's contract; the values are part of the object.
    unsafe {
        let slots = (0..values.count).map(|index| *values.first.add(index));
        let expected = slots
            .chain([values.dict, Py_TYPE(object).cast()])
            .filter(|object| !object.is_null());
        if expected.clone().count() < least {
            return None;
        }
        let mut told = Told::by(object);
        Some(
            told.all()
                .is_some_and(|told| expected.eq(told.iter().copied())),
        )
    }
}
