//! The blocks recorded last, so that it shows which of them do not live long.

use crate::exhausted::Exhausted;

/// Where hosts ask [`Recent::take_fresh`], a block's address has this bit clear.
const IS_OBJECT: usize = 1;

/// The last blocks, as many as are asked for.
#[derive(Debug, Default)]
pub struct Recent {
    /// The last one's address; with [`IS_OBJECT`] once its host has taken note of it.
    last: usize,
    /// Those before it, in a ring; usually none.
    older: Vec<usize>,
    /// Where in the ring the next one goes.
    next: usize,
}

impl Recent {
    /// Keep so many blocks, at least one.
    pub fn keep(&mut self, count: u16) -> Result<(), Exhausted> {
        let mut older = Vec::new();
        let count = usize::from(count.max(1)) - 1;
        older.try_reserve_exact(count)?;
        older.resize(count, 0);
        *self = Recent {
            older,
            ..Recent::default()
        };
        Ok(())
    }

    /// A block has been recorded.
    #[inline(always)]
    pub fn push(&mut self, address: usize) {
        if !self.older.is_empty() {
            self.push_older();
        }
        self.last = address;
    }

    /// Is only the last block kept?
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.older.is_empty()
    }

    /// As [`Recent::push`], where only the last block is kept.
    #[inline(always)]
    pub fn set_last(&mut self, address: usize) {
        debug_assert!(self.is_plain());
        self.last = address;
    }

    /// Is it the last block?
    #[inline(always)]
    pub fn is_last(&self, address: usize) -> bool {
        self.last | IS_OBJECT == address | IS_OBJECT
    }

    #[cold]
    #[inline(never)]
    fn push_older(&mut self) {
        self.older[self.next] = self.last | IS_OBJECT;
        self.next = (self.next + 1) % self.older.len();
    }

    /// Is a block among the last?
    #[inline(always)]
    pub fn contains(&self, address: usize) -> bool {
        self.is_last(address) || (!self.older.is_empty() && self.is_older(address))
    }

    #[cold]
    #[inline(never)]
    fn is_older(&self, address: usize) -> bool {
        self.older.contains(&(address | IS_OBJECT))
    }

    /// Is it the last block? Yes only once for each.
    #[inline]
    pub fn take_fresh(&mut self, address: usize) -> bool {
        let is_fresh = self.last == address;
        if is_fresh {
            self.last |= IS_OBJECT;
        }
        is_fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_is_fresh_once_and_recent_until_the_next() {
        let mut recent = Recent::default();
        recent.push(16);
        assert!(!recent.take_fresh(32) && recent.contains(16));
        assert!(recent.take_fresh(16) && !recent.take_fresh(16));
        assert!(recent.contains(16));
        recent.push(32);
        assert!(recent.contains(32) && !recent.contains(16));
    }

    proptest! {
        #[test]
        fn the_last_are_those_of_a_list(
            count in 1u16..6,
            blocks in proptest::collection::vec((1usize..12, any::<bool>()), 0..60),
        ) {
            let mut recent = Recent::default();
            recent.keep(count).unwrap();
            let mut list = Vec::new();
            for (block, is_taken) in blocks {
                let address = block * 16;
                recent.push(address);
                list.push(address);
                if is_taken {
                    recent.take_fresh(address);
                }
                for address in (1..12).map(|block| block * 16) {
                    let last = list.iter().rev().take(count.into());
                    prop_assert_eq!(recent.contains(address), last.clone().any(|each| *each == address));
                }
            }
        }
    }
}
