//! CPython 3.13 (offsets alike in 3.13.0 and 3.13.5).

use super::{FrameLayout, GcLayout};

/// The collector's state.
pub const GC: GcLayout = GcLayout {
    state_in_interpreter: 0x1ce8,
};

/// Frames: `tstate->current_frame`.
pub const FRAME: FrameLayout = FrameLayout {
    thread_current: 0x48,
    cframe_current: None,
    code: 0,
    previous: 8,
    instruction: 56,
    owner: 70,
};
