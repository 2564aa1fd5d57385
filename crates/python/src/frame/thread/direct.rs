//! The variable that holds the current thread's state, without a call.
//!
//! CPython exports a function that reads it and hides the variable: before 3.12
//! one of the runtime, since then one of each thread. It is looked for once: of
//! all words where it could be, the only one that holds the state now, and does
//! not while the GIL is released. A thread's variable is only used if it is at the
//! same distance from the thread's pointer in every thread, which is so for
//! what was loaded when the process started; that is checked on another thread.
//! If anything is not as expected, the function is called.

use std::ffi::c_void;

use pyo3_ffi::*;

use super::CurrentThread;

/// Words that hold the state of the running thread now, but not while the GIL is
/// released.
///
/// # Safety
/// The words can be read, and hold still as far as this thread is concerned; the
/// GIL is held.
unsafe fn candidates(words: &[*const usize], current: CurrentThread) -> Vec<*const usize> {
    // SAFETY: the caller's contract.
    unsafe {
        let state = current() as usize;
        let holds = |word: &*const usize| word.read_volatile() == state;
        let mut found: Vec<_> = words.iter().copied().filter(holds).collect();
        let saved = PyEval_SaveThread();
        found.retain(|word| word.read_volatile() == 0);
        PyEval_RestoreThread(saved);
        found.retain(|word| word.read_volatile() == state);
        found
    }
}

#[cfg(not(Py_3_12))]
mod platform {
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use super::*;
    use crate::symbols;

    /// How far into the runtime's state the variable is looked for.
    const SEARCHED: usize = 2048;

    static VARIABLE: AtomicPtr<AtomicPtr<PyThreadState>> = AtomicPtr::new(ptr::null_mut());

    pub unsafe fn find(_function: *mut c_void, current: CurrentThread) {
        let runtime = symbols::lookup(c"_PyRuntime").cast::<usize>().cast_const();
        if runtime.is_null() {
            return;
        }
        let words: Vec<_> = (0..SEARCHED / size_of::<usize>())
            .map(|word| runtime.wrapping_add(word))
            .collect();
        // SAFETY: the runtime's state is far larger; the GIL is held.
        if let &[variable] = unsafe { candidates(&words, current) }.as_slice() {
            VARIABLE.store(variable.cast_mut().cast(), Ordering::Release);
        }
    }

    /// As [`current`], or null.
    #[inline(always)]
    pub fn to_compare() -> *mut PyThreadState {
        current().unwrap_or(ptr::null_mut())
    }

    /// The state of the thread that has the GIL, if it can be had this way.
    #[inline(always)]
    pub fn current() -> Option<*mut PyThreadState> {
        // SAFETY: a variable of the runtime, which stays.
        let variable = unsafe { VARIABLE.load(Ordering::Relaxed).as_ref()? };
        Some(variable.load(Ordering::Relaxed))
    }
}

#[cfg(all(Py_3_12, target_arch = "x86_64"))]
mod platform {
    use std::arch::asm;
    use std::sync::atomic::{AtomicIsize, Ordering};

    use super::*;

    /// From the thread's pointer to the variable; 0 as long as it is not known.
    static OFFSET: AtomicIsize = AtomicIsize::new(0);

    /// Static blocks lie directly before what the thread's pointer points to.
    const NEAR: usize = 1 << 16;

    #[inline(always)]
    fn thread_pointer() -> usize {
        let pointer: usize;
        // SAFETY: on this system the first word there is its own address.
        unsafe {
            asm!("mov {}, fs:0", out(reg) pointer, options(nostack, pure, readonly, preserves_flags));
        }
        pointer
    }

    struct Search {
        /// An address in the object that is looked for.
        function: usize,
        /// Where the calling thread's variables of that object are, and their size.
        block: Option<(usize, usize)>,
    }

    unsafe extern "C" fn visit(
        info: *mut libc::dl_phdr_info,
        size: usize,
        data: *mut c_void,
    ) -> libc::c_int {
        if size < size_of::<libc::dl_phdr_info>() {
            return 1;
        }
        // SAFETY: the linker's own record, of full length; `block_of` passes the
        // search.
        unsafe {
            let (info, search) = (&*info, &mut *data.cast::<Search>());
            let headers = std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into());
            let is_it = headers.iter().any(|header| {
                let start = (info.dlpi_addr + header.p_vaddr) as usize;
                header.p_type == libc::PT_LOAD
                    && search.function.wrapping_sub(start) < header.p_memsz as usize
            });
            if !is_it {
                return 0;
            }
            let block = headers.iter().find(|header| header.p_type == libc::PT_TLS);
            if let Some(block) = block
                && !info.dlpi_tls_data.is_null()
            {
                search.block = Some((info.dlpi_tls_data as usize, block.p_memsz as usize));
            }
        }
        1
    }

    /// The calling thread's variables of the object that a function is in: how far
    /// before the thread's pointer, and how many bytes. Only if they are near, and
    /// so in the part that each thread is born with.
    fn block_of(function: *mut c_void) -> Option<(usize, usize)> {
        let mut search = Search {
            function: function as usize,
            block: None,
        };
        // SAFETY: the callback takes what is passed here.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
        let (start, size) = search.block?;
        let distance = thread_pointer().checked_sub(start)?;
        (size <= distance && distance < NEAR).then_some((distance, size))
    }

    pub unsafe fn find(function: *mut c_void, current: CurrentThread) {
        let Some((distance, size)) = block_of(function) else {
            return;
        };
        let start = (thread_pointer() - distance).next_multiple_of(align_of::<usize>());
        let end = thread_pointer() - distance + size;
        let words: Vec<_> = (start..(end + 1).saturating_sub(size_of::<usize>()))
            .step_by(size_of::<usize>())
            .map(|address| address as *const usize)
            .collect();
        // SAFETY: this thread's own variables; the GIL is held.
        let &[variable] = unsafe { candidates(&words, current) }.as_slice() else {
            return;
        };
        let offset = (variable as usize)
            .wrapping_sub(thread_pointer())
            .cast_signed();
        let address = function as usize;
        let elsewhere = std::thread::Builder::new()
            .stack_size(1 << 16)
            .spawn(move || {
                let block = block_of(address as *mut c_void);
                // SAFETY: read only where this thread has the same block at the same
                // distance. It has no state.
                block == Some((distance, size)) && unsafe { read(offset) }.is_null()
            });
        if elsewhere.is_ok_and(|thread| thread.join().unwrap_or(false)) {
            OFFSET.store(offset, Ordering::Release);
        }
    }

    #[inline(always)]
    unsafe fn read(offset: isize) -> *mut PyThreadState {
        let state: *mut PyThreadState;
        // SAFETY: the caller vouches that the thread has a variable there.
        unsafe {
            asm!("mov {}, fs:[{}]", out(reg) state, in(reg) offset,
                options(nostack, pure, readonly, preserves_flags));
        }
        state
    }

    /// For comparison: the calling thread's state if it has a GIL, or an address that is no
    /// state's.
    #[inline(always)]
    pub fn to_compare() -> *mut PyThreadState {
        // SAFETY: as in `current`; and if the variable was not found, the thread's
        // pointer leads to its own address.
        unsafe { read(OFFSET.load(Ordering::Relaxed)) }
    }

    /// The calling thread's state if it has a GIL, if it can be had this way.
    #[inline(always)]
    pub fn current() -> Option<*mut PyThreadState> {
        let offset = OFFSET.load(Ordering::Relaxed);
        // SAFETY: every thread has the variable at this distance, see `find`.
        (offset != 0).then(|| unsafe { read(offset) })
    }
}

#[cfg(all(Py_3_12, not(target_arch = "x86_64")))]
mod platform {
    use super::*;

    pub unsafe fn find(_function: *mut c_void, _current: CurrentThread) {}

    /// No state.
    #[inline(always)]
    pub fn to_compare() -> *mut PyThreadState {
        std::ptr::null_mut()
    }

    /// Not known how.
    #[inline(always)]
    pub fn current() -> Option<*mut PyThreadState> {
        None
    }
}

pub use platform::{current, find, to_compare};
