//! Marking that can stop at any time and go on later, while the program changes
//! what is marked.
//!
//! Within a slice nothing changes, so a stack of addresses is enough. What is on
//! it when time is up stays *waiting*: reached, not scanned. Containers with many
//! references are scanned in pieces; how far one has come is remembered by its
//! address. It may have changed, or another object may be there, when marking
//! goes on: references are then missed, which costs time only, since whatever is
//! not reached is tried before it is freed.

use std::collections::HashMap;
use std::time::Instant;

use pyo3_ffi::*;

use super::marks::{Marks, NoMemory};
use crate::heap::queue::{Queue, prefetch};
use crate::heap::referents::Referents;
use crate::layout::DICT;
use crate::list::{has_link, link_of};

/// References of a container that are looked at in one go.
const PIECE: usize = 256;
/// References between two looks at the clock.
const UNTIL_LOOK: usize = 512;
/// Objects whose headers are asked for before they are needed.
const QUEUE: usize = 16;

/// What marking knows between two slices.
pub struct Progress {
    /// What was reached, and what was scanned.
    pub marks: Marks,
    /// Where to go on in large containers, by their addresses.
    parts: HashMap<usize, usize>,
    /// Objects that wait, as far as is known: some may be gone.
    pub waiting: usize,
}

impl Progress {
    /// Nothing is reached yet.
    pub fn new() -> Result<Self, NoMemory> {
        Ok(Self {
            marks: Marks::new()?,
            parts: HashMap::new(),
            waiting: 0,
        })
    }
}

#[derive(Clone, Copy)]
enum Work {
    Object(*mut PyObject),
    /// A large container, and the reference to go on with.
    Part(*mut PyObject, usize),
}

/// Marking within one slice.
pub struct Marker<'a> {
    progress: &'a mut Progress,
    referents: &'a Referents,
    stack: Vec<Work>,
    edges: Queue<QUEUE>,
    until: Instant,
    visited: usize,
    failed: bool,
}

impl<'a> Marker<'a> {
    /// A slice that ends soon after `until`.
    pub fn new(progress: &'a mut Progress, referents: &'a Referents, until: Instant) -> Self {
        Self {
            progress,
            referents,
            stack: Vec::new(),
            edges: Queue::new(),
            until,
            visited: 0,
            failed: false,
        }
    }

    /// Whether the slice is over. Looks at the clock now and then only.
    #[inline]
    pub fn is_over(&mut self) -> bool {
        if self.visited < UNTIL_LOOK {
            return false;
        }
        self.visited = 0;
        Instant::now() >= self.until
    }

    /// Whether `object` is reached but not scanned.
    #[inline]
    pub fn is_waiting(&mut self, object: *mut PyObject) -> bool {
        self.visited += 1;
        self.progress.marks.is_waiting(object as usize)
    }

    /// Whether `object` is reached.
    #[inline]
    pub fn is_reached(&mut self, object: *mut PyObject) -> bool {
        self.visited += 1;
        self.progress.marks.is_reached(object as usize)
    }

    /// A reference was looked at.
    #[inline]
    pub fn visited(&mut self) {
        self.visited += 1;
    }

    /// Whether nothing waits, as far as is known.
    pub fn is_done(&self) -> bool {
        self.progress.waiting == 0
    }

    /// No memory for marks was left: the marks are of no use.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Something alive refers to `object`, which is marked soon.
    ///
    /// # Safety
    /// `object` is alive, and nothing is changed before the slice ends.
    #[inline]
    pub unsafe fn edge(&mut self, object: *mut PyObject) {
        prefetch(link_of(object));
        prefetch(object);
        self.visited += 1;
        if let Some(waited) = self.edges.pass(object) {
            // SAFETY: what was put in is alive: nothing dies before the slice ends.
            unsafe { self.reach(waited) };
        }
    }

    /// Marks `object`, if it is tracked and not marked yet.
    #[inline]
    unsafe fn reach(&mut self, object: *mut PyObject) {
        // SAFETY: `object` is alive; objects with a link have the two words in front.
        unsafe {
            if !has_link(object) || (*link_of(object)).next == 0 {
                return;
            }
            match self.progress.marks.reach(object as usize) {
                Ok(true) => {
                    self.progress.waiting += 1;
                    self.push(Work::Object(object));
                }
                Ok(false) => {}
                Err(NoMemory) => self.failed = true,
            }
        }
    }

    /// Takes up `object`, which waits.
    ///
    /// # Safety
    /// As for [`edge`](Self::edge).
    #[inline]
    pub unsafe fn resume(&mut self, object: *mut PyObject) {
        debug_assert!(self.progress.marks.is_waiting(object as usize));
        self.push(Work::Object(object));
    }

    #[inline]
    fn push(&mut self, work: Work) {
        let full = self.stack.len() == self.stack.capacity();
        // What cannot be put on the stack waits to be found on its list.
        if !full || self.stack.try_reserve(self.stack.len().max(256)).is_ok() {
            self.stack.push(work);
        }
    }

    /// Marks what was found so far and all that it reaches; says whether that was
    /// done before the slice was over.
    ///
    /// # Safety
    /// As for [`edge`](Self::edge).
    pub unsafe fn run(&mut self) -> bool {
        // SAFETY: everything queued is alive.
        unsafe {
            loop {
                match self.stack.pop() {
                    Some(Work::Object(object)) => self.scan(object),
                    Some(Work::Part(object, index)) => self.part(object, index),
                    None => match self.edges.take() {
                        Some(waited) => self.reach(waited),
                        None => return true,
                    },
                }
                if self.is_over() {
                    while let Some(waited) = self.edges.take() {
                        self.reach(waited);
                    }
                    return self.stack.is_empty();
                }
            }
        }
    }

    unsafe fn scan(&mut self, object: *mut PyObject) {
        if !self.progress.marks.is_waiting(object as usize) {
            return;
        }
        self.progress.marks.set_scanned(object as usize, true);
        self.progress.waiting = self.progress.waiting.saturating_sub(1);
        // SAFETY: `object` is alive and tracked.
        unsafe {
            if references(object).is_some_and(|(_, count, _)| count > PIECE) {
                let from = self.progress.parts.remove(&(object as usize));
                self.push(Work::Part(object, from.unwrap_or(0)));
                return;
            }
            self.referents.each(object, |target| self.edge(target));
        }
    }

    unsafe fn part(&mut self, object: *mut PyObject, index: usize) {
        // SAFETY: `object` is alive, and unchanged since its part was put on the stack.
        unsafe {
            let Some((first, count, stride)) = references(object) else {
                return;
            };
            let end = count.min(index.saturating_add(PIECE));
            if end < count {
                self.push(Work::Part(object, end));
            }
            for index in index..end {
                let slot = first.add(index * stride);
                if (*slot).is_null() {
                    continue;
                }
                self.edge(*slot);
                if stride == 3 {
                    self.edge(*slot.sub(1));
                }
            }
        }
    }

    /// Ends the slice: what is still on the stack waits. Hands out the objects,
    /// the ones that were found first at first.
    pub fn leave(mut self, mut found: impl FnMut(*mut PyObject)) {
        debug_assert!(self.edges.is_empty());
        for work in std::mem::take(&mut self.stack) {
            match work {
                Work::Object(object) => found(object),
                Work::Part(object, index) => {
                    // Without memory for where it was it begins anew.
                    if self.progress.parts.try_reserve(1).is_ok() {
                        self.progress.parts.insert(object as usize, index);
                    }
                    self.progress.marks.set_scanned(object as usize, false);
                    self.progress.waiting += 1;
                    found(object);
                }
            }
        }
    }
}

/// The references of a list, tuple or dict: the first, their number, and the words
/// from one to the next, as `DictLayout::entries` gives them.
#[inline]
unsafe fn references(object: *mut PyObject) -> Option<(*mut *mut PyObject, usize, usize)> {
    // SAFETY: the caller passes a live object; fields are read by its exact type.
    unsafe {
        let kind = Py_TYPE(object);
        if kind == &raw mut PyList_Type {
            let first = (*object.cast::<PyListObject>()).ob_item;
            Some((first, PyList_GET_SIZE(object) as usize, 1))
        } else if kind == &raw mut PyTuple_Type {
            let first = (*object.cast::<PyTupleObject>()).ob_item.as_mut_ptr();
            Some((first, PyTuple_GET_SIZE(object) as usize, 1))
        } else if kind == &raw mut PyDict_Type {
            DICT.entries(object)
        } else {
            None
        }
    }
}
