//! How many bytes a collection gives back.
//!
//! Two measures, of which the larger counts. *The objects themselves*: the sizes
//! that their types give, with the words in front, but not the tables, strings
//! and numbers that only they held. *The allocator's live bytes* before and
//! after clearing, where wrasse's serves them: these count all that went, less
//! what destructors have allocated meanwhile. Asking costs a look at each pool,
//! so it is left out where there are more pools than objects to free.

use std::cell::Cell;

use pyo3_ffi::*;

use wrasse_allocator::pool;

use super::by_type::ByType;
use crate::layout;
use crate::list::{Link, List, object_of};
use crate::small_objects;

/// Flags below the number of an integer's digits, from 3.12 on.
const INT_SHIFT: u32 = if cfg!(Py_3_12) { 3 } else { 0 };

/// What the objects of a type take.
#[derive(Clone, Copy, Default)]
struct Sizes {
    /// Bytes of each, with the words in front.
    object: usize,
    /// Bytes of each of its items, of which it has so many shifted by `shift`.
    item: usize,
    shift: u32,
}

impl Sizes {
    #[inline]
    unsafe fn of(kind: *mut PyTypeObject) -> Self {
        // SAFETY: the caller passes a live type.
        unsafe {
            let is_int = (*kind).tp_flags & Py_TPFLAGS_LONG_SUBCLASS != 0;
            Self {
                object: (*kind).tp_basicsize as usize + layout::before(kind),
                item: (*kind).tp_itemsize as usize,
                shift: if is_int { INT_SHIFT } else { 0 },
            }
        }
    }
}

/// What one collection has condemned.
#[derive(Default)]
pub struct Freed {
    own: Cell<usize>,
    before: Cell<Option<usize>>,
}

impl Freed {
    /// Counts `garbage`, which is about to be cleared.
    ///
    /// # Safety
    /// It is a proper list of live objects.
    pub unsafe fn condemn(&self, garbage: &List) {
        let (mut own, mut count) = (0, 0);
        let kinds: ByType<_> = ByType::new(Sizes::default());
        // SAFETY: live objects have live types; an object whose type has items has a
        // word where a `PyVarObject` has their number.
        unsafe {
            let mut link = (*garbage.head()).next as Link;
            while link != garbage.head() {
                let object = object_of(link);
                let kind = Py_TYPE(object);
                let sizes = kinds.of(kind, || Sizes::of(kind));
                own += sizes.object;
                if sizes.item != 0 {
                    let items = (*object.cast::<PyVarObject>()).ob_size.unsigned_abs();
                    own += sizes.item * (items >> sizes.shift);
                }
                count += 1;
                link = (*link).next as Link;
            }
        }
        self.own.set(self.own.get() + own);
        if let Some(region) = small_objects::region()
            && self.before.get().is_none()
            && region.committed() / pool::SIZE <= count
        {
            self.before.set(Some(region.live_bytes()));
        }
    }

    /// What has been given back; to be asked when the collection is over.
    pub fn bytes(&self) -> usize {
        let by_allocator = self.before.get().zip(small_objects::region());
        let by_allocator = by_allocator.map_or(0, |(before, region)| {
            before.saturating_sub(region.live_bytes())
        });
        self.own.get().max(by_allocator)
    }
}
