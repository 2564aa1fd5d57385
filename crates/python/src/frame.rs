//! Reads Python frames, as memory, from inside an allocator hook.
//!
//! A hook may run at any moment of the interpreter's life, so nothing here
//! calls a function that can fail, allocate or run Python, and no reference to
//! an object is kept. What a frame's instruction means (its file and line) is
//! decoded once and remembered by the instruction's address (`decode.rs`), and
//! so is what it means below a given caller (`steps.rs`). That is sound as long
//! as the code object lives: code objects met are marked as watched in the
//! table of live blocks, so their release drops what was remembered for them
//! ([`FrameReader::forget`]) before their memory can be used again.

mod check;
mod decode;
mod line_table;
mod reader;
mod stack;
mod steps;
mod text;
mod thread;

use std::ffi::c_int;
use std::ptr;
use std::sync::OnceLock;

use pyo3_ffi::*;
use wrasse_tracer::Exhausted;

use crate::layout::{FRAME, OWNED_BY_C_STACK, OWNED_BY_GENERATOR, load};
pub use reader::FrameReader;
use text::text_of;
pub use thread::{current_thread, this_thread, thread_at_hand, thread_with_gil};

/// Offsets into `PyCodeObject` (public struct, but not in the stable ABI).
struct CodeLayout {
    first_line: usize,
    filename: usize,
    first_traceable: usize,
    instructions: usize,
}

#[cfg(not(Py_3_12))]
const CODE: CodeLayout = CodeLayout {
    first_line: 72,
    filename: 112,
    first_traceable: 168,
    instructions: 184,
};
#[cfg(all(Py_3_12, not(Py_3_13)))]
const CODE: CodeLayout = CodeLayout {
    first_line: 68,
    filename: 112,
    first_traceable: 176,
    instructions: 192,
};
#[cfg(Py_3_13)]
const CODE: CodeLayout = CodeLayout {
    first_line: 68,
    filename: 112,
    first_traceable: 184,
    instructions: 200,
};

/// Offset of a variable-size object's number of items; for code, instructions.
const ITEMS: usize = 16;

/// From a code object's file name to its qualified name, in every version.
const QUALIFIED_NAME: usize = 16;
/// And to its table of lines.
const LINE_TABLE: usize = 24;

/// The innermost frame of a thread; null if it runs none.
///
/// # Safety
/// `thread` is a live thread state whose frames stand still.
pub unsafe fn top_frame(thread: *mut PyThreadState) -> *const u8 {
    // SAFETY: `thread` is a live thread state; the offsets are checked at install.
    unsafe {
        let current: *const u8 = load(thread.cast(), FRAME.thread_current);
        match FRAME.cframe_current {
            Some(_) if current.is_null() => ptr::null(),
            Some(offset) => load(current, offset),
            None => current,
        }
    }
}

/// The line of an instruction of a code object; 0 where it has none.
///
/// # Safety
/// `code` is a live code object, `instruction` the address in a frame of its.
pub unsafe fn line_at(code: *mut PyObject, instruction: usize) -> u32 {
    let offset = (instruction as isize - code as isize - CODE.instructions as isize) as c_int;
    // SAFETY: a live code object and an offset into it; this walks a table of
    // bytes and neither fails nor allocates.
    let line = unsafe { PyCode_Addr2Line(code.cast(), offset) };
    u32::try_from(line).unwrap_or(0)
}

/// One frame as this file reads it, for the self-check.
pub struct Seen {
    /// The code object.
    pub code: *mut PyObject,
    /// The line.
    pub line: u32,
    /// The file name, encoded.
    pub file: Vec<u8>,
    /// The function's qualified name, encoded.
    pub function: Vec<u8>,
}

/// Every frame of a thread that counts, read without any cache.
///
/// # Safety
/// `thread` is the calling thread's own live state.
pub unsafe fn read_all(thread: *mut PyThreadState) -> Result<Vec<Seen>, Exhausted> {
    let mut seen = Vec::new();
    // SAFETY: the same reads as in `capture`.
    unsafe {
        let mut frame = top_frame(thread);
        while !frame.is_null() && seen.len() < 10_000 {
            let (instruction, owner): (usize, u8) =
                (load(frame, FRAME.instruction), load(frame, FRAME.owner));
            let object: *mut PyObject = load(frame, FRAME.code);
            if owner != OWNED_BY_C_STACK
                && !object.is_null()
                && Py_TYPE(object) == &raw mut PyCode_Type
            {
                let key = instruction | usize::from(owner == OWNED_BY_GENERATOR);
                if let Some(line) = decode::line_of(object, &mut decode::read_code(object), key) {
                    let mut file = Vec::new();
                    text_of(load(object.cast(), CODE.filename), &mut file)?;
                    let mut function = Vec::new();
                    let name = load(object.cast(), CODE.filename + QUALIFIED_NAME);
                    text_of(name, &mut function)?;
                    seen.push(Seen {
                        code: object,
                        line,
                        file,
                        function,
                    });
                }
            }
            frame = load(frame, FRAME.previous);
        }
    }
    Ok(seen)
}

/// Can frames be read in this process? Checked once, on a known stack.
///
/// # Safety
/// Call with the GIL held and no exception set.
pub unsafe fn check() -> Result<(), String> {
    static RESULT: OnceLock<Result<(), String>> = OnceLock::new();
    if let Some(result) = RESULT.get() {
        return result.clone();
    }
    // SAFETY: the caller holds the GIL.
    let result = unsafe { thread::find().and_then(|()| check::run()) };
    RESULT.get_or_init(|| result).clone()
}
