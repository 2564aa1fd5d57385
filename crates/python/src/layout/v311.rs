//! CPython 3.11 (offsets alike in 3.11.2 and 3.11.7).

use super::{CodeLocals, FrameLayout, FrameLocals, GcLayout};

/// The collector's state.
pub const GC: GcLayout = GcLayout {
    state_in_interpreter: 0x288,
};

/// Frames: `tstate->cframe->current_frame`, behind the byte `use_tracing`.
pub const FRAME: FrameLayout = FrameLayout {
    thread_current: 0x38,
    cframe_current: Some(8),
    code: 32,
    previous: 48,
    instruction: 56,
    owner: 69,
};

/// Variables of frames.
pub const FRAME_LOCALS: FrameLocals = FrameLocals {
    stacktop: 64,
    mapping: 24,
    values: 72,
};

/// Variables of code.
pub const CODE_LOCALS: CodeLocals = CodeLocals {
    count: 76,
    names: 96,
};
