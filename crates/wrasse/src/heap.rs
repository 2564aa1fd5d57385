//! A thread's heap: how it is found, and where its blocks come from.
//!
//! # The end of a thread
//! The heap is found through the thread-local [`HEAP`], and from an object
//! through its page. When the thread ends, what is unreachable is collected;
//! if `Gc`s in other thread-locals still refer to objects, the heap is
//! *orphaned*: it stays, and goes with its last object.

use std::alloc::Layout;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

mod release;
mod supply;
#[cfg_attr(not(feature = "tracemalloc"), path = "heap/untraced.rs")]
mod traced;
mod walk;

pub use release::{abandon, drop_reference, release_value};
pub use supply::{allocate_fast, allocate_slowly, resume_panic};
pub use traced::Quiet;
#[cfg(feature = "tracemalloc")]
pub use traced::tracing_changed;
pub use walk::Walk;

use crate::chunks::Chunks;
use crate::collection::Collector;
use crate::header::{CANDIDATE, HEADER_SIZE, Object, Place, Type};
use crate::large::{self, Prefix};
use crate::pool::{AVAILABLE, CLASSES, EMPTY, Page, TOUCHED};

/// Registries of large objects: one for each generation, and the frozen ones.
pub const REGISTRIES: usize = 4;

/// One thread's objects.
pub struct Heap {
    /// What a release has to look at, in one byte: see [`state`].
    state: Cell<u8>,
    /// Objects allocated less objects freed since the last collection, blocks
    /// at hand included.
    charged: Cell<u32>,
    /// No block is handed out that would take `charged` above this, unless a
    /// collection was due and is over.
    limit: Cell<u32>,
    /// The page of each class that blocks are taken from; null: none yet.
    current: [Cell<*const Page>; CLASSES],
    pending: RefCell<Vec<Object>>,
    queues: [Cell<*const Page>; CLASSES],
    pages: RefCell<Vec<*const Page>>,
    /// Pages in queues that have no block in use.
    empties: Cell<usize>,
    chunks: RefCell<Chunks>,
    /// Pages that may hold objects of generation 0 / 1.
    touched: [RefCell<Vec<*const Page>>; 2],
    large: [RefCell<Vec<Object>>; REGISTRIES],
    /// The collector's own state.
    pub collector: Collector,
}

/// The bits of [`Heap::state`].
mod state {
    /// An object is being dropped; others have to wait in `pending`.
    pub const DROPPING: u8 = 1;
    /// Objects wait in `pending`.
    pub const PENDING: u8 = 2;
    /// The thread that had this heap is gone, or going.
    pub const ORPHANED: u8 = 4;
    /// The tracer knows some of the objects.
    pub const TRACED: u8 = 8;
}

thread_local! {
    static HEAP: Cell<*const Heap> = const { Cell::new(ptr::null()) };
    static EXIT: Exit = const { Exit };
}

/// Its destructor is the end of the thread.
struct Exit;

impl Drop for Exit {
    fn drop(&mut self) {
        let heap = HEAP.get();
        if heap.is_null() {
            return;
        }
        // SAFETY: what HEAP points to lives until `destroy`, which clears HEAP.
        unsafe {
            // A panic must not leave a thread-local's destructor: it would abort.
            let _ = catch_unwind(AssertUnwindSafe(|| (*heap).collect_at_exit()));
            (*heap).mark(state::ORPHANED);
            (*heap).set_limit();
            HEAP.set(ptr::null());
            Heap::destroy_if_done(heap);
        }
    }
}

/// The heap of this thread.
#[inline]
pub fn current() -> &'static Heap {
    let heap = HEAP.get();
    if heap.is_null() {
        return begin();
    }
    // SAFETY: see `Exit::drop`. The lifetime is that of the thread, as far as
    // callers are concerned: they hold it only while they run.
    unsafe { &*heap }
}

#[cold]
fn begin() -> &'static Heap {
    let _quiet = traced::Quiet::begin();
    let heap: *mut Heap = Box::into_raw(Box::new(Heap::new()));
    // SAFETY: just made.
    unsafe {
        HEAP.set(heap);
        if EXIT.try_with(|_| ()).is_err() {
            // Thread-locals are being destroyed: nobody will tell us the end.
            (*heap).mark(state::ORPHANED);
        }
        (*heap).set_limit();
        &*heap
    }
}

/// The heap that an object is in.
///
/// # Safety
/// `object` has a block, and `kind` is its type.
#[inline]
unsafe fn heap_of(object: Object, kind: &Type) -> *const Heap {
    // SAFETY: the caller's contract.
    unsafe { heap_at(kind.place, object) }
}

/// [`heap_of`], if the place is known.
#[inline]
unsafe fn heap_at(place: Place, object: Object) -> *const Heap {
    // SAFETY: the caller's contract; both kinds of block know their heap.
    unsafe {
        match place {
            Place::Page(_) => (*Page::of(object)).heap.get(),
            Place::Large => large::prefix_of(object).as_ref().heap,
        }
    }
}
impl Heap {
    fn new() -> Self {
        Self {
            state: Cell::new(0),
            charged: Cell::new(0),
            limit: Cell::new(u32::MAX),
            current: [const { Cell::new(ptr::null()) }; CLASSES],
            pending: RefCell::default(),
            queues: [const { Cell::new(ptr::null()) }; CLASSES],
            pages: RefCell::default(),
            empties: Cell::new(0),
            chunks: RefCell::default(),
            touched: Default::default(),
            large: Default::default(),
            collector: Collector::default(),
        }
    }

    /// Whether any of the bits of [`state`] is set.
    #[inline]
    fn is(&self, bits: u8) -> bool {
        self.state.get() & bits != 0
    }

    fn mark(&self, bits: u8) {
        self.state.set(self.state.get() | bits);
    }

    fn unmark(&self, bits: u8) {
        self.state.set(self.state.get() & !bits);
    }

    /// The thread that had this heap is gone, or going.
    pub fn is_orphaned(&self) -> bool {
        self.is(state::ORPHANED)
    }

    /// This heap, the current one, as the pointer by which it may be freed.
    fn raw(&self) -> *const Self {
        let heap = HEAP.get();
        debug_assert_eq!(heap, ptr::from_ref(self));
        heap
    }

    fn fresh_page(&self, class: u8) -> *const Page {
        let page = self.chunks.borrow_mut().take();
        // SAFETY: the page's memory is for us, with nothing in it.
        unsafe { Page::prepare(page, self.raw(), class) };
        self.pages.borrow_mut().push(page);
        page
    }

    /// Notes that `page` may hold objects of `generation` (0 or 1).
    unsafe fn touch(&self, page: *const Page, generation: usize) {
        // SAFETY: the caller passes one of this heap's pages.
        unsafe {
            if !(*page).has(TOUCHED[generation]) {
                (*page).set(TOUCHED[generation]);
                self.touched[generation].borrow_mut().push(page);
            }
        }
    }

    #[cold]
    fn allocate_large(&self, value: Layout, length: usize) -> Object {
        let object = large::allocate(
            value,
            Prefix {
                heap: self.raw(),
                list: Cell::new(0),
                index: Cell::new(0),
                length,
            },
        );
        self.register(object, 0);
        object
    }

    fn register(&self, object: Object, list: usize) {
        let mut registry = self.large[list].borrow_mut();
        // SAFETY: only large objects are registered.
        let prefix = unsafe { large::prefix_of(object).as_ref() };
        prefix.list.set(list as u32);
        prefix.index.set(registry.len());
        registry.push(object);
    }

    /// Takes a large object out of the registry it is in.
    unsafe fn unregister(&self, object: Object) {
        // SAFETY: the caller passes a registered object; so is whoever is last.
        unsafe {
            let prefix = large::prefix_of(object).as_ref();
            let mut registry = self.large[prefix.list.get() as usize].borrow_mut();
            let index = prefix.index.get();
            registry.swap_remove(index);
            if let Some(&moved) = registry.get(index) {
                large::prefix_of(moved).as_ref().index.set(index);
            }
        }
    }

    /// Gives an object's block back.
    unsafe fn free(&self, object: Object, kind: &'static Type) {
        // Before: the block, or the chunk it is in, may go back to the system,
        // and then another thread may record an object at the same address.
        if self.is(state::TRACED) {
            self.untrace(object);
        }
        // SAFETY: the caller owns the object, whose value is gone.
        unsafe { self.free_at(kind.place, object) }
    }

    /// [`free`](Self::free) for an object that the tracer does not know, whose
    /// place is known.
    #[inline]
    unsafe fn free_at(&self, place: Place, object: Object) {
        self.charged.set(self.charged.get().saturating_sub(1));
        // SAFETY: the caller owns the object, whose value is gone.
        unsafe {
            match place {
                Place::Page(_) => {
                    let page = Page::of(object);
                    if Page::give(page, object) {
                        self.told(page);
                    }
                }
                Place::Large => self.free_large(object),
            }
        }
    }

    #[cold]
    unsafe fn free_large(&self, object: Object) {
        // SAFETY: as in `free`; the layout is computed from what is still there.
        unsafe {
            self.unregister(object);
            large::free(object, (object.as_ref().kind().layout)(object));
        }
    }

    /// Blocks of a page became free, and it had asked for word of that.
    #[cold]
    unsafe fn told(&self, page: *const Page) {
        // SAFETY: the caller passes one of this heap's pages. It may be gone
        // after `trim`.
        unsafe {
            if !(*page).has(AVAILABLE) {
                let queue = &self.queues[(*page).class()];
                (*page).next.set(queue.replace(page));
                (*page).wait();
            }
            if (*page).used() == 0 {
                (*page).set(EMPTY);
                self.empties.set(self.empties.get() + 1);
                // A collection names pages while it runs.
                if !self.collector.is_collecting() {
                    self.trim_if_worth_it();
                }
            }
        }
    }

    /// Whether the running collection found `object` unreachable.
    pub fn is_condemned(&self, object: Object) -> bool {
        // SAFETY: the caller passes an object that is alive.
        self.collector.is_collecting() && unsafe { object.as_ref().has(CANDIDATE) }
    }
    /// Objects in use, and the bytes of memory for them.
    pub fn size(&self) -> (usize, usize) {
        self.recall();
        let pages = self.pages.borrow();
        #[cfg(test)]
        LOOKED_AT.set(LOOKED_AT.get() + pages.len());
        // SAFETY: these are this heap's pages.
        let used: usize = pages.iter().map(|&page| unsafe { (*page).used() }).sum();
        let large: usize = self
            .large
            .iter()
            .map(|registry| registry.borrow().len())
            .sum();
        (used + large, self.chunks.borrow().bytes())
    }

    /// Whether the heap is orphaned and has no object left. Every release in an
    /// orphaned heap asks, so pages are looked at only when there are few: those
    /// without a block in use are counted, but for the current ones, and when
    /// they are many they are given back.
    fn is_done(&self) -> bool {
        self.is(state::ORPHANED)
            && !self.is(state::DROPPING)
            && !self.collector.is_collecting()
            && self.pages.borrow().len() <= self.empties.get() + CLASSES
            && self.size().0 == 0
    }

    /// Frees an orphaned heap without objects.
    ///
    /// # Safety
    /// `heap` is the pointer that [`begin`] made, or a copy of it, and is not used
    /// afterwards by the caller.
    unsafe fn destroy_if_done(heap: *const Self) {
        // SAFETY: with no object left, nobody can find the heap again.
        unsafe {
            if (*heap).is_done() {
                // Nothing of it is at hand any more: `is_done` looked.
                if HEAP.get() == heap {
                    HEAP.set(ptr::null());
                }
                drop(Box::from_raw(heap.cast_mut()));
            }
        }
    }
}
const _: () = assert!(HEADER_SIZE == 16, "the overhead of an object");

#[cfg(test)]
thread_local! {
    /// Pages that [`Heap::size`] looked at.
    static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pointer::Gc;

    #[test]
    fn an_orphaned_heap_goes_with_its_last_object_in_linear_time() {
        const COUNT: usize = 20_000;
        let objects: Vec<Gc<[u64; 32]>> = (0..COUNT as u64).map(|n| Gc::new([n; 32])).collect();
        let other = Gc::new(1_u8);
        let heap = current();
        // What the end of the thread does, when a thread-local destroyed after
        // this one has the objects.
        heap.mark(state::ORPHANED);
        heap.set_limit();
        heap.recall();
        HEAP.set(ptr::null());
        LOOKED_AT.set(0);
        drop(objects);
        assert_eq!(heap.size().0, 1);
        let looked_at = LOOKED_AT.get();
        assert!(looked_at < 10 * COUNT, "{looked_at}");
        drop(other);
    }
}
