//! The last frame of a program that a signal ends.
//!
//! For signals that end a process and that nobody handles, or that a crash
//! raises, a handler appends a frame that names the signal and then lets happen
//! what would have happened without it. It runs at any moment, on any thread:
//! everything in it is on the system's list of what a handler may call, and it
//! takes no lock. What the program did since the last sample is not in the file.

use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use wrasse_capture::{Ending, end_frame};

use super::file::{FileIdentity, OutputFile, write_all};

/// A crash: handled also where somebody else does, who is called afterwards.
const CRASHES: [i32; 5] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGABRT,
];
/// Somebody asks the process to end: handled only where nobody else does.
const REQUESTS: [i32; 3] = [libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];
const ALL: usize = CRASHES.len() + REQUESTS.len();
/// Enough for the handler, on the stack it gets when the program's own is full.
const STACK_SIZE: usize = 64 << 10;

/// The process that writes; 0 is none.
static PROCESS: AtomicU32 = AtomicU32::new(0);
static DESCRIPTOR: AtomicI32 = AtomicI32::new(-1);
/// A frame is being written: another in the middle of it would spoil it.
static IS_WRITING: AtomicBool = AtomicBool::new(false);
/// When the capture began, on the system's monotonic clock, in nanoseconds.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Written before the handlers are in place, then only read.
static mut IDENTITY: Option<FileIdentity> = None;
static mut PREVIOUS: [Option<libc::sigaction>; ALL] = [const { None }; ALL];

fn signals() -> impl Iterator<Item = (usize, i32)> {
    CRASHES.into_iter().chain(REQUESTS).enumerate()
}

/// The system's monotonic clock. May be called from a signal handler.
fn clock() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    (now.tv_sec as u64).wrapping_mul(1_000_000_000) + now.tv_nsec as u64
}

/// From now on a fatal signal is written down in `file`. Called once a process.
pub fn watch(file: &OutputFile, begun: Instant) {
    let (descriptor, identity) = file.target();
    // The first use looks at the processor: not in a handler.
    let _ = end_frame(0, Ending::Finished);
    BEGUN.store(
        clock().saturating_sub(super::nanoseconds(begun.elapsed())),
        Ordering::Relaxed,
    );
    DESCRIPTOR.store(descriptor, Ordering::Relaxed);
    // SAFETY: no handler of ours is in place yet; `sigaction` gets valid
    // structures.
    unsafe {
        (&raw mut IDENTITY).write(Some(identity));
        PROCESS.store(std::process::id(), Ordering::Release);
        provide_stack();
        for (place, signal) in signals() {
            let mut previous: libc::sigaction = mem::zeroed();
            if libc::sigaction(signal, ptr::null(), &raw mut previous) != 0 {
                continue;
            }
            let is_default = previous.sa_sigaction == libc::SIG_DFL;
            let is_ignored = previous.sa_sigaction == libc::SIG_IGN;
            if is_ignored || !is_default && REQUESTS.contains(&signal) {
                continue;
            }
            (&raw mut PREVIOUS[place]).write(Some(previous));
            let mut ours: libc::sigaction = mem::zeroed();
            ours.sa_sigaction = handle as *const () as usize;
            ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut ours.sa_mask);
            libc::sigaction(signal, &raw const ours, ptr::null_mut());
        }
    }
}

/// The program's stack may be what has run out: handlers get another one,
/// unless this thread has one already.
///
/// # Safety
/// None that the caller could break; marked for the calls in it.
unsafe fn provide_stack() {
    // SAFETY: the memory is never given back.
    unsafe {
        let mut present: libc::stack_t = mem::zeroed();
        if libc::sigaltstack(ptr::null(), &raw mut present) != 0
            || present.ss_flags & libc::SS_DISABLE == 0
        {
            return;
        }
        let memory = libc::mmap(
            ptr::null_mut(),
            STACK_SIZE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if memory != libc::MAP_FAILED {
            let stack = libc::stack_t {
                ss_sp: memory,
                ss_flags: 0,
                ss_size: STACK_SIZE,
            };
            libc::sigaltstack(&raw const stack, ptr::null_mut());
        }
    }
}

/// The file has another descriptor.
pub fn set_descriptor(descriptor: i32) {
    DESCRIPTOR.store(descriptor, Ordering::Relaxed);
}

/// The capture is over: the handlers stay, and do nothing but pass on.
pub fn forget() {
    PROCESS.store(0, Ordering::Release);
}

/// Calls `write`, during which a signal writes nothing.
pub fn while_writing<T>(write: impl FnOnce() -> T) -> T {
    IS_WRITING.store(true, Ordering::Release);
    let result = write();
    IS_WRITING.store(false, Ordering::Release);
    result
}

unsafe extern "C" fn handle(
    signal: i32,
    information: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: called by the system with a valid structure. Every function
    // called here may be called in a handler; the statics were written before
    // it was put in place.
    unsafe {
        let descriptor = DESCRIPTOR.load(Ordering::Relaxed);
        // Not in a forked child, and once only.
        if PROCESS.swap(0, Ordering::AcqRel) == libc::getpid() as u32
            && !IS_WRITING.load(Ordering::Acquire)
            && FileIdentity::of(descriptor) == (&raw const IDENTITY).read()
        {
            let time = clock().saturating_sub(BEGUN.load(Ordering::Relaxed));
            let frame = end_frame(time, Ending::Signal(signal as u32));
            let _ = write_all(descriptor, &frame);
        }
        let place = signals().find(|(_, each)| *each == signal);
        let previous = place.and_then(|(place, _)| (&raw const PREVIOUS[place]).read());
        match previous {
            Some(previous) => libc::sigaction(signal, &raw const previous, ptr::null_mut()),
            None => {
                libc::signal(signal, libc::SIG_DFL);
                0
            }
        };
        // A fault happens again when this returns; what somebody has sent must be
        // sent again. It is held back until then.
        let is_fault = (*information).si_code > 0 && signal != libc::SIGABRT;
        if !is_fault || REQUESTS.contains(&signal) {
            libc::raise(signal);
        }
    }
}
