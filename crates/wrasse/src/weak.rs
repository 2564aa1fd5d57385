//! [`Weak`]: a reference that does not keep its object alive, with a callback
//! if one likes, as Python's `weakref.ref(object, callback)`.
//!
//! An object that has weak references has a [`WeakCell`], which its header then
//! points to. All its weak references share the cell, and the cell outlives the
//! object for as long as there are any.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ptr::{self, NonNull};

use crate::handle::Handle;
use crate::header::{DEAD, Object, Type, UNTRACKED, header_of};
use crate::pointer::Gc;
use crate::trace::{Trace, Tracer};

/// What all weak references to one object share.
pub struct WeakCell {
    kind: &'static Type,
    /// `None` when the object is gone.
    object: Cell<Option<Object>>,
    /// `Weak`s that point here.
    handles: Cell<usize>,
    next_watcher: Cell<u64>,
    watchers: RefCell<Vec<(u64, Watcher)>>,
    /// Objects that live as long as this one: values of weak maps.
    attached: RefCell<Vec<(u64, Handle)>>,
}

/// What a dying object leaves behind.
#[derive(Default)]
pub struct Leftovers {
    /// Callbacks, oldest first.
    pub watchers: Vec<Watcher>,
    /// What was attached. Dropping it may run code of the program.
    pub attached: Vec<(u64, Handle)>,
}

/// A callback.
pub type Watcher = Box<dyn FnOnce()>;

impl WeakCell {
    /// The object's type, which the header has no place for.
    pub fn kind(&self) -> &'static Type {
        self.kind
    }

    /// The cell of `object`, made if there is none.
    fn of(object: Object) -> NonNull<Self> {
        // SAFETY: the caller has a reference to the object.
        let header = unsafe { object.as_ref() };
        header.weak_cell().unwrap_or_else(|| {
            let cell = NonNull::from(Box::leak(Box::new(Self {
                kind: header.kind(),
                object: Cell::new(Some(object)),
                handles: Cell::new(0),
                next_watcher: Cell::new(1),
                watchers: RefCell::default(),
                attached: RefCell::default(),
            })));
            header.set_weak_cell(Some(cell));
            cell
        })
    }

    /// Reports what is attached to the object.
    pub fn trace(&self, tracer: &mut Tracer<'_>) {
        for (_, handle) in self.attached.borrow().iter() {
            handle.trace(tracer);
        }
    }

    /// Takes away what was attached as `id`.
    pub fn detach(&self, id: u64) -> Option<Handle> {
        let mut attached = self.attached.borrow_mut();
        let index = attached.iter().position(|(other, _)| *other == id)?;
        Some(attached.swap_remove(index).1)
    }

    /// Takes away the callback `id`, so that it will not be called.
    pub fn unwatch(&self, id: u64) -> Option<Watcher> {
        let mut watchers = self.watchers.borrow_mut();
        let index = watchers.iter().position(|(other, _)| *other == id)?;
        Some(watchers.remove(index).1)
    }
}

/// Clears all weak references to `object`.
///
/// # Safety
/// `object` has its block.
pub unsafe fn clear(object: Object) -> Leftovers {
    // SAFETY: a cell is freed when nothing points to it: neither the object
    // (from here on) nor a handle.
    unsafe {
        let header = object.as_ref();
        let Some(cell) = header.weak_cell() else {
            return Leftovers::default();
        };
        header.set_weak_cell(None);
        cell.as_ref().object.set(None);
        let watchers = cell.as_ref().watchers.take();
        let attached = cell.as_ref().attached.take();
        if cell.as_ref().handles.get() == 0 {
            drop(Box::from_raw(cell.as_ptr()));
        }
        let watchers = watchers.into_iter().map(|(_, watcher)| watcher).collect();
        Leftovers { watchers, attached }
    }
}

/// A reference that does not keep its object alive.
///
/// It is cleared before anything of the object's cycle is finalized or dropped,
/// so that it never leads to an object in pieces.
pub struct Weak<T: ?Sized> {
    cell: Option<NonNull<WeakCell>>,
    /// `*mut`, for the type to stay the same, as in `Gc`.
    value: *mut T,
    /// The callback that belongs to this reference; 0: none.
    watcher: u64,
}

impl<T> Weak<T> {
    /// A weak reference to nothing.
    pub const fn new() -> Self {
        Self {
            cell: None,
            value: ptr::null_mut(),
            watcher: 0,
        }
    }
}

impl<T: ?Sized> Weak<T> {
    pub(crate) fn to(value: NonNull<T>) -> Self {
        // SAFETY: the caller has a reference to the object, or is making it.
        let cell = WeakCell::of(unsafe { header_of(value) });
        Self::handle(cell, value.as_ptr(), 0)
    }

    pub(crate) fn watching(value: NonNull<T>, callback: Watcher) -> Self {
        // SAFETY: the caller has a reference to the object.
        let cell = WeakCell::of(unsafe { header_of(value) });
        // SAFETY: the object, which is alive, keeps its cell.
        let shared = unsafe { cell.as_ref() };
        let id = shared.next_watcher.replace(shared.next_watcher.get() + 1);
        shared.watchers.borrow_mut().push((id, callback));
        Self::handle(cell, value.as_ptr(), id)
    }

    fn handle(cell: NonNull<WeakCell>, value: *mut T, watcher: u64) -> Self {
        // SAFETY: the cell is alive: the object or another handle points to it.
        let handles = unsafe { &cell.as_ref().handles };
        // A handle is a word of memory or more, so this cannot overflow unless
        // handles were forgotten; then the cell must not be freed too early.
        handles.set(
            handles
                .get()
                .checked_add(1)
                .unwrap_or_else(|| std::process::abort()),
        );
        Self {
            cell: Some(cell),
            value,
            watcher,
        }
    }

    fn cell(&self) -> Option<&WeakCell> {
        // SAFETY: this handle keeps the cell.
        self.cell.map(|cell| unsafe { cell.as_ref() })
    }

    /// The object, if it is still alive.
    pub fn upgrade(&self) -> Option<Gc<T>> {
        let object = self.cell()?.object.get()?;
        // SAFETY: an object in a cell has its block.
        let header = unsafe { object.as_ref() };
        if !header.is_alive() {
            return None;
        }
        header.increment();
        // SAFETY: the value is there, and the reference was counted.
        Some(unsafe { Gc::from_value(NonNull::new_unchecked(self.value)) })
    }

    /// Has `value` live as long as the object, which can thereby be part of a
    /// cycle even if its type cannot.
    pub(crate) fn attach(key: &Gc<T>, id: u64, value: Handle) -> Self {
        let weak = Gc::downgrade(key);
        // SAFETY: `key` keeps its object.
        unsafe { key.object().as_ref().unset(UNTRACKED) };
        if let Some(cell) = weak.cell() {
            cell.attached.borrow_mut().push((id, value));
        }
        weak
    }

    pub(crate) fn detach(&self, id: u64) -> Option<Handle> {
        self.cell().and_then(|cell| cell.detach(id))
    }

    /// Whether this refers to the object of `gc`, which is alive.
    pub(crate) fn is(&self, gc: &Gc<T>) -> bool {
        let object = self.cell().and_then(|cell| cell.object.get());
        object == Some(gc.object())
    }

    /// `Gc`s that keep the object alive; 0 if it is gone.
    pub fn ref_count(&self) -> usize {
        let object = self.cell().and_then(|cell| cell.object.get());
        // SAFETY: an object in a cell has its block.
        object.map_or(0, |object| unsafe {
            if object.as_ref().has(DEAD) {
                0
            } else {
                object.as_ref().count()
            }
        })
    }

    /// Weak references to the object, this one included; 0 if it is gone.
    pub fn weak_count(&self) -> usize {
        match self.cell() {
            Some(cell) if cell.object.get().is_some() => cell.handles.get(),
            _ => 0,
        }
    }

    /// Whether both refer to the same object, or both to none ever.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.cell == other.cell
    }
}

pub(crate) fn weak_count(object: Object) -> usize {
    // SAFETY: the caller has a reference to the object; its cell is alive.
    unsafe {
        object
            .as_ref()
            .weak_cell()
            .map_or(0, |cell| cell.as_ref().handles.get())
    }
}

impl<T: ?Sized> Clone for Weak<T> {
    /// Another weak reference to the same object, without the callback.
    fn clone(&self) -> Self {
        match self.cell {
            Some(cell) => Self::handle(cell, self.value, 0),
            None => Self {
                cell: None,
                value: self.value,
                watcher: 0,
            },
        }
    }
}

impl<T: ?Sized> Drop for Weak<T> {
    /// A callback goes with its weak reference: it will not be called.
    fn drop(&mut self) {
        let Some(cell) = self.cell else { return };
        // SAFETY: this handle keeps the cell until its count is taken back; the
        // callback, whose drop may do anything, goes after that.
        unsafe {
            let shared = cell.as_ref();
            let callback = if self.watcher == 0 {
                None
            } else {
                shared.unwatch(self.watcher)
            };
            let handles = shared.handles.get() - 1;
            shared.handles.set(handles);
            if handles == 0 {
                if let Some(object) = shared.object.get() {
                    object.as_ref().set_weak_cell(None);
                }
                drop(Box::from_raw(cell.as_ptr()));
            }
            drop(callback);
        }
    }
}

impl<T> Default for Weak<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: ?Sized> fmt::Debug for Weak<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(Weak)")
    }
}

// SAFETY: a weak reference owns no `Gc`. Its callback may, unseen, which only
// keeps their objects alive. Dropping it runs nothing but a callback's drop.
unsafe impl<T: ?Sized + 'static> Trace for Weak<T> {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if let Some(cell) = self.cell
            && self.watcher != 0
        {
            tracer.watch(cell, self.watcher);
        }
    }
}
