//! CPython 3.12 (offsets alike in 3.12.1 and 3.12.3).

use super::{FrameLayout, GcLayout};

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
