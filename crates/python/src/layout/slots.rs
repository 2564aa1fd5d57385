//! Instances of classes made in Python that have slots and nothing else.
//!
//! A class's slots are listed in its `tp_members`, as many as the size of the type
//! object says. Where those of a class and its bases stand in a row, an instance is
//! read like an array. As with [`INSTANCE`](super::INSTANCE), this is not believed
//! before an instance met in the program was read both ways.

use std::sync::atomic::{AtomicU8, Ordering};

use pyo3_ffi::*;

use super::instance::{self, Values};

/// Classes with more slots are left to `tp_traverse`.
const MOST_SLOTS: usize = instance::MOST_VALUES;

static CHECKED: AtomicU8 = AtomicU8::new(instance::UNKNOWN);

/// Where the slots of a class's instances are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Bytes from the object to the first.
    first: u16,
    count: u16,
}

impl Slots {
    /// Those of `kind`, if its instances refer to them, their type and nothing else,
    /// and they stand in a row.
    ///
    /// # Safety
    /// `kind` is a live type.
    pub unsafe fn of(kind: *mut PyTypeObject) -> Option<Self> {
        // SAFETY: a live type's bases are alive. `tp_members` of a class made in
        // Python has as many members as the type's size says.
        unsafe {
            if (*kind).tp_flags & Py_TPFLAGS_HEAPTYPE == 0
                || (*kind).tp_flags & instance::MANAGED_DICT != 0
                || (*kind).tp_dictoffset != 0
                || (*kind).tp_itemsize != 0
            {
                return None;
            }
            let (mut first, mut end, mut count) = (usize::MAX, 0, 0);
            let mut base = kind;
            while base != &raw mut PyBaseObject_Type {
                if base.is_null() || !instance::is_made_in_python(base) {
                    return None;
                }
                let slots = usize::try_from((*base.cast::<PyVarObject>()).ob_size).ok()?;
                let members = (*base).tp_members;
                if slots > MOST_SLOTS || (slots > 0 && members.is_null()) {
                    return None;
                }
                for index in 0..slots {
                    let member = members.add(index);
                    let offset = usize::try_from((*member).offset).ok()?;
                    if (*member).type_code != Py_T_OBJECT_EX || offset % size_of::<usize>() != 0 {
                        return None;
                    }
                    first = first.min(offset);
                    end = end.max(offset + size_of::<usize>());
                    count += 1;
                }
                base = (*base).tp_base;
            }
            if count == 0 || count > MOST_SLOTS || end - first != count * size_of::<usize>() {
                return None;
            }
            Some(Self {
                first: u16::try_from(first).ok()?,
                count: count as u16,
            })
        }
    }

    /// What `object` refers to besides its type; `None` if it is to be asked itself.
    ///
    /// # Safety
    /// `object` is a live instance of the class. Nothing is changed as long as the
    /// result is used.
    #[inline]
    pub unsafe fn values(self, object: *mut PyObject) -> Option<Values> {
        let values = Values {
            first: object.wrapping_byte_add(self.first as usize).cast(),
            count: self.count as usize,
            dict: std::ptr::null_mut(),
        };
        match CHECKED.load(Ordering::Relaxed) {
            instance::GOOD => Some(values),
            instance::BAD => None,
            _ => {
                // SAFETY: the caller's contract; the slots are within the object.
                let good = unsafe { instance::reads_the_same(object, &values, 2) };
                if let Some(good) = good {
                    let known = if good { instance::GOOD } else { instance::BAD };
                    CHECKED.store(known, Ordering::Relaxed);
                }
                None
            }
        }
    }
}
