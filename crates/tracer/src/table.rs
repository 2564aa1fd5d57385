//! Live blocks by address: sixteen bytes a slot, no memory per block.
//!
//! Open addressing with linear probing and backward-shift deletion (no
//! tombstones). Blocks of one 64-byte line of memory begin their search in one
//! line of the table, since programs allocate and free neighbours together; with
//! longer stretches than that dense ones come to lie over each other.

use std::collections::HashMap;

use crate::exhausted::Exhausted;
use crate::owner::OwnerId;

/// Addresses must be below this (user space of every supported platform is).
pub const MAX_ADDRESS: usize = 1 << ADDRESS_BITS;

const ADDRESS_BITS: u32 = 48;
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;
/// In `Slot::size`: the size is in `BlockTable::large`.
const LARGE: u32 = u32::MAX;
/// In `Slot::word`, above the address.
const WATCHED: u64 = 1 << ADDRESS_BITS;
const SMALLEST: usize = 1 << 10;

/// One live block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its size in bytes.
    pub size: usize,
    /// Who allocated it, and who sees it.
    pub owner: OwnerId,
    /// The host asked to be told of its release.
    pub is_watched: bool,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The address in the low 48 bits, `WATCHED` above; 0 is an empty slot.
    word: u64,
    owner: u32,
    size: u32,
}

impl Slot {
    const EMPTY: Slot = Slot {
        word: 0,
        owner: 0,
        size: 0,
    };

    #[inline]
    fn address(self) -> u64 {
        self.word & ADDRESS_MASK
    }

    #[inline]
    fn is_watched(self) -> bool {
        self.word & WATCHED != 0
    }
}

/// The live blocks of one domain.
#[derive(Debug, Default)]
pub struct BlockTable {
    slots: Vec<Slot>,
    used: usize,
    large: HashMap<u64, usize>,
}

/// Where the search for an address begins in a table of `mask + 1` slots.
#[inline]
fn home(address: u64, mask: usize) -> usize {
    let line = (address >> 6).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The best bits of the product are the uppermost.
    let place = (line >> (mask as u64).leading_zeros()) as usize;
    (place & !3) | (address >> 4) as usize & 3
}

impl BlockTable {
    #[inline]
    fn find(&self, address: u64) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut position = home(address, mask);
        loop {
            let found = self.slots[position & mask].address();
            if found == address {
                return Some(position);
            }
            if found == 0 {
                return None;
            }
            position = (position + 1) & mask;
        }
    }

    #[inline]
    fn read(&self, slot: Slot) -> Block {
        let size = if slot.size == LARGE {
            self.large.get(&slot.address()).copied().unwrap_or(0)
        } else {
            slot.size as usize
        };
        Block {
            size,
            owner: OwnerId(slot.owner),
            is_watched: slot.is_watched(),
        }
    }

    /// Put a block in; what was known at its address is returned.
    #[inline]
    pub fn insert(&mut self, address: usize, block: Block) -> Result<Option<Block>, Exhausted> {
        if address == 0 || address >= MAX_ADDRESS {
            return Err(Exhausted);
        }
        if (self.used + 1) * 3 > self.slots.len() * 2 {
            self.grow()?;
        }
        let address = address as u64;
        let size = match u32::try_from(block.size) {
            Ok(size) if size != LARGE => size,
            _ => {
                self.large.try_reserve(1)?;
                LARGE
            }
        };
        let mask = self.slots.len() - 1;
        let mut position = home(address, mask);
        let mut found = self.slots[position].address();
        while found != 0 && found != address {
            position = (position + 1) & mask;
            found = self.slots[position].address();
        }
        let old = if found == 0 {
            self.used += 1;
            None
        } else {
            Some(self.forget_size(position))
        };
        if size == LARGE {
            self.large.insert(address, block.size);
        }
        self.slots[position] = Slot {
            word: address | u64::from(block.is_watched) << ADDRESS_BITS,
            owner: block.owner.0,
            size,
        };
        Ok(old)
    }

    /// The block in a slot, whose separately kept size (if any) is dropped.
    #[inline]
    fn forget_size(&mut self, position: usize) -> Block {
        let slot = self.slots[position];
        let block = self.read(slot);
        if slot.size == LARGE {
            self.large.remove(&slot.address());
        }
        block
    }

    /// The block at an address.
    pub fn get(&self, address: usize) -> Option<Block> {
        self.find(address as u64)
            .map(|position| self.read(self.slots[position]))
    }

    /// Ask to be told of the release of the block at this address, known or not.
    pub fn watch(&mut self, address: usize) -> Result<(), Exhausted> {
        let block = self.get(address).unwrap_or(Block {
            size: 0,
            owner: OwnerId::NOBODY,
            is_watched: true,
        });
        let is_watched = true;
        self.insert(
            address,
            Block {
                is_watched,
                ..block
            },
        )?;
        Ok(())
    }

    /// Take the block at an address out.
    #[inline]
    pub fn remove(&mut self, address: usize) -> Option<Block> {
        let position = self.find(address as u64)?;
        let block = self.forget_size(position);
        self.close(position);
        Some(block)
    }

    /// Empty a slot and move later ones of its run up, so that no search that
    /// passed over it stops too early.
    #[inline]
    fn close(&mut self, mut hole: usize) {
        let mask = self.slots.len() - 1;
        let mut position = hole;
        loop {
            position = (position + 1) & mask;
            let slot = self.slots[position];
            if slot.word == 0 {
                break;
            }
            let wanted = home(slot.address(), mask);
            // May it move to the hole? Only if its search passes there.
            if position.wrapping_sub(wanted) & mask >= position.wrapping_sub(hole) & mask {
                self.slots[hole] = slot;
                hole = position;
            }
        }
        self.slots[hole] = Slot::EMPTY;
        self.used -= 1;
    }

    /// Drop the blocks that `keep` says no to.
    pub fn retain(&mut self, mut keep: impl FnMut(Block) -> bool) {
        // Start behind an empty slot: then no run is entered in its middle and
        // everything moved up by a deletion is still ahead or right here.
        let Some(empty) = self.slots.iter().position(|slot| slot.word == 0) else {
            return;
        };
        let mask = self.slots.len() - 1;
        let mut step = 1;
        while step <= mask {
            let position = (empty + step) & mask;
            let slot = self.slots[position];
            if slot.word == 0 {
                step += 1;
                continue;
            }
            if keep(self.read(slot)) {
                step += 1;
            } else {
                self.forget_size(position);
                self.close(position);
            }
        }
    }

    /// Every block with its address, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Block)> + '_ {
        self.slots
            .iter()
            .filter(|slot| slot.word != 0)
            .map(|&slot| (slot.address() as usize, self.read(slot)))
    }

    /// Forget all blocks and give their memory back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.large.capacity() * size_of::<(u64, usize)>()
    }

    #[cold]
    fn grow(&mut self) -> Result<(), Exhausted> {
        let size = (self.slots.len() * 2).max(SMALLEST);
        let mask = size - 1;
        let mut slots = Vec::new();
        slots.try_reserve_exact(size)?;
        slots.resize(size, Slot::EMPTY);
        for &slot in self.slots.iter().filter(|slot| slot.word != 0) {
            let mut position = home(slot.address(), mask);
            while slots[position].word != 0 {
                position = (position + 1) & mask;
            }
            slots[position] = slot;
        }
        self.slots = slots;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(size: usize, id: u32) -> Block {
        Block {
            size,
            owner: OwnerId(id),
            is_watched: false,
        }
    }

    #[test]
    fn impossible_addresses_are_refused() {
        let mut table = BlockTable::default();
        assert_eq!(table.insert(0, block(1, 1)), Err(Exhausted));
        assert_eq!(table.insert(MAX_ADDRESS, block(1, 1)), Err(Exhausted));
        assert_eq!(table.remove(64), None);
        assert_eq!(table.memory(), 0);
    }

    #[test]
    fn sizes_beyond_four_gigabytes_are_exact() {
        let mut table = BlockTable::default();
        for size in [
            usize::MAX,
            1 << 40,
            u32::MAX as usize,
            u32::MAX as usize - 1,
            0,
        ] {
            table.insert(0x1000, block(size, 3)).unwrap();
            assert_eq!(table.get(0x1000), Some(block(size, 3)));
        }
        assert!(table.large.is_empty());
        table.insert(0x1000, block(1 << 40, 3)).unwrap();
        assert_eq!(table.remove(0x1000), Some(block(1 << 40, 3)));
        assert!(table.large.is_empty() && table.used == 0);
    }

    #[test]
    fn a_watched_block_keeps_what_it_was() {
        let mut table = BlockTable::default();
        table.insert(0x2000, block(5, 9)).unwrap();
        table.watch(0x2000).unwrap();
        table.watch(0x3000).unwrap();
        let known = table.remove(0x2000).unwrap();
        assert!(known.is_watched && known.size == 5 && known.owner == OwnerId(9));
        let unknown = table.remove(0x3000).unwrap();
        assert!(unknown.is_watched && unknown.owner == OwnerId::NOBODY);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(usize, usize, u32),
        Remove(usize),
        Watch(usize),
        DropOdd,
    }

    fn step() -> impl Strategy<Value = Step> {
        // Few addresses, near each other and far apart, so that runs collide.
        let address = (1usize..400, 0usize..6).prop_map(|(low, high)| low * 16 + (high << 33));
        prop_oneof![
            900 => (address.clone(), prop_oneof![0usize..100, Just(1 << 35)], 0u32..50)
                .prop_map(|(a, s, t)| Step::Insert(a, s, t)),
            400 => address.clone().prop_map(Step::Remove),
            100 => address.prop_map(Step::Watch),
            // Rarely, so that the table grows in between.
            1 => Just(Step::DropOdd),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn the_table_agrees_with_a_map(steps in proptest::collection::vec(step(), 0..2500)) {
            let mut table = BlockTable::default();
            let mut model: HashMap<usize, Block> = HashMap::new();
            for step in steps {
                match step {
                    Step::Insert(address, size, id) => {
                        let old = table.insert(address, block(size, id)).unwrap();
                        prop_assert_eq!(old, model.insert(address, block(size, id)));
                    }
                    Step::Remove(address) => {
                        prop_assert_eq!(table.remove(address), model.remove(&address));
                    }
                    Step::Watch(address) => {
                        table.watch(address).unwrap();
                        let known = model.entry(address).or_insert(Block {
                            size: 0, owner: OwnerId::NOBODY, is_watched: true });
                        known.is_watched = true;
                    }
                    Step::DropOdd => {
                        table.retain(|b| b.owner.0 % 2 == 0);
                        model.retain(|_, b| b.owner.0 % 2 == 0);
                    }
                }
                prop_assert_eq!(table.used, model.len());
            }
            let all: HashMap<usize, Block> = table.iter().collect();
            prop_assert_eq!(all, model);
        }
    }
}
