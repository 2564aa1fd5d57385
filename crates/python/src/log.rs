//! One line on standard error for each collection (`wrasse run --gc-log`, or
//! `gc-log` in `WRASSE`).
//!
//! Written without Python and without allocating, each line in one piece, so
//! that it may be written at any time and lines of several processes do not mix.

use std::io::{Cursor, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use wrasse_collector::{Outcome, Reason};

use crate::process::Errno;

static IS_ON: AtomicBool = AtomicBool::new(false);

/// Longer than any line.
const LONGEST: usize = 256;

/// Starts the log, if there is a standard error to write it to: what is opened
/// later under its number is a file of the program's. CPython may be reading
/// wrasse's own `.pth` file under that number now.
pub fn turn_on() {
    // SAFETY: asks about a descriptor, open or not.
    let flags = unsafe { libc::fcntl(libc::STDERR_FILENO, libc::F_GETFL) };
    if flags != -1 && flags & libc::O_ACCMODE != libc::O_RDONLY {
        IS_ON.store(true, Ordering::Relaxed);
    }
}

/// Whether collections are logged.
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Logs a collection that took `seconds`, or the `part` of one; `share` is what all of
/// them took of the time so far.
pub fn collection(
    generation: usize,
    reason: Reason,
    part: Option<&str>,
    outcome: &Outcome,
    seconds: f64,
    share: impl FnOnce() -> f64,
) {
    if is_on() {
        write(generation, reason, part, outcome, seconds, share());
    }
}

#[cold]
fn write(
    generation: usize,
    reason: Reason,
    part: Option<&str>,
    outcome: &Outcome,
    seconds: f64,
    share: f64,
) {
    let mut text = [0; LONGEST];
    let mut line = Cursor::new(&mut text[..]);
    let (unit, shift) = match outcome.bytes {
        0..0x400 => ("B", 0),
        0x400..0x10_0000 => ("KiB", 10),
        _ => ("MiB", 20),
    };
    let bytes = outcome.bytes as f64 / f64::from(1 << shift);
    let digits = usize::from(shift != 0);
    let _ = write!(
        line,
        "wrasse gc {}: generation {generation}, {}",
        std::process::id(),
        reason.word(),
    );
    if let Some(part) = part {
        let _ = write!(line, " ({part})");
    }
    let _ = write!(
        line,
        ": {} looked at, {} freed",
        outcome.candidates, outcome.collected,
    );
    if outcome.uncollectable != 0 {
        let _ = write!(line, ", {} uncollectable", outcome.uncollectable);
    }
    let _ = writeln!(
        line,
        ", {bytes:.digits$} {unit}, {:.3} ms, {:.1} % of the time",
        seconds * 1e3,
        share * 100.0
    );
    let length = line.position() as usize;
    let _errno = Errno::keep();
    // SAFETY: the slice is valid for its length. What cannot be written is lost.
    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), length) };
}
