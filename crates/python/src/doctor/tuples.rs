//! Equal tuples that are objects of their own.
//!
//! Two tuples can stand for each other if they are of one type and their items
//! are equal and cannot change, or are the very same objects. Nothing of Python
//! runs to tell: strings, bytes and numbers are compared by what is in them,
//! tuples by their items, everything else by its address.

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3_ffi::*;
use wrasse_doctor::observations::Duplicates;

use super::copies::Copies;
use super::heads::GC_HEAD;
use super::held::Owners;
use super::lines;
use super::waste::{hash_of_text, size_of_text};
use crate::heap_graph::{Picture, names};

/// Less than this at one line is not told.
const SMALLEST: u64 = 64 << 10;
/// Longer tuples are not compared, and tuples in tuples not deeper than this.
const LONGEST: Py_ssize_t = 32;
const DEPTH: u32 = 4;

/// Tuples by what is in them.
#[derive(Default)]
pub struct Tuples(Copies);

impl Tuples {
    /// Looks at an object, if it is a tuple.
    ///
    /// # Safety
    /// The GIL is held, and the object is alive; so everywhere here.
    pub unsafe fn add(&mut self, object: *mut PyObject) {
        // SAFETY: the caller's contract.
        if let Some(hash) = unsafe { hash_of(object, DEPTH) } {
            self.0.add(object, hash);
        }
    }

    /// The copies by line, and the addresses of those that are told of, in order.
    pub unsafe fn duplicates(
        self,
        picture: &mut Picture,
        owners: &Owners,
    ) -> (Vec<Duplicates>, Vec<usize>) {
        let traceback = |tuple: *mut PyObject| lines::traceback_of_block(tuple as usize - GC_HEAD);
        // The constructor of a named tuple is no file's.
        let own_line = |traceback| owners.line(traceback);
        // SAFETY: the caller's contract: all that were added are alive.
        let bytes = |tuple| unsafe { bytes(picture, tuple, DEPTH) };
        // SAFETY: as above.
        let example = |tuple| unsafe { names::key(tuple) };
        let mut lines = self.0.by_line(traceback, own_line, bytes, example);
        lines.retain(|each| each.told.bytes >= SMALLEST && each.told.is_worth_sharing());
        let copies = lines.iter().flat_map(|each| &each.copies);
        let mut copies: Vec<usize> = copies.map(|copy| *copy as usize).collect();
        copies.sort_unstable();
        (lines.into_iter().map(|each| each.told).collect(), copies)
    }
}

/// What a tuple's items come to; `None` of what is no tuple that could be shared.
unsafe fn hash_of(object: *mut PyObject, depth: u32) -> Option<u64> {
    // SAFETY: the caller's contract; items of a tuple that is alive are, too, or null
    // while C code fills it.
    unsafe {
        if PyTuple_Check(object) == 0 || depth == 0 {
            return None;
        }
        let kind = Py_TYPE(object);
        let length = PyTuple_GET_SIZE(object);
        if length == 0 || length > LONGEST || (*kind).tp_dictoffset != 0 {
            return None;
        }
        let mut hasher = DefaultHasher::default();
        (kind as usize, length).hash(&mut hasher);
        for index in 0..length {
            let item = PyTuple_GET_ITEM(object, index);
            if item.is_null() {
                return None;
            }
            let kind = Py_TYPE(item);
            (kind as usize).hash(&mut hasher);
            if kind == &raw mut PyUnicode_Type {
                hash_of_text(item).hash(&mut hasher);
            } else if kind == &raw mut PyFloat_Type {
                PyFloat_AsDouble(item).to_bits().hash(&mut hasher);
            } else if kind == &raw mut PyLong_Type {
                let mut overflow = 0;
                let value = PyLong_AsLongLongAndOverflow(item, &raw mut overflow);
                match overflow {
                    0 => value.hash(&mut hasher),
                    _ => (item as usize).hash(&mut hasher),
                }
            } else if kind == &raw mut PyBytes_Type {
                let data = PyBytes_AsString(item).cast::<u8>();
                let length = Py_SIZE(item) as usize;
                std::slice::from_raw_parts(data, length).hash(&mut hasher);
            } else if let Some(inner) = hash_of(item, depth - 1) {
                inner.hash(&mut hasher);
            } else {
                (item as usize).hash(&mut hasher);
            }
        }
        Some(hasher.finish())
    }
}

/// The bytes that go with a copy: its own, and those of items that only it holds.
unsafe fn bytes(picture: &mut Picture, tuple: *mut PyObject, depth: u32) -> u64 {
    // SAFETY: as above.
    unsafe {
        let mut all = picture.kinds.size(tuple).unwrap_or(0);
        for index in 0..PyTuple_GET_SIZE(tuple) {
            let item = PyTuple_GET_ITEM(tuple, index);
            if item.is_null() || Py_REFCNT(item) != 1 {
                continue;
            }
            let kind = Py_TYPE(item);
            let is_plain = [
                &raw mut PyFloat_Type,
                &raw mut PyLong_Type,
                &raw mut PyBytes_Type,
            ];
            if kind == &raw mut PyUnicode_Type {
                all += size_of_text(item);
            } else if is_plain.contains(&kind) {
                all += picture.kinds.size(item).unwrap_or(0);
            } else if PyTuple_Check(item) != 0 && depth > 1 {
                all += bytes(picture, item, depth - 1);
            }
        }
        all
    }
}
