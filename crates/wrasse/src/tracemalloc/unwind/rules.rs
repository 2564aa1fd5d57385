//! The fast walk: what the unwind tables say of a return address, remembered.
//!
//! For nearly all code the tables come down to a *rule*: the caller's frame lies
//! so far above the stack pointer or the base pointer, the return address is just
//! below it, and the caller's base pointer is in the register or in a slot. Such a
//! rule is read from the tables once for each return address and then kept in
//! [`RULES`]: a table of single words that threads read and write without a lock,
//! since each word says by itself whose rule it is.
//!
//! A rule is kept only for code that cannot be unloaded while the program runs:
//! the program itself, the module that this function is in, and the C library.
//! So a rule that is found is still right.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameOffset, NativeEndian, Reader, RegisterRule,
    UnwindContext, UnwindSection, X86_64,
};

use crate::tracemalloc::symbols::{self, Origin};

/// A frame of unusual form: the stack has to be walked in another way.
pub struct Unusual;

/// How to get from a function's registers to its caller's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Rule {
    base: Base,
    /// Words from the base to the caller's frame.
    up: u64,
    /// Words from the caller's frame down to its base pointer; 0: still in the register.
    slot: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Base {
    /// The stack pointer.
    Stack,
    /// The base pointer.
    Frame,
    Unusual,
    /// The first function of a thread: there is no caller.
    Outermost,
}

const INDEX_BITS: u32 = 16;
const WORDS: u64 = (1 << 14) - 1;

/// Rules by return address. `0` is an empty place; else
/// `| slot: 14 | up: 14 | base: 2 | origin: 2 | address without its lowest bits: 32 |`.
static RULES: [AtomicU64; 1 << INDEX_BITS] = [const { AtomicU64::new(0) }; 1 << INDEX_BITS];

/// Where a return address is looked up, and what tells it from others there.
///
/// The lowest bits of an address follow from its place and its upper bits, so
/// no two addresses have the same answer.
#[inline]
fn place(ip: usize) -> (usize, u64) {
    let upper = ip >> INDEX_BITS;
    let index = (ip ^ upper.wrapping_mul(0x9e37)) & ((1 << INDEX_BITS) - 1);
    (index, upper as u64)
}

impl Rule {
    const UNUSUAL: Self = Self {
        base: Base::Unusual,
        up: 0,
        slot: 0,
    };

    fn pack(self, origin: Origin, tag: u64) -> u64 {
        debug_assert!(self.up <= WORDS && self.slot <= WORDS && tag <= u32::MAX.into());
        self.slot << 50 | self.up << 36 | (self.base as u64) << 34 | (origin as u64) << 32 | tag
    }

    #[inline]
    fn unpack(word: u64) -> (Self, Origin) {
        let base = match word >> 34 & 3 {
            0 => Base::Stack,
            1 => Base::Frame,
            2 => Base::Unusual,
            _ => Base::Outermost,
        };
        let origin = Origin::from_bits((word >> 32) as u8 & 3);
        let rule = Self {
            base,
            up: word >> 36 & WORDS,
            slot: word >> 50,
        };
        (rule, origin)
    }
}

/// Code that stays: the program, this module, the C library.
static STAYING: OnceLock<[Range<usize>; 3]> = OnceLock::new();

/// Finds out what stays.
pub fn prepare() {
    STAYING.get_or_init(|| {
        let here = symbols::range_of(prepare as fn() as usize);
        let c_library =
            symbols::range_of(libc::malloc as unsafe extern "C" fn(usize) -> _ as usize);
        [symbols::program(), here, c_library].map(Option::unwrap_or_default)
    });
}

/// Calls `visit` with each return address and whose function it is in, the most
/// recent first, until it says that it is enough.
///
/// May only be called where the caller's frame is described by unwind tables,
/// as that of every Rust function on this platform is.
#[inline(always)]
pub fn walk(mut visit: impl FnMut(usize, Origin) -> bool) -> Result<(), Unusual> {
    let (mut ip, mut sp, mut bp): (usize, usize, usize);
    // SAFETY: reads three registers. `ip` is just behind an instruction, like a
    // return address, and the stack pointer does not move meanwhile.
    unsafe {
        std::arch::asm!(
            "lea {ip}, [rip]",
            "mov {sp}, rsp",
            "mov {bp}, rbp",
            ip = out(reg) ip,
            sp = out(reg) sp,
            bp = out(reg) bp,
            options(nomem, nostack, preserves_flags),
        );
    }
    loop {
        let (index, tag) = place(ip);
        let word = RULES[index].load(Ordering::Relaxed);
        let (rule, origin) = if word & u64::from(u32::MAX) == tag && word != 0 {
            Rule::unpack(word)
        } else {
            find(ip)
        };
        if !visit(ip, origin) {
            return Ok(());
        }
        let base = match rule.base {
            Base::Stack => sp,
            Base::Frame => bp,
            Base::Outermost => return Ok(()),
            Base::Unusual => return Err(Unusual),
        };
        let frame = base.wrapping_add(rule.up as usize * 8);
        if frame <= sp || frame % 8 != 0 {
            return Err(Unusual);
        }
        // SAFETY: the tables say that the caller's frame begins here, so the
        // return address is below, and the base pointer where the rule says.
        // Both are words of this thread's stack that nobody writes meanwhile.
        unsafe {
            if rule.slot != 0 {
                bp = *(std::ptr::with_exposed_provenance::<usize>(frame).sub(rule.slot as usize));
            }
            ip = *(std::ptr::with_exposed_provenance::<usize>(frame).sub(1));
        }
        if ip == 0 {
            return Ok(());
        }
        sp = frame;
    }
}

/// Reads the rule for a return address from the tables, and keeps it if it may.
#[cold]
#[inline(never)]
fn find(ip: usize) -> (Rule, Origin) {
    // SAFETY: `ip` is a return address on this thread's stack, so its module is loaded.
    let rule = unsafe { read(ip) }.unwrap_or(Rule::UNUSUAL);
    let origin = symbols::origin(ip);
    let stays = |modules: &[Range<usize>; 3]| modules.iter().any(|range| range.contains(&ip));
    let (index, tag) = place(ip);
    if tag <= u32::MAX.into() && STAYING.get().is_some_and(stays) {
        RULES[index].store(rule.pack(origin, tag), Ordering::Relaxed);
    }
    (rule, origin)
}

/// What `_Unwind_Find_FDE` answers besides.
#[repr(C)]
struct Bases {
    text: *const c_void,
    data: *const c_void,
    function: *const c_void,
}

unsafe extern "C" {
    /// The unwind table's entry for the function that an address is in: part of
    /// the unwinder that the standard library is linked to.
    fn _Unwind_Find_FDE(address: *const c_void, bases: *mut Bases) -> *const u8;
}

/// # Safety
/// The module that `ip` is in, if any, is loaded and stays so during the call.
unsafe fn read(ip: usize) -> Option<Rule> {
    // A call may be the last instruction of its function.
    let inside = ip - 1;
    let mut bases = Bases {
        text: std::ptr::null(),
        data: std::ptr::null(),
        function: std::ptr::null(),
    };
    // SAFETY: any address may be asked for. What comes back is an entry of a loaded
    // module's table: its length, how far before it its common part begins, and
    // so on, as the format has it.
    let (section, entry) = unsafe {
        let address = std::ptr::without_provenance(inside);
        let entry = _Unwind_Find_FDE(address, &mut bases);
        if entry.is_null() {
            return None;
        }
        let length = entry.cast::<u32>().read_unaligned();
        let back = entry.add(4).cast::<u32>().read_unaligned() as usize;
        if length == u32::MAX || back == 0 || back == u32::MAX as usize {
            return None;
        }
        let start = entry.wrapping_add(4).wrapping_sub(back);
        let offset = entry.addr().checked_sub(start.addr())?;
        let bytes = std::slice::from_raw_parts(start, offset + 4 + length as usize);
        (bytes, offset)
    };
    let mut table = EhFrame::new(section, NativeEndian);
    table.set_address_size(8);
    let addresses = BaseAddresses::default()
        .set_eh_frame(section.as_ptr().addr() as u64)
        .set_text(bases.text.addr() as u64)
        .set_got(bases.data.addr() as u64);
    rule_at(&table, &addresses, entry, inside as u64)
}

fn rule_at<R: Reader<Offset = usize>>(
    table: &EhFrame<R>,
    addresses: &BaseAddresses,
    entry: usize,
    ip: u64,
) -> Option<Rule> {
    let entry = table
        .fde_from_offset(addresses, EhFrameOffset(entry), EhFrame::cie_from_offset)
        .ok()?;
    if entry.cie().is_signal_trampoline() {
        return None;
    }
    let mut context = UnwindContext::new();
    let row = entry
        .unwind_info_for_address(table, addresses, &mut context, ip)
        .ok()?;
    let words = |bytes: i64| -> Option<u64> {
        let words = u64::try_from(bytes).ok()?;
        (words % 8 == 0 && words / 8 <= WORDS).then_some(words / 8)
    };
    let (base, up) = match *row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            let base = match register {
                X86_64::RSP => Base::Stack,
                X86_64::RBP => Base::Frame,
                _ => return None,
            };
            (base, words(offset)?)
        }
        CfaRule::Expression(_) => return None,
    };
    match row.register(X86_64::RA) {
        Some(RegisterRule::Offset(-8)) => {}
        Some(RegisterRule::Undefined) => {
            return Some(Rule {
                base: Base::Outermost,
                up: 0,
                slot: 0,
            });
        }
        _ => return None,
    }
    let slot = match row.register(X86_64::RBP) {
        None | Some(RegisterRule::SameValue) => 0,
        Some(RegisterRule::Offset(offset)) => words(-offset).filter(|words| *words != 0)?,
        _ => return None,
    };
    Some(Rule { base, up, slot })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_survive_packing() {
        for base in [Base::Stack, Base::Frame, Base::Unusual, Base::Outermost] {
            for origin in [
                Origin::Unclear,
                Origin::Program,
                Origin::Library,
                Origin::Tracer,
            ] {
                let rule = Rule {
                    base,
                    up: WORDS,
                    slot: 5,
                };
                let word = rule.pack(origin, u32::MAX.into());
                assert_eq!(Rule::unpack(word), (rule, origin));
                assert_eq!(word & u64::from(u32::MAX), u32::MAX.into());
            }
        }
    }

    /// The stack as both walks see it, the fast one first.
    #[inline(never)]
    fn both() -> (Vec<usize>, Vec<usize>) {
        prepare();
        let mut fast = Vec::new();
        let walked = walk(|ip, _| {
            fast.push(ip);
            true
        });
        assert!(walked.is_ok(), "a frame of unusual form");
        let mut slow = Vec::new();
        backtrace::trace(|frame| {
            slow.push(frame.ip().addr());
            true
        });
        (fast, slow)
    }

    #[inline(never)]
    fn aligned(depth: usize) -> (Vec<usize>, Vec<usize>) {
        // A frame that the compiler has to align by itself.
        #[repr(align(128))]
        struct Aligned(usize);
        let local = std::hint::black_box(Aligned(depth));
        let both = if local.0 == 0 {
            both()
        } else {
            aligned(depth - 1)
        };
        std::hint::black_box(&local);
        both
    }

    #[test]
    fn both_walks_see_the_same_stack() {
        let compare = |(fast, slow): (Vec<usize>, Vec<usize>)| {
            assert!(fast.len() > 5, "{fast:x?}");
            // They differ in where in `both`, and in what below it, they begin.
            let own = slow
                .iter()
                .position(|ip| *ip == fast[1])
                .expect("the caller of `both`");
            assert_eq!(fast[1..], slow[own..][..fast.len() - 1]);
            assert!(
                slow[own..].len() - (fast.len() - 1) <= 1,
                "nothing is missing"
            );
        };
        compare(both());
        compare(aligned(3));
        std::thread::spawn(move || compare(aligned(1)))
            .join()
            .unwrap();
        // With frames of the C library between ours.
        extern "C" fn order(_: *const c_void, _: *const c_void) -> std::ffi::c_int {
            SEEN.set(Some(both()));
            0
        }
        thread_local!(static SEEN: std::cell::Cell<Option<(Vec<usize>, Vec<usize>)>> = const { std::cell::Cell::new(None) });
        let mut numbers = [3, 1, 2];
        // SAFETY: an array of three numbers, which are not looked at.
        unsafe { libc::qsort(numbers.as_mut_ptr().cast(), 3, 4, Some(order)) };
        compare(SEEN.take().unwrap());
    }

    #[test]
    fn places_tell_addresses_apart() {
        let mut seen = std::collections::HashSet::new();
        for ip in (0x5555_0000_0000_usize..).step_by(7).take(300_000) {
            assert!(seen.insert(place(ip)));
        }
        assert!(place(usize::MAX >> 16).1 <= u32::MAX.into());
    }
}
