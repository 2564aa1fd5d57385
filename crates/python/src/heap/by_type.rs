//! What was found out about types, while objects are gone through one after the other.
//!
//! Neighbours are of few types, but seldom of one: an instance stands beside its list or
//! dict. What was found out about a type is found again by the type's address.

use std::cell::Cell;
use std::ptr;

use pyo3_ffi::PyTypeObject;

/// A `T` for each of some types, `PLACES` at most. It is only right while nothing foreign
/// runs: after that there may be another type at the same address, so that it is made
/// anew or has to [`forget`](Self::forget).
pub struct ByType<T, const PLACES: usize = 8> {
    places: [Cell<(*mut PyTypeObject, T)>; PLACES],
    nothing: T,
}

impl<T: Copy, const PLACES: usize> ByType<T, PLACES> {
    /// One that knows nothing; `nothing` is never told.
    pub fn new(nothing: T) -> Self {
        Self {
            places: std::array::from_fn(|_| Cell::new((ptr::null_mut(), nothing))),
            nothing,
        }
    }

    /// Knows no type any more.
    pub fn forget(&self) {
        for place in &self.places {
            place.set((ptr::null_mut(), self.nothing));
        }
    }

    /// What is known of `kind`, which is found out if it is not.
    #[inline(always)]
    pub fn of(&self, kind: *mut PyTypeObject, find_out: impl FnOnce() -> T) -> T {
        debug_assert!(!kind.is_null());
        let address = kind as usize;
        let place = &self.places[(address >> 4 ^ address >> 10) % PLACES];
        let (known, found) = place.get();
        if known == kind {
            return found;
        }
        let found = find_out();
        place.set((kind, found));
        found
    }
}
