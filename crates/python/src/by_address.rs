//! Tables by the addresses of objects, and by other numbers that are spread already.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// Multiplies by a constant: addresses need no more.
#[derive(Clone, Copy, Default)]
pub struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

/// Makes hashers of addresses.
pub type Spread = BuildHasherDefault<AddressHasher>;
/// A table by address.
pub type ByAddress<T> = HashMap<usize, T, Spread>;
/// Addresses.
pub type Addresses = HashSet<usize, Spread>;
