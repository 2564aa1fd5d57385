//! How large the program's lists get, by the line that makes them.
//!
//! At each look the frames of the running thread are read: local variables, and
//! the evaluation stack, where a list is that a comprehension is filling or that
//! a function has just returned. CPython does not say how much of that stack is
//! in use while a frame runs, so a word of it only counts if it can be read at
//! all and there is a live list there whose items the tracer knows to be live.

use std::collections::HashMap;
use std::ffi::c_int;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use pyo3_ffi::*;
use wrasse_doctor::observations::{BuiltList, Line};

use super::budget::{self, Kind};
use super::heads::{GC_HEAD, Head, ITEMS, ITERATOR};
use super::{lines, looks, observations};
use crate::frame::{current_thread, top_frame};
use crate::heap_graph::{CODE_STACK, Exclusive, Tracked};
use crate::layout::{CODE_LOCALS, FRAME, FRAME_LOCALS, OWNED_BY_C_STACK, load};
use crate::process;

/// Frames looked at.
const FRAMES: usize = 50;
/// Items looked at for an average.
const SAMPLE: usize = 200;
/// Smaller lists with smaller items than this are of no interest.
const SMALLEST: u64 = 32 << 10;
/// Variables of a module that are looked at.
const VARIABLES: usize = 2000;

#[derive(Default)]
struct Seen {
    largest: HashMap<Line, Measured>,
    /// Lists as they were at the last look, so as not to look again in vain.
    last: HashMap<usize, (usize, usize)>,
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
    let measured = seen.unwrap_or_default().largest.into_values();
    let mut lists: Vec<_> = measured.map(|each| each.list).collect();
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
    let mut now = HashMap::new();
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
        let measured = unsafe { measure(each, items, &mut exclusive) };
        if let Some(bytes) = measured.and_then(|list| seen.note(list)) {
            largest = largest.max(Some(bytes));
        }
    }
    seen.last = now;
    largest
}

impl Seen {
    /// Takes a measured list in; returns its bytes. What is kept is believed of the
    /// look that saw most of an iteration: the first few items may be unlike others.
    fn note(&mut self, measured: Measured) -> Option<u64> {
        let Measured { list, visited } = measured;
        let bytes = list.own_bytes + list.item_bytes;
        if bytes < SMALLEST {
            return None;
        }
        let largest = self.largest.entry(list.line.clone()).or_default();
        if visited > largest.visited {
            (largest.visited, largest.list.kept) = (visited, list.kept);
        }
        if bytes > largest.list.own_bytes + largest.list.item_bytes {
            let kept = largest.list.kept;
            largest.list = BuiltList { kept, ..list };
        }
        Some(bytes)
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
        let is_wanted = !is_known && line_of(*block).is_some();
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

unsafe fn measure(
    found: Found,
    items: *const *mut PyObject,
    exclusive: &mut Exclusive,
) -> Option<Measured> {
    // SAFETY: a live list or tuple with its items; the GIL is held.
    unsafe {
        let is_tuple = Py_TYPE(found.object) == &raw mut PyTuple_Type;
        let block = match is_tuple {
            true => found.object as usize - GC_HEAD,
            false => items as usize,
        };
        let line = line_of(block)?;
        let length = Py_SIZE(found.object) as usize;
        // The item that an iteration is at has one holder more.
        let visited = found
            .position
            .map_or(0, |at| at.saturating_sub(1).min(length));
        let ahead = found.position.map_or(0, |at| at.min(length));
        let before = sample(items, 0, visited, exclusive);
        let after = sample(items, ahead, length, exclusive);
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
            line,
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

/// One place in each of `count` parts of equal length, now here, now there in it: what
/// comes again after a fixed number of items must not be met each time or never.
fn part(number: usize, length: usize, count: usize) -> usize {
    let (first, next) = (number * length / count, (number + 1) * length / count);
    let mixed = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    first + mixed as usize % (next - first)
}

/// Averages over some items.
#[derive(Clone, Copy)]
struct Sample {
    /// The bytes that go with one.
    bytes: f64,
    /// The part of them that nobody else holds.
    alone: f64,
    /// The bytes of texts and numbers in those, and of what nothing else holds of that.
    contents: (f64, f64),
}

impl Sample {
    /// Which part of the bytes of items like these is held elsewhere once they are like
    /// `later`, though they are not.
    fn left_of(&self, later: &Sample) -> f64 {
        let part = |sample: &Sample| sample.contents.1 / sample.contents.0.max(1.0);
        if part(self) == 0.0 || self.bytes == 0.0 || later.alone == 0.0 {
            return 0.0;
        }
        let lost = (1.0 - part(later) / part(self)).max(0.0);
        lost * self.contents.1 / self.bytes
    }
}

/// What the items from `start` to `end` are like.
unsafe fn sample(
    items: *const *mut PyObject,
    start: usize,
    end: usize,
    exclusive: &mut Exclusive,
) -> Option<Sample> {
    let length = end.checked_sub(start).filter(|length| *length > 0)?;
    let count = length.min(SAMPLE);
    let (mut bytes, mut alone) = (0, 0);
    let mut contents = (0, 0);
    for number in 0..count {
        // SAFETY: within the items, which are null or live.
        unsafe {
            let item = *items.add(start + part(number, length, count));
            if !item.is_null() {
                let held = exclusive.held(item);
                bytes += held;
                if held > 0 {
                    alone += 1;
                    let (all, own) = exclusive.contents(item);
                    contents = (contents.0 + all, contents.1 + own);
                }
            }
        }
    }
    Some(Sample {
        bytes: bytes as f64 / count as f64,
        alone: f64::from(alone) / count as f64,
        contents: (
            contents.0 as f64 / count as f64,
            contents.1 as f64 / count as f64,
        ),
    })
}

/// The line of the program that allocated a block; `None` for a library's.
fn line_of(block: usize) -> Option<Line> {
    let line = lines::innermost(lines::traceback_of_block(block)?)?;
    let is_library = observations()
        .as_ref()
        .is_none_or(|observations| observations.is_library(&line.file));
    (!is_library).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn samples_meet_what_alternates() {
        for (length, count) in [(200, 200), (201, 200), (48_400, 200), (7, 3)] {
            let places: Vec<_> = (0..count).map(|at| part(at, length, count)).collect();
            assert!(places.is_sorted_by(|a, b| a < b) && places[count - 1] < length);
        }
        let odd = (0..200).filter(|at| part(*at, 48_400, 200) % 2 == 1);
        assert!((70..130).contains(&odd.count()));
    }
}
