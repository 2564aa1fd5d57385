//! The import slots of extension modules.
//!
//! Extensions report memory with `PyTraceMalloc_Track` and `_Untrack`. numpy,
//! for one, allocates an array's data as raw memory, takes that block out of
//! domain 0 again and reports it in a domain of its own. The functions that the
//! interpreter exports know nothing of wrasse's tables, so while the program
//! traces, calls of them are led here: a shared object calls an imported function
//! through a pointer in its own data, which the dynamic linker has filled in, and
//! that pointer is made to point to ours. No code is changed.
//!
//! Ours do what the exported ones do, for the program's view; while that does not
//! record they pass the call on, so a pointer once set stays. Whoever asks the
//! linker for the exported functions themselves (`dlsym`, ctypes) gets them, and
//! what he reports is with the stock tracer (`sidecar.rs`).
//!
//! Everything read from a shared object is checked to lie in it first. Where
//! anything is not as expected, the object is left as it is.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::mem;
use std::ops::Range;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use pyo3_ffi::*;
use wrasse_tracer::MAX_ADDRESS;

use super::mappings::{self, Mapping};
use super::{VIEW, is_on, traceback_of};
use crate::process::page_size;
use crate::{hooks, symbols};

const NOT_TRACING: c_int = -2;

type Track = unsafe extern "C" fn(c_uint, usize, usize) -> c_int;
type Untrack = unsafe extern "C" fn(c_uint, usize) -> c_int;
type GetTraceback = unsafe extern "C" fn(c_uint, usize) -> *mut PyObject;

/// The exported functions.
struct Exported {
    track: Track,
    untrack: Untrack,
    get_traceback: GetTraceback,
}

fn exported() -> Option<&'static Exported> {
    static EXPORTED: OnceLock<Option<Exported>> = OnceLock::new();
    let find = || {
        let [track, untrack, get_traceback] = NAMES.map(symbols::lookup);
        if track.is_null() || untrack.is_null() || get_traceback.is_null() {
            return None;
        }
        // SAFETY: these are the functions' types in every version.
        unsafe {
            Some(Exported {
                track: mem::transmute::<*mut c_void, Track>(track),
                untrack: mem::transmute::<*mut c_void, Untrack>(untrack),
                get_traceback: mem::transmute::<*mut c_void, GetTraceback>(get_traceback),
            })
        }
    };
    EXPORTED.get_or_init(find).as_ref()
}

/// Can the tracer's tables hold this address? Memory of other devices may have
/// any; what cannot be held is left to the stock tracer.
fn is_representable(address: usize) -> bool {
    (1..MAX_ADDRESS).contains(&address)
}

/// In place of `PyTraceMalloc_Track`: may be called without the GIL.
unsafe extern "C" fn track(domain: c_uint, address: usize, size: usize) -> c_int {
    let Some(exported) = exported() else {
        return NOT_TRACING;
    };
    // SAFETY: called as the exported functions may be.
    unsafe {
        if !is_on() || !is_representable(address) {
            return (exported.track)(domain, address, size);
        }
        // It may have been reported before this module's slots were set.
        (exported.untrack)(domain, address);
        match hooks::track(VIEW, domain, address, size) {
            Ok(true) => 0,
            Ok(false) => NOT_TRACING,
            Err(_) => -1,
        }
    }
}

/// In place of `PyTraceMalloc_Untrack`: may be called without the GIL.
unsafe extern "C" fn untrack(domain: c_uint, address: usize) -> c_int {
    if is_on() && hooks::untrack(VIEW, domain, address) {
        return 0;
    }
    match exported() {
        // SAFETY: called as the exported function may be.
        Some(exported) => unsafe { (exported.untrack)(domain, address) },
        None => NOT_TRACING,
    }
}

/// In place of `_PyTraceMalloc_GetTraceback`, which has the GIL: a new
/// reference, or null and an exception.
unsafe extern "C" fn get_traceback(domain: c_uint, address: usize) -> *mut PyObject {
    // SAFETY: called with the GIL held.
    unsafe {
        let found = traceback_of(domain, address);
        match exported() {
            Some(exported) if found == Py_None() => {
                Py_DECREF(found);
                (exported.get_traceback)(domain, address)
            }
            _ => found,
        }
    }
}

const NAMES: [&CStr; 3] = [
    c"PyTraceMalloc_Track",
    c"PyTraceMalloc_Untrack",
    c"_PyTraceMalloc_GetTraceback",
];

/// The functions that `NAMES` are led to, and the ones exported.
fn replacements() -> Option<[(usize, usize); 3]> {
    let exported = exported()?;
    Some([
        (track as *const () as usize, exported.track as usize),
        (untrack as *const () as usize, exported.untrack as usize),
        (
            get_traceback as *const () as usize,
            exported.get_traceback as usize,
        ),
    ])
}

/// Words of the dynamic section (`DT_*`), and the two kinds of relocations that
/// fill in such a slot (`R_X86_64_*`).
mod elf {
    pub const NULL: usize = 0;
    pub const PLT_SIZE: usize = 2;
    pub const STRINGS: usize = 5;
    pub const SYMBOLS: usize = 6;
    pub const RELOCATIONS: usize = 7;
    pub const RELOCATIONS_SIZE: usize = 8;
    pub const STRINGS_SIZE: usize = 10;
    pub const PLT: usize = 23;
    pub const GLOBAL_DATA: u64 = 6;
    pub const JUMP_SLOT: u64 = 7;
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Relocation {
    offset: u64,
    info: u64,
    addend: i64,
}

/// A slot, and which of `NAMES` it is for.
struct Slot {
    address: usize,
    name: usize,
}

/// A loaded shared object.
struct Object {
    base: usize,
    /// What is mapped of it and can be read; code or not.
    segments: Vec<(Range<usize>, bool)>,
    dynamic: Range<usize>,
}

impl Object {
    /// # Safety
    /// `info` is what `dl_iterate_phdr` gives.
    unsafe fn new(info: &libc::dl_phdr_info) -> Option<Self> {
        if info.dlpi_phdr.is_null() {
            return None;
        }
        let base = info.dlpi_addr as usize;
        // SAFETY: as the caller vouches.
        let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        let range = |header: &libc::Elf64_Phdr| {
            let start = base.wrapping_add(header.p_vaddr as usize);
            start..start.saturating_add(header.p_memsz as usize)
        };
        let is_readable =
            |h: &&libc::Elf64_Phdr| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_R != 0;
        let is_code = |h: &libc::Elf64_Phdr| h.p_flags & libc::PF_X != 0;
        let dynamic = headers.iter().find(|h| h.p_type == libc::PT_DYNAMIC)?;
        Some(Object {
            base,
            segments: headers
                .iter()
                .filter(is_readable)
                .map(|h| (range(h), is_code(h)))
                .collect(),
            dynamic: range(dynamic),
        })
    }

    /// The segment that an address is in, from there on.
    fn rest(&self, address: usize) -> Option<usize> {
        let mut segments = self.segments.iter();
        let (range, _) = segments.find(|(range, _)| range.contains(&address))?;
        Some(range.end - address)
    }

    fn is_code(&self, address: usize) -> bool {
        let mut segments = self.segments.iter();
        segments.any(|(range, is_code)| *is_code && range.contains(&address))
    }

    /// `size` bytes at an address, as `T`s.
    fn view<T: Copy>(&self, address: usize, size: usize) -> Option<&[T]> {
        if self.rest(address)? < size || !address.is_multiple_of(align_of::<T>()) {
            return None;
        }
        // SAFETY: the bytes lie in a readable segment that stays mapped while
        // its object is visited; the types used are plain numbers.
        Some(unsafe { slice::from_raw_parts(address as *const T, size / size_of::<T>()) })
    }

    /// The dynamic linker adds the base to addresses in the dynamic section,
    /// but not in every object and not on every system.
    fn place(&self, value: usize) -> Option<usize> {
        let moved = self.base.wrapping_add(value);
        let mut places = [value, moved].into_iter();
        places.find(|&place| self.rest(place).is_some())
    }

    /// The slots for our names. Nothing if the object cannot be understood.
    fn slots(&self) -> Option<Vec<Slot>> {
        let mut words = [0; 24];
        let dynamic = self.view::<[usize; 2]>(self.dynamic.start, self.dynamic.len())?;
        for &[tag, value] in dynamic.iter().take_while(|[tag, _]| *tag != elf::NULL) {
            if let Some(word) = words.get_mut(tag) {
                *word = value;
            }
        }
        let strings = self.view(self.place(words[elf::STRINGS])?, words[elf::STRINGS_SIZE])?;
        let symbols = self.place(words[elf::SYMBOLS])?;
        let mut slots = Vec::new();
        for (table, size) in [
            (elf::PLT, elf::PLT_SIZE),
            (elf::RELOCATIONS, elf::RELOCATIONS_SIZE),
        ] {
            if words[table] == 0 || words[size] == 0 {
                continue;
            }
            let relocations = self.view::<Relocation>(self.place(words[table])?, words[size])?;
            for relocation in relocations {
                if !matches!(
                    relocation.info & 0xffff_ffff,
                    elf::GLOBAL_DATA | elf::JUMP_SLOT
                ) {
                    continue;
                }
                let symbol = (relocation.info >> 32) as usize;
                let Some(name) = self.name_of(symbols, symbol, strings) else {
                    continue;
                };
                let address = self.base.wrapping_add(relocation.offset as usize);
                // To be read and written as a whole.
                self.view::<usize>(address, size_of::<usize>())?;
                slots.push(Slot { address, name });
            }
        }
        Some(slots)
    }

    /// Which of our names an imported symbol has.
    fn name_of(&self, symbols: usize, symbol: usize, strings: &[u8]) -> Option<usize> {
        /// An entry of the symbol table, in words of four bytes: the first is
        /// the place of its name.
        const SYMBOL: usize = 24;
        let address = symbols.checked_add(symbol.checked_mul(SYMBOL)?)?;
        let &start = self.view::<u32>(address, SYMBOL)?.first()?;
        let rest = strings.get(start as usize..)?;
        NAMES
            .iter()
            .position(|name| rest.starts_with(name.to_bytes_with_nul()))
    }
}

/// Let the page of an address be written to, or no longer.
fn protect(address: usize, rights: c_int) -> bool {
    let page = page_size();
    let start = address & !(page - 1);
    // SAFETY: the page belongs to a loaded object's data; reading stays allowed.
    unsafe { libc::mprotect(start as *mut c_void, page, rights) == 0 }
}

/// What has been seen of the loaded objects.
struct Scanner {
    /// The linker's counts of objects that came and went.
    counts: (u64, u64),
    /// Objects that need no further look, by base and headers.
    done: Vec<(usize, usize)>,
    mappings: Vec<Mapping>,
}

static SCANNER: Mutex<Scanner> = Mutex::new(Scanner {
    counts: (0, 0),
    done: Vec::new(),
    mappings: Vec::new(),
});

/// Lead calls of objects that were loaded since the last time to our functions.
/// Costs next to nothing when there are none.
pub fn refresh() {
    // Whoever has the lock is just doing it; in the child of a fork it may have
    // been held by a thread that is gone.
    let Ok(mut scanner) = SCANNER.try_lock() else {
        return;
    };
    let mut counts = (0, 0);
    // SAFETY: the callbacks take what is passed here.
    unsafe {
        libc::dl_iterate_phdr(Some(count), (&raw mut counts).cast());
        if counts == scanner.counts {
            return;
        }
        if counts.1 != scanner.counts.1 {
            // Another object may be where one that was seen has been.
            scanner.done.clear();
        }
        // Before the look: an object that comes during it makes another.
        scanner.counts = counts;
        libc::dl_iterate_phdr(Some(visit), (&raw mut *scanner).cast());
    }
    scanner.mappings = Vec::new();
}

unsafe extern "C" fn count(info: *mut libc::dl_phdr_info, size: usize, data: *mut c_void) -> c_int {
    if size >= size_of::<libc::dl_phdr_info>() {
        // SAFETY: the linker's own record, of full length; `refresh` passes a
        // place for two counts.
        unsafe { *data.cast::<(u64, u64)>() = ((*info).dlpi_adds, (*info).dlpi_subs) };
    }
    1
}

unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _: usize, data: *mut c_void) -> c_int {
    // SAFETY: the linker's own record; `refresh` passes the scanner that it has
    // locked. The linker unloads nothing meanwhile.
    let (info, scanner) = unsafe { (&*info, &mut *data.cast::<Scanner>()) };
    let identity = (info.dlpi_addr as usize, info.dlpi_phdr as usize);
    if scanner.done.contains(&identity) {
        return 0;
    }
    // SAFETY: as above.
    let object = unsafe { Object::new(info) };
    let is_done = object.is_none_or(|object| scanner.set(&object));
    if is_done {
        scanner.done.push(identity);
    }
    0
}

impl Scanner {
    /// Set an object's slots: all or, if something is in the way, none, since
    /// what is reported to one tracer must not be taken back from the other.
    /// No if it may be worth another try.
    fn set(&mut self, object: &Object) -> bool {
        let Some(replacements) = replacements() else {
            return true;
        };
        if object.is_code(replacements[0].0) {
            // Our own.
            return true;
        }
        let slots = object.slots().unwrap_or_default();
        let mut writable = Vec::new();
        for slot in slots {
            let (ours, exported) = replacements[slot.name];
            // SAFETY: `slots` has checked that a word can be read here; the linker
            // may be writing to it, which it does at once.
            let value = unsafe { &*(slot.address as *const AtomicUsize) }.load(Ordering::Relaxed);
            if value == ours {
                continue;
            }
            // Bound to the exported function, or not bound yet: then it points to
            // code of the object that asks the linker. Otherwise another tool was
            // faster, or the linker has not come to it.
            if value != exported && !object.is_code(value) {
                return false;
            }
            if self.mappings.is_empty() {
                self.mappings = mappings::read();
            }
            let rights = mappings::find(&self.mappings, slot.address).map(|m| m.rights);
            match rights.as_ref() {
                Some(b"rw-p") => writable.push((slot.address, ours, false)),
                Some(b"r--p") => writable.push((slot.address, ours, true)),
                _ => return true,
            }
        }
        let (read, write) = (libc::PROT_READ, libc::PROT_READ | libc::PROT_WRITE);
        let protected = || writable.iter().filter(|(_, _, is_protected)| *is_protected);
        let is_open = protected().all(|&(address, ..)| protect(address, write));
        if is_open {
            for &(address, ours, _) in &writable {
                // SAFETY: a slot for a function of this type, in memory that can
                // be written to, aligned: whoever calls through it meanwhile
                // gets the one or the other.
                unsafe { &*(address as *const AtomicUsize) }.store(ours, Ordering::Release);
            }
        }
        for &(address, ..) in protected() {
            protect(address, read);
        }
        true
    }
}
