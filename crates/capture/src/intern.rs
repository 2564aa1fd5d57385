//! Numbers for what occurs again and again, in the order of first occurrence.

use std::collections::HashMap;
use std::hash::Hash;

use wrasse_tracer::Exhausted;

/// Gives each different value a number, counting from 0.
#[derive(Debug)]
pub struct Interner<T> {
    numbers: HashMap<T, u32>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Interner {
            numbers: HashMap::new(),
        }
    }
}

impl<T: Eq + Hash> Interner<T> {
    /// The number of `value`, and whether it is new.
    pub fn number(&mut self, value: T) -> Result<(u32, bool), Exhausted> {
        if let Some(&number) = self.numbers.get(&value) {
            return Ok((number, false));
        }
        let number = u32::try_from(self.numbers.len()).map_err(|_| Exhausted)?;
        if number == u32::MAX {
            return Err(Exhausted);
        }
        self.numbers.try_reserve(1)?;
        self.numbers.insert(value, number);
        Ok((number, true))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }
}

impl Interner<Box<[u8]>> {
    /// As [`Interner::number`]; copies a text only if it is new.
    pub fn text(&mut self, text: &[u8]) -> Result<(u32, bool), Exhausted> {
        if let Some(&number) = self.numbers.get(text) {
            return Ok((number, false));
        }
        let mut copy = Vec::new();
        copy.try_reserve_exact(text.len())?;
        copy.extend_from_slice(text);
        self.number(copy.into_boxed_slice())
    }
}
