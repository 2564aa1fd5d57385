//! Reads a `str` as memory: the file or function name of a code object.
//!
//! The functions that CPython offers for this may allocate, and a reference
//! would need the GIL; the characters are simply copied.

use pyo3_ffi::*;
use wrasse_tracer::Exhausted;

use crate::layout::load;

// The fields before the characters, and where those begin: behind the fields if
// all are ASCII, behind some more if not, or elsewhere in memory.
const LENGTH: usize = 16;
const STATE: usize = 32;
#[cfg(not(Py_3_12))]
const HEADER: (usize, usize) = (48, 72);
#[cfg(Py_3_12)]
const HEADER: (usize, usize) = (40, 56);

/// Write the name as UTF-8, lone surrogates included, into `out`; what is no
/// `str` is `<unknown>`.
///
/// # Safety
/// `object` is null or a live object.
pub unsafe fn text_of(object: *mut PyObject, out: &mut Vec<u8>) -> Result<(), Exhausted> {
    const UNKNOWN: &[u8] = b"<unknown>";
    out.clear();
    // SAFETY: `object` is null or a live name of a live code object; the
    // layout of `str` is public and has been checked at install.
    unsafe {
        if object.is_null() || PyUnicode_Check(object) == 0 {
            out.try_reserve(UNKNOWN.len())?;
            out.extend_from_slice(UNKNOWN);
            return Ok(());
        }
        let base: *const u8 = object.cast();
        let length = load::<Py_ssize_t>(base, LENGTH) as usize;
        let state: u32 = load(base, STATE);
        let (kind, compact, ascii) = string_state(state);
        let data: *const u8 = match (compact, ascii) {
            (true, true) => base.add(HEADER.0),
            (true, false) => base.add(HEADER.1),
            (false, _) => load(base, HEADER.1),
        };
        if data.is_null() {
            out.try_reserve(UNKNOWN.len())?;
            out.extend_from_slice(UNKNOWN);
            return Ok(());
        }
        out.try_reserve(length.checked_mul(4).ok_or(Exhausted)?)?;
        if ascii {
            out.extend_from_slice(std::slice::from_raw_parts(data, length));
            return Ok(());
        }
        for i in 0..length {
            let point = match kind {
                1 => u32::from(*data.add(i)),
                2 => u32::from(*data.cast::<u16>().add(i)),
                _ => *data.cast::<u32>().add(i),
            };
            encode(point, out);
        }
    }
    Ok(())
}

fn encode(point: u32, out: &mut Vec<u8>) {
    let tail = |shift: u32| 0x80 | (point >> shift & 0x3f) as u8;
    match point {
        0..0x80 => out.push(point as u8),
        0x80..0x800 => out.extend([0xc0 | (point >> 6) as u8, tail(0)]),
        0x800..0x1_0000 => out.extend([0xe0 | (point >> 12) as u8, tail(6), tail(0)]),
        _ => out.extend([0xf0 | (point >> 18) as u8, tail(12), tail(6), tail(0)]),
    }
}

fn string_state(state: u32) -> (u32, bool, bool) {
    // `interned` has two bits in all three versions, then come three bits of
    // kind, one of compact, one of ascii.
    (state >> 2 & 0b111, state >> 5 & 1 != 0, state >> 6 & 1 != 0)
}
