//! Numbers for pairs of numbers, where there are millions and the pairs
//! themselves are in a table already.

/// No pair has this number.
const FREE: u32 = 0;

/// Finds a pair's number, from 1, at four to ten bytes a pair. Nobody chooses the
/// pairs to make them collide but who makes a report slow for themselves.
#[derive(Default)]
pub struct Pairs {
    /// Open addressing; at least a third is free.
    slots: Vec<u32>,
    len: usize,
}

fn mixed((one, other): (u32, u32)) -> usize {
    let word = u64::from(one) << 32 | u64::from(other);
    let wide = u128::from(word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    ((wide >> 64) as u64 ^ wide as u64) as usize
}

impl Pairs {
    /// The number of `pair` if it has one. Otherwise it has `new` from now on, and so it
    /// has to be in the table behind `at`, which knows pairs by their numbers.
    pub fn number(
        &mut self,
        pair: (u32, u32),
        new: u32,
        at: impl Fn(u32) -> (u32, u32),
    ) -> Option<u32> {
        debug_assert!(new != FREE, "numbers begin at 1");
        if (self.len + 1) * 3 > self.slots.len() * 2 {
            self.grow(&at);
        }
        let mask = self.slots.len() - 1;
        let mut place = mixed(pair) & mask;
        loop {
            match self.slots[place] {
                FREE => break,
                known if at(known) == pair => return Some(known),
                _ => place = (place + 1) & mask,
            }
        }
        self.slots[place] = new;
        self.len += 1;
        None
    }

    fn grow(&mut self, at: impl Fn(u32) -> (u32, u32)) {
        let length = (self.slots.len() * 2).max(1024);
        let old = std::mem::replace(&mut self.slots, vec![FREE; length]);
        for known in old.into_iter().filter(|known| *known != FREE) {
            let mut place = mixed(at(known)) & (length - 1);
            while self.slots[place] != FREE {
                place = (place + 1) & (length - 1);
            }
            self.slots[place] = known;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn each_pair_has_one_number() {
        let mut pairs = Pairs::default();
        let mut table = vec![(0, 0)];
        let mut known: HashMap<(u32, u32), u32> = HashMap::new();
        for each in 0..40_000_u32 {
            let pair = (each % 191, each.wrapping_mul(2_654_435_761) % 97);
            let new = table.len() as u32;
            let found = pairs.number(pair, new, |number| table[number as usize]);
            assert_eq!(found, known.get(&pair).copied());
            if found.is_none() {
                table.push(pair);
                known.insert(pair, new);
            }
        }
        assert!(known.len() > 10_000);
    }
}
