//! Dicts (alike in 3.11, 3.12 and 3.13).
//!
//! A dict has a table of keys with, behind an index of as many bytes as its
//! header says, an array of entries. Where all keys are strings an entry is key
//! and value, else hash, key and value. Dicts that share their keys with others
//! have their values elsewhere and are none of our business.

use std::sync::atomic::{AtomicU8, Ordering};

use pyo3_ffi::{
    Py_DECREF, PyDict_New, PyDict_SetItem, PyDict_SetItemString, PyDictObject, PyErr_Clear,
    PyLong_FromLong, PyObject,
};

use super::load;

/// `PyDictObject` and `PyDictKeysObject`.
pub struct DictLayout {
    keys: usize,
    values: usize,
    log2_index_bytes: usize,
    kind: usize,
    entries_used: usize,
    index: usize,
}

/// The layout.
pub const DICT: DictLayout = DictLayout {
    keys: 32,
    values: 40,
    log2_index_bytes: 9,
    kind: 10,
    entries_used: 24,
    index: 32,
};

const _: () = assert!(std::mem::offset_of!(PyDictObject, ma_keys) == DICT.keys);

const KIND_GENERAL: u8 = 0;
const KIND_STRINGS: u8 = 1;

/// Words of an entry, where the value comes last.
const GENERAL_STRIDE: usize = 3;
const STRINGS_STRIDE: usize = 2;

/// Not looked yet, as expected, not as expected.
static CHECKED: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const GOOD: u8 = 1;
const BAD: u8 = 2;

impl DictLayout {
    /// The table of keys.
    ///
    /// # Safety
    /// `dict` is a live dict.
    #[inline]
    pub unsafe fn keys(&self, dict: *mut PyObject) -> *mut u8 {
        // SAFETY: a dict has these fields.
        unsafe { load(dict.cast(), self.keys) }
    }

    /// Whether all keys of `dict` are strings and belong to it alone: those are
    /// what its `tp_traverse` leaves out. [`check`](Self::check) has said yes.
    ///
    /// # Safety
    /// `dict` is a live dict.
    pub unsafe fn has_own_strings(&self, dict: *mut PyObject) -> bool {
        // SAFETY: the layout was confirmed.
        unsafe {
            let keys = self.keys(dict);
            load::<*mut u8>(dict.cast(), self.values).is_null()
                && !keys.is_null()
                && load::<u8>(keys, self.kind) != KIND_GENERAL
        }
    }

    /// The first entry's value, the number of entries (some of them null), and
    /// the words from one to the next: 2, or 3 if keys, which stand one word
    /// before their values, may be other than strings. `None` if the dict is of
    /// another kind, or dicts are not as known.
    ///
    /// # Safety
    /// `dict` is a live dict. What is returned holds until it changes.
    #[inline]
    pub unsafe fn entries(
        &self,
        dict: *mut PyObject,
    ) -> Option<(*mut *mut PyObject, usize, usize)> {
        if CHECKED.load(Ordering::Relaxed) != GOOD {
            return None;
        }
        // SAFETY: the layout was confirmed.
        unsafe { self.read(dict) }
    }

    unsafe fn read(&self, dict: *mut PyObject) -> Option<(*mut *mut PyObject, usize, usize)> {
        // SAFETY: the caller's contract, and as the check has found.
        unsafe {
            if !load::<*mut u8>(dict.cast(), self.values).is_null() {
                return None;
            }
            let keys = self.keys(dict);
            let stride = match load(keys, self.kind) {
                KIND_GENERAL => GENERAL_STRIDE,
                KIND_STRINGS => STRINGS_STRIDE,
                _ => return None,
            };
            let used: isize = load(keys, self.entries_used);
            let log2: u8 = load(keys, self.log2_index_bytes);
            let entries = keys.add(self.index + (1usize << (log2 & 63)));
            let first = entries.cast::<*mut PyObject>().add(stride - 1);
            Some((first, usize::try_from(used).ok()?, stride))
        }
    }

    /// Whether the layout reads two dicts of known content right, found out once
    /// in the process.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    pub unsafe fn check(&self) -> bool {
        match CHECKED.load(Ordering::Relaxed) {
            UNKNOWN => {}
            known => return known == GOOD,
        }
        // SAFETY: the caller's contract. What a wrong layout would read lies
        // within the first hundred bytes of live blocks of that size.
        let good = unsafe {
            let (names, numbers) = (PyDict_New(), PyDict_New());
            let one = PyLong_FromLong(1_000_001);
            let two = PyLong_FromLong(1_000_002);
            let mut good = false;
            if ![names, numbers, one, two]
                .iter()
                .any(|object| object.is_null())
                && PyDict_SetItemString(names, c"one".as_ptr(), one) == 0
                && PyDict_SetItemString(names, c"two".as_ptr(), two) == 0
                && PyDict_SetItem(numbers, one, two) == 0
                && PyDict_SetItem(numbers, two, one) == 0
            {
                let holds = |dict: *mut PyObject, stride: usize, expected: [*mut PyObject; 2]| {
                    matches!(self.read(dict), Some((first, 2, found)) if found == stride
                        && *first == expected[0] && *first.add(stride) == expected[1])
                };
                good = holds(names, STRINGS_STRIDE, [one, two])
                    && holds(numbers, GENERAL_STRIDE, [two, one])
                    && self
                        .read(numbers)
                        .is_some_and(|(first, ..)| *first.sub(1) == one);
            }
            PyErr_Clear();
            for object in [names, numbers, one, two] {
                if !object.is_null() {
                    Py_DECREF(object);
                }
            }
            good
        };
        CHECKED.store(if good { GOOD } else { BAD }, Ordering::Relaxed);
        good
    }
}
