//! `wrasse.track()`: what a piece of a program allocates, frees and keeps.
//!
//! The profile is on meanwhile (`session.rs`). Figures are differences of the
//! tracer's totals by traceback, which count allocations too, so nothing is done
//! per block. The peak is that of the profile, started anew with each tracker:
//! what it was before is folded into all trackers that are at work, and put back
//! when the last one ends.

use std::collections::HashMap;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3_ffi::*;
use wrasse_report::units;
use wrasse_tracer::{LocationId, Totals, TracebackId, View};

use crate::hooks::{self, State};
use crate::module::{Shared, method, raise, string};
use crate::session;
use crate::small_objects;
use crate::status::Dict;

/// Lines in the words of a tracker.
const TOP_LINES: usize = 5;

/// The functions of `_core` that this file adds.
pub static METHODS: Shared<[PyMethodDef; 6]> = Shared([
    method(
        c"track_begin",
        METH_O,
        PyMethodDefPointer { PyCFunction: begin },
        c"track_begin(frames): begin to measure; returns a number for the other two.",
    ),
    method(
        c"track_look",
        METH_O,
        PyMethodDefPointer { PyCFunction: look },
        c"track_look(number): the figures so far.",
    ),
    method(
        c"track_end",
        METH_O,
        PyMethodDefPointer { PyCFunction: end },
        c"track_end(number): the figures, (frames, bytes, blocks, allocated bytes, allocated blocks) of each line, words.",
    ),
    method(
        c"allocated_at",
        METH_O,
        PyMethodDefPointer { PyCFunction: allocated_at },
        c"allocated_at(object): the bytes of its block and the frames that allocated it, or None where the profile does not know it.",
    ),
    method(
        c"size_in_bytes",
        METH_O,
        PyMethodDefPointer { PyCFunction: size_in_bytes },
        c"size_in_bytes(size): a number of bytes, or the words for one.",
    ),
    PyMethodDef::zeroed(),
]);

struct Tracker {
    /// What was live, and what tracebacks had done, when it began.
    live: u64,
    before: Vec<Totals>,
    /// The most that was live since, up to the last reset of the profile's peak.
    peak: u64,
}

#[derive(Default)]
struct Trackers {
    last: u64,
    at_work: HashMap<u64, Tracker>,
    /// The profile's peak, up to its last reset by us.
    peak: u64,
}

impl Trackers {
    /// Takes note of a peak that is about to be reset.
    fn fold(&mut self, peak: u64) {
        self.peak = self.peak.max(peak);
        for tracker in self.at_work.values_mut() {
            tracker.peak = tracker.peak.max(peak);
        }
    }
}

static TRACKERS: Mutex<Option<Trackers>> = Mutex::new(None);

fn trackers() -> MutexGuard<'static, Option<Trackers>> {
    TRACKERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes and blocks that came and went.
#[derive(Clone, Copy, Default)]
struct Change {
    bytes: i64,
    blocks: i64,
    allocated_bytes: u64,
    allocated_blocks: u64,
}

impl Change {
    fn of(before: Totals, after: &Totals) -> Self {
        Change {
            bytes: after.live_bytes.wrapping_sub(before.live_bytes) as i64,
            blocks: after.live_blocks.wrapping_sub(before.live_blocks) as i64,
            allocated_bytes: after.allocated_bytes.wrapping_sub(before.allocated_bytes),
            allocated_blocks: after.allocated_blocks.wrapping_sub(before.allocated_blocks),
        }
    }

    fn add(&mut self, other: Change) {
        self.bytes += other.bytes;
        self.blocks += other.blocks;
        self.allocated_bytes += other.allocated_bytes;
        self.allocated_blocks += other.allocated_blocks;
    }

    fn is_none(&self) -> bool {
        self.blocks == 0 && self.bytes == 0 && self.allocated_blocks == 0
    }
}

type Frames = Vec<(String, u32)>;

/// What happened since a tracker began.
#[derive(Default)]
struct Seen {
    whole: Change,
    /// The most that was live, above what was live at the beginning.
    peak: u64,
    /// By line, with the frames of the traceback that did most there.
    lines: Vec<(Frames, Change)>,
}

/// What a tracker has seen so far; nothing if there is no such tracker.
fn seen(number: u64, with_lines: bool) -> Option<Seen> {
    let mut guard = trackers();
    let trackers = guard.as_mut()?;
    let tracker = trackers.at_work.get(&number)?;
    let state = hooks::state();
    let Some(state) = state.as_ref() else {
        return Some(Seen::default());
    };
    let counters = state.tracer.counters(View::Profile);
    let peak = tracker.peak.max(counters.peak() as u64);
    let mut seen = Seen {
        peak: peak.saturating_sub(tracker.live),
        ..Seen::default()
    };
    let mut after = Vec::new();
    // Without memory for it there is nothing to tell.
    state.tracer.totals(View::Profile, &mut after).ok()?;
    let mut by_line: HashMap<Option<LocationId>, (Change, TracebackId, u64)> = HashMap::new();
    for (id, totals) in after.iter().enumerate() {
        let before = tracker.before.get(id).copied().unwrap_or_default();
        let change = Change::of(before, totals);
        if change.is_none() {
            continue;
        }
        seen.whole.add(change);
        if with_lines {
            let id = TracebackId(id as u32);
            let line = state.tracer.tracebacks().frames(id).first().copied();
            let weight = change.bytes.unsigned_abs().max(change.allocated_bytes);
            let entry = by_line.entry(line).or_insert((Change::default(), id, 0));
            entry.0.add(change);
            if weight >= entry.2 {
                (entry.1, entry.2) = (id, weight);
            }
        }
    }
    for (change, id, _) in by_line.into_values() {
        seen.lines.push((frames_of(state, id), change));
    }
    seen.lines.sort_by(|a, b| {
        let key = |change: &Change| (change.bytes, change.allocated_bytes);
        key(&b.1).cmp(&key(&a.1)).then_with(|| a.0.cmp(&b.0))
    });
    Some(seen)
}

fn frames_of(state: &State, traceback: TracebackId) -> Frames {
    let locations = state.tracer.locations();
    let frames = state.tracer.tracebacks().frames(traceback).iter();
    let named = frames.map(|each| {
        let (file, line) = locations.resolve(*each);
        let name = String::from_utf8_lossy(locations.name(file));
        (name.into_owned(), line)
    });
    named.collect()
}

impl Seen {
    fn to_text(&self) -> String {
        let signed = |bytes: i64| {
            let sign = if bytes < 0 { "-" } else { "+" };
            format!("{sign}{}", units::size(bytes.unsigned_abs()))
        };
        let blocks = |count: i64| {
            let noun = if count.abs() == 1 { "block" } else { "blocks" };
            let sign = if count < 0 { "-" } else { "" };
            format!("{sign}{} {noun}", units::count(count.unsigned_abs()))
        };
        let whole = &self.whole;
        let freed = (
            whole.allocated_bytes as i64 - whole.bytes,
            whole.allocated_blocks as i64 - whole.blocks,
        );
        let mut text = format!(
            "kept {} in {}, peak +{} (allocated {} in {}, freed {} in {})",
            signed(whole.bytes),
            blocks(whole.blocks),
            units::size(self.peak),
            units::size(whole.allocated_bytes),
            blocks(whole.allocated_blocks as i64),
            units::size(freed.0.unsigned_abs()),
            blocks(freed.1),
        );
        let kept = self.lines.iter().filter(|(_, change)| change.bytes != 0);
        for (frames, change) in kept.take(TOP_LINES) {
            let place = match frames.first() {
                Some((file, line)) => format!("{file}:{line}"),
                None => "no Python code".into(),
            };
            text += &format!(
                "\n  {:>12} in {:<12} {place}",
                signed(change.bytes),
                blocks(change.blocks)
            );
        }
        text
    }

    /// A dict of the figures; null with an exception set if there is no memory.
    unsafe fn figures(&self) -> *mut PyObject {
        // SAFETY: the GIL is held by the caller.
        unsafe {
            let whole = &self.whole;
            let mut dict = Dict::new();
            for (name, value) in [
                ("allocated_bytes", whole.allocated_bytes as i64),
                ("allocated_blocks", whole.allocated_blocks as i64),
                ("freed_bytes", whole.allocated_bytes as i64 - whole.bytes),
                ("freed_blocks", whole.allocated_blocks as i64 - whole.blocks),
                ("net_bytes", whole.bytes),
                ("net_blocks", whole.blocks),
                ("peak_bytes", self.peak as i64),
            ] {
                dict.set(name, PyLong_FromLongLong(value));
            }
            dict.finish()
        }
    }
}

unsafe extern "C" fn begin(_module: *mut PyObject, frames: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python.
    unsafe {
        let frames = PyLong_AsLong(frames);
        if frames == -1 && !PyErr_Occurred().is_null() {
            return ptr::null_mut();
        }
        let Ok(frames @ 1..) = u16::try_from(frames) else {
            return raise(PyExc_ValueError, "frames must be from 1 to 65535");
        };
        if let Err(reason) = session::begin(frames) {
            return raise(
                PyExc_RuntimeError,
                &format!("memory cannot be tracked: {reason}"),
            );
        }
        // The number that is returned is not the program's.
        let _silence = hooks::Silence::begin();
        let mut guard = trackers();
        let trackers = guard.get_or_insert_default();
        trackers.last += 1;
        let number = trackers.last;
        let result = PyLong_FromUnsignedLongLong(number);
        let mut before = Vec::new();
        let mut state = hooks::state();
        let taken = match state.as_mut() {
            Some(state) if !result.is_null() => {
                let tracer = &mut state.tracer;
                let counters = tracer.counters(View::Profile);
                let taken = tracer.totals(View::Profile, &mut before);
                tracer.reset_peak(View::Profile);
                let peak = counters.peak() as u64;
                let live = counters.current() as u64;
                taken.map(|()| {
                    trackers.fold(peak);
                    let tracker = Tracker {
                        live,
                        before,
                        peak: live,
                    };
                    trackers.at_work.insert(number, tracker);
                })
            }
            _ => return result,
        };
        drop(state);
        drop(guard);
        if taken.is_err() {
            Py_DECREF(result);
            session::end();
            return PyErr_NoMemory();
        }
        result
    }
}

unsafe fn number_of(object: *mut PyObject) -> Option<u64> {
    // SAFETY: the GIL is held; the object is an argument.
    unsafe {
        let number = PyLong_AsUnsignedLongLong(object);
        PyErr_Occurred().is_null().then_some(number)
    }
}

unsafe extern "C" fn look(_module: *mut PyObject, number: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python.
    unsafe {
        let Some(number) = number_of(number) else {
            return ptr::null_mut();
        };
        let _silence = hooks::Silence::begin();
        match seen(number, false) {
            Some(seen) => seen.figures(),
            None => raise(PyExc_ValueError, "there is no such tracker"),
        }
    }
}

unsafe extern "C" fn end(_module: *mut PyObject, number: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python; formats and arguments agree.
    unsafe {
        let Some(number) = number_of(number) else {
            return ptr::null_mut();
        };
        let _silence = hooks::Silence::begin();
        let Some(seen) = seen(number, true) else {
            return raise(PyExc_ValueError, "there is no such tracker");
        };
        {
            let mut guard = trackers();
            if let (Some(trackers), Some(state)) = (guard.as_mut(), hooks::state().as_mut()) {
                trackers.at_work.remove(&number);
                if trackers.at_work.is_empty() {
                    let peak = std::mem::take(&mut trackers.peak);
                    state.tracer.raise_peak(View::Profile, peak as usize);
                }
            }
        }
        session::end();
        let lines = PyList_New(0);
        for (frames, change) in &seen.lines {
            if lines.is_null() {
                break;
            }
            let item = Py_BuildValue(
                c"(NLLKK)".as_ptr(),
                frames_object(frames),
                change.bytes,
                change.blocks,
                change.allocated_bytes,
                change.allocated_blocks,
            );
            let good = !item.is_null() && PyList_Append(lines, item) == 0;
            Py_XDECREF(item);
            if !good {
                Py_DECREF(lines);
                return ptr::null_mut();
            }
        }
        let text = string(&seen.to_text());
        Py_BuildValue(c"(NNN)".as_ptr(), seen.figures(), lines, text)
    }
}

/// A tuple of (file, line).
unsafe fn frames_object(frames: &Frames) -> *mut PyObject {
    // SAFETY: the GIL is held; the tuple is filled before anybody sees it.
    unsafe {
        let tuple = PyTuple_New(frames.len() as Py_ssize_t);
        if tuple.is_null() {
            return tuple;
        }
        for (place, (file, line)) in frames.iter().enumerate() {
            let frame = Py_BuildValue(c"(NI)".as_ptr(), string(file), *line);
            if frame.is_null() {
                Py_DECREF(tuple);
                return ptr::null_mut();
            }
            PyTuple_SET_ITEM(tuple, place as Py_ssize_t, frame);
        }
        tuple
    }
}

/// What stands before an object in its block: the collector's head, and the words
/// for attributes and weak references that CPython keeps before it.
unsafe fn before(object: *mut PyObject) -> usize {
    const MANAGED: std::ffi::c_ulong = if cfg!(Py_3_12) { 0b11 << 3 } else { 1 << 4 };
    // SAFETY: a live object.
    unsafe {
        let flags = (*Py_TYPE(object)).tp_flags;
        let head = if PyObject_IS_GC(object) != 0 { 16 } else { 0 };
        head + if flags & MANAGED != 0 { 16 } else { 0 }
    }
}

unsafe extern "C" fn allocated_at(_module: *mut PyObject, object: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python; formats and arguments agree.
    unsafe {
        let _silence = hooks::Silence::begin();
        let address = (object as usize).wrapping_sub(before(object));
        let found = hooks::state().as_ref().and_then(|state| {
            let block = state.tracer.block(address)?;
            let is_known = block.views.contains(View::Profile);
            is_known.then(|| (block.size, frames_of(state, block.traceback)))
        });
        match found {
            None => Py_NewRef(Py_None()),
            Some((size, frames)) => {
                Py_BuildValue(c"(nN)".as_ptr(), size as Py_ssize_t, frames_object(&frames))
            }
        }
    }
}

unsafe extern "C" fn size_in_bytes(_module: *mut PyObject, size: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python.
    unsafe {
        if PyUnicode_Check(size) == 0 {
            return PyNumber_Index(size);
        }
        match small_objects::size_in_words(size) {
            Some(bytes) => PyLong_FromSize_t(bytes),
            None => ptr::null_mut(),
        }
    }
}
