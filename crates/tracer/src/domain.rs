//! Blocks that are not memory of the host's own allocator: graphics memory,
//! array buffers and the like, told apart by a number.

use crate::exhausted::Exhausted;
use crate::table::{Block, BlockTable};

/// The tables of all domains but 0, which is the host's own and lives apart.
///
/// Few domains are ever in use and their events are rare, so they are simply a
/// list.
#[derive(Debug, Default)]
pub struct Domains {
    tables: Vec<(u32, BlockTable)>,
}

impl Domains {
    /// The table of a domain, if anything was ever recorded in it.
    pub fn table(&self, domain: u32) -> Option<&BlockTable> {
        let known = self.tables.iter().find(|(number, _)| *number == domain);
        known.map(|(_, table)| table)
    }

    /// Put a block in; what was known at its address is returned.
    pub fn insert(
        &mut self,
        domain: u32,
        address: usize,
        block: Block,
    ) -> Result<Option<Block>, Exhausted> {
        let known = self.tables.iter().position(|(number, _)| *number == domain);
        let position = match known {
            Some(position) => position,
            None => {
                self.tables.try_reserve(1)?;
                self.tables.push((domain, BlockTable::default()));
                self.tables.len() - 1
            }
        };
        self.tables[position].1.insert(address, block)
    }

    /// Take the block at an address of a domain out.
    pub fn remove(&mut self, domain: u32, address: usize) -> Option<Block> {
        let mut tables = self.tables.iter_mut();
        let (_, table) = tables.find(|(number, _)| *number == domain)?;
        table.remove(address)
    }

    /// Every domain with its table.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &BlockTable)> {
        self.tables.iter().map(|(domain, table)| (*domain, table))
    }

    /// Every domain's table, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut BlockTable> {
        self.tables.iter_mut().map(|(_, table)| table)
    }

    /// Forget all blocks and give their memory back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        let tables: usize = self.tables.iter().map(|(_, table)| table.memory()).sum();
        tables + self.tables.capacity() * size_of::<(u32, BlockTable)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Flags;
    use crate::traceback::TracebackId;

    #[test]
    fn one_address_can_be_in_two_domains() {
        let block = |size| Block {
            size,
            traceback: TracebackId(0),
            flags: Flags::default().watched(),
        };
        let mut domains = Domains::default();
        assert!(domains.table(5).is_none());
        domains.insert(5, 0x40, block(1)).unwrap();
        domains.insert(389_047, 0x40, block(2)).unwrap();
        assert_eq!(domains.insert(5, 0x40, block(3)).unwrap(), Some(block(1)));
        assert_eq!(domains.table(5).unwrap().get(0x40), Some(block(3)));
        assert_eq!(domains.remove(389_047, 0x40), Some(block(2)));
        assert_eq!(domains.remove(7, 0x40), None);
        assert_eq!(domains.iter().count(), 2);
        assert!(domains.memory() > 0);
    }
}
