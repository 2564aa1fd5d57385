//! What the system says about this process, asked so that the program does not
//! notice: nothing here allocates, and `errno` stays as it was.

use std::time::Duration;

/// Puts `errno` back when dropped: who allocates, or lets the collector run,
/// does not expect it to change.
pub struct Errno(i32);

impl Errno {
    /// What it is now.
    pub fn keep() -> Self {
        // SAFETY: the address of this thread's own variable.
        Errno(unsafe { *libc::__errno_location() })
    }
}

impl Drop for Errno {
    fn drop(&mut self) {
        // SAFETY: as in `keep`.
        unsafe { *libc::__errno_location() = self.0 };
    }
}

/// Bytes of a page of memory.
pub fn page_size() -> usize {
    // SAFETY: asks the system for a number.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Bytes of the process that are in memory, where the system says so.
pub fn resident_bytes() -> Option<usize> {
    let mut text = [0u8; 64];
    let _errno = Errno::keep();
    // SAFETY: opens, reads into `text` at most its length, and closes.
    let length = unsafe {
        let file = libc::open(
            c"/proc/self/statm".as_ptr(),
            libc::O_RDONLY | libc::O_CLOEXEC,
        );
        if file < 0 {
            return None;
        }
        let length = libc::read(file, text.as_mut_ptr().cast(), text.len());
        libc::close(file);
        usize::try_from(length).ok()?
    };
    let mut fields = text[..length].split(|byte| *byte == b' ');
    let pages = std::str::from_utf8(fields.nth(1)?).ok()?;
    pages.parse::<usize>().ok().map(|pages| pages * page_size())
}

/// The processor's time that this thread has used, in which other processes do
/// not show.
pub fn thread_time() -> Duration {
    time_of(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The processor's time that all threads of this process have used.
pub fn cpu_time() -> Duration {
    time_of(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn time_of(clock: libc::clockid_t) -> Duration {
    let mut used = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `used` is a place for the answer.
    unsafe { libc::clock_gettime(clock, &raw mut used) };
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}
