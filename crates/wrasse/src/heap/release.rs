//! The end of objects: dropped by their counts, or cleared as garbage.
//!
//! # Dropping without recursion
//! Dropping a value drops the `Gc`s in it, whose objects may thereby lose
//! their last reference, and so on: a list of ten million nodes would need a
//! stack as long. So while one object is being dropped, others that come to
//! zero are only noted in `pending`, and dropped one after the other by the
//! outermost call.

use std::alloc::Layout;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;

use super::{Heap, Quiet, heap_at, heap_of, state};
use crate::header::{CANDIDATE, DEAD, FINALIZED, Header, Object, Place, Type, WEAK, header_of};
use crate::pool::place_for;
use crate::weak::{self, Leftovers};

/// Drops and frees an object whose last reference is gone.
///
/// # Safety
/// The count of `object` just became zero.
#[cold]
#[inline(never)]
unsafe fn release(object: Object) {
    // SAFETY: the object's block is there until `free`, below.
    unsafe {
        let header = object.as_ref();
        let heap = heap_of(object, header.kind());
        if header.has(DEAD) {
            // Garbage that was cleared already. While the collection runs, it
            // keeps the block; else this was a reference in a piece of garbage
            // that had to wait for its own end until the collection was over.
            if !header.has(CANDIDATE) {
                (*heap).free(object, header.kind());
                Heap::destroy_if_done(heap);
            }
        } else if (*heap).is(state::DROPPING) {
            (*heap).put_off(object);
        } else {
            let guard = Dropping::begin(&*heap);
            finish(&*heap, object);
            (*heap).drain(0);
            drop(guard);
            Heap::destroy_if_done(heap);
        }
    }
}

/// Where the block of a value's object is, as far as the compiler can tell: for
/// a sized type this comes down to a constant.
#[inline]
unsafe fn place_of<T: ?Sized>(value: NonNull<T>, kind: &'static Type) -> Place {
    if size_of::<NonNull<T>>() == size_of::<usize>() {
        // SAFETY: the caller passes a value that is alive.
        place_for(Layout::for_value(unsafe { value.as_ref() }))
    } else {
        kind.place
    }
}

/// Drops a reference for which [`Header::drop_one_of_many`] is too simple.
///
/// # Safety
/// The reference was counted; `word` is the header's.
#[inline(never)]
pub unsafe fn release_value<T: ?Sized>(value: NonNull<T>, word: u64) {
    /// Gives the block back if the destructor panics.
    struct Unwinding<'a> {
        heap: &'a Heap,
        object: Object,
        place: Place,
    }
    impl Drop for Unwinding<'_> {
        #[inline(always)]
        fn drop(&mut self) {
            unwound(self.heap, self.place, self.object);
        }
    }
    #[cold]
    #[inline(never)]
    fn unwound(heap: &Heap, place: Place, object: Object) {
        heap.unmark(state::DROPPING);
        // SAFETY: the value is dropped, as far as it could be, and nobody
        // refers to the object.
        unsafe { heap.free_at(place, object) }
    }

    // SAFETY: the caller's contract. The value is dropped once: the object is
    // marked dead before.
    unsafe {
        let object = header_of(value);
        if !Header::ends_simply(word) {
            return drop_reference(object);
        }
        let header = object.as_ref();
        let place = place_of(value, header.kind());
        let raw = heap_at(place, object);
        let heap = &*raw;
        if mem::needs_drop::<T>() {
            if heap.state.get() != 0 {
                return drop_reference(object);
            }
            heap.state.set(state::DROPPING);
            header.end(word);
            let unwinding = Unwinding {
                heap,
                object,
                place,
            };
            value.drop_in_place();
            mem::forget(unwinding);
            // The tracer does not know the object, or `state` would have said so.
            heap.free_at(place, object);
            if heap.state.get() == state::DROPPING {
                heap.state.set(0);
            } else {
                Heap::dropped(raw);
            }
        } else {
            if heap.is(state::ORPHANED | state::TRACED) {
                return drop_reference(object);
            }
            heap.free_at(place, object);
        }
    }
}

/// Drops a reference, whatever that takes.
///
/// # Safety
/// The reference was counted.
#[cold]
#[inline(never)]
pub unsafe fn drop_reference(object: Object) {
    // SAFETY: the caller's contract.
    unsafe {
        if object.as_ref().decrement() {
            release(object);
        }
    }
}

/// Gives up an object whose value was moved out, or never was there.
///
/// # Safety
/// `object` is marked dead and has one reference, the caller's.
pub unsafe fn abandon(object: Object) {
    // SAFETY: the caller's contract.
    unsafe {
        let header = object.as_ref();
        debug_assert!(header.has(DEAD) && header.count() == 1);
        let leftovers = weak::clear(object);
        header.decrement();
        let heap = heap_of(object, header.kind());
        (*heap).free_or_keep(object);
        Heap::destroy_if_done(heap);
        drop(leftovers);
    }
}

/// While it lives, objects that come to zero wait.
struct Dropping<'a> {
    heap: &'a Heap,
    before: u8,
}

impl<'a> Dropping<'a> {
    fn begin(heap: &'a Heap) -> Self {
        let before = heap.state.get() & state::DROPPING;
        heap.mark(state::DROPPING);
        Self { heap, before }
    }
}

impl Drop for Dropping<'_> {
    // If a destructor panicked, objects stay in `pending`; the next object that
    // is released takes them along.
    fn drop(&mut self) {
        self.heap.unmark(state::DROPPING & !self.before);
    }
}

/// Finalizes, drops and frees one object with a count of zero.
unsafe fn finish(heap: &Heap, object: Object) {
    /// Frees the block even if the value's destructor panics.
    struct Block<'a>(&'a Heap, Object);
    impl Drop for Block<'_> {
        fn drop(&mut self) {
            // SAFETY: the value is dropped, as far as it could be, and nobody
            // refers to the object.
            unsafe { self.0.free_or_keep(self.1) }
        }
    }

    // SAFETY: the caller's contract; a pinned object stays.
    unsafe {
        let header = object.as_ref();
        let mut panic = Ok(());
        if !header.has(FINALIZED) {
            header.set(FINALIZED);
            header.increment();
            panic = catch_unwind(AssertUnwindSafe(|| (header.kind().finalize)(object)));
            if !header.decrement() {
                if let Err(panic) = panic {
                    resume_unwind(panic);
                }
                return;
            }
        }
        // Dead before callbacks run, so that no new weak reference is made.
        header.set(DEAD);
        let Leftovers { watchers, attached } = if header.has(WEAK) {
            weak::clear(object)
        } else {
            Leftovers::default()
        };
        let kind = header.kind();
        let block = Block(heap, object);
        for watcher in watchers {
            let result = catch_unwind(AssertUnwindSafe(watcher));
            panic = panic.and(result);
        }
        drop(attached);
        (kind.drop)(object);
        drop(block);
        if let Err(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Heap {
    /// `object` waits until the object that is being dropped is done with.
    fn put_off(&self, object: Object) {
        let mut pending = self.pending.borrow_mut();
        let _quiet = (pending.len() == pending.capacity()).then(Quiet::begin);
        pending.push(object);
        self.mark(state::PENDING);
    }

    /// An object was dropped, and there is more to do than to say so.
    #[cold]
    unsafe fn dropped(heap: *const Self) {
        // SAFETY: the caller passes a heap; it is not looked at after its end.
        unsafe {
            (*heap).unmark(state::DROPPING);
            (*heap).drain_leftovers();
            Self::destroy_if_done(heap);
        }
    }

    /// Frees the block, unless a set of the running collection still names it.
    pub unsafe fn free_or_keep(&self, object: Object) {
        // SAFETY: the caller owns the object, whose value is gone.
        unsafe {
            if object.as_ref().has(CANDIDATE) {
                let _quiet = Quiet::begin();
                self.collector.zombies.borrow_mut().push(object);
            } else {
                self.free(object, object.as_ref().kind());
            }
        }
    }

    /// Frees the blocks that the collection kept.
    pub fn free_zombies(&self) {
        for object in self.collector.zombies.take() {
            // SAFETY: their values are dropped and the collection is over. If
            // one has references left, it goes with the last of them.
            unsafe {
                let header = object.as_ref();
                header.unset(CANDIDATE);
                if header.count() == 0 {
                    self.free(object, header.kind());
                }
            }
        }
    }

    /// Drops the values of garbage, and what that frees. Code of the program is
    /// called through `guard`, which catches its panics.
    ///
    /// # Safety
    /// The objects are alive, and nothing refers to them but themselves.
    pub unsafe fn clear(&self, objects: Vec<Object>, guard: impl Fn(&mut dyn FnMut())) {
        for &object in &objects {
            // All are dead before the first goes: who loses its last reference
            // to a neighbour that was cleared must not be dropped by that.
            // SAFETY: alive, by the caller's contract.
            unsafe { object.as_ref().set(DEAD) }
        }
        let waiting = self.pending.borrow().len();
        let mut next = 0;
        while next < objects.len() {
            guard(&mut || {
                let _dropping = Dropping::begin(self);
                while let Some(&object) = objects.get(next) {
                    next += 1;
                    // SAFETY: neighbours that are dropped later may still refer
                    // to it, so its block stays until the collection is over.
                    unsafe { (object.as_ref().kind().drop)(object) }
                }
            });
        }
        {
            let _quiet = Quiet::begin();
            self.collector.zombies.borrow_mut().extend(objects);
        }
        guard(&mut || {
            let _dropping = Dropping::begin(self);
            // SAFETY: objects wait with a count of zero.
            unsafe { self.drain(waiting) }
        });
    }

    /// Finishes the objects that wait, down to the first `keep`.
    unsafe fn drain(&self, keep: usize) {
        loop {
            let next = {
                let mut pending = self.pending.borrow_mut();
                if pending.is_empty() {
                    self.unmark(state::PENDING);
                }
                if pending.len() <= keep {
                    None
                } else {
                    pending.pop()
                }
            };
            match next {
                // SAFETY: objects wait with a count of zero.
                Some(object) => unsafe { finish(self, object) },
                None => return,
            }
        }
    }

    /// Finishes objects that wait, unless somebody is at it.
    pub fn drain_leftovers(&self) {
        if self.state.get() & (state::DROPPING | state::PENDING) == state::PENDING {
            let _guard = Dropping::begin(self);
            // SAFETY: see `drain`.
            unsafe { self.drain(0) }
        }
    }

    /// Clears marks that only the collection that is over may look at.
    pub fn forget_candidates_in_pending(&self) {
        for object in self.pending.borrow().iter() {
            // SAFETY: objects that wait keep their blocks.
            unsafe { object.as_ref().unset(CANDIDATE) }
        }
    }
}
