//! What `sys` says about memory: two of its functions count pymalloc only, so
//! ours add what wrasse's allocator holds, in the same words.

use std::ffi::CStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3_ffi::*;
use wrasse_allocator::size_class::{CLASSES, LARGEST};

use crate::module::{Shared, method};
use crate::small_objects::region;

const COUNT: usize = 2;
/// The stock C functions behind ours, in the order of `METHODS`.
static STOCK: [AtomicPtr<()>; COUNT] = [const { AtomicPtr::new(ptr::null_mut()) }; COUNT];

static METHODS: Shared<[PyMethodDef; COUNT]> = Shared([
    method(
        c"getallocatedblocks",
        METH_NOARGS,
        PyMethodDefPointer {
            PyCFunction: get_allocated_blocks,
        },
        c"getallocatedblocks($module, /)\n--\n\n\
            Return the number of memory blocks currently allocated, by wrasse and before it.",
    ),
    method(
        c"_debugmallocstats",
        METH_NOARGS,
        PyMethodDefPointer {
            PyCFunction: debug_malloc_stats,
        },
        c"_debugmallocstats($module, /)\n--\n\n\
            Print debug info to stderr about the state of the memory allocator.",
    ),
]);

type NoArguments = unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject;

/// Gives the running interpreter's `sys` our two functions.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn patch_sys() -> Result<(), String> {
    // SAFETY: the GIL is held; each reference made here is dropped here.
    unsafe {
        let sys = PyImport_ImportModule(c"sys".as_ptr());
        let name = PyUnicode_InternFromString(c"sys".as_ptr());
        let mut result = Ok(());
        for (method, stock) in METHODS.0.iter().zip(&STOCK) {
            if !replace(sys, name, method, stock) {
                PyErr_Clear();
                let words = CStr::from_ptr(method.ml_name).to_string_lossy();
                result = Err(format!("sys.{words} cannot be replaced"));
            }
        }
        Py_XDECREF(name);
        Py_XDECREF(sys);
        result
    }
}

unsafe fn replace(
    sys: *mut PyObject,
    name: *mut PyObject,
    method: &'static PyMethodDef,
    stock: &AtomicPtr<()>,
) -> bool {
    // SAFETY: as for `patch_sys`; a METH_NOARGS function's type is known.
    unsafe {
        if sys.is_null() || name.is_null() {
            return false;
        }
        let current = PyObject_GetAttrString(sys, method.ml_name);
        if current.is_null() || PyCFunction_Check(current) == 0 {
            Py_XDECREF(current);
            return false;
        }
        let (function, flags) = (
            PyCFunction_GetFunction(current),
            PyCFunction_GetFlags(current),
        );
        Py_DECREF(current);
        let function = function.map_or(ptr::null_mut(), |function| function as *mut ());
        if function == method.ml_meth.PyCFunction as *mut () {
            return true;
        }
        if function.is_null() || flags != METH_NOARGS {
            return false;
        }
        stock.store(function, Ordering::Release);
        let ours = PyCFunction_NewEx(ptr::from_ref(method).cast_mut(), sys, name);
        let done = !ours.is_null() && PyObject_SetAttrString(sys, method.ml_name, ours) == 0;
        Py_XDECREF(ours);
        done
    }
}

/// Calls the stock function behind one of ours.
unsafe fn call_stock(number: usize, sys: *mut PyObject) -> *mut PyObject {
    let function = STOCK[number].load(Ordering::Acquire);
    // SAFETY: stored by `replace` before ours was put in its place: a
    // METH_NOARGS function of the module that is passed on.
    unsafe { std::mem::transmute::<*mut (), NoArguments>(function)(sys, ptr::null_mut()) }
}

unsafe extern "C" fn get_allocated_blocks(sys: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python.
    unsafe {
        let stock = call_stock(0, sys);
        if stock.is_null() {
            return stock;
        }
        let before = PyLong_AsSsize_t(stock);
        Py_DECREF(stock);
        if before == -1 && !PyErr_Occurred().is_null() {
            return ptr::null_mut();
        }
        let ours = region().map_or(0, |region| region.blocks() + region.large().totals().0);
        PyLong_FromSsize_t(before + ours as Py_ssize_t)
    }
}

unsafe extern "C" fn debug_malloc_stats(sys: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let _ = std::io::stderr().write_all(table().as_bytes());
    // SAFETY: called from Python. The stock function adds the free lists.
    unsafe { call_stock(1, sys) }
}

/// Our size classes under the heads that pymalloc's have.
fn table() -> String {
    let mut text = String::new();
    let Some(stats) = region().map(|region| region.stats()) else {
        return text;
    };
    let _ = write!(
        text,
        "Small block threshold = {LARGEST}, in {CLASSES} size classes.\n\n\
         class   size   num pools   blocks in use  avail blocks\n\
         -----   ----   ---------   -------------  ------------\n"
    );
    for (number, class) in stats
        .classes
        .iter()
        .enumerate()
        .filter(|(_, class)| class.pools > 0)
    {
        let free = class.capacity.saturating_sub(class.used);
        let _ = writeln!(
            text,
            "{number:5} {:6} {:11} {:15} {free:13}",
            class.size, class.pools, class.used
        );
    }
    let _ = write!(
        text,
        "\n# bytes in allocated blocks = {}\n# pools with memory = {}, of which empty = {}\n\
         # large blocks = {}, bytes in them = {}\n# bytes taken = {}, at most = {}\n\n",
        stats.bytes,
        stats.pools,
        stats.kept,
        stats.large_blocks,
        stats.large_bytes,
        stats.taken,
        stats.peak
    );
    text
}
