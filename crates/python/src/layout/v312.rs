//! CPython 3.12 (offsets alike in 3.12.1 and 3.12.3).

use super::{CodeLocals, FrameLayout, FrameLocals, GcLayout};

/// The collector's state.
pub const GC: GcLayout = GcLayout {
    state_in_interpreter: 0x70,
};

/// Frames: `tstate->cframe->current_frame`.
pub const FRAME: FrameLayout = FrameLayout {
    thread_current: 0x38,
    cframe_current: Some(0),
    code: 0,
    previous: 8,
    instruction: 56,
    owner: 70,
};

/// Variables of frames.
pub const FRAME_LOCALS: FrameLocals = FrameLocals {
    stacktop: 64,
    mapping: 40,
    values: 72,
};

/// Variables of code.
pub const CODE_LOCALS: CodeLocals = CodeLocals {
    count: 72,
    names: 96,
};
