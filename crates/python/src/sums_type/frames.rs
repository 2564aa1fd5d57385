//! Frames as `tracemalloc` has them: tuples of pairs of file name and line.

use std::collections::HashMap;

use pyo3_ffi::*;
use wrasse_capture::Frame;

use super::Owned;

/// The Python objects of frames, each made once.
#[derive(Default)]
pub struct Frames {
    /// By where the name is in memory, which it does not leave meanwhile.
    names: HashMap<usize, Owned>,
    pairs: HashMap<(usize, u32), Owned>,
}

impl Frames {
    /// A tuple of pairs: a new reference, or null and an exception.
    ///
    /// # Safety
    /// The GIL is held. All names live as long as `self`.
    pub unsafe fn tuple(&mut self, frames: &[Frame<'_>]) -> *mut PyObject {
        // SAFETY: the GIL is held; PyTuple_SetItem takes the reference.
        unsafe {
            let Some(tuple) = Owned::new(PyTuple_New(frames.len() as Py_ssize_t)) else {
                return std::ptr::null_mut();
            };
            for (place, &frame) in frames.iter().enumerate() {
                let Some(pair) = self.pair(frame) else {
                    return std::ptr::null_mut();
                };
                PyTuple_SetItem(tuple.0, place as Py_ssize_t, Py_NewRef(pair));
            }
            tuple.into_raw()
        }
    }

    /// Borrowed; nothing, with an exception set, if there is no memory.
    unsafe fn pair(&mut self, (name, line): Frame<'_>) -> Option<*mut PyObject> {
        let key = (name.as_ptr() as usize, line);
        if let Some(pair) = self.pairs.get(&key) {
            return Some(pair.0);
        }
        // SAFETY: the GIL is held.
        unsafe {
            let file = match self.names.get(&key.0) {
                Some(file) => Py_NewRef(file.0),
                None => {
                    let file = Owned::new(PyUnicode_DecodeUTF8(
                        name.as_ptr().cast(),
                        name.len() as Py_ssize_t,
                        c"surrogatepass".as_ptr(),
                    ))?;
                    let another = Py_NewRef(file.0);
                    self.names.insert(key.0, file);
                    another
                }
            };
            let pair = Owned::new(tuple([file, PyLong_FromUnsignedLong(line.into())]))?;
            let borrowed = pair.0;
            self.pairs.insert(key, pair);
            Some(borrowed)
        }
    }
}

/// A tuple of these objects, whose references it takes; null if one is null.
///
/// # Safety
/// The GIL is held; each is null, with an exception set, or a new reference.
pub unsafe fn tuple<const N: usize>(parts: [*mut PyObject; N]) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe {
        let parts = parts.map(Owned);
        if parts.iter().any(|part| part.0.is_null()) {
            return std::ptr::null_mut();
        }
        let tuple = PyTuple_New(N as Py_ssize_t);
        if !tuple.is_null() {
            for (place, part) in parts.into_iter().enumerate() {
                PyTuple_SetItem(tuple, place as Py_ssize_t, part.into_raw());
            }
        }
        tuple
    }
}

/// A list of what `make` makes of each item; null, with an exception set, once
/// it answers null.
///
/// # Safety
/// The GIL is held; `make` answers new references.
pub unsafe fn list<T>(items: &[T], mut make: impl FnMut(&T) -> *mut PyObject) -> *mut PyObject {
    // SAFETY: the GIL is held. A list with empty places is not shown to anybody.
    unsafe {
        let Some(list) = Owned::new(PyList_New(items.len() as Py_ssize_t)) else {
            return std::ptr::null_mut();
        };
        for (place, item) in items.iter().enumerate() {
            let object = make(item);
            if object.is_null() {
                return object;
            }
            PyList_SetItem(list.0, place as Py_ssize_t, object);
        }
        list.into_raw()
    }
}
