//! From who called to who was called: the traceback of a caller and one more
//! line make the traceback of what is called.
//!
//! Stacks repeat, so most steps have been taken before. Open addressing with
//! linear probing; nothing is ever taken out but all at once.

use crate::exhausted::Exhausted;
use crate::location::LocationId;
use crate::owner::OwnerId;

#[derive(Clone, Copy, Debug)]
struct Step {
    caller: u32,
    location: u32,
    owner: u32,
}

/// In `Step::owner`: the slot is empty.
const EMPTY: u32 = OwnerId::NOBODY.0;
const SMALLEST: usize = 256;

/// The steps taken so far.
#[derive(Debug, Default)]
pub struct Callers {
    steps: Vec<Step>,
    used: usize,
}

#[inline]
fn home(caller: u32, location: u32, mask: usize) -> usize {
    let key = u64::from(caller) << 32 | u64::from(location);
    let product = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (product ^ product >> 32) as usize & mask
}

impl Callers {
    fn find(&self, caller: OwnerId, location: LocationId) -> usize {
        let mask = self.steps.len() - 1;
        let mut position = home(caller.0, location.0, mask);
        loop {
            let step = self.steps[position];
            let is_it = step.caller == caller.0 && step.location == location.0;
            if is_it || step.owner == EMPTY {
                return position;
            }
            position = (position + 1) & mask;
        }
    }

    /// Who is called from this line of what the caller calls.
    pub fn get(&self, caller: OwnerId, location: LocationId) -> Option<OwnerId> {
        if self.steps.is_empty() {
            return None;
        }
        let owner = self.steps[self.find(caller, location)].owner;
        (owner != EMPTY).then_some(OwnerId(owner))
    }

    /// Remember a step that is not known.
    pub fn insert(
        &mut self,
        caller: OwnerId,
        location: LocationId,
        owner: OwnerId,
    ) -> Result<(), Exhausted> {
        debug_assert!(owner != OwnerId::NOBODY && self.get(caller, location).is_none());
        if (self.used + 1) * 3 > self.steps.len() * 2 {
            self.grow()?;
        }
        let position = self.find(caller, location);
        self.steps[position] = Step {
            caller: caller.0,
            location: location.0,
            owner: owner.0,
        };
        self.used += 1;
        Ok(())
    }

    fn grow(&mut self) -> Result<(), Exhausted> {
        let size = (self.steps.len() * 2).max(SMALLEST);
        let mut steps = Vec::new();
        steps.try_reserve_exact(size)?;
        let empty = Step {
            caller: 0,
            location: 0,
            owner: EMPTY,
        };
        steps.resize(size, empty);
        let old = std::mem::replace(&mut self.steps, steps);
        for step in old.into_iter().filter(|step| step.owner != EMPTY) {
            let position = self.find(OwnerId(step.caller), LocationId(step.location));
            self.steps[position] = step;
        }
        Ok(())
    }

    /// Forget all steps.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.steps.capacity() * size_of::<Step>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn steps_agree_with_a_map(
            steps in proptest::collection::vec((0u32..40, 0u32..40), 0..1500),
        ) {
            let mut callers = Callers::default();
            let mut model = HashMap::new();
            for (number, &(caller, location)) in steps.iter().enumerate() {
                let (from, line) = (OwnerId(caller), LocationId(location));
                let known = model.get(&(caller, location)).copied();
                prop_assert_eq!(callers.get(from, line), known);
                if known.is_none() {
                    let owner = OwnerId(number as u32 + 1);
                    callers.insert(from, line, owner).unwrap();
                    model.insert((caller, location), owner);
                }
            }
            for (&(caller, location), &owner) in &model {
                let found = callers.get(OwnerId(caller), LocationId(location));
                prop_assert_eq!(found, Some(owner));
            }
        }
    }
}
