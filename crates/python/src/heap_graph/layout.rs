//! What the picture of the heap knows about the inside of CPython, and the
//! check that it is so in this process.
//!
//! Offsets in bytes, alike in all releases of a version; where `layout/` and
//! `frame.rs` have one already it is theirs that is used.

use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::OnceLock;

use pyo3_ffi::*;

use super::edge::{self, Access};
use crate::frame;
use crate::layout::{CODE_LOCALS, DICT, FRAME, FRAME_LOCALS, FRAME_OF_OBJECT, load};
use crate::module::Shared;
use crate::self_check;

/// `_PyInterpreterFrame`: the function object, a reference of the frame's.
pub const FRAME_FUNCTION: usize = if cfg!(Py_3_12) { 16 } else { 0 };
/// `_PyInterpreterFrame`: the frame object, if somebody asked for one.
pub const FRAME_OBJECT: usize = if cfg!(Py_3_12) { 48 } else { 40 };
/// `PyCodeObject`: how deep its evaluation stack gets.
pub const CODE_STACK: usize = if cfg!(Py_3_12) { 64 } else { 68 };
/// `PyCodeObject`: a byte for each variable.
pub const CODE_VARIABLE_KINDS: usize = 104;
/// Of those bytes: a variable of an enclosing function.
pub const KIND_FREE: u8 = 0x80;
/// `PyCodeObject`: the objects that it holds.
pub const CODE_REFERENCES: [usize; 9] = [24, 32, 40, 96, 104, 112, 120, 128, 136];
/// Words in front of an object with a managed `__dict__`: the dict. In 3.12
/// also the values, marked in the lowest bit.
pub const MANAGED_DICT: isize = -3;
/// 3.11: the values are in a word of their own.
#[cfg(not(Py_3_12))]
pub const MANAGED_VALUES: isize = -4;
/// The block of values: where the first one is. Since 3.13 the block stands
/// behind the object, and a byte says whether it is in use.
pub const VALUES_FIRST: usize = if cfg!(Py_3_13) { 8 } else { 0 };
/// That byte.
#[cfg(Py_3_13)]
pub const VALUES_VALID: usize = 3;
/// The table of keys: how wide its index is, as a power of two.
pub const KEYS_INDEX: usize = 9;
/// The table of keys: how many entries it has.
pub const KEYS_ENTRIES: usize = 24;
/// The table of keys: where the index is; behind it come the entries, each a
/// key and a value.
pub const KEYS_FIRST: usize = 32;

const PROGRAM: &CStr = c"\
def outer(call, marker):
    kept = marker
    def inner():
        return kept
    return call(outer, marker, inner)

class Plain:
    def __init__(self):
        self.first = 1
        self.second = marker

instance = Plain()
other = Plain()
other.__dict__
outcome = outer(call, marker)
";

static METHOD: Shared<PyMethodDef> = Shared(PyMethodDef {
    ml_name: c"call".as_ptr(),
    ml_meth: PyMethodDefPointer {
        PyCFunctionFast: call,
    },
    ml_flags: METH_FASTCALL,
    ml_doc: ptr::null(),
});

/// Confirms on a known call, once, that the heap of this interpreter can be read.
///
/// # Errors
/// What is not as expected.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn check() -> Result<(), String> {
    static RESULT: OnceLock<Result<(), String>> = OnceLock::new();
    if let Some(result) = RESULT.get() {
        return result.clone();
    }
    // SAFETY: the caller's contract.
    let result = unsafe { frame::check().and_then(|()| run()) };
    RESULT.get_or_init(|| result).clone()
}

unsafe fn run() -> Result<(), String> {
    // SAFETY: the GIL is held; references made here are released here.
    unsafe {
        let marker = PyList_New(0);
        let (good, attributes) =
            self_check::run(PROGRAM, &METHOD, &[(c"marker", marker)], |ran, names| {
                if !ran {
                    return (false, false);
                }
                let item = |name: &CStr| PyDict_GetItemString(names, name.as_ptr());
                (
                    item(c"outcome") == Py_True(),
                    attributes_read_as_expected(item(c"instance"), item(c"other"), marker),
                )
            });
        Py_XDECREF(marker);
        let found = [
            (good, "frames or code objects"),
            (attributes, "attributes"),
            (DICT.check(), "dicts"),
        ];
        match found.iter().find(|(good, _)| !good) {
            Some((_, what)) => Err(format!("{what} do not read as expected")),
            None => Ok(()),
        }
    }
}

/// One instance whose attributes are kept without a dict, one with a dict.
unsafe fn attributes_read_as_expected(
    instance: *mut PyObject,
    other: *mut PyObject,
    marker: *mut PyObject,
) -> bool {
    // SAFETY: live instances of a class of `PROGRAM`, or null.
    unsafe {
        if instance.is_null() || other.is_null() {
            return false;
        }
        let expected = Some(Access::Attribute("second".into()));
        let dict = PyObject_GenericGetDict(other, ptr::null_mut());
        Py_XDECREF(dict);
        edge::namespace(instance).is_null()
            && edge::inline_attribute(instance, marker) == expected
            && edge::inline_attribute(instance, instance).is_none()
            && !dict.is_null()
            && edge::namespace(other) == dict
            && edge::attribute(dict, marker) == expected
    }
}

unsafe extern "C" fn call(
    _module: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: called by `PROGRAM`, whose frame is the innermost one.
    unsafe {
        let good = count == 3 && frame_reads_as_expected(arguments);
        PyErr_Clear();
        Py_NewRef(if good { Py_True() } else { Py_False() })
    }
}

unsafe fn frame_reads_as_expected(arguments: *mut *mut PyObject) -> bool {
    // SAFETY: three live arguments; the frame's own offsets were confirmed by
    // `frame::check`, and all others are inside the same structs.
    unsafe {
        let [outer, marker, inner] = [*arguments, *arguments.add(1), *arguments.add(2)];
        let top = frame::top_frame(frame::current_thread());
        if top.is_null() || load::<*mut PyObject>(top, FRAME_FUNCTION) != outer {
            return false;
        }
        let code: *mut PyObject = load(top, FRAME.code);
        if PyFunction_GetCode(outer) != code
            || !load::<*mut PyObject>(top, FRAME_OBJECT).is_null()
            || !load::<*mut PyObject>(top, FRAME_LOCALS.mapping).is_null()
        {
            return false;
        }
        // call, marker, inner, and kept in a cell.
        let variables: c_int = load(code.cast(), CODE_LOCALS.count);
        let names: *mut PyObject = load(code.cast(), CODE_LOCALS.names);
        let kinds: *mut PyObject = load(code.cast(), CODE_VARIABLE_KINDS);
        if variables != 4
            || PyTuple_CheckExact(names) == 0
            || PyTuple_GET_SIZE(names) != 4
            || PyBytes_CheckExact(kinds) == 0
            || PyBytes_Size(kinds) != 4
        {
            return false;
        }
        let slots = top.add(FRAME_LOCALS.values).cast::<*mut PyObject>();
        if *slots.add(1) != marker
            || *slots.add(2) != inner
            || Py_TYPE(*slots.add(3)) != &raw mut PyCell_Type
            || load::<c_int>(top, FRAME_LOCALS.stacktop) > 0
        {
            return false;
        }
        let stack: c_int = load(code.cast(), CODE_STACK);
        let place = (arguments as usize).wrapping_sub(slots as usize) / size_of::<usize>();
        if !(1..=32).contains(&stack) || !(4..4 + stack as usize).contains(&place) {
            return false;
        }
        let inside: *mut PyObject = PyFunction_GetCode(inner);
        let kinds: *mut PyObject = load(inside.cast(), CODE_VARIABLE_KINDS);
        if PyBytes_Size(kinds) != 1 || *PyBytes_AsString(kinds) as u8 & KIND_FREE == 0 {
            return false;
        }
        let attributes = [
            (24, c"co_consts"),
            (32, c"co_names"),
            (40, c"co_exceptiontable"),
            (112, c"co_filename"),
            (120, c"co_name"),
            (128, c"co_qualname"),
            (136, c"co_linetable"),
        ];
        let same = attributes.iter().all(|(offset, name)| {
            let value = PyObject_GetAttrString(code, name.as_ptr());
            Py_XDECREF(value);
            !value.is_null() && value == load(code.cast(), *offset)
        });
        let object: *mut PyObject = PyThreadState_GetFrame(PyThreadState_Get()).cast();
        let found = !object.is_null() && load::<*const u8>(object.cast(), FRAME_OF_OBJECT) == top;
        Py_XDECREF(object);
        same && found
    }
}
