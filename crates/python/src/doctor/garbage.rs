//! Looks at what a collection found, before any of it is finalized or cleared.
//!
//! Nothing foreign may run here, and nothing is changed. All objects of a set are
//! looked at as long as that takes no more than a part of the program's own time ([`budget`]);
//! of larger sets so many as that allows, with all that they reach, and the
//! figures are scaled up. How many objects there were is always exact.

use std::time::Duration;

use pyo3_ffi::*;
use wrasse_graph::{Builder, Graph, Node, components};

use super::budget::{self, Kind};
use super::shapes::{self, Found, Shapes};
use crate::by_address::ByAddress;
use crate::heap_graph::Failure;
use crate::heap_graph::edge;
use crate::heap_graph::referents::{is_eternal, referents};
use crate::heap_graph::sizes::Kinds;
use crate::hooks::{self, Silence};
use crate::list::{CANDIDATE, has_link, link_of};
use crate::process;

/// Objects looked at in any case, and at most at one time.
const FEWEST: usize = 256;
const MOST: usize = 200_000;
/// As far before the part that is looked at it is known what was allocated when.
const BEFORE: usize = 10_000;
/// What an object costs before any was looked at.
const FIRST_GUESS: f64 = 2e-6;

/// What looking has cost, and found.
#[derive(Default)]
pub struct Watch {
    /// What all looks have taken.
    pub spent: Duration,
    looked_at: u64,
    /// What was found.
    pub shapes: Shapes,
    /// The program is over: what is found now it may have had to its end.
    pub is_over: bool,
}

impl Watch {
    /// Looks at a set. `each` calls back with its members, in the order of their
    /// allocation; `is_final` says that they will not be freed. Returns the time
    /// it took.
    ///
    /// # Safety
    /// The GIL is held, a collection has just found the members unreachable, and
    /// they carry [`CANDIDATE`] unless `is_final`.
    pub unsafe fn look(
        &mut self,
        count: usize,
        each: impl FnOnce(&mut dyn FnMut(*mut PyObject)),
        is_final: bool,
        waited: Option<f64>,
    ) -> Duration {
        let begin = process::thread_time();
        let _silence = Silence::begin();
        let limit = self.allowed();
        // SAFETY: the caller's contract.
        let looked_at = unsafe { self.look_at(count, each, limit, is_final, waited) };
        let spent = process::thread_time().saturating_sub(begin);
        self.spent += spent;
        budget::pay(Kind::Cycles, spent);
        self.looked_at += looked_at.unwrap_or(0) as u64;
        spent
    }

    /// How many objects may be looked at now.
    fn allowed(&self) -> usize {
        let left = budget::left(Kind::Cycles).as_secs_f64();
        let cost = if self.looked_at < 1000 {
            FIRST_GUESS
        } else {
            self.spent.as_secs_f64() / self.looked_at as f64
        };
        ((left / cost) as usize).clamp(FEWEST, MOST)
    }

    unsafe fn look_at(
        &mut self,
        count: usize,
        each: impl FnOnce(&mut dyn FnMut(*mut PyObject)),
        limit: usize,
        is_final: bool,
        waited: Option<f64>,
    ) -> Result<usize, Failure> {
        let mut members = Vec::new();
        // Each time another part: what lies at the same place may be alike.
        let skipped = match count.checked_sub(limit) {
            Some(more) if more > 0 => self.looked_at as usize % more,
            _ => 0,
        };
        // What was allocated just before that part: circles may have begun there.
        let mut before = Vec::new();
        let mut position = 0;
        let mut kinds = Kinded::default();
        each(&mut |object| {
            // SAFETY: members are alive.
            kinds.add(unsafe { Py_TYPE(object) } as usize);
            if position < skipped {
                if position + BEFORE >= skipped && before.try_reserve(1).is_ok() {
                    before.push(object);
                }
            } else if members.len() < limit && members.try_reserve(1).is_ok() {
                members.push(object);
            }
            position += 1;
        });
        // SAFETY: the caller's contract.
        unsafe {
            let part = Part::new(members, &before, if is_final { 0 } else { limit })?;
            let looked_at = part.objects.len();
            for &object in &part.objects {
                kinds.look_at(Py_TYPE(object) as usize);
            }
            let mut owner = vec![u32::MAX; looked_at];
            let mut stack: Vec<Node> = Vec::new();
            let mut cycles: Vec<Vec<Node>> = Vec::new();
            components(
                &part.graph,
                |_| true,
                |found| {
                    cycles.try_reserve(1)?;
                    cycles.push(found.to_vec());
                    Ok(())
                },
            )?;
            for (number, cycle) in cycles.iter().enumerate() {
                for &node in cycle {
                    owner[node as usize] = number as u32;
                }
            }
            // Inner circles come first, and take what hangs on them.
            for (number, cycle) in cycles.iter().enumerate() {
                let (mut objects, mut bytes) = (0, 0);
                let mut nodes = Vec::new();
                stack.extend(cycle);
                while let Some(node) = stack.pop() {
                    objects += 1;
                    if self.is_over {
                        nodes.push(node);
                    }
                    bytes += part.graph.size(node);
                    for &target in part.graph.targets(node) {
                        if owner[target as usize] == u32::MAX {
                            owner[target as usize] = number as u32;
                            stack.push(target);
                        }
                    }
                }
                let subject = shapes::subject(&part, cycle);
                let scale = kinds.scale(Py_TYPE(part.objects[subject as usize]) as usize);
                let found = Found {
                    cycle,
                    subject,
                    objects,
                    bytes,
                    scale,
                    is_final,
                    waited,
                    at_end: self.is_over.then_some(nodes.as_slice()),
                };
                self.shapes.add(&part, &found);
            }
            self.shapes.end_set();
            Ok(looked_at)
        }
    }
}

/// How many objects of each type there are, and how many of them are looked at.
#[derive(Default)]
struct Kinded {
    counts: ByAddress<(u64, u64)>,
    last: usize,
    run: u64,
}

impl Kinded {
    fn add(&mut self, kind: usize) {
        if kind != self.last {
            self.flush();
            self.last = kind;
        }
        self.run += 1;
    }

    fn flush(&mut self) {
        if self.run > 0 && self.counts.try_reserve(1).is_ok() {
            self.counts.entry(self.last).or_default().0 += self.run;
        }
        self.run = 0;
    }

    fn look_at(&mut self, kind: usize) {
        self.flush();
        if let Some(counts) = self.counts.get_mut(&kind) {
            counts.1 += 1;
        }
    }

    /// How many objects of a type there are for each that is looked at.
    fn scale(&self, kind: usize) -> f64 {
        match self.counts.get(&kind) {
            Some((all, looked_at)) if looked_at < all && *looked_at > 0 => {
                *all as f64 / *looked_at as f64
            }
            _ => 1.0,
        }
    }
}

/// Garbage as a graph: its tracked objects, in the order of their allocation;
/// what else only they hold counts for the bytes of who holds it.
pub struct Part {
    /// The objects, by node.
    pub objects: Vec<*mut PyObject>,
    /// Their references.
    pub graph: Graph,
}

impl Part {
    /// # Safety
    /// As for [`Watch::look`]. Candidates that members reach join them, up to
    /// `limit` and a few: those of `before`, which were allocated before the members,
    /// in front of them, the others behind.
    unsafe fn new(
        mut objects: Vec<*mut PyObject>,
        before: &[*mut PyObject],
        limit: usize,
    ) -> Result<Self, Failure> {
        let mut numbers: ByAddress<u32> = ByAddress::default();
        numbers
            .try_reserve(objects.len())
            .map_err(|_| Failure::Memory)?;
        for (number, object) in objects.iter().enumerate() {
            numbers.insert(*object as usize, number as u32);
        }
        let members = objects.len();
        let mut place = 0;
        let mut references = 0;
        // SAFETY: garbage is alive until it is cleared, and stands still.
        unsafe {
            while place < objects.len() {
                let object = objects[place];
                let is_open = objects.len() < members + limit;
                referents(object, &mut |target| {
                    references += 1;
                    if is_open
                        && has_link(target)
                        && (*link_of(target)).prev & CANDIDATE != 0
                        && objects.try_reserve(1).is_ok()
                        && numbers.try_reserve(1).is_ok()
                    {
                        let number = objects.len() as u32;
                        if *numbers.entry(target as usize).or_insert(number) == number {
                            objects.push(target);
                        }
                    }
                });
                place += 1;
            }
            put_in_front(&mut objects, &mut numbers, before);
            let mut kinds = Kinds::default();
            let mut builder = Builder::new(objects.len(), references)?;
            let mut held = Held::default();
            for &object in &objects {
                let mut size = size_of(&mut kinds, object)?;
                let mut failed = false;
                held.pending.push(object);
                while let Some(holder) = held.pending.pop() {
                    let mut more = Vec::new();
                    referents(holder, &mut |target| {
                        if let Some(number) = numbers.get(&(target as usize)) {
                            failed |= builder.reference(*number).is_err();
                        } else if held.is_last(target) {
                            more.push(target);
                        }
                    });
                    for target in more {
                        size += size_of(&mut kinds, target)?;
                        held.pending.push(target);
                    }
                }
                if failed {
                    return Err(Failure::Memory);
                }
                builder.node(0, size)?;
            }
            Ok(Self {
                objects,
                graph: builder.finish(),
            })
        }
    }
}

/// Puts those of `before` that were found, and have numbers behind all others, in front
/// of them, in their order. Without memory for it the order stays.
fn put_in_front(
    objects: &mut [*mut PyObject],
    numbers: &mut ByAddress<u32>,
    before: &[*mut PyObject],
) {
    let mut places: ByAddress<usize> = ByAddress::default();
    for (place, object) in before.iter().enumerate() {
        let address = *object as usize;
        if numbers.contains_key(&address) && places.try_reserve(1).is_ok() {
            places.insert(address, place);
        }
    }
    if places.is_empty() {
        return;
    }
    objects.sort_unstable_by_key(|object| {
        let address = *object as usize;
        let place = places.get(&address).copied().unwrap_or(usize::MAX);
        (place, numbers.get(&address).copied())
    });
    for (number, object) in objects.iter().enumerate() {
        numbers.insert(*object as usize, number as u32);
    }
}

/// References found to objects that are not garbage by themselves: if all that
/// there are come from garbage, such an object goes with it.
#[derive(Default)]
struct Held {
    found: ByAddress<u32>,
    pending: Vec<*mut PyObject>,
}

impl Held {
    /// One more reference to `target`; says whether it was the last one.
    unsafe fn is_last(&mut self, target: *mut PyObject) -> bool {
        // SAFETY: a live object.
        unsafe {
            if PyType_Check(target) != 0 || PyModule_Check(target) != 0 || is_eternal(target) {
                return false;
            }
            let count = Py_REFCNT(target);
            if count == 1 {
                return true;
            }
            if self.found.try_reserve(1).is_err() {
                return false;
            }
            let found = self.found.entry(target as usize).or_insert(0);
            *found += 1;
            *found as Py_ssize_t == count
        }
    }
}

/// The bytes of an object with the values of its attributes.
unsafe fn size_of(kinds: &mut Kinds, object: *mut PyObject) -> Result<u64, Failure> {
    // SAFETY: the caller passes a live object.
    unsafe { Ok(kinds.size(object)? + edge::values_size(object)) }
}

/// The traceback of the block that an object is in, by the profile.
///
/// # Safety
/// The GIL is held and the object is alive.
pub unsafe fn traceback_of(object: *mut PyObject) -> Option<wrasse_tracer::TracebackId> {
    // SAFETY: the caller's contract.
    let address = unsafe { crate::tracemalloc_module::block_of(object) };
    let state = hooks::state();
    let block = state.as_ref()?.tracer.block(address)?;
    block
        .views
        .contains(wrasse_tracer::View::Profile)
        .then_some(block.traceback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_allocated_before_comes_first() {
        let objects = |numbers: &[usize]| -> Vec<*mut PyObject> {
            numbers.iter().map(|each| (each * 16) as _).collect()
        };
        // Three members, from which four more were found.
        let mut found = objects(&[7, 8, 9, 12, 5, 30, 3]);
        let mut numbers = ByAddress::default();
        for (number, object) in found.iter().enumerate() {
            numbers.insert(*object as usize, number as u32);
        }
        put_in_front(&mut found, &mut numbers, &[]);
        assert_eq!(found, objects(&[7, 8, 9, 12, 5, 30, 3]));
        put_in_front(&mut found, &mut numbers, &objects(&[2, 3, 4, 5, 6]));
        assert_eq!(found, objects(&[3, 5, 7, 8, 9, 12, 30]));
        for (number, object) in found.iter().enumerate() {
            assert_eq!(numbers[&(*object as usize)], number as u32);
        }
        assert_eq!(numbers.len(), found.len());
    }
}
