//! The twelve-byte jump at the head of CPython's hidden "new object" function
//! (3.11 and 3.12 only; see `reuse.rs` for why and when).
//!
//! The function has no name in a stripped interpreter. It is found as the only
//! call that the exported `_Py_NewReference` makes. Every assumption is checked
//! before a byte is written: the size of `_Py_NewReference` is known from the
//! symbol table, there is exactly one call in it, its target is aligned like a
//! function, lies in the same executable mapping and is no exported function.

use std::ffi::{c_char, c_int, c_void};
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::mappings;
use crate::process::page_size;
use crate::symbols;

const JUMP: usize = 12;
const RTLD_DL_SYMENT: c_int = 1;

/// An entry of an ELF symbol table.
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: u64,
    size: u64,
}

#[repr(C)]
struct Location {
    file: *const c_char,
    base: *mut c_void,
    symbol: *const c_char,
    address: *mut c_void,
}

unsafe extern "C" {
    fn dladdr1(
        address: *const c_void,
        info: *mut Location,
        extra: *mut *mut c_void,
        flags: c_int,
    ) -> c_int;
}

/// The exported symbol at or before an address: where it begins and its size.
fn symbol_at(address: *const c_void) -> Option<(usize, usize)> {
    let mut location = Location {
        file: ptr::null(),
        base: ptr::null_mut(),
        symbol: ptr::null(),
        address: ptr::null_mut(),
    };
    let mut symbol: *mut Symbol = ptr::null_mut();
    // SAFETY: asks about an address and writes the two results; the symbol
    // points into the loaded file's own table.
    unsafe {
        let found = dladdr1(
            address,
            &mut location,
            (&raw mut symbol).cast(),
            RTLD_DL_SYMENT,
        );
        if found == 0 || location.address.is_null() || symbol.is_null() {
            return None;
        }
        Some((location.address as usize, (*symbol).size as usize))
    }
}

/// The mapping that an address is in, if it is code that nobody can write to.
fn code_mapping(address: usize) -> Option<Range<usize>> {
    let all = mappings::read();
    let mapping = mappings::find(&all, address)?;
    (&mapping.rights == b"r-xp").then(|| mapping.range.clone())
}

/// The function that `_Py_NewReference` calls. Looked for once: changing code
/// divides the mapping that the search relies on.
fn target() -> Result<usize, String> {
    static TARGET: OnceLock<Result<usize, String>> = OnceLock::new();
    TARGET.get_or_init(find_target).clone()
}

fn find_target() -> Result<usize, String> {
    let caller = symbols::lookup(c"_Py_NewReference") as usize;
    if caller == 0 {
        return Err("_Py_NewReference is not exported".into());
    }
    let (start, size) = symbol_at(caller as *const c_void).unwrap_or((0, 0));
    if start != caller || !(16..=256).contains(&size) {
        return Err("_Py_NewReference is not as expected".into());
    }
    let mapping = code_mapping(caller).ok_or("the interpreter's code is not mapped as expected")?;
    if !mapping.contains(&(caller + size)) {
        return Err("_Py_NewReference is not as expected".into());
    }
    // SAFETY: readable code, as just seen.
    let bytes = unsafe { std::slice::from_raw_parts(caller as *const u8, size) };
    let mut targets = Vec::new();
    for (at, window) in bytes.windows(5).enumerate() {
        // call rel32, or jmp rel32 where the compiler made a tail call of it.
        if window[0] != 0xe8 && window[0] != 0xe9 {
            continue;
        }
        let offset = i32::from_le_bytes([window[1], window[2], window[3], window[4]]);
        let address = (caller + at + 5).wrapping_add_signed(offset as isize);
        let is_inside = (caller..caller + size).contains(&address);
        if !is_inside && address.is_multiple_of(16) && mapping.contains(&address) {
            targets.push(address);
        }
    }
    let &[address] = targets.as_slice() else {
        return Err("_Py_NewReference does not make exactly one call".into());
    };
    if !mapping.contains(&(address + 2 * JUMP)) {
        return Err("the tracer's function is not as expected".into());
    }
    if let Some((symbol, size)) = symbol_at(address as *const c_void)
        && (symbol..symbol + size.max(1)).contains(&address)
    {
        return Err("_Py_NewReference calls an exported function".into());
    }
    Ok(address)
}

/// Two aligned words of code that have been changed.
pub struct Detour {
    address: usize,
    before: [u64; 2],
}

/// Replace two words of code: first a jump to itself, in one store, so that a
/// thread that comes by waits there; then the rest; then the final first word.
unsafe fn write(address: usize, words: [u64; 2]) -> Result<(), String> {
    const WAIT: u64 = 0xfeeb; // jmp to itself
    let first = address & !(page_size() - 1);
    let size = address + 16 - first;
    // SAFETY: the address is code of the interpreter, found by `target`; the
    // two words are aligned, so each store is seen whole.
    unsafe {
        let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        if libc::mprotect(first as *mut c_void, size, all) != 0 {
            return Err("the system does not let code be changed".into());
        }
        let word = |index: usize| &*((address + 8 * index) as *const AtomicU64);
        word(0).store(
            word(0).load(Ordering::SeqCst) & !0xffff | WAIT,
            Ordering::SeqCst,
        );
        word(1).store(words[1], Ordering::SeqCst);
        word(0).store(words[0], Ordering::SeqCst);
        libc::mprotect(
            first as *mut c_void,
            size,
            libc::PROT_READ | libc::PROT_EXEC,
        );
    }
    Ok(())
}

impl Detour {
    /// Send calls of the hidden function to `function`.
    ///
    /// # Safety
    /// Call with the GIL held and no other interpreter running; `function`
    /// takes what the hidden one takes.
    pub unsafe fn enter(function: *const c_void) -> Result<Self, String> {
        let address = target()?;
        // SAFETY: `target` has checked that these bytes are readable code.
        let before = unsafe { (address as *const [u64; 2]).read() };
        let mut bytes = [0u8; 16];
        bytes[..8].copy_from_slice(&before[0].to_le_bytes());
        bytes[8..].copy_from_slice(&before[1].to_le_bytes());
        // mov rax, function; jmp rax
        bytes[..2].copy_from_slice(&[0x48, 0xb8]);
        bytes[2..10].copy_from_slice(&(function as u64).to_le_bytes());
        bytes[10..JUMP].copy_from_slice(&[0xff, 0xe0]);
        let word = |half: &[u8]| {
            let mut word = [0u8; 8];
            word.copy_from_slice(half);
            u64::from_le_bytes(word)
        };
        // SAFETY: as the caller vouches.
        unsafe { write(address, [word(&bytes[..8]), word(&bytes[8..])])? };
        Ok(Detour { address, before })
    }

    /// Put the function back as it was.
    ///
    /// # Safety
    /// As for `enter`.
    pub unsafe fn leave(self) {
        // SAFETY: the same words as in `enter`. A failure leaves the jump, which
        // stays harmless: our function does nothing when nobody traces.
        let _ = unsafe { write(self.address, self.before) };
    }
}
