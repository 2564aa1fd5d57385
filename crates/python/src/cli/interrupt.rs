//! Ctrl-C where no program runs.

use std::{mem, ptr};

/// Ctrl-C ends this process at once while this is there. Python's handler is only
/// heard when all is done, and whoever waits for a pipe would wait on.
pub struct Interruptible(libc::sigaction);

impl Interruptible {
    /// From now on, unless it is ignored here.
    pub fn begin() -> Self {
        // SAFETY: what libc reads and writes lives on this stack.
        unsafe {
            let mut before: libc::sigaction = mem::zeroed();
            libc::sigaction(libc::SIGINT, ptr::null(), &raw mut before);
            if before.sa_sigaction != libc::SIG_IGN {
                let mut default: libc::sigaction = mem::zeroed();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(libc::SIGINT, &raw const default, ptr::null_mut());
            }
            Interruptible(before)
        }
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        // SAFETY: what libc reads lives in this value.
        unsafe { libc::sigaction(libc::SIGINT, &raw const self.0, ptr::null_mut()) };
    }
}
