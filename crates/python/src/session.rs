//! The profile turned on for a while: by who measures a piece of a program.
//!
//! Sessions may nest and overlap. The profile is started with the first if it
//! was off, and stopped with the last if it was a session that started it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use wrasse_tracer::View;

use crate::{hooks, profile};

#[derive(Default)]
struct Sessions {
    count: usize,
    /// The profile was off before them.
    is_ours: bool,
}

static SESSIONS: Mutex<Sessions> = Mutex::new(Sessions {
    count: 0,
    is_ours: false,
});

fn sessions() -> MutexGuard<'static, Sessions> {
    SESSIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins a session, with so many frames a traceback if the profile is off.
///
/// # Errors
/// Why the profile cannot be turned on; then there is no session to end.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn begin(frames: u16) -> Result<(), String> {
    // Starting may let go of the GIL: not under the lock.
    if !profile::is_active() {
        // SAFETY: the caller's contract.
        unsafe { profile::start(frames)? };
        sessions().is_ours = true;
    }
    sessions().count += 1;
    Ok(())
}

/// Ends a session.
///
/// # Safety
/// The GIL is held; a session was begun.
pub unsafe fn end() {
    let is_over = {
        let mut sessions = sessions();
        debug_assert!(sessions.count > 0, "a session that was not begun");
        sessions.count = sessions.count.saturating_sub(1);
        sessions.count == 0 && std::mem::take(&mut sessions.is_ours)
    };
    if is_over {
        // SAFETY: the GIL is held.
        unsafe { hooks::stop(View::Profile) };
    }
}

/// Turns the profile on for good: no session ends it. With so many frames a
/// traceback if it was off.
///
/// # Errors
/// Why it cannot be turned on.
///
/// # Safety
/// As for [`begin`].
pub unsafe fn keep_profile(frames: u16) -> Result<(), String> {
    if !profile::is_active() {
        // SAFETY: the caller's contract.
        return unsafe { profile::start(frames) };
    }
    sessions().is_ours = false;
    Ok(())
}
