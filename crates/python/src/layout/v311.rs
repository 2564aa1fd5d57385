//! CPython 3.11 (offsets alike in 3.11.2 and 3.11.7).

use super::{FrameLayout, GcLayout};

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
