//! The threads that allocate.

use crate::exhausted::Exhausted;

/// A thread, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(pub u8);

impl ThreadId {
    /// Where a host does not tell threads apart, all are this one.
    pub const FIRST: ThreadId = ThreadId(0);
    /// All threads beyond those that are told apart.
    pub const OTHERS: ThreadId = ThreadId(u8::MAX);
}

/// What the system and the program call a thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// The system's number; 0 if not known.
    pub number: u64,
    /// The name; empty if not known.
    pub name: Box<[u8]>,
}

/// The threads met so far.
#[derive(Debug, Default)]
pub struct Threads {
    list: Vec<Thread>,
    epoch: u32,
}

impl Threads {
    /// A thread that was not met before in this epoch.
    pub fn add(&mut self, number: u64) -> Result<ThreadId, Exhausted> {
        let Some(id) = u8::try_from(self.list.len()).ok().map(ThreadId) else {
            return Ok(ThreadId::OTHERS);
        };
        if id == ThreadId::OTHERS {
            return Ok(id);
        }
        self.list.try_reserve(1)?;
        self.list.push(Thread {
            number,
            name: Box::default(),
        });
        Ok(id)
    }

    /// A thread's number and name; nothing for [`ThreadId::OTHERS`], and where
    /// threads are not told apart.
    pub fn get(&self, id: ThreadId) -> Option<&Thread> {
        self.list.get(usize::from(id.0))
    }

    /// Call a thread by this name from now on.
    pub fn set_name(&mut self, id: ThreadId, name: &[u8]) -> Result<(), Exhausted> {
        if let Some(thread) = self.list.get_mut(usize::from(id.0)) {
            let mut copy = Vec::new();
            copy.try_reserve_exact(name.len())?;
            copy.extend_from_slice(name);
            thread.name = copy.into_boxed_slice();
        }
        Ok(())
    }

    /// The thread with one of the system's numbers that was met last.
    pub fn find(&self, number: u64) -> Option<ThreadId> {
        let place = self.list.iter().rposition(|each| each.number == number)?;
        Some(ThreadId(place as u8))
    }

    /// Changes whenever numbers handed out before are not valid any more.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Forget all threads.
    pub fn clear(&mut self) {
        self.list = Vec::new();
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        let names: usize = self.list.iter().map(|each| each.name.len()).sum();
        self.list.capacity() * size_of::<Thread>() + names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_many_is_the_others() {
        let mut threads = Threads::default();
        for number in 0..255 {
            assert_eq!(threads.add(number), Ok(ThreadId(number as u8)));
        }
        assert_eq!(threads.add(255), Ok(ThreadId::OTHERS));
        assert_eq!(threads.add(256), Ok(ThreadId::OTHERS));
        assert_eq!(threads.get(ThreadId::OTHERS), None);
        threads.set_name(ThreadId(3), b"three").unwrap();
        threads.set_name(ThreadId::OTHERS, b"others").unwrap();
        assert_eq!(&*threads.get(ThreadId(3)).unwrap().name, b"three");
        assert_eq!(threads.find(3), Some(ThreadId(3)));
        assert_eq!(threads.find(255), None);
        threads.clear();
        assert_eq!((threads.find(3), threads.epoch()), (None, 1));
        assert_eq!(threads.add(9), Ok(ThreadId::FIRST));
    }
}
