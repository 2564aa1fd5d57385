//! A snapshot as the Python objects that `tracemalloc` expects.

use std::ptr;

use pyo3_ffi::*;
use wrasse_tracer::{LocationId, Snapshot, SnapshotBlock, TracebackId};

/// A tuple of two objects, whose references it takes; null if one is null.
///
/// # Safety
/// Call with the GIL held; both are null or new references.
pub unsafe fn pair(first: *mut PyObject, second: *mut PyObject) -> *mut PyObject {
    // SAFETY: the GIL is held; both are null or new references.
    unsafe {
        let tuple = if first.is_null() || second.is_null() {
            ptr::null_mut()
        } else {
            PyTuple_New(2)
        };
        if tuple.is_null() {
            Py_XDECREF(first);
            Py_XDECREF(second);
            return ptr::null_mut();
        }
        PyTuple_SetItem(tuple, 0, first);
        PyTuple_SetItem(tuple, 1, second);
        tuple
    }
}

/// The Python objects of a snapshot, each made once and owned here.
pub struct Objects<'a> {
    snapshot: &'a Snapshot,
    names: Vec<*mut PyObject>,
    frames: Vec<*mut PyObject>,
    tracebacks: Vec<*mut PyObject>,
}

impl Drop for Objects<'_> {
    fn drop(&mut self) {
        for objects in [&self.names, &self.frames, &self.tracebacks] {
            for &object in objects {
                // SAFETY: owned by us, or null; the GIL is held.
                unsafe { Py_XDECREF(object) };
            }
        }
    }
}

impl<'a> Objects<'a> {
    /// Room for all objects; nothing if there is no memory for it.
    pub fn new(snapshot: &'a Snapshot) -> Option<Self> {
        let room = |length: usize| {
            let mut objects = Vec::new();
            objects.try_reserve_exact(length).ok()?;
            objects.resize(length, ptr::null_mut());
            Some(objects)
        };
        Some(Objects {
            snapshot,
            names: room(snapshot.names().len())?,
            frames: room(snapshot.location_count())?,
            tracebacks: room(snapshot.tracebacks().len())?,
        })
    }

    /// The tuple of (file name, line) pairs; borrowed, or null and an exception.
    ///
    /// # Safety
    /// Call with the GIL held.
    pub unsafe fn traceback(&mut self, id: TracebackId) -> *mut PyObject {
        let place = id.0 as usize;
        if self.tracebacks[place].is_null() {
            let frames = self.snapshot.tracebacks().frames(id);
            // SAFETY: the GIL is held.
            unsafe {
                let tuple = PyTuple_New(frames.len() as Py_ssize_t);
                if tuple.is_null() {
                    return tuple;
                }
                for (i, &location) in frames.iter().enumerate() {
                    let frame = self.frame(location.0 as usize);
                    if frame.is_null() {
                        Py_DECREF(tuple);
                        return ptr::null_mut();
                    }
                    PyTuple_SetItem(tuple, i as Py_ssize_t, Py_NewRef(frame));
                }
                self.tracebacks[place] = tuple;
            }
        }
        self.tracebacks[place]
    }

    unsafe fn frame(&mut self, place: usize) -> *mut PyObject {
        if self.frames[place].is_null() {
            let (file, line) = self.snapshot.location(LocationId(place as u32));
            // SAFETY: the GIL is held.
            unsafe {
                let name = &mut self.names[file.0 as usize];
                if name.is_null() {
                    let bytes = &self.snapshot.names()[file.0 as usize];
                    *name = PyUnicode_DecodeUTF8(
                        bytes.as_ptr().cast(),
                        bytes.len() as Py_ssize_t,
                        c"surrogatepass".as_ptr(),
                    );
                    if name.is_null() {
                        return ptr::null_mut();
                    }
                }
                self.frames[place] = pair(Py_NewRef(*name), PyLong_FromUnsignedLong(line.into()));
            }
        }
        self.frames[place]
    }

    /// (domain, size, traceback, total number of frames): new, or null and an
    /// exception.
    ///
    /// # Safety
    /// Call with the GIL held.
    pub unsafe fn trace(&mut self, block: &SnapshotBlock) -> *mut PyObject {
        // SAFETY: the GIL is held.
        unsafe {
            let traceback = self.traceback(block.traceback);
            if traceback.is_null() {
                return traceback;
            }
            let total = self.snapshot.tracebacks().total(block.traceback);
            let parts = [
                PyLong_FromUnsignedLong(block.domain.into()),
                PyLong_FromSize_t(block.size),
                Py_NewRef(traceback),
                PyLong_FromUnsignedLong(total.into()),
            ];
            let tuple = if parts.iter().any(|part| part.is_null()) {
                ptr::null_mut()
            } else {
                PyTuple_New(4)
            };
            for (i, part) in parts.into_iter().enumerate() {
                if tuple.is_null() {
                    Py_XDECREF(part);
                } else {
                    PyTuple_SetItem(tuple, i as Py_ssize_t, part);
                }
            }
            tuple
        }
    }
}
