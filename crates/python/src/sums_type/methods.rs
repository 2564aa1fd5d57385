//! The methods of `_core.Sums`.

use std::ptr;

use pyo3_ffi::*;
use wrasse_capture::{Amount, Capture, Key, Measure, Meta, Moment, Writer, compare};

use super::frames::{Frames, list, tuple};
use super::{instance, no_memory, sums_of, text};
use crate::module::{Shared, method, raise};
use crate::run;

/// The table of methods.
pub static METHODS: Shared<[PyMethodDef; 9]> = Shared([
    method(
        c"statistics",
        METH_FASTCALL,
        PyMethodDefPointer {
            PyCFunctionFast: statistics,
        },
        c"statistics($self, key, cumulative, measure, /)\n--\n\nReturn (frames, size, count) for each key, most bytes first.",
    ),
    method(
        c"compare",
        METH_FASTCALL,
        PyMethodDefPointer {
            PyCFunctionFast: compare_to,
        },
        c"compare($self, old, key, cumulative, measure, /)\n--\n\nReturn (frames, size, size more, count, count more) for each key.",
    ),
    method(
        c"groups",
        METH_NOARGS,
        PyMethodDefPointer {
            PyCFunction: groups,
        },
        c"groups($self, /)\n--\n\nReturn (domain, size, frames, number of frames, count) for each traceback.",
    ),
    method(
        c"filtered",
        METH_O,
        PyMethodDefPointer {
            PyCFunction: filtered,
        },
        c"filtered($self, keep, /)\n--\n\nReturn the groups for which the byte of keep is not 0.",
    ),
    method(
        c"threads",
        METH_NOARGS,
        PyMethodDefPointer {
            PyCFunction: threads,
        },
        c"threads($self, /)\n--\n\nReturn (number, name, live, peak, allocated, temporary) for each thread, the last four pairs of bytes and blocks.",
    ),
    method(
        c"limit",
        METH_NOARGS,
        PyMethodDefPointer { PyCFunction: limit },
        c"limit($self, /)\n--\n\nReturn how many frames a traceback keeps.",
    ),
    method(
        c"to_capture",
        METH_NOARGS,
        PyMethodDefPointer {
            PyCFunction: to_capture,
        },
        c"to_capture($self, /)\n--\n\nReturn the content of a capture file.",
    ),
    method(
        c"of_capture",
        METH_O | METH_CLASS,
        PyMethodDefPointer {
            PyCFunction: of_capture,
        },
        c"of_capture($type, content, /)\n--\n\nReturn what was live at the end of a capture.",
    ),
    PyMethodDef::zeroed(),
]);

/// The arguments of a call, if there are as many as there must be.
unsafe fn take<'a, const N: usize>(
    name: &str,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> Option<&'a [*mut PyObject; N]> {
    // SAFETY: the interpreter passes `count` live objects.
    unsafe {
        if count != N as Py_ssize_t {
            let message = format!("{name}() takes exactly {N} arguments ({count} given)");
            raise(PyExc_TypeError, &message);
            return None;
        }
        Some(&*arguments.cast::<[*mut PyObject; N]>())
    }
}

/// The key and whether it is cumulative, in `tracemalloc`'s words.
unsafe fn key(name: *mut PyObject, cumulative: *mut PyObject) -> Option<(Key, bool)> {
    // SAFETY: live arguments of a call.
    unsafe {
        let word = text(name)?;
        let key = match &*word {
            "traceback" => Key::Traceback,
            "lineno" => Key::Line,
            "filename" => Key::File,
            _ => {
                raise(PyExc_ValueError, &format!("unknown key_type: {word:?}"));
                return None;
            }
        };
        match PyObject_IsTrue(cumulative) {
            0 => Some((key, false)),
            1 if key == Key::Traceback => {
                let reason = "cumulative mode cannot be used with key type 'traceback'";
                raise(PyExc_ValueError, reason);
                None
            }
            1 => Some((key, true)),
            _ => None,
        }
    }
}

/// What is measured, in the words of the command line.
unsafe fn measure(name: *mut PyObject) -> Option<Measure> {
    // SAFETY: a live argument of a call.
    let word = unsafe { text(name)? };
    match &*word {
        "live" => Some(Measure::Live),
        "peak" => Some(Measure::Peak),
        "allocated" => Some(Measure::Allocated),
        "temporary" => Some(Measure::Temporary),
        _ => {
            let reason = format!(
                "unknown measure: {word:?}; use 'live', 'peak', 'allocated' or 'temporary'"
            );
            // SAFETY: the GIL is held.
            unsafe { raise(PyExc_ValueError, &reason) };
            None
        }
    }
}

unsafe extern "C" fn statistics(
    object: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: CPython's calling convention. The sums live as long as the object,
    // which the caller holds.
    unsafe {
        let Some([name, cumulative, which]) = take("statistics", arguments, count) else {
            return ptr::null_mut();
        };
        let Some((key, cumulative)) = key(*name, *cumulative) else {
            return ptr::null_mut();
        };
        let Some(measure) = measure(*which) else {
            return ptr::null_mut();
        };
        let all = sums_of(object)
            .statistics_of(measure, key, cumulative)
            .unwrap_or_default();
        let mut frames = Frames::default();
        list(&all, |each| {
            tuple([
                frames.tuple(&each.frames),
                PyLong_FromUnsignedLongLong(each.size),
                PyLong_FromUnsignedLongLong(each.count),
            ])
        })
    }
}

unsafe extern "C" fn compare_to(
    object: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: as in `statistics`; `old` is held by the caller too.
    unsafe {
        let Some([old, name, cumulative, which]) = take("compare", arguments, count) else {
            return ptr::null_mut();
        };
        if Py_TYPE(*old) != Py_TYPE(object) {
            return raise(PyExc_TypeError, "old must be a Sums");
        }
        let Some((key, cumulative)) = key(*name, *cumulative) else {
            return ptr::null_mut();
        };
        let Some(measure) = measure(*which) else {
            return ptr::null_mut();
        };
        let (old, new) = (sums_of(*old), sums_of(object));
        let all = compare(old, new, measure, key, cumulative).unwrap_or_default();
        let mut frames = Frames::default();
        list(&all, |each| {
            tuple([
                frames.tuple(&each.frames),
                PyLong_FromUnsignedLongLong(each.size),
                PyLong_FromLongLong(each.size_difference),
                PyLong_FromUnsignedLongLong(each.count),
                PyLong_FromLongLong(each.count_difference),
            ])
        })
    }
}

unsafe extern "C" fn groups(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `statistics`.
    unsafe {
        let sums = sums_of(object);
        let mut frames = Frames::default();
        list(sums.groups(), |group| {
            let names: Vec<_> = sums
                .frames(group.traceback)
                .iter()
                .map(|&number| {
                    let location = sums.location(number);
                    (sums.string(location.file), location.line)
                })
                .collect();
            tuple([
                PyLong_FromUnsignedLong(group.domain.into()),
                PyLong_FromUnsignedLongLong(group.size),
                frames.tuple(&names),
                PyLong_FromUnsignedLong(sums.total(group.traceback).into()),
                PyLong_FromUnsignedLongLong(group.count),
            ])
        })
    }
}

unsafe extern "C" fn threads(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `statistics`.
    unsafe {
        let pair = |amount: Amount| {
            tuple([
                PyLong_FromUnsignedLongLong(amount.bytes),
                PyLong_FromUnsignedLongLong(amount.blocks),
            ])
        };
        list(sums_of(object).threads(), |thread| {
            let name = PyUnicode_DecodeUTF8(
                thread.name.as_ptr().cast(),
                thread.name.len() as Py_ssize_t,
                c"replace".as_ptr(),
            );
            tuple([
                PyLong_FromUnsignedLongLong(thread.number),
                name,
                pair(thread.live),
                pair(thread.peak),
                pair(thread.allocated),
                pair(thread.temporary),
            ])
        })
    }
}

unsafe extern "C" fn filtered(object: *mut PyObject, keep: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `statistics`; the bytes are copied.
    unsafe {
        let data = PyBytes_AsString(keep);
        if data.is_null() {
            return ptr::null_mut();
        }
        let bytes = std::slice::from_raw_parts(data.cast::<u8>(), PyBytes_Size(keep) as usize);
        let keep: Vec<bool> = bytes.iter().map(|byte| *byte != 0).collect();
        instance(Py_TYPE(object), sums_of(object).filtered(&keep))
    }
}

unsafe extern "C" fn limit(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `statistics`.
    unsafe { PyLong_FromUnsignedLong(sums_of(object).limit().into()) }
}

unsafe extern "C" fn to_capture(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `statistics`; the bytes are copied.
    unsafe {
        let sums = sums_of(object);
        let meta = Meta {
            host: format!("CPython {}", run::python_version()),
            wrasse: env!("CARGO_PKG_VERSION").into(),
            process: std::process::id(),
            frames: sums.limit(),
            counts_allocations: sums.whole_of(Measure::Allocated).1 > 0,
            ..Meta::default()
        };
        let written = Writer::new(&meta).and_then(|mut writer| {
            writer.sums(sums, Moment::default())?;
            Ok(writer)
        });
        let writer = match written {
            Ok(writer) => writer,
            Err(error) => {
                no_memory(error);
                return ptr::null_mut();
            }
        };
        let content = writer.pending();
        PyBytes_FromStringAndSize(content.as_ptr().cast(), content.len() as Py_ssize_t)
    }
}

unsafe extern "C" fn of_capture(kind: *mut PyObject, content: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `statistics`; `kind` is the type, and the bytes are copied.
    unsafe {
        let data = PyBytes_AsString(content);
        if data.is_null() {
            return ptr::null_mut();
        }
        let bytes = std::slice::from_raw_parts(data.cast::<u8>(), PyBytes_Size(content) as usize);
        match Capture::read(bytes.to_vec()) {
            Ok(capture) => {
                let last = capture.samples.len().saturating_sub(1);
                instance(kind.cast(), capture.sums(last))
            }
            Err(error) => raise(PyExc_ValueError, &error.to_string()),
        }
    }
}
