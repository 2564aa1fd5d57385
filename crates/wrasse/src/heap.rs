//! A thread's heap: how it is found, and where its blocks come from.
//!
//! # The end of a thread
//! The heap is found through the thread-local [`HEAP`], and from an object
//! through its page. When the thread ends, what is unreachable is collected;
//! if `Gc`s in other thread-locals still refer to objects, the heap is
//! *orphaned*: it stays, and goes with its last object.

use std::alloc::Layout;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;

mod release;
mod walk;

pub use release::{abandon, release, release_value};
pub use walk::Walk;

use crate::collection::Collector;
use crate::header::{CANDIDATE, HEADER_SIZE, Object, Place, Type};
use crate::large::{self, Prefix};
use crate::pool::{AVAILABLE, CLASSES, Chunk, Page, TOUCHED};

/// Registries of large objects: one for each generation, and the frozen ones.
pub const REGISTRIES: usize = 4;

/// One thread's objects.
pub struct Heap {
    current: [Cell<*const Page>; CLASSES],
    /// Objects allocated less objects freed since the last collection.
    pub young: Cell<u32>,
    /// An allocation that finds `young` above this goes the slow way.
    pub limit: Cell<u32>,
    /// An object is being dropped; others have to wait in `pending`.
    dropping: Cell<bool>,
    pending: RefCell<Vec<Object>>,
    /// The thread that had this heap is gone, or going.
    pub orphaned: Cell<bool>,
    empty: Page,
    queues: [Cell<*const Page>; CLASSES],
    pages: RefCell<Vec<*const Page>>,
    spare: RefCell<Vec<*mut Page>>,
    chunks: RefCell<Vec<Chunk>>,
    /// Pages that may hold objects of generation 0 / 1.
    touched: [RefCell<Vec<*const Page>>; 2],
    large: [RefCell<Vec<Object>>; REGISTRIES],
    /// The collector's own state.
    pub collector: Collector,
}

thread_local! {
    static HEAP: Cell<*const Heap> = const { Cell::new(ptr::null()) };
    static EXIT: Exit = const { Exit };
    static PANIC: Cell<Option<Box<dyn Any + Send>>> = const { Cell::new(None) };
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
            HEAP.set(ptr::null());
            (*heap).orphaned.set(true);
            (*heap).set_limit();
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
    let heap: *mut Heap = Box::into_raw(Box::new(Heap::new()));
    // SAFETY: just made.
    unsafe {
        for page in &(*heap).current {
            page.set(&raw const (*heap).empty);
        }
        HEAP.set(heap);
        if EXIT.try_with(|_| ()).is_err() {
            // Thread-locals are being destroyed: nobody will tell us the end.
            (*heap).orphaned.set(true);
        }
        (*heap).set_limit();
        &*heap
    }
}

/// A block from this thread's heap, unless something has to be done first.
#[inline]
pub fn allocate_fast(place: Place) -> Option<Object> {
    let Place::Page(class) = place else {
        return None;
    };
    // SAFETY: as in `current`; `current` of a heap points to a page or to the
    // stand-in.
    unsafe {
        let heap = HEAP.get().as_ref()?;
        let young = heap.young.get() + 1;
        if young > heap.limit.get() {
            return None;
        }
        let block = Page::take(heap.current[usize::from(class)].get())?;
        heap.young.set(young);
        Some(block)
    }
}

/// A block from this thread's heap, after whatever has to be done first. What
/// panics meanwhile is for [`resume_panic`]: this function does not unwind.
#[cold]
#[inline(never)]
pub extern "C" fn allocate_slowly(kind: &'static Type, size: usize, align: usize) -> Object {
    let heap = current();
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| heap.count_allocation())) {
        // There are no collections any more when PANIC is gone.
        let _ = PANIC.try_with(|slot| slot.set(Some(panic)));
    }
    let layout = Layout::from_size_align(size, align).expect("the layout of a value");
    heap.allocate(kind, layout, 0)
}

/// Goes on with a panic that [`allocate_slowly`] put off.
#[cold]
#[inline(never)]
pub fn resume_panic() {
    // When the thread's last destructors run there is no place to put one.
    if let Ok(Some(panic)) = PANIC.try_with(Cell::take) {
        resume_unwind(panic);
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
            current: [const { Cell::new(ptr::null()) }; CLASSES],
            young: Cell::new(0),
            limit: Cell::new(u32::MAX),
            dropping: Cell::new(false),
            pending: RefCell::default(),
            orphaned: Cell::new(false),
            empty: Page::empty(),
            queues: [const { Cell::new(ptr::null()) }; CLASSES],
            pages: RefCell::default(),
            spare: RefCell::default(),
            chunks: RefCell::default(),
            touched: Default::default(),
            large: Default::default(),
            collector: Collector::default(),
        }
    }

    /// To be called before each allocation: counts it, and collects if due.
    #[inline]
    pub fn count_allocation(&self) {
        let young = self.young.get() + 1;
        self.young.set(young);
        if young > self.limit.get() {
            self.collect_if_due();
        }
    }

    /// A block for a value, uninitialized.
    #[inline]
    pub fn allocate(&self, kind: &'static Type, value: Layout, length: usize) -> Object {
        match kind.place {
            Place::Page(class) => {
                // SAFETY: `current` points to a page or to the stand-in.
                match unsafe { Page::take(self.current[usize::from(class)].get()) } {
                    Some(block) => block,
                    None => self.refill(class),
                }
            }
            Place::Large => self.allocate_large(value, length),
        }
    }

    #[cold]
    #[inline(never)]
    fn refill(&self, class: u8) -> Object {
        let index = usize::from(class);
        // SAFETY: pages in `current`, the queues and `spare` are this heap's.
        unsafe {
            loop {
                let page = self.current[index].get();
                if page != &raw const self.empty {
                    if Page::extend(page)
                        && let Some(block) = Page::take(page)
                    {
                        return block;
                    }
                    (*page).rest();
                }
                let mut next = self.queues[index].get();
                if next.is_null() {
                    next = self.fresh_page(class);
                } else {
                    self.queues[index].set((*next).next.replace(ptr::null()));
                }
                (*next).wake();
                self.touch(next, 0);
                self.current[index].set(next);
                if let Some(block) = Page::take(next) {
                    return block;
                }
            }
        }
    }

    fn fresh_page(&self, class: u8) -> *const Page {
        let mut spare = self.spare.borrow_mut();
        if spare.is_empty() {
            let chunk = Chunk::allocate();
            spare.extend(chunk.pages().rev());
            self.chunks.borrow_mut().push(chunk);
        }
        let page = spare.pop().expect("a chunk has pages");
        // SAFETY: a spare page has nothing in it.
        unsafe { Page::prepare(page, self, class) };
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
                heap: self,
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
        // SAFETY: the caller owns the object, whose value is gone.
        unsafe { self.free_at(kind.place, object) }
    }

    /// [`free`](Self::free), if the place is known.
    #[inline]
    unsafe fn free_at(&self, place: Place, object: Object) {
        self.young.set(self.young.get().saturating_sub(1));
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
        // SAFETY: the caller passes one of this heap's pages.
        unsafe {
            if !(*page).has(AVAILABLE) {
                let queue = &self.queues[(*page).class()];
                (*page).next.set(queue.replace(page));
                (*page).wake();
            }
        }
    }
    /// Whether the running collection found `object` unreachable.
    pub fn is_condemned(&self, object: Object) -> bool {
        // SAFETY: the caller passes an object that is alive.
        self.collector.is_collecting() && unsafe { object.as_ref().has(CANDIDATE) }
    }
    /// Objects in use, and the bytes of all pages.
    pub fn size(&self) -> (usize, usize) {
        let pages = self.pages.borrow();
        // SAFETY: these are this heap's pages.
        let used: usize = pages.iter().map(|&page| unsafe { (*page).used() }).sum();
        let large: usize = self
            .large
            .iter()
            .map(|registry| registry.borrow().len())
            .sum();
        (used + large, pages.len() * crate::pool::PAGE_SIZE)
    }

    fn is_done(&self) -> bool {
        self.orphaned.get()
            && !self.dropping.get()
            && !self.collector.is_collecting()
            && self.size().0 == 0
    }

    /// Frees an orphaned heap without objects.
    ///
    /// # Safety
    /// `heap` came from [`begin`] and is not used afterwards by the caller.
    unsafe fn destroy_if_done(heap: *const Self) {
        // SAFETY: with no object left, nobody can find the heap again.
        unsafe {
            if (*heap).is_done() {
                if HEAP.get() == heap {
                    HEAP.set(ptr::null());
                }
                drop(Box::from_raw(heap.cast_mut()));
            }
        }
    }
}
const _: () = assert!(HEADER_SIZE == 16, "the overhead of an object");
