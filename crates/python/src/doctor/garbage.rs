//! Looks at what a collection found, before any of it is finalized or cleared.
//!
//! Nothing foreign may run here, and nothing is changed. All objects of a set are
//! looked at as long as that takes no more than a part of the program's own time ([`budget`]);
//! of larger sets so many as that allows, with all that they reach, and the
//! figures are scaled up. Where that is next to nothing, a set is passed over which is no
//! larger than one before and has no type that was not met: those that are looked at
//! stand for it too. How many objects there were is always exact.

use std::hash::BuildHasher;
use std::mem;
use std::time::Duration;

use pyo3_ffi::*;
use wrasse_graph::{Bits, Builder, Graph, Node, components};

use super::budget::{self, Kind};
use super::kinded::{Kinded, OfKind};
use super::shapes::{self, Found, Shapes};
use crate::by_address::{ByAddress, Spread};
use crate::heap_graph::Failure;
use crate::heap_graph::edge;
use crate::heap_graph::referents::{is_eternal, referents};
use crate::heap_graph::sizes::Kinds;
use crate::hooks::{self, Silence};
use crate::list::{CANDIDATE, has_link, link_of};
use crate::process;

/// So many objects are looked at, or all, before a set is; and of one that cannot wait in
/// any case.
const WORTHWHILE: usize = 2000;
const FEWEST: usize = 256;
/// And at most at one time.
const MOST: usize = 200_000;
/// As far before the part that is looked at it is known what was allocated when.
const BEFORE: usize = 10_000;
/// Members that are noted while they are counted: larger sets are walked twice.
const NOTED: usize = 1 << 16;
/// What an object costs before any was looked at.
const FIRST_GUESS: f64 = 2e-6;

/// What looking has cost, and found.
#[derive(Default)]
pub struct Watch {
    /// What all looks have taken, without sets that were passed over.
    spent: Duration,
    looked_at: u64,
    /// The size of the largest set that was looked at.
    largest: usize,
    /// By type, how many objects there were in sets that were looked at, and how many in
    /// those that these stand for.
    met: ByAddress<u64>,
    passed_over: ByAddress<u64>,
    /// The addresses of the set at hand, or of the first of them.
    noted: Vec<usize>,
    /// What was found.
    pub shapes: Shapes,
    /// The program is over: what is found now it may have had to its end.
    is_over: bool,
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
        each: impl Fn(&mut dyn FnMut(*mut PyObject)),
        is_final: bool,
        waited: Option<f64>,
    ) -> Duration {
        let begin = process::thread_time();
        let _silence = Silence::begin();
        // SAFETY: the caller's contract.
        let looked_at = unsafe { self.look_at(each, is_final, waited) };
        let spent = process::thread_time().saturating_sub(begin);
        budget::pay(Kind::Cycles, spent);
        if let Ok(looked_at @ 1..) = looked_at {
            self.spent += spent;
            self.looked_at += looked_at as u64;
        }
        spent
    }

    /// The program is over. What was found stands for what was passed over.
    pub fn end(&mut self) {
        self.is_over = true;
        let (met, passed_over) = (&self.met, mem::take(&mut self.passed_over));
        self.shapes.scale(|kind| {
            let [met, more] = [met, &passed_over].map(|counts| counts.get(&kind).copied());
            1.0 + more.unwrap_or(0) as f64 / met.unwrap_or(0).max(1) as f64
        });
    }

    /// How many objects may be looked at now.
    fn allowed(&self) -> usize {
        let left = budget::left(Kind::Cycles).as_secs_f64();
        let cost = if self.looked_at < 1000 {
            FIRST_GUESS
        } else {
            self.spent.as_secs_f64() / self.looked_at as f64
        };
        ((left / cost) as usize).min(MOST)
    }

    /// May a set that there is no time for be passed over?
    fn can_wait(&self, count: usize, kinds: &Kinded) -> bool {
        let is_met = |of: &OfKind| self.met.contains_key(&of.kind);
        count <= self.largest && !self.is_over && kinds.all().iter().all(is_met)
    }

    /// Nobody looks at these: other sets stand for them.
    fn pass_over(&mut self, kinds: &Kinded) {
        for of in kinds.all() {
            if self.passed_over.try_reserve(1).is_ok() {
                *self.passed_over.entry(of.kind).or_default() += of.count;
            }
        }
    }

    /// Sets like this one were looked at.
    fn meet(&mut self, kinds: &Kinded) {
        for of in kinds.all() {
            if self.met.try_reserve(1).is_ok() {
                *self.met.entry(of.kind).or_default() += of.count;
            }
        }
    }

    unsafe fn look_at(
        &mut self,
        each: impl Fn(&mut dyn FnMut(*mut PyObject)),
        is_final: bool,
        waited: Option<f64>,
    ) -> Result<usize, Failure> {
        let mut kinds = Kinded::default();
        let mut count = 0;
        self.noted.clear();
        let noted = &mut self.noted;
        each(&mut |object| {
            // SAFETY: members are alive.
            kinds.add(unsafe { Py_TYPE(object) } as usize);
            if count < NOTED && noted.try_reserve(1).is_ok() {
                noted.push(object as usize);
            }
            count += 1;
        });
        if count == 0 {
            return Ok(0);
        }
        let mut limit = self.allowed();
        if limit < WORTHWHILE.min(count) && !is_final && self.can_wait(count, &kinds) {
            self.pass_over(&kinds);
            return Ok(0);
        }
        limit = limit.max(FEWEST);
        // Each time another part: what lies at the same place may be alike.
        let skipped = match count.checked_sub(limit) {
            Some(more) if more > 0 => self.looked_at as usize % more,
            _ => 0,
        };
        // What was allocated just before that part: circles may have begun there.
        let early = skipped.saturating_sub(BEFORE);
        let end = count.min(skipped + limit);
        let (mut before, mut members) = (Vec::new(), Vec::new());
        let room = before.try_reserve_exact(skipped - early);
        room.and_then(|()| members.try_reserve_exact(end - skipped))
            .map_err(|_| Failure::Memory)?;
        if self.noted.len() == count {
            let object = |address: &usize| *address as *mut PyObject;
            before.extend(self.noted[early..skipped].iter().map(object));
            members.extend(self.noted[skipped..end].iter().map(object));
        } else {
            let mut position = 0;
            each(&mut |object| {
                if (early..skipped).contains(&position) {
                    before.push(object);
                } else if (skipped..end).contains(&position) {
                    members.push(object);
                }
                position += 1;
            });
        }
        // SAFETY: the caller's contract.
        unsafe {
            let part = Part::new(members, &before, if is_final { 0 } else { limit })?;
            let looked_at = part.objects.len();
            for &object in &part.objects {
                kinds.look_at(Py_TYPE(object) as usize);
            }
            self.largest = self.largest.max(count);
            self.meet(&kinds);
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
                let kind = Py_TYPE(part.objects[subject as usize]) as usize;
                let scale = kinds.scale(kind);
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
            put_in_front(&mut objects, members, &mut numbers, before);
            let mut kinds = Kinds::default();
            let mut builder = Builder::new(objects.len(), references)?;
            let mut held = Held::default();
            let mut more = Vec::new();
            for &object in &objects {
                let mut size = size_of(&mut kinds, object)?;
                let mut failed = false;
                held.pending.push(object);
                while let Some(holder) = held.pending.pop() {
                    more.clear();
                    referents(holder, &mut |target| {
                        if let Some(number) = numbers.get(&(target as usize)) {
                            failed |= builder.reference(*number).is_err();
                        } else if held.is_last(target) {
                            more.push(target);
                        }
                    });
                    for &target in &more {
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

/// Puts those of `before` that were found, and have numbers behind all `members`, in front
/// of them, in their order. Without memory for it the order stays.
fn put_in_front(
    objects: &mut [*mut PyObject],
    members: usize,
    numbers: &mut ByAddress<u32>,
    before: &[*mut PyObject],
) {
    debug_assert_eq!(objects.len(), numbers.len());
    let found = objects.len() - members;
    let mut front: Vec<*mut PyObject> = Vec::new();
    let mut order: Vec<*mut PyObject> = Vec::new();
    if found == 0
        || before.is_empty()
        || front.try_reserve_exact(found).is_err()
        || order.try_reserve_exact(objects.len()).is_err()
    {
        return;
    }
    // Few of `before` were found: nearly all others are told apart by a bit.
    let bits = (found * 16).next_power_of_two();
    let Ok(mut seen) = Bits::new(bits) else {
        return;
    };
    let bit = |object: *mut PyObject| {
        let mixed = Spread::default().hash_one(object as usize);
        (mixed as usize & (bits - 1)) as Node
    };
    for &object in &objects[members..] {
        seen.set(bit(object));
    }
    for &object in before.iter().rev() {
        if seen.get(bit(object)) && numbers.contains_key(&(object as usize)) {
            front.push(object);
            if front.len() == found {
                break;
            }
        }
    }
    if front.is_empty() {
        return;
    }
    for object in &front {
        numbers.insert(*object as usize, u32::MAX);
    }
    order.extend(front.iter().rev());
    let stays = |object: &&*mut PyObject| numbers.get(&(**object as usize)) != Some(&u32::MAX);
    order.extend(objects.iter().filter(stays));
    objects.copy_from_slice(&order);
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
    let state = hooks::reading();
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
        put_in_front(&mut found, 3, &mut numbers, &[]);
        assert_eq!(found, objects(&[7, 8, 9, 12, 5, 30, 3]));
        put_in_front(&mut found, 3, &mut numbers, &objects(&[2, 3, 4, 5, 6]));
        assert_eq!(found, objects(&[3, 5, 7, 8, 9, 12, 30]));
        for (number, object) in found.iter().enumerate() {
            assert_eq!(numbers[&(*object as usize)], number as u32);
        }
        assert_eq!(numbers.len(), found.len());
    }
}
