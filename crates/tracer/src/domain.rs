//! Blocks that are not memory of the host's own allocator: graphics memory,
//! array buffers and the like, told apart by a number.

use crate::exhausted::Exhausted;
use crate::table::BlockTable;

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

    /// The same, to be changed.
    pub fn table_mut(&mut self, domain: u32) -> Option<&mut BlockTable> {
        let mut tables = self.tables.iter_mut();
        let known = tables.find(|(number, _)| *number == domain);
        known.map(|(_, table)| table)
    }

    /// The table of a domain, which is made if there is none.
    pub fn table_or_new(&mut self, domain: u32) -> Result<&mut BlockTable, Exhausted> {
        let known = self.tables.iter().position(|(number, _)| *number == domain);
        let position = match known {
            Some(position) => position,
            None => {
                self.tables.try_reserve(1)?;
                self.tables.push((domain, BlockTable::default()));
                self.tables.len() - 1
            }
        };
        Ok(&mut self.tables[position].1)
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
    use crate::owner::OwnerId;
    use crate::table::Block;

    #[test]
    fn one_address_can_be_in_two_domains() {
        let block = |size| Block {
            size,
            owner: OwnerId::NOBODY,
            is_watched: true,
        };
        let mut domains = Domains::default();
        assert!(domains.table(5).is_none() && domains.table_mut(5).is_none());
        let mut insert = |domain, size| {
            let table = domains.table_or_new(domain).unwrap();
            table.insert(0x40, block(size)).unwrap()
        };
        assert_eq!(insert(5, 1), None);
        assert_eq!(insert(389_047, 2), None);
        assert_eq!(insert(5, 3), Some(block(1)));
        assert_eq!(domains.table(5).unwrap().get(0x40), Some(block(3)));
        let other = domains.table_mut(389_047).unwrap();
        assert_eq!(other.remove(0x40), Some(block(2)));
        assert_eq!(domains.table(5).unwrap().get(0x40), Some(block(3)));
        assert_eq!(domains.iter().count(), 2);
        assert!(domains.memory() > 0);
    }
}
