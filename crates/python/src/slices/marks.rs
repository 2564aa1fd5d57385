//! Two bits for each address at which an object may be: *reached*, and *scanned*.
//!
//! They are kept beside the heap, so that objects, links and CPython's own
//! collections know nothing of them between two slices. Nothing follows from a
//! bit: the object it was set for may be gone and another one in its place. Only
//! time is lost to that.
//!
//! Addresses have 47 bits, of which the upper 27 lead to a leaf in two steps. A
//! leaf is for a MiB and takes 16 KiB of memory.

use std::alloc::{Layout, alloc_zeroed};

/// Objects begin at multiples of 16.
const GRANULE_SHIFT: u32 = 4;
const LEAF_SHIFT: u32 = 20;
const BRANCH_SHIFT: u32 = 34;
const ADDRESS_BITS: u32 = 47;
const WORDS: usize = 1 << (LEAF_SHIFT - GRANULE_SHIFT - 6);

struct Leaf {
    reached: [u64; WORDS],
    scanned: [u64; WORDS],
}

type Branch = [Option<Box<Leaf>>; 1 << (BRANCH_SHIFT - LEAF_SHIFT)];
type Root = [Option<Box<Branch>>; 1 << (ADDRESS_BITS - BRANCH_SHIFT)];

/// See the module.
pub struct Marks {
    root: Box<Root>,
}

/// There is no memory for a mark.
pub struct NoMemory;

/// A box of zeros.
///
/// # Safety
/// Zeros are a valid `T`, which is not of size 0.
unsafe fn zeros<T>() -> Result<Box<T>, NoMemory> {
    // SAFETY: the caller's contract; the block is a box's from here on.
    unsafe {
        let block = alloc_zeroed(Layout::new::<T>()).cast::<T>();
        if block.is_null() {
            return Err(NoMemory);
        }
        Ok(Box::from_raw(block))
    }
}

#[inline]
fn place(address: usize) -> (usize, u64) {
    let granule = address >> GRANULE_SHIFT;
    (granule >> 6 & (WORDS - 1), 1 << (granule & 63))
}

impl Marks {
    /// Nothing is marked.
    pub fn new() -> Result<Self, NoMemory> {
        // SAFETY: an array of empty options of boxes, which zeros are.
        let root = unsafe { zeros::<Root>()? };
        Ok(Self { root })
    }

    #[inline]
    fn leaf(&self, address: usize) -> Option<&Leaf> {
        let branch = self.root.get(address >> BRANCH_SHIFT)?.as_deref()?;
        branch[address >> LEAF_SHIFT & (branch.len() - 1)].as_deref()
    }

    #[inline]
    fn leaf_mut(&mut self, address: usize) -> Option<&mut Leaf> {
        let branch = self.root.get_mut(address >> BRANCH_SHIFT)?.as_deref_mut()?;
        branch[address >> LEAF_SHIFT & (branch.len() - 1)].as_deref_mut()
    }

    #[cold]
    fn add_leaf(&mut self, address: usize) -> Result<&mut Leaf, NoMemory> {
        let branch = self.root.get_mut(address >> BRANCH_SHIFT).ok_or(NoMemory)?;
        let branch = match branch {
            Some(branch) => branch,
            // SAFETY: as in `new`.
            empty => empty.insert(unsafe { zeros::<Branch>()? }),
        };
        let leaf = &mut branch[address >> LEAF_SHIFT & ((1 << (BRANCH_SHIFT - LEAF_SHIFT)) - 1)];
        match leaf {
            Some(leaf) => Ok(leaf),
            // SAFETY: a leaf is an array of words.
            empty => Ok(empty.insert(unsafe { zeros::<Leaf>()? })),
        }
    }

    /// Marks `address` as reached; says whether it was not yet.
    #[inline]
    pub fn reach(&mut self, address: usize) -> Result<bool, NoMemory> {
        let (word, bit) = place(address);
        let leaf = match self.leaf_mut(address) {
            Some(leaf) => leaf,
            None => self.add_leaf(address)?,
        };
        let new = leaf.reached[word] & bit == 0;
        leaf.reached[word] |= bit;
        Ok(new)
    }

    /// Whether `address` is reached.
    #[inline]
    pub fn is_reached(&self, address: usize) -> bool {
        let (word, bit) = place(address);
        self.leaf(address)
            .is_some_and(|leaf| leaf.reached[word] & bit != 0)
    }

    /// Whether `address` is reached and not scanned.
    #[inline]
    pub fn is_waiting(&self, address: usize) -> bool {
        let (word, bit) = place(address);
        self.leaf(address)
            .is_some_and(|leaf| leaf.reached[word] & !leaf.scanned[word] & bit != 0)
    }

    /// Says that `address`, which is reached, is `scanned`, or that it has to be anew.
    #[inline]
    pub fn set_scanned(&mut self, address: usize, scanned: bool) {
        let (word, bit) = place(address);
        if let Some(leaf) = self.leaf_mut(address) {
            debug_assert!(leaf.reached[word] & bit != 0);
            leaf.scanned[word] = leaf.scanned[word] & !bit | if scanned { bit } else { 0 };
        }
    }
}
