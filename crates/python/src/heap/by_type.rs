//! What was found out about types, while objects are gone through one after the other.
//!
//! Neighbours are of few types, but seldom of one: an instance stands beside its list or
//! dict. What was found out about a type is found again by the type's address.

use std::ptr;

use pyo3_ffi::PyTypeObject;

/// Types that are remembered, at most.
const PLACES: usize = 8;

/// A `T` for each of some types. It is made anew for each walk during which nothing
/// foreign runs: after one, there may be another type at the same address.
pub struct ByType<T> {
    places: [(*mut PyTypeObject, T); PLACES],
}

impl<T: Copy> ByType<T> {
    /// One that knows nothing; `nothing` is never asked for.
    pub fn new(nothing: T) -> Self {
        Self {
            places: [(ptr::null_mut(), nothing); PLACES],
        }
    }

    /// What is known of `kind`, which is found out if it is not.
    #[inline(always)]
    pub fn of(&mut self, kind: *mut PyTypeObject, find_out: impl FnOnce() -> T) -> T {
        debug_assert!(!kind.is_null());
        let address = kind as usize;
        let place = &mut self.places[(address >> 4 ^ address >> 10) % PLACES];
        if place.0 != kind {
            *place = (kind, find_out());
        }
        place.1
    }
}
