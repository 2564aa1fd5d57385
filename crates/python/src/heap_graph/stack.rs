//! What the frames of all threads refer to.
//!
//! CPython's collector does not look at running frames; the references they
//! hold are read as memory. Each belongs to a variable, to the evaluation stack
//! of a call in progress, or to the frame itself.

use std::ffi::c_int;

use pyo3_ffi::*;

use super::Failure;
use super::layout::*;
use crate::frame;
use crate::layout::{CODE_LOCALS, FRAME, FRAME_LOCALS, OWNED_BY_C_STACK, OWNED_BY_GENERATOR, load};

/// One running frame. Its code object is alive as long as the GIL is held.
pub struct Frame {
    /// Where it is.
    pub address: *const u8,
    /// The code object.
    pub code: *mut PyObject,
    /// The line it is at.
    pub line: u32,
    /// Whether the calling thread runs it.
    pub is_current_thread: bool,
    /// Whether it is of wrasse's own call.
    pub is_own: bool,
}

/// What a frame holds a reference by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A variable, by its number.
    Variable(u32),
    /// A call or an expression that is being evaluated.
    Temporary,
    /// The namespace of a module's or class's code.
    Namespace,
    /// The frame itself: its function, its code, its frame object.
    Frame,
}

/// One reference of a frame.
pub struct Reference {
    /// Which of the frames.
    pub frame: u32,
    /// By what.
    pub place: Place,
    /// To what.
    pub target: *mut PyObject,
    /// A generator that is running says so, too: it is one reference.
    pub is_shared: bool,
}

/// All frames and what they refer to.
#[derive(Default)]
pub struct Stack {
    /// The frames.
    pub frames: Vec<Frame>,
    /// Their references.
    pub references: Vec<Reference>,
}

impl Stack {
    /// Reads the frames of all threads of the running interpreter. The
    /// innermost one is wrasse's own, if `arguments_end` is there: it called a
    /// function of this extension with the arguments that end there, on its
    /// evaluation stack.
    ///
    /// # Safety
    /// The GIL is held, and `layout::check` was content.
    pub unsafe fn read(arguments_end: Option<*const *mut PyObject>) -> Result<Self, Failure> {
        let mut stack = Self::default();
        // SAFETY: thread states stay as long as the GIL is held; so do frames.
        unsafe {
            let current = frame::current_thread();
            let mut thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
            while !thread.is_null() {
                let mut frame = frame::top_frame(thread);
                let mut own = thread == current && arguments_end.is_some();
                while !frame.is_null() {
                    let end = arguments_end.filter(|_| own).unwrap_or(std::ptr::null());
                    if stack.add(frame, thread == current, own, end)? {
                        own = false;
                    }
                    frame = load(frame, FRAME.previous);
                }
                thread = PyThreadState_Next(thread);
            }
        }
        Ok(stack)
    }

    /// Adds a frame; says whether it was one of Python code.
    unsafe fn add(
        &mut self,
        frame: *const u8,
        is_current_thread: bool,
        is_own: bool,
        arguments_end: *const *mut PyObject,
    ) -> Result<bool, Failure> {
        // SAFETY: a live frame of a thread; `layout::check` confirmed the offsets.
        unsafe {
            let owner: u8 = load(frame, FRAME.owner);
            if owner == OWNED_BY_C_STACK {
                return Ok(false);
            }
            let code: *mut PyObject = load(frame, FRAME.code);
            if code.is_null() || Py_TYPE(code) != &raw mut PyCode_Type {
                return Ok(false);
            }
            let number = self.frames.len() as u32;
            self.frames.try_reserve(1).map_err(|_| Failure::Memory)?;
            self.frames.push(Frame {
                address: frame,
                code,
                line: frame::line_at(code, load(frame, FRAME.instruction)),
                is_current_thread,
                is_own,
            });
            let variables = load::<c_int>(code.cast(), CODE_LOCALS.count).max(0) as usize;
            let room = load::<c_int>(code.cast(), CODE_STACK).max(0) as usize;
            let used = usize::try_from(load::<c_int>(frame, FRAME_LOCALS.stacktop)).unwrap_or(0);
            let slots = frame.add(FRAME_LOCALS.values).cast::<*mut PyObject>();
            self.references
                .try_reserve(variables + room + 4)
                .map_err(|_| Failure::Memory)?;
            // Its generator refers to what is its own, and to the slots if their
            // number is known.
            let is_shared = owner == OWNED_BY_GENERATOR && used > 0;
            let mut add = |place, target: *mut PyObject| {
                if !target.is_null() {
                    self.references.push(Reference {
                        frame: number,
                        place,
                        target,
                        is_shared,
                    });
                }
            };
            let variable = |slot: usize| Place::Variable(slot as u32);
            (0..variables).for_each(|slot| add(variable(slot), *slots.add(slot)));
            if owner == OWNED_BY_GENERATOR {
                return Ok(true);
            }
            let mut end = if used > variables { used } else { variables };
            if !arguments_end.is_null() {
                let distance = (arguments_end as usize).wrapping_sub(slots as usize);
                let place = distance / size_of::<usize>();
                if place > variables && place <= variables + room {
                    end = place;
                }
            }
            for slot in variables..end.min(variables + room) {
                add(Place::Temporary, *slots.add(slot));
            }
            add(Place::Namespace, load(frame, FRAME_LOCALS.mapping));
            add(Place::Frame, load(frame, FRAME_FUNCTION));
            add(Place::Frame, load(frame, FRAME_OBJECT));
            add(Place::Frame, code);
        }
        Ok(true)
    }
}
