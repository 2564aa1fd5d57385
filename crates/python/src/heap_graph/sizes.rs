//! Types and their objects' sizes, as `sys.getsizeof` gives them.
//!
//! A type's `__sizeof__` is only called where it is a C function of CPython's
//! own types or of a few libraries known to run no Python in it. Other objects
//! count with what their type says of their size.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::ptr;

use pyo3_ffi::*;

use super::Failure;
use super::referents::with_type_dict;
use crate::layout::{self, INLINE_VALUES};

const GC_HEAD: u64 = 16;
const RECENT: usize = 32;

/// Modules whose `__sizeof__` only adds numbers up.
const KNOWN: [&[u8]; 16] = [
    b"_asyncio.",
    b"_collections.",
    b"_ctypes.",
    b"_elementtree.",
    b"_io.",
    b"_pickle.",
    b"_random.",
    b"_struct.",
    b"array.",
    b"collections.",
    b"functools.",
    b"itertools.",
    b"mmap.",
    b"numpy.",
    b"re.",
    b"xml.",
];

#[derive(Clone, Copy)]
enum Sizing {
    /// All objects are alike.
    Fixed(u64),
    /// So much, and so much for each item.
    Items(u64, u64),
    /// Ask the type's own function; so much comes on top.
    Ask(PyCFunction, u64),
}

/// One type.
pub struct Kind {
    /// The type; alive as long as its objects are.
    pub of: *mut PyTypeObject,
    /// How many objects it has.
    pub objects: u64,
    /// Their own bytes.
    pub bytes: u64,
    /// Of those, the bytes of objects that are no nodes.
    pub folded: u64,
    sizing: Sizing,
}

/// The types met, numbered.
#[derive(Default)]
pub struct Kinds {
    numbers: HashMap<*mut PyTypeObject, u32>,
    all: Vec<Kind>,
    /// Types met of late, by their addresses.
    recent: [Cell<Option<(*mut PyTypeObject, u32)>>; RECENT],
}

impl Kinds {
    /// All of them, by number.
    pub fn all(&self) -> &[Kind] {
        &self.all
    }

    /// Counts `object` and returns its type's number and its size.
    ///
    /// # Safety
    /// The GIL is held, `object` is alive.
    pub unsafe fn count(&mut self, object: *mut PyObject) -> Result<(u32, u64), Failure> {
        // SAFETY: the caller's contract.
        unsafe {
            let number = self.number(object)?;
            let kind = &mut self.all[number as usize];
            let size = kind.size(object);
            kind.objects += 1;
            kind.bytes += size;
            Ok((number, size))
        }
    }

    /// As [`count`](Self::count), for an object that is no node.
    ///
    /// # Safety
    /// As for [`count`](Self::count).
    pub unsafe fn fold(&mut self, object: *mut PyObject) -> Result<u64, Failure> {
        // SAFETY: the caller's contract.
        let (number, size) = unsafe { self.count(object)? };
        self.all[number as usize].folded += size;
        Ok(size)
    }

    /// The size of `object`, uncounted.
    ///
    /// # Safety
    /// As for [`count`](Self::count).
    pub unsafe fn size(&mut self, object: *mut PyObject) -> Result<u64, Failure> {
        // SAFETY: the caller's contract.
        unsafe {
            let number = self.number(object)?;
            Ok(self.all[number as usize].size(object))
        }
    }

    unsafe fn number(&mut self, object: *mut PyObject) -> Result<u32, Failure> {
        // SAFETY: the caller's contract.
        let of = unsafe { Py_TYPE(object) };
        if let Some(number) = self.recent(of) {
            return Ok(number);
        }
        let number = match self.numbers.get(&of) {
            Some(number) => *number,
            None => {
                self.numbers.try_reserve(1).map_err(|_| Failure::Memory)?;
                self.all.try_reserve(1).map_err(|_| Failure::Memory)?;
                let number = self.all.len() as u32;
                // SAFETY: a live object has a live type.
                let sizing = unsafe { Sizing::of(object) };
                self.all.push(Kind {
                    of,
                    objects: 0,
                    bytes: 0,
                    folded: 0,
                    sizing,
                });
                self.numbers.insert(of, number);
                number
            }
        };
        self.place(of).set(Some((of, number)));
        Ok(number)
    }

    fn place(&self, of: *mut PyTypeObject) -> &Cell<Option<(*mut PyTypeObject, u32)>> {
        &self.recent[(of as usize >> 4 ^ of as usize >> 9) % RECENT]
    }

    #[inline]
    fn recent(&self, of: *mut PyTypeObject) -> Option<u32> {
        let (known, number) = self.place(of).get()?;
        (known == of).then_some(number)
    }

    /// The number of an object's type.
    ///
    /// # Safety
    /// `object` is alive, and was [counted](Self::count), or another of its type.
    pub unsafe fn known(&self, object: *mut PyObject) -> u32 {
        // SAFETY: the caller's contract.
        let of = unsafe { Py_TYPE(object) };
        if let Some(number) = self.recent(of) {
            return number;
        }
        let number = self.numbers.get(&of).copied();
        debug_assert!(number.is_some(), "of a type that was counted");
        let number = number.unwrap_or(0);
        self.place(of).set(Some((of, number)));
        number
    }

    /// The number of an object's type, and the object's size.
    ///
    /// # Safety
    /// As for [`known`](Self::known), with the GIL held.
    pub unsafe fn read(&self, object: *mut PyObject) -> (u32, u64) {
        // SAFETY: the caller's contract.
        unsafe {
            let number = self.known(object);
            (number, self.all[number as usize].size(object))
        }
    }
}

impl Kind {
    unsafe fn size(&self, object: *mut PyObject) -> u64 {
        // SAFETY: `object` is of this type.
        unsafe {
            // Since 3.13 the head is counted only for those objects that have one.
            let headless =
                cfg!(Py_3_13) && (*self.of).tp_is_gc.is_some_and(|is_gc| is_gc(object) == 0);
            let size = self.size_with_head(object);
            if headless { size - GC_HEAD } else { size }
        }
    }

    unsafe fn size_with_head(&self, object: *mut PyObject) -> u64 {
        // SAFETY: as above.
        unsafe {
            match self.sizing {
                Sizing::Fixed(size) => size,
                Sizing::Items(base, item) => base + item * Py_SIZE(object).unsigned_abs() as u64,
                Sizing::Ask(function, base) => match ask(function, object) {
                    Some(size) => base + size,
                    None => base + basic(self.of),
                },
            }
        }
    }
}

unsafe fn basic(kind: *mut PyTypeObject) -> u64 {
    // SAFETY: a live type.
    unsafe { (*kind).tp_basicsize.max(0) as u64 }
}

unsafe fn ask(function: PyCFunction, object: *mut PyObject) -> Option<u64> {
    // SAFETY: a method without arguments of the object's own type.
    unsafe {
        let result = function(object, ptr::null_mut());
        let size = if result.is_null() {
            -1
        } else {
            PyLong_AsLongLong(result)
        };
        Py_XDECREF(result);
        if size < 0 {
            PyErr_Clear();
        }
        u64::try_from(size).ok()
    }
}

impl Sizing {
    unsafe fn of(object: *mut PyObject) -> Self {
        // SAFETY: a live object.
        unsafe {
            let kind = Py_TYPE(object);
            let flags = (*kind).tp_flags;
            let before = layout::before(kind) as u64;
            let method = method(kind);
            if let Some((function, owner)) = method
                && owner != &raw mut PyBaseObject_Type
                && is_known(owner)
            {
                return Self::Ask(function, before);
            }
            let base = before + basic(kind);
            if cfg!(Py_3_13)
                && flags & INLINE_VALUES != 0
                && let Some((function, owner)) = method
                && owner == &raw mut PyBaseObject_Type
                && let Some(size) = ask(function, object)
            {
                return Self::Fixed(before + size);
            }
            match (*kind).tp_itemsize {
                item if item > 0 => Self::Items(base, item as u64),
                _ => Self::Fixed(base),
            }
        }
    }
}

unsafe fn is_known(owner: *mut PyTypeObject) -> bool {
    // SAFETY: a live type has a name.
    unsafe {
        let name = CStr::from_ptr((*owner).tp_name).to_bytes();
        let built_in = (*owner).tp_flags & Py_TPFLAGS_HEAPTYPE == 0 && !name.contains(&b'.');
        built_in || KNOWN.iter().any(|module| name.starts_with(module))
    }
}

/// The C function behind a type's `__sizeof__` and the type that it is from.
unsafe fn method(kind: *mut PyTypeObject) -> Option<(PyCFunction, *mut PyTypeObject)> {
    // SAFETY: a live type; its order of bases holds types. Looking up a string
    // in a type's namespace compares strings.
    unsafe {
        let order = (*kind).tp_mro;
        if order.is_null() || PyTuple_CheckExact(order) == 0 {
            return None;
        }
        let name = PyUnicode_InternFromString(c"__sizeof__".as_ptr());
        if name.is_null() {
            PyErr_Clear();
            return None;
        }
        let mut found = ptr::null_mut();
        for index in 0..PyTuple_GET_SIZE(order) {
            let base = PyTuple_GET_ITEM(order, index);
            if PyType_Check(base) != 0 {
                with_type_dict(base.cast(), |dict| {
                    if !dict.is_null() && PyDict_CheckExact(dict) != 0 {
                        found = PyDict_GetItemWithError(dict, name);
                    }
                });
            }
            if !found.is_null() {
                break;
            }
        }
        PyErr_Clear();
        Py_DECREF(name);
        if found.is_null() || Py_TYPE(found) != &raw mut PyMethodDescr_Type {
            return None;
        }
        let found = found.cast::<PyMethodDescrObject>();
        let owner = (*found).d_common.d_type;
        let definition = (*found).d_method;
        if (*definition).ml_flags != METH_NOARGS || PyType_IsSubtype(kind, owner) == 0 {
            return None;
        }
        Some(((*definition).ml_meth.PyCFunction, owner))
    }
}
