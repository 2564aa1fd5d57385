//! Whose function an address is in, told while recording, when there is no time
//! for debug information: by the symbol's name.
//!
//! To take the standard library's function for the program's would lose the line
//! that is looked for; the other way round only a frame too many is taken. So a
//! function counts as the program's if its whole name says so.

use std::sync::OnceLock;

use rustc_demangle::try_demangle;

/// Whose function it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Origin {
    /// Nobody can tell: no symbols, or not Rust.
    Unclear = 0,
    /// The program's, or that of a crate that it uses.
    Program = 1,
    /// The standard library's or wrasse's, perhaps with code of the program in it.
    Library = 2,
    /// A part of the tracer, without anything of others in it.
    Tracer = 3,
}

impl Origin {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
    #[inline]
    pub fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::Unclear,
            1 => Self::Program,
            2 => Self::Library,
            _ => Self::Tracer,
        }
    }
}

/// Crates of the standard library and of wrasse.
const LIBRARY: [&str; 15] = [
    "std",
    "core",
    "alloc",
    "test",
    "proc_macro",
    "panic_unwind",
    "panic_abort",
    "std_detect",
    "unwind",
    "__rustc",
    "wrasse",
    "wrasse_collector",
    "wrasse_tracer",
    "wrasse_allocator",
    "rustc_std_workspace_std",
];

/// Crates that the standard library has a copy of.
const PERHAPS_LIBRARY: [&str; 9] = [
    "hashbrown",
    "memchr",
    "gimli",
    "addr2line",
    "object",
    "miniz_oxide",
    "adler2",
    "rustc_demangle",
    "libc",
];

/// The crate that a path begins with, if it begins with one.
fn crate_of(path: &str) -> Option<&str> {
    let rest = path.trim_start_matches(['<', '&', '*', '[', '(', ' ']);
    let rest = ["mut ", "const ", "dyn ", "impl "]
        .iter()
        .find_map(|word| rest.strip_prefix(word))
        .unwrap_or(rest);
    let (name, _) = rest.split_once("::")?;
    let word = |c: char| c == '_' || c.is_alphanumeric();
    name.chars().all(word).then_some(name)
}

/// Whether a function with this demangled name is the standard library's or
/// wrasse's, as far as a name can tell.
pub fn is_library(name: &str) -> bool {
    let last = name.rsplit("::").next().unwrap_or(name);
    last.starts_with("__rust_")
        || last.starts_with("__rg_")
        || last.starts_with("__rdl_")
        || crate_of(name).is_some_and(|name| LIBRARY.contains(&name))
}

/// Whether a function without a file may be from the standard library's own copy
/// of another crate.
pub fn may_be_library(name: &str) -> bool {
    crate_of(name).is_some_and(|name| PERHAPS_LIBRARY.contains(&name))
}

/// The origin of a function with this demangled name.
fn origin_of(name: &str) -> Origin {
    if name.starts_with("wrasse::tracemalloc::record::")
        || name.starts_with("wrasse::tracemalloc::unwind::")
    {
        return Origin::Tracer;
    }
    let clear = |path: &str| {
        crate_of(path)
            .is_some_and(|name| !LIBRARY.contains(&name) && !PERHAPS_LIBRARY.contains(&name))
    };
    // `<Type as Trait>::function`: both have to be the program's.
    let mut parts = name.splitn(2, " as ");
    if is_library(name) || !parts.all(clear) {
        Origin::Library
    } else {
        Origin::Program
    }
}

/// Whose function the code before a return address is in.
pub fn origin(ip: usize) -> Origin {
    let Some(name) = platform::name_at(ip - 1) else {
        return Origin::Unclear;
    };
    let Some(name) = std::str::from_utf8(name)
        .ok()
        .and_then(|n| try_demangle(n).ok())
    else {
        return Origin::Unclear;
    };
    origin_of(&format!("{name:#}"))
}

pub use platform::{memory, prepare};
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
pub use platform::{program, range_of};

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod platform {
    //! The symbols of the program and of the module that this code is in.

    use std::ffi::{CStr, c_int, c_void};
    use std::fs::File;
    use std::ops::Range;
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use object::read::elf::ElfFile64;
    use object::{Object, ObjectSymbol, SymbolKind};

    use super::OnceLock;

    /// A loaded module.
    struct Module {
        /// What is added to the addresses of its file.
        bias: usize,
        /// Its code.
        code: Range<usize>,
        /// Its functions by address: beginning, size, name.
        functions: Vec<(usize, u32, &'static [u8])>,
    }

    static MODULES: OnceLock<Vec<Module>> = OnceLock::new();

    /// Reads the tables. Allocates, and takes a while the first time.
    pub fn prepare() {
        MODULES.get_or_init(|| {
            let mut loaded = loaded();
            let here = prepare as fn() as usize;
            let mut modules = Vec::new();
            for (index, (path, bias, code)) in loaded.iter_mut().enumerate() {
                if index == 0 || code.contains(&here) {
                    let path = if index == 0 { "/proc/self/exe" } else { path };
                    modules.push(Module {
                        bias: *bias,
                        code: code.clone(),
                        functions: functions(Path::new(path)).unwrap_or_default(),
                    });
                }
            }
            modules
        });
    }

    /// Bytes of the tables.
    pub fn memory() -> usize {
        let modules = MODULES.get().into_iter().flatten();
        let functions: usize = modules.map(|module| module.functions.capacity()).sum();
        functions * size_of::<(usize, u32, &[u8])>()
    }

    /// The symbol of the function that an address is in.
    pub fn name_at(address: usize) -> Option<&'static [u8]> {
        let modules = MODULES.get()?;
        let module = modules
            .iter()
            .find(|module| module.code.contains(&address))?;
        let offset = address.wrapping_sub(module.bias);
        let functions = &module.functions;
        let next = functions.partition_point(|(start, ..)| *start <= offset);
        let (start, size, name) = functions.get(next.checked_sub(1)?)?;
        (offset - start < *size as usize).then_some(*name)
    }

    /// The program's code.
    #[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
    pub fn program() -> Option<Range<usize>> {
        loaded().into_iter().next().map(|(_, _, code)| code)
    }

    /// The code of the module that an address is in.
    #[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
    pub fn range_of(address: usize) -> Option<Range<usize>> {
        let mut modules = loaded().into_iter().map(|(_, _, code)| code);
        modules.find(|code| code.contains(&address))
    }

    /// Path, bias and code of each loaded module, the program first.
    fn loaded() -> Vec<(String, usize, Range<usize>)> {
        unsafe extern "C" fn each(
            info: *mut libc::dl_phdr_info,
            _size: usize,
            modules: *mut c_void,
        ) -> c_int {
            // SAFETY: the loader passes what it knows of a module, and the vector
            // is the one below.
            unsafe {
                let modules = &mut *modules.cast::<Vec<(String, usize, Range<usize>)>>();
                let info = &*info;
                let bias = info.dlpi_addr as usize;
                let headers = if info.dlpi_phdr.is_null() {
                    &[]
                } else {
                    std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into())
                };
                let code = headers.iter().filter(|header| {
                    header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0
                });
                let ranges = code.map(|header| {
                    let start = bias.wrapping_add(header.p_vaddr as usize);
                    start..start.wrapping_add(header.p_memsz as usize)
                });
                let code = ranges
                    .reduce(|all, one| all.start.min(one.start)..all.end.max(one.end))
                    .unwrap_or_default();
                let path = if info.dlpi_name.is_null() {
                    String::new()
                } else {
                    let name = CStr::from_ptr(info.dlpi_name);
                    String::from_utf8_lossy(name.to_bytes()).into_owned()
                };
                modules.push((path, bias, code));
            }
            0
        }
        let mut modules: Vec<(String, usize, Range<usize>)> = Vec::new();
        // SAFETY: the function's contract is as above; it does not unwind.
        unsafe { libc::dl_iterate_phdr(Some(each), (&raw mut modules).cast()) };
        modules
    }

    /// A file's bytes, for as long as the program runs.
    fn map(path: &Path) -> Option<&'static [u8]> {
        let file = File::open(path).ok()?;
        let size = usize::try_from(file.metadata().ok()?.len()).ok()?;
        debug_assert!(!path.as_os_str().as_bytes().is_empty());
        // SAFETY: a new private mapping, which is never undone. That nobody
        // changes the file of a running program is what the loader relies on too.
        unsafe {
            let memory = libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            );
            (memory != libc::MAP_FAILED).then(|| std::slice::from_raw_parts(memory.cast(), size))
        }
    }

    fn functions(path: &Path) -> Option<Vec<(usize, u32, &'static [u8])>> {
        let file: ElfFile64<'static> = ElfFile64::parse(map(path)?).ok()?;
        let mut functions = Vec::new();
        for symbol in file.symbols() {
            if symbol.kind() == SymbolKind::Text && symbol.size() != 0 {
                let size = u32::try_from(symbol.size()).unwrap_or(u32::MAX);
                functions.push((symbol.address() as usize, size, symbol.name_bytes().ok()?));
            }
        }
        functions.sort_unstable_by_key(|(start, ..)| *start);
        functions.shrink_to_fit();
        Some(functions)
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod platform {
    //! Nothing is known.

    pub fn prepare() {}

    pub fn memory() -> usize {
        0
    }

    pub fn name_at(_: usize) -> Option<&'static [u8]> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_whose_function_it_is() {
        for (name, origin) in [
            ("zoo::main", Origin::Program),
            ("zoo::main::{{closure}}", Origin::Program),
            ("<zoo::Lion>::roar", Origin::Program),
            ("<zoo::Lion as zoo::Animal>::roar", Origin::Program),
            ("<zoo::Lion as core::clone::Clone>::clone", Origin::Library),
            ("<alloc::vec::Vec<T> as zoo::Animal>::roar", Origin::Library),
            ("alloc::raw_vec::RawVec<T,A>::grow_one", Origin::Library),
            (
                "<&mut core::str::Chars as core::iter::Iterator>::next",
                Origin::Library,
            ),
            ("<T as alloc::slice::ConvertVec>::to_vec", Origin::Library),
            (
                "hashbrown::raw::RawTable<T,A>::reserve_rehash",
                Origin::Library,
            ),
            ("__rustc::__rust_alloc", Origin::Library),
            ("zoo::_::__rust_alloc", Origin::Library),
            ("wrasse::pointer::Gc<T>::new", Origin::Library),
            ("wrasse::tracemalloc::record::allocated", Origin::Tracer),
        ] {
            assert_eq!(origin_of(name), origin, "{name}");
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    fn functions_of_the_program_are_found() {
        prepare();
        let here = prepare as fn() as usize;
        let name = platform::name_at(here).expect("tests have symbols");
        let name = std::str::from_utf8(name).unwrap();
        assert!(name.contains("prepare"), "{name}");
        assert!(memory() > 0);
    }
}
