//! Which sizes of blocks there are: steps of 16 bytes to 1 KiB, then four a doubling.

/// The largest block that comes from a pool.
pub const LARGEST: usize = 8192;
/// The number of size classes.
pub const CLASSES: usize = FINE + 12;
/// Every block's address is a multiple of this.
pub const ALIGNMENT: usize = 16;

const FINE: usize = 64;
const FINE_LIMIT: usize = FINE * ALIGNMENT;

const SIZES: [u16; CLASSES] = sizes();
/// The class of each size in units of 16 bytes, rounded up.
static OF_UNITS: [u8; LARGEST / ALIGNMENT + 1] = of_units();

const fn sizes() -> [u16; CLASSES] {
    let mut sizes = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        sizes[class] = if class < FINE {
            ((class + 1) * ALIGNMENT) as u16
        } else {
            let doubling = FINE_LIMIT << ((class - FINE) / 4);
            (doubling + doubling / 4 * ((class - FINE) % 4 + 1)) as u16
        };
        class += 1;
    }
    sizes
}

const fn of_units() -> [u8; LARGEST / ALIGNMENT + 1] {
    let mut table = [0; LARGEST / ALIGNMENT + 1];
    let (mut units, mut class) = (0, 0);
    while units < table.len() {
        while (sizes()[class] as usize) < units * ALIGNMENT {
            class += 1;
        }
        table[units] = class as u8;
        units += 1;
    }
    table
}

/// The class for blocks of at least `size` bytes.
///
/// # Safety
/// `size` is at most [`LARGEST`].
#[inline(always)]
pub(crate) unsafe fn of_size_unchecked(size: usize) -> usize {
    debug_assert!(size <= LARGEST);
    // SAFETY: the caller passes at most LARGEST, whose units are the last index.
    unsafe { *OF_UNITS.get_unchecked((size + (ALIGNMENT - 1)) >> ALIGNMENT.ilog2()) as usize }
}

/// The class for blocks of at least `size` bytes, without a look at the table for
/// small ones; `None` for 0 and for what pools have no blocks of.
#[inline(always)]
pub(crate) fn of_common_size(size: usize) -> Option<usize> {
    if size.wrapping_sub(1) < FINE_LIMIT {
        return Some((size - 1) / ALIGNMENT);
    }
    // SAFETY: just compared.
    (size.wrapping_sub(1) < LARGEST).then(|| unsafe { of_size_unchecked(size) })
}

/// The class for blocks of at least `size` bytes, if pools have blocks of that size.
#[inline]
pub fn of_size(size: usize) -> Option<usize> {
    // SAFETY: just compared.
    (size <= LARGEST).then(|| unsafe { of_size_unchecked(size) })
}

/// The size of a class's blocks.
#[inline]
pub const fn block_size(class: usize) -> usize {
    SIZES[class] as usize
}

const _: () = assert!(block_size(CLASSES - 1) == LARGEST);
const _: () = assert!(CLASSES <= u8::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_size_gets_the_smallest_class_that_fits() {
        for size in 0..=LARGEST {
            let class = of_size(size).unwrap();
            assert!(block_size(class) >= size);
            assert!(class == 0 || block_size(class - 1) < size);
            assert_eq!(of_common_size(size), (size > 0).then_some(class));
        }
        assert_eq!(of_common_size(LARGEST + 1), None);
        assert_eq!(of_size(LARGEST + 1), None);
    }

    #[test]
    fn sizes_grow_in_aligned_steps_of_at_most_a_quarter() {
        for class in 1..CLASSES {
            let (below, size) = (block_size(class - 1), block_size(class));
            assert!(size > below && size % ALIGNMENT == 0);
            assert!(size - below <= ALIGNMENT.max(below / 4), "{below} {size}");
        }
    }
}
