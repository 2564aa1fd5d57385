//! Finds an interpreter's collector state and confirms that it is what we know.
//!
//! A freshly tracked object is appended to generation 0, so its `next` is the
//! head of that generation, which sits 24 bytes into the state. Everything that
//! can be seen of the state from outside is then compared with what the stock
//! `gc` module says. One mismatch and the collector stays stock.

use std::ptr;

use pyo3_ffi::*;

use crate::layout::{GC, GcState};
use crate::list::link_of;

/// An interpreter is at most this large; the state lies within it.
const INTERPRETER_SPAN: usize = 512 * 1024;
const GENERATION0_IN_STATE: usize = 24;

/// The collector's state of the running interpreter, whose stock `gc` module is
/// `module`; or what does not fit.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn find(module: *mut PyObject) -> Result<*mut GcState, String> {
    // SAFETY: reads stay inside the interpreter's own struct, which the range
    // check establishes before anything behind the computed address is read.
    unsafe {
        let list = PyList_New(0);
        if list.is_null() {
            PyErr_Clear();
            return Err("no memory to look for the collector".into());
        }
        let head = (*link_of(list)).next;
        Py_DECREF(list);
        let interpreter = PyInterpreterState_Get() as usize;
        let offset = head
            .wrapping_sub(GENERATION0_IN_STATE)
            .wrapping_sub(interpreter);
        if offset > INTERPRETER_SPAN || !offset.is_multiple_of(align_of::<GcState>()) {
            return Err("the collector's state is not inside the interpreter".into());
        }
        if offset != GC.state_in_interpreter {
            return Err(format!(
                "the collector's state is at offset {offset:#x}, not at {:#x}",
                GC.state_in_interpreter
            ));
        }
        let state = (interpreter + offset) as *mut GcState;
        confirm(state, module)?;
        Ok(state)
    }
}

unsafe fn confirm(state: *mut GcState, module: *mut PyObject) -> Result<(), String> {
    // SAFETY: `state` lies inside the interpreter; the module is the stock one
    // and its functions take no arguments.
    unsafe {
        if (*state).generation0 as usize != state as usize + GENERATION0_IN_STATE {
            return Err("generation 0 is not where it should be".into());
        }
        for (name, field) in [
            (c"garbage", (*state).garbage),
            (c"callbacks", (*state).callbacks),
        ] {
            let list = PyObject_GetAttrString(module, name.as_ptr());
            let same = !list.is_null() && list == field && PyList_Check(list) != 0;
            Py_XDECREF(list);
            if !same {
                PyErr_Clear();
                return Err(format!("gc.{} is another list", name.to_string_lossy()));
            }
        }
        let enabled = PyGC_IsEnabled();
        if enabled != (*state).enabled || (*state).collecting != 0 {
            return Err("the flags of the collector are not where they should be".into());
        }
        let thresholds = triple(module, c"get_threshold")?;
        // Counts move with every allocation: read the fields first and last and
        // accept what lies between.
        let before = (*state).generations[0].count;
        let counts = triple(module, c"get_count")?;
        let after = (*state).generations[0].count;
        let found = std::array::from_fn(|generation| (*state).generations[generation].threshold);
        if thresholds != found {
            return Err("the thresholds are not where they should be".into());
        }
        let near = (before.min(after) - 8..=before.max(after) + 8).contains(&counts[0]);
        if !near
            || counts[1] != (*state).generations[1].count
            || counts[2] != (*state).generations[2].count
        {
            return Err("the counts are not where they should be".into());
        }
        Ok(())
    }
}

unsafe fn triple(module: *mut PyObject, name: &std::ffi::CStr) -> Result<[i32; 3], String> {
    // SAFETY: calls a function without arguments and reads a tuple of ints.
    unsafe {
        let function = PyObject_GetAttrString(module, name.as_ptr());
        let tuple = if function.is_null() {
            ptr::null_mut()
        } else {
            PyObject_CallNoArgs(function)
        };
        Py_XDECREF(function);
        let mut values = [0; 3];
        let good = !tuple.is_null() && PyTuple_Check(tuple) != 0 && PyTuple_GET_SIZE(tuple) == 3;
        if good {
            for (index, value) in values.iter_mut().enumerate() {
                *value = PyLong_AsLong(PyTuple_GET_ITEM(tuple, index as Py_ssize_t)) as i32;
            }
        }
        Py_XDECREF(tuple);
        if good && PyErr_Occurred().is_null() {
            Ok(values)
        } else {
            PyErr_Clear();
            Err(format!("gc.{} does not answer", name.to_string_lossy()))
        }
    }
}
