//! Where the interpreter's own code and objects are in memory.

use std::ffi::{c_int, c_void};
use std::ops::Range;

/// A program or library as it was loaded; see [`around`].
#[derive(Default)]
pub struct Image {
    /// From its first segment to its last, with what is between them.
    pub whole: Range<usize>,
    /// The segment with the address.
    pub segment: Range<usize>,
}

/// The image that has `address`; one of no addresses if it is in none.
pub fn around(address: usize) -> Image {
    struct Search {
        address: usize,
        found: Image,
    }
    extern "C" fn visit(info: *mut libc::dl_phdr_info, _: usize, search: *mut c_void) -> c_int {
        // SAFETY: the system passes what it describes, and what it was given below.
        unsafe {
            let (info, search) = (&*info, &mut *search.cast::<Search>());
            let (mut first, mut last) = (usize::MAX, 0);
            for index in 0..usize::from(info.dlpi_phnum) {
                let header = &*info.dlpi_phdr.add(index);
                if header.p_type == libc::PT_LOAD {
                    let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
                    let end = start.wrapping_add(header.p_memsz as usize);
                    (first, last) = (first.min(start), last.max(end));
                    if (start..end).contains(&search.address) {
                        search.found.segment = start..end;
                    }
                }
            }
            let is_here = !search.found.segment.is_empty();
            if is_here {
                search.found.whole = first..last;
            }
            c_int::from(is_here)
        }
    }
    let mut search = Search {
        address,
        found: Image::default(),
    };
    // SAFETY: `visit` gets the address of `search`, for the time of the call.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
    search.found
}
