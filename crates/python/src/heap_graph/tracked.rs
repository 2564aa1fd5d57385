//! All objects that CPython's collector has on its lists.

use pyo3_ffi::*;

use super::Failure;
use crate::layout::GcState;
use crate::list::{Link, object_of};
use crate::{interpreter, probe};

/// Where the tracked objects of the running interpreter are found.
pub enum Tracked {
    /// The heads of the lists that they are on.
    Lists(Vec<Link>),
    /// Themselves, where the lists are not where we know them to be.
    Objects(Vec<*mut PyObject>),
}

impl Tracked {
    /// Finds out. Python code may run, so this comes before anything is looked at.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    pub unsafe fn find() -> Result<Self, Failure> {
        // SAFETY: the caller's contract.
        unsafe {
            if let Some(interpreter) = interpreter::current() {
                let mut heads = heads(interpreter.state);
                if interpreter.pass.get().is_some() {
                    heads.push(interpreter.parked.head());
                }
                return Ok(Self::Lists(heads));
            }
            let module = PyImport_ImportModule(c"gc".as_ptr());
            if module.is_null() {
                return Err(Failure::Raised);
            }
            let found = match probe::find(module) {
                Ok(state) => Ok(Self::Lists(heads(state))),
                Err(_) => objects(module),
            };
            Py_DECREF(module);
            found
        }
    }

    /// Calls `visit` with each.
    ///
    /// # Safety
    /// The GIL has been held since [`find`](Self::find), and nothing was freed.
    pub unsafe fn each(&self, mut visit: impl FnMut(*mut PyObject)) {
        match self {
            Self::Objects(objects) => objects.iter().for_each(|object| visit(*object)),
            Self::Lists(heads) => {
                for &head in heads {
                    // SAFETY: the lists are proper whenever Python code runs,
                    // which is where we were called from.
                    unsafe {
                        let mut link = (*head).next as Link;
                        while link != head {
                            let next = (*link).next as Link;
                            visit(object_of(link));
                            link = next;
                        }
                    }
                }
            }
        }
    }
}

unsafe fn heads(state: *mut GcState) -> Vec<Link> {
    // SAFETY: the state was confirmed.
    unsafe {
        vec![
            &raw mut (*state).generations[0].head,
            &raw mut (*state).generations[1].head,
            &raw mut (*state).generations[2].head,
            &raw mut (*state).permanent.head,
        ]
    }
}

/// What `gc.get_objects()` says. The list is given back at once: its members
/// were alive without it.
unsafe fn objects(module: *mut PyObject) -> Result<Tracked, Failure> {
    // SAFETY: called from `find`.
    unsafe {
        let function = PyObject_GetAttrString(module, c"get_objects".as_ptr());
        if function.is_null() {
            return Err(Failure::Raised);
        }
        let list = PyObject_CallNoArgs(function);
        Py_DECREF(function);
        if list.is_null() {
            return Err(Failure::Raised);
        }
        let mut objects = Vec::new();
        let count = if PyList_CheckExact(list) != 0 {
            PyList_GET_SIZE(list) as usize
        } else {
            0
        };
        let room = objects.try_reserve_exact(count);
        if room.is_ok() {
            for index in 0..count {
                objects.push(PyList_GET_ITEM(list, index as Py_ssize_t));
            }
        }
        Py_DECREF(list);
        room.map_err(|_| Failure::Memory)?;
        Ok(Tracked::Objects(objects))
    }
}
