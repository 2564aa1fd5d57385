//! How large the program's lists get, by the line that makes them.
//!
//! At each look the frames of the running thread are read: local variables, and
//! the evaluation stack, where a list is that a comprehension is filling or that
//! a function has just returned. CPython does not say how much of that stack is
//! in use while a frame runs, so a word of it only counts if it can be read at
//! all and there is a live list there whose items the tracer knows to be live.

use std::collections::HashMap;
use std::ffi::c_int;
use std::mem;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use pyo3_ffi::*;
use wrasse_doctor::observations::{BuiltList, Line};
use wrasse_tracer::TracebackId;

use super::budget::{self, Kind};
use super::heads::{GC_HEAD, Head, ITEMS, ITERATOR};
use super::samples::sample;
use super::{lines, looks, observations};
use crate::by_address::ByAddress;
use crate::frame::{current_thread, top_frame};
use crate::heap_graph::{CODE_STACK, Exclusive, Tracked};
use crate::layout::{CODE_LOCALS, FRAME, FRAME_LOCALS, OWNED_BY_C_STACK, load};
use crate::process;

/// Frames looked at.
const FRAMES: usize = 50;
/// Items looked at for an average.
const SAMPLE: usize = 200;
/// Items looked at to tell whether that many are worth looking at.
const FEW: usize = 12;
/// Smaller lists with smaller items than this are of no interest.
const SMALLEST: u64 = 32 << 10;
/// Variables of a module that are looked at.
const VARIABLES: usize = 2000;

#[derive(Default)]
struct Seen {
    /// The largest list of each line.
    largest: Vec<Measured>,
    /// Where it is, by line and by traceback; nowhere for a library's.
    by_line: HashMap<Line, usize>,
    by_traceback: ByAddress<Option<usize>>,
    /// Lists as they were at the last look, so as not to look again in vain.
    last: ByAddress<(usize, usize)>,
}

/// A list at one look.
#[derive(Default)]
struct Measured {
    list: BuiltList,
    /// The items that its `kept` is known from.
    visited: usize,
}

static SEEN: Mutex<Option<Seen>> = Mutex::new(None);

/// Gets ready; says whether the interpreter is as expected.
///
/// # Safety
/// The GIL is held, and no exception is set.
pub unsafe fn prepare() -> bool {
    // SAFETY: the caller's contract.
    let good = unsafe { Exclusive::new().is_ok() };
    if good {
        *SEEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(Seen::default());
    }
    good
}

/// What was seen.
pub fn take() -> Vec<BuiltList> {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner).take();
    let measured = seen.unwrap_or_default().largest.into_iter();
    let mut lists: Vec<_> = measured.map(|each| each.list).collect();
    lists.retain(|list| list.own_bytes > 0);
    lists.sort_by(|a, b| a.line.cmp(&b.line));
    lists
}

/// A list or tuple in a frame, and how far an iteration over it is.
#[derive(Clone, Copy)]
struct Found {
    object: *mut PyObject,
    position: Option<usize>,
}

/// Looks at the lists of the running thread's frames. Returns the bytes of the
/// largest that has changed since the last look.
///
/// # Safety
/// The GIL is held, and the thread is at a safe point without an exception.
pub unsafe fn look() -> Option<u64> {
    let mut found = Vec::new();
    // SAFETY: the frames of the running thread stand still.
    unsafe {
        let mut frame = top_frame(current_thread());
        let mut left = FRAMES;
        while !frame.is_null() && left > 0 {
            if load::<u8>(frame, FRAME.owner) != OWNED_BY_C_STACK {
                lists_of(frame, &mut found);
                left -= 1;
            }
            frame = load(frame, FRAME.previous);
        }
        filled_by_c(&mut found);
    }
    let mut guard = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = guard.as_mut()?;
    let mut now = ByAddress::default();
    let mut largest = None;
    // SAFETY: the GIL is held.
    let mut exclusive = unsafe { Exclusive::new().ok()? };
    for each in found {
        // SAFETY: `lists_of` confirmed the objects, and nothing has run since.
        let (length, items) = unsafe { (Py_SIZE(each.object) as usize, items(each.object)) };
        let state = (
            length,
            each.position.unwrap_or(0).min(length) * SAMPLE / length.max(1),
        );
        let address = each.object as usize;
        let known = now.insert(address, state).is_some();
        if known || seen.last.get(&address) == Some(&state) {
            continue;
        }
        // SAFETY: as above.
        let bytes = unsafe { seen.look(each, items, &mut exclusive) };
        largest = largest.max(bytes);
    }
    seen.last = now;
    largest
}

impl Seen {
    /// Measures a list and takes it in; returns its bytes if it says anything new.
    unsafe fn look(
        &mut self,
        found: Found,
        items: *const *mut PyObject,
        exclusive: &mut Exclusive,
    ) -> Option<u64> {
        // SAFETY: a live list or tuple with its items; the GIL is held.
        unsafe {
            let place = self.place_of(found.block(items))?;
            let largest = &mut self.largest[place];
            if !largest.may_learn_from(found, items, exclusive) {
                return None;
            }
            largest.note(measure(found, items, exclusive)?)
        }
    }

    /// Where the largest list of the line is that allocated a block; nowhere for a
    /// library's.
    fn place_of(&mut self, block: usize) -> Option<usize> {
        let traceback = lines::traceback_of_block(block)?;
        let number = traceback.0 as usize;
        if let Some(known) = self.by_traceback.get(&number) {
            return *known;
        }
        let place = line_of(traceback).map(|line| {
            let place = *self
                .by_line
                .entry(line.clone())
                .or_insert(self.largest.len());
            if place == self.largest.len() {
                let list = BuiltList {
                    line,
                    ..BuiltList::default()
                };
                self.largest.push(Measured { list, visited: 0 });
            }
            place
        });
        self.by_traceback.insert(number, place);
        place
    }
}

impl Measured {
    fn bytes(&self) -> u64 {
        self.list.own_bytes + self.list.item_bytes
    }

    /// May a list be larger than this one, or be seen further in its iteration? A few of
    /// its items say so.
    unsafe fn may_learn_from(
        &self,
        found: Found,
        items: *const *mut PyObject,
        exclusive: &mut Exclusive,
    ) -> bool {
        // SAFETY: the caller's contract.
        unsafe {
            let length = Py_SIZE(found.object) as usize;
            let ahead = found.ahead(length);
            let Some(rough) = sample(items, ahead, length, FEW, exclusive) else {
                return false;
            };
            let bytes = (length as f64 * (rough.bytes + size_of::<usize>() as f64)) as u64;
            let is_further = found.visited(length) > self.visited;
            bytes >= SMALLEST / 4 && (is_further || bytes >= self.bytes() / 2)
        }
    }

    /// Takes a measured list in; returns its bytes. What is kept is believed of the
    /// look that saw most of an iteration: the first few items may be unlike others.
    fn note(&mut self, measured: Measured) -> Option<u64> {
        let bytes = measured.bytes();
        if bytes < SMALLEST {
            return None;
        }
        let is_larger = bytes > self.bytes();
        let Measured { list, visited } = measured;
        if visited > self.visited {
            (self.visited, self.list.kept) = (visited, list.kept);
        }
        if is_larger {
            let (kept, line) = (self.list.kept, mem::take(&mut self.list.line));
            self.list = BuiltList { kept, line, ..list };
        }
        Some(bytes)
    }
}

impl Found {
    /// The block of its items, which is a tuple's own.
    unsafe fn block(self, items: *const *mut PyObject) -> usize {
        // SAFETY: a live list or tuple.
        match unsafe { Py_TYPE(self.object) } == &raw mut PyTuple_Type {
            true => self.object as usize - GC_HEAD,
            false => items as usize,
        }
    }

    /// How many items an iteration has done with: the one that it is at has a holder more.
    fn visited(self, length: usize) -> usize {
        self.position
            .map_or(0, |at| at.saturating_sub(1).min(length))
    }

    /// The first item that it has not come to.
    fn ahead(self, length: usize) -> usize {
        self.position.map_or(0, |at| at.min(length))
    }
}

/// The lists and tuples in a frame, iterated ones before others.
unsafe fn lists_of(frame: *const u8, found: &mut Vec<Found>) {
    // SAFETY: a live frame; what is read as an object is one, see `is_list`.
    unsafe {
        let code: *mut PyObject = load(frame, FRAME.code);
        if code.is_null() || Py_TYPE(code) != &raw mut PyCode_Type {
            return;
        }
        let variables = load::<c_int>(code.cast(), CODE_LOCALS.count).max(0) as usize;
        let room = load::<c_int>(code.cast(), CODE_STACK).max(0) as usize;
        let slots = frame.add(FRAME_LOCALS.values).cast::<*mut PyObject>();
        let mut iterated = Vec::new();
        for slot in (0..variables + room).rev() {
            let mut object = *slots.add(slot);
            if object.is_null() || !(object as usize).is_multiple_of(align_of::<PyObject>()) {
                continue;
            }
            let is_variable = slot < variables;
            if is_variable && Py_TYPE(object) == &raw mut PyCell_Type {
                object = PyCell_Get(object);
                // The cell holds it on.
                Py_XDECREF(object);
                if object.is_null() {
                    continue;
                }
            }
            let Some(head) = Head::read(object, is_variable) else {
                continue;
            };
            if head.is_iterator() {
                let over: *mut PyObject = head.words[ITERATOR.1 / 8] as *mut PyObject;
                if let Some(list) = Head::read(over, false)
                    && list.is_list(over)
                {
                    iterated.push(Found {
                        object: over,
                        position: Some(head.words[ITERATOR.0 / 8]),
                    });
                }
            } else if head.is_list(object) {
                found.push(Found {
                    object,
                    position: None,
                });
            }
        }
        let names: *mut PyObject = load(frame, FRAME_LOCALS.mapping);
        if !names.is_null() && PyDict_CheckExact(names) != 0 {
            variables_of(names, found);
        }
        found.splice(0..0, iterated);
    }
}

/// The lists among the variables of a module or class.
unsafe fn variables_of(names: *mut PyObject, found: &mut Vec<Found>) {
    let (mut position, mut key, mut object) = (0, ptr::null_mut(), ptr::null_mut());
    // SAFETY: a live dict, which nothing changes meanwhile; its values are alive.
    unsafe {
        for _ in 0..VARIABLES {
            if PyDict_Next(names, &raw mut position, &raw mut key, &raw mut object) == 0 {
                return;
            }
            if Head::read(object, true).is_some_and(|head| head.is_list(object)) {
                found.push(Found {
                    object,
                    position: None,
                });
            }
        }
    }
}

/// The lists that C code is filling (`list(…)`, `sorted(…)` of a generator): those
/// whose items are in a block that was made large lately. Objects that the
/// collector knows are searched for them, as long as that takes little of the time.
unsafe fn filled_by_c(found: &mut Vec<Found>) {
    /// Those found before, which may have been freed since.
    static FILLING: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let mut filling = FILLING.lock().unwrap_or_else(PoisonError::into_inner);
    filling.retain(|address| {
        let object = *address as *mut PyObject;
        let is_known = found.iter().any(|each| each.object == object);
        // SAFETY: nothing is believed that does not read as a live list.
        let is_list =
            || unsafe { Head::read(object, false).is_some_and(|head| head.is_list(object)) };
        if is_known || !is_list() {
            return false;
        }
        found.push(Found {
            object,
            position: None,
        });
        true
    });
    let mut blocks = looks::large_blocks();
    blocks.retain(|block| {
        let is_known = found.iter().any(|each| {
            // SAFETY: a live list or tuple.
            unsafe { items(each.object) as usize == *block }
        });
        let line = || lines::traceback_of_block(*block).and_then(line_of);
        let is_wanted = !is_known && line().is_some();
        if !is_wanted {
            looks::forget(*block);
        }
        is_wanted
    });
    let begun = process::thread_time();
    if blocks.is_empty() || budget::left(Kind::Search).is_zero() {
        return;
    }
    // SAFETY: the GIL is held; nothing is freed while the objects are searched.
    unsafe {
        let Ok(tracked) = Tracked::find() else {
            PyErr_Clear();
            return;
        };
        let mut lists = Vec::new();
        tracked.each(|object| {
            if Py_TYPE(object) == &raw mut PyList_Type
                && Py_SIZE(object) > 0
                && blocks.contains(&(items(object) as usize))
            {
                lists.push(object);
            }
        });
        // What is no list's will not become one.
        for block in blocks {
            if !lists.iter().any(|list| items(*list) as usize == block) {
                looks::forget(block);
            }
        }
        filling.extend(lists.iter().map(|list| *list as usize));
        found.extend(lists.into_iter().map(|object| Found {
            object,
            position: None,
        }));
    }
    let spent = process::thread_time().saturating_sub(begun);
    budget::pay(Kind::Search, spent);
}

/// Where the items are.
unsafe fn items(object: *mut PyObject) -> *const *mut PyObject {
    // SAFETY: a live list or tuple.
    unsafe {
        match Py_TYPE(object) == &raw mut PyTuple_Type {
            true => object.cast::<u8>().add(ITEMS).cast(),
            false => load(object.cast(), ITEMS),
        }
    }
}

/// A list's figures, without its line.
unsafe fn measure(
    found: Found,
    items: *const *mut PyObject,
    exclusive: &mut Exclusive,
) -> Option<Measured> {
    // SAFETY: a live list or tuple with its items; the GIL is held.
    unsafe {
        let is_tuple = Py_TYPE(found.object) == &raw mut PyTuple_Type;
        let length = Py_SIZE(found.object) as usize;
        let (visited, ahead) = (found.visited(length), found.ahead(length));
        let before = sample(items, 0, visited, SAMPLE, exclusive);
        let after = sample(items, ahead, length, SAMPLE, exclusive);
        // All are visited: what they were before is known from then.
        let after = after?;
        let (kept, known_from) = match before {
            Some(before) if after.alone > 0.0 => (1.0 - before.alone / after.alone, visited),
            _ => (0.0, 0),
        };
        // Of items that are gone parts may be left: what they were made into has them.
        let left = match before {
            Some(before) => after.left_of(&before),
            None => 0.0,
        };
        // Items that differ along the list are averaged over all of it.
        let each = match before {
            Some(before) if kept < 0.05 && left < 0.05 => {
                let (left, right) = (visited as f64, (length - ahead) as f64);
                (before.bytes * left + after.bytes * right) / (left + right)
            }
            _ => after.bytes,
        };
        let list = BuiltList {
            line: Line::default(),
            kind: if is_tuple { "tuple" } else { "list" }.into(),
            items: length as u64,
            own_bytes: exclusive.own(found.object),
            item_bytes: (each * length as f64) as u64,
            kept: (kept + (1.0 - kept) * left).clamp(0.0, 1.0),
        };
        Some(Measured {
            list,
            visited: known_from,
        })
    }
}

/// The innermost line of a traceback; `None` for a library's.
fn line_of(traceback: TracebackId) -> Option<Line> {
    let line = lines::innermost(traceback)?;
    let is_library = observations()
        .as_ref()
        .is_none_or(|observations| observations.is_library(&line.file));
    (!is_library).then_some(line)
}
