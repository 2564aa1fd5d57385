//! How many objects of each type a set has.

use crate::by_address::ByAddress;

/// How many objects of each type there are, and how many of them are looked at.
#[derive(Default)]
pub struct Kinded {
    all: Vec<OfKind>,
    places: ByAddress<u32>,
    /// Where types were found last, by their addresses.
    recent: [u32; RECENT],
}

const RECENT: usize = 16;

/// What is known of a type.
#[derive(Default)]
pub struct OfKind {
    /// Its address.
    pub kind: usize,
    /// How many objects there are.
    pub count: u64,
    looked_at: u64,
}

impl Kinded {
    /// All types that were met.
    pub fn all(&self) -> &[OfKind] {
        &self.all
    }

    /// A type's figures; nothing if there is no memory for them.
    #[inline]
    fn of(&mut self, kind: usize) -> Option<&mut OfKind> {
        // Types lie in blocks of their own, or in static memory: far from each other.
        let recent = (kind >> 4 ^ kind >> 9) % RECENT;
        let place = self.recent[recent] as usize;
        if self.all.get(place).is_some_and(|known| known.kind == kind) {
            return self.all.get_mut(place);
        }
        self.search(kind, recent)
    }

    #[cold]
    fn search(&mut self, kind: usize, recent: usize) -> Option<&mut OfKind> {
        self.places.try_reserve(1).ok()?;
        self.all.try_reserve(1).ok()?;
        let place = *self.places.entry(kind).or_insert(self.all.len() as u32);
        if place as usize == self.all.len() {
            self.all.push(OfKind {
                kind,
                ..OfKind::default()
            });
        }
        self.recent[recent] = place;
        self.all.get_mut(place as usize)
    }

    /// There is one more.
    #[inline]
    pub fn add(&mut self, kind: usize) {
        if let Some(of) = self.of(kind) {
            of.count += 1;
        }
    }

    /// One is looked at.
    #[inline]
    pub fn look_at(&mut self, kind: usize) {
        if let Some(of) = self.of(kind) {
            of.looked_at += 1;
        }
    }

    /// How many objects of a type there are for each that is looked at.
    pub fn scale(&mut self, kind: usize) -> f64 {
        match self.of(kind) {
            // What is not garbage by itself may be looked at, too.
            Some(of) if of.looked_at > 0 => of.count.max(of.looked_at) as f64 / of.looked_at as f64,
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_counted_wherever_they_lie() {
        // Many share a place among those found last.
        let all: Vec<usize> = (1..100).map(|number| number * 0x2000).collect();
        let mut kinds = Kinded::default();
        for round in 0..6 {
            for (number, &kind) in all.iter().enumerate() {
                if round < number % 7 {
                    kinds.add(kind);
                }
                if round == 0 && number % 2 == 1 {
                    kinds.look_at(kind);
                }
            }
        }
        for (number, &kind) in all.iter().enumerate() {
            let expected = match (number % 2 == 1, number % 7) {
                (true, count @ 2..) => count as f64,
                _ => 1.0,
            };
            assert_eq!(kinds.scale(kind), expected, "{number}");
        }
        assert_eq!(kinds.scale(0x10), 1.0);
    }
}
