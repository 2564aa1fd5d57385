//! What an instruction means: its file and line, decoded once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_int;

use pyo3_ffi::*;
use wrasse_tracer::{Exhausted, FileId, LocationId, SideTable, Tracer};

use super::line_table::{Cursor, LineTable};
use super::{CODE, ITEMS, QUALIFIED_NAME, text_of};
use crate::layout::{FRAME, OWNED_BY_C_STACK, OWNED_BY_GENERATOR, load};

const CACHE_BITS: u32 = 14;
/// Not a location: the frame does not count.
const SKIP: u32 = u32::MAX;

/// What a frame's instruction means.
#[derive(Clone, Copy)]
pub struct Meaning {
    /// The line; nothing where the frame does not count, because it has not
    /// really begun yet or belongs to no function.
    pub location: Option<LocationId>,
    /// The same whenever a frame is at this instruction. Before the first line
    /// of a function it depends on who owns the frame.
    pub is_fixed: bool,
}

#[derive(Clone, Copy)]
struct Cached {
    /// The instruction's address; bit 0 is set where a generator owns the frame.
    key: usize,
    location: u32,
    is_fixed: bool,
}

const NOTHING: Cached = Cached {
    key: 0,
    location: SKIP,
    is_fixed: false,
};

/// What is needed of a code object.
#[derive(Clone, Copy)]
pub struct Code {
    file: FileId,
    start: usize,
    first_traceable: usize,
    units: usize,
    /// How far its table of lines has been read.
    cursor: Cursor,
}

/// The instructions met so far.
#[derive(Default)]
pub struct Decoder {
    cache: Vec<Cached>,
    codes: HashMap<usize, Code>,
    name: Vec<u8>,
}

#[inline]
fn place(key: usize) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> (usize::BITS - CACHE_BITS)
}

impl Decoder {
    /// Get the memory that it needs.
    pub fn prepare(&mut self) -> Result<(), Exhausted> {
        if self.cache.is_empty() {
            self.cache.try_reserve_exact(1 << CACHE_BITS)?;
            self.cache.resize(1 << CACHE_BITS, NOTHING);
        }
        Ok(())
    }

    /// Forget everything: nothing is watched any more, or no location valid.
    pub fn clear(&mut self) {
        self.cache.fill(NOTHING);
        self.codes = HashMap::new();
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.cache.capacity() * size_of::<Cached>()
            + self.codes.capacity() * size_of::<(usize, Code)>()
            + self.name.capacity()
    }

    /// A watched block at this address is gone: a code object, so nothing
    /// cached for its instructions is valid any more. No if it was none of ours.
    #[cold]
    pub fn forget(&mut self, address: usize) -> bool {
        let Some(code) = self.codes.remove(&address) else {
            return false;
        };
        if code.units > self.cache.len() / 2 {
            self.cache.fill(NOTHING);
            return true;
        }
        // A frame that has not begun points before the first instruction.
        for unit in 0..code.units + 2 {
            let instruction = code.start + 2 * unit - 2;
            for key in [instruction, instruction | 1] {
                if let Some(cached) = self.cache.get_mut(place(key))
                    && cached.key == key
                {
                    *cached = NOTHING;
                }
            }
        }
        true
    }

    /// What the instruction of a frame means.
    ///
    /// # Safety
    /// `frame` is a live frame, whose instruction is `instruction`.
    pub unsafe fn meaning<S: SideTable>(
        &mut self,
        tracer: &mut Tracer<S>,
        frame: *const u8,
        instruction: usize,
    ) -> Result<Meaning, Exhausted> {
        // SAFETY: `frame` is a live frame.
        let owner: u8 = unsafe { load(frame, FRAME.owner) };
        let key = instruction | usize::from(owner == OWNED_BY_GENERATOR);
        let cached = match self.cache.get(place(key)) {
            Some(&cached) if cached.key == key => cached,
            // SAFETY: as above.
            _ => unsafe { self.decode(tracer, frame, key, owner)? },
        };
        Ok(Meaning {
            location: (cached.location != SKIP).then_some(LocationId(cached.location)),
            is_fixed: cached.is_fixed,
        })
    }

    #[cold]
    unsafe fn decode<S: SideTable>(
        &mut self,
        tracer: &mut Tracer<S>,
        frame: *const u8,
        key: usize,
        owner: u8,
    ) -> Result<Cached, Exhausted> {
        let is_shim = owner == OWNED_BY_C_STACK;
        let mut meaning = Cached {
            key,
            location: SKIP,
            is_fixed: is_shim,
        };
        // SAFETY: `frame` is a live frame, so its code object is alive.
        unsafe {
            let object: *mut PyObject = load(frame, FRAME.code);
            if object.is_null() || Py_TYPE(object) != &raw mut PyCode_Type {
                // A shim's instruction is then a constant of the interpreter.
                return Ok(meaning);
            }
            // Of a shim too, since its instruction is to be forgotten with it.
            let code = self.code(tracer, object)?;
            if !is_shim {
                let instruction = key & !1;
                meaning.is_fixed = instruction >= code.start + 2 * code.first_traceable;
                let file = code.file;
                if let Some(line) = line_of(object, code, key) {
                    let location = tracer.locations_mut().location(file, line)?;
                    if tracer.locations().function(location).is_none() {
                        let name = load(object.cast(), CODE.filename + QUALIFIED_NAME);
                        text_of(name, &mut self.name)?;
                        tracer.locations_mut().set_function(location, &self.name)?;
                    }
                    meaning.location = location.0;
                }
            }
        }
        let _ = owner;
        if let Some(cached) = self.cache.get_mut(place(key)) {
            *cached = meaning;
        }
        Ok(meaning)
    }

    unsafe fn code<S: SideTable>(
        &mut self,
        tracer: &mut Tracer<S>,
        object: *mut PyObject,
    ) -> Result<&mut Code, Exhausted> {
        let address = object as usize;
        self.codes.try_reserve(1)?;
        match self.codes.entry(address) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                // SAFETY: `object` is a live code object.
                let mut code = unsafe { read_code(object) };
                // SAFETY: as above.
                unsafe { text_of(load(object.cast(), CODE.filename), &mut self.name)? };
                code.file = tracer.locations_mut().file(&self.name)?;
                tracer.watch(address)?;
                Ok(place.insert(code))
            }
        }
    }
}

/// What is needed of a code object, but for its file.
///
/// # Safety
/// `object` is a live code object.
pub unsafe fn read_code(object: *mut PyObject) -> Code {
    // SAFETY: `object` is a live code object.
    unsafe {
        let first: c_int = load(object.cast(), CODE.first_traceable);
        let units: Py_ssize_t = load(object.cast(), ITEMS);
        Code {
            file: FileId(0),
            start: object as usize + CODE.instructions,
            first_traceable: usize::try_from(first).unwrap_or(0),
            units: usize::try_from(units).unwrap_or(0),
            cursor: Cursor::default(),
        }
    }
}

/// The line of an instruction, unless its frame has not really begun yet
/// (its cells are still being made, its generator not yet created).
///
/// # Safety
/// `code` was read from `object`, a live code object, and `key` is for one of its frames.
pub unsafe fn line_of(object: *mut PyObject, code: &mut Code, key: usize) -> Option<u32> {
    let (instruction, is_generator) = (key & !1, key & 1 != 0);
    if !is_generator && instruction < code.start + 2 * code.first_traceable {
        return None;
    }
    let offset = instruction as isize - code.start as isize;
    // SAFETY: a live code object.
    let line = match (unsafe { LineTable::of(object) }, usize::try_from(offset)) {
        (Some(table), Ok(offset)) => table.line(&mut code.cursor, offset / 2),
        // SAFETY: a live code object and an offset into it; this walks a table of
        // bytes and neither fails nor allocates.
        _ => unsafe { PyCode_Addr2Line(object.cast(), offset as c_int) },
    };
    // SAFETY: as above.
    debug_assert_eq!(line, unsafe {
        PyCode_Addr2Line(object.cast(), offset as c_int)
    });
    Some(u32::try_from(line).unwrap_or(0))
}
