//! Which objects the traced memory is of, and who allocated it.
//!
//! The profile knows of a block who asked for it, not what for. A walk over all
//! objects knows of each which blocks are its: the one that it is in, and for
//! lists, dicts, sets and instances also the one of their items. Put together,
//! each traceback's live bytes are told apart by type. What no object owns up to
//! (buffers of extensions, the interpreter's own tables) is left over.

use std::cmp::Reverse;
use std::collections::HashMap;

use pyo3_ffi::*;
use wrasse_report::TypedBlocks;
use wrasse_tracer::{Amount, TracebackId, View};

use super::edge;
use super::referents::referents;
use super::{Failure, Picture};
use crate::layout::{DICT, load};
use crate::tracemalloc_module::block_of;
use crate::{capture, census, hooks};

/// Pairs of a traceback and a type that are told apart; the smallest of more are
/// not.
const MOST_ROWS: usize = 100_000;
/// The field of a dict with the values that it keeps apart from its keys.
const DICT_VALUES: usize = 40;
/// The field of such values that says they are inside an instance.
#[cfg(Py_3_13)]
const VALUES_EMBEDDED: usize = 2;

type Pair = (TracebackId, *mut PyTypeObject);

#[derive(Default)]
struct Sums {
    all: HashMap<Pair, Amount>,
    /// Objects of one line often lie together: what the last blocks came to.
    last: Option<(Pair, Amount)>,
    failed: bool,
}

impl Sums {
    /// Counts the block at an address for a type, if the profile knows it.
    fn add(&mut self, block: usize, kind: *mut PyTypeObject) {
        let found = {
            let state = hooks::reading();
            let tracer = state.as_ref().map(|state| &state.tracer);
            tracer.and_then(|tracer| tracer.block(block))
        };
        let Some(found) = found.filter(|found| found.views.contains(View::Profile)) else {
            return;
        };
        let pair = (found.traceback, kind);
        if self.last.is_none_or(|(last, _)| last != pair) {
            self.flush();
            self.last = Some((pair, Amount::default()));
        }
        if let Some((_, amount)) = &mut self.last {
            amount.bytes += found.size as u64;
            amount.blocks += 1;
        }
    }

    fn flush(&mut self) {
        let Some((pair, more)) = self.last.take() else {
            return;
        };
        if self.all.try_reserve(1).is_err() {
            self.failed = true;
            return;
        }
        let amount = self.all.entry(pair).or_default();
        amount.bytes += more.bytes;
        amount.blocks += more.blocks;
    }

    /// Counts an object's blocks.
    ///
    /// # Safety
    /// The object is alive.
    unsafe fn add_object(&mut self, object: *mut PyObject, reads_dicts: bool) {
        // SAFETY: the caller's contract; these types have these fields.
        unsafe {
            let kind = Py_TYPE(object);
            self.add(block_of(object), kind);
            if let Some(block) = edge::values_block(object) {
                self.add(block, kind);
            }
            if PyList_Check(object) != 0 {
                let items = (*object.cast::<PyListObject>()).ob_item;
                self.add(items as usize, kind);
            } else if PyDict_Check(object) != 0 {
                if reads_dicts {
                    self.add_dict(object, kind);
                }
            } else if PyAnySet_Check(object) != 0 {
                let set = object.cast::<PySetObject>();
                let inside: *const setentry = (&raw const (*set).smalltable).cast();
                if (*set).table.cast_const() != inside {
                    self.add((*set).table as usize, kind);
                }
            }
        }
    }

    /// A dict's table of keys; or, if it shares that with others, its values.
    unsafe fn add_dict(&mut self, dict: *mut PyObject, kind: *mut PyTypeObject) {
        // SAFETY: the caller passes a live dict, and dicts are as expected.
        unsafe {
            let values: *const u8 = load(dict.cast(), DICT_VALUES);
            if values.is_null() {
                self.add(DICT.keys(dict) as usize, kind);
                return;
            }
            // The byte before the values is the distance to where their block begins.
            #[cfg(not(Py_3_13))]
            self.add(values.sub(usize::from(*values.sub(1))) as usize, kind);
            #[cfg(Py_3_13)]
            if load::<u8>(values, VALUES_EMBEDDED) == 0 {
                self.add(values as usize, kind);
            }
        }
    }
}

/// What is live by traceback and type, with the numbers of the capture of this
/// process. One walk over all objects.
///
/// # Safety
/// Called while the picture stands, with the GIL and no lock of ours.
pub unsafe fn find(picture: &Picture) -> Result<TypedBlocks, Failure> {
    let mut sums = Sums::default();
    // SAFETY: the caller's contract.
    unsafe {
        let reads_dicts = DICT.check();
        for object in picture.objects() {
            sums.add_object(object, reads_dicts);
            referents(object, &mut |target| {
                // What is part of another object is no node.
                if Py_REFCNT(target) == 1 && picture.node(target).is_none() {
                    sums.add_object(target, reads_dicts);
                }
            });
        }
    }
    sums.flush();
    if sums.failed {
        return Err(Failure::Memory);
    }
    let mut all: Vec<(Pair, Amount)> = sums.all.into_iter().collect();
    all.sort_unstable_by_key(|((traceback, kind), amount)| {
        (Reverse(amount.bytes), *traceback, *kind as usize)
    });
    all.truncate(MOST_ROWS);
    let tracebacks: Vec<TracebackId> = all.iter().map(|((traceback, _), _)| *traceback).collect();
    let numbers = capture::numbers_of(&tracebacks);
    let mut found = TypedBlocks::default();
    let mut kinds: HashMap<*mut PyTypeObject, u64> = HashMap::new();
    for (((_, kind), amount), number) in all.iter().zip(numbers) {
        // A traceback that came after the last sample.
        let Some(number) = number else { continue };
        let types = &mut found.types;
        let kind = *kinds.entry(*kind).or_insert_with(|| {
            // SAFETY: a type is alive with its objects.
            types.push(unsafe { census::name_of(*kind) });
            types.len() as u64 - 1
        });
        let row = [number.into(), kind, amount.blocks, amount.bytes];
        found.rows.push(row);
    }
    Ok(found)
}
