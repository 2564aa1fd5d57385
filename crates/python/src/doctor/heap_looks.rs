//! Looks at the whole heap: whenever clearly more is traced than at the last one,
//! and at the end. Of what is found the largest is kept.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3_ffi::*;
use wrasse_doctor::Observations;
use wrasse_doctor::observations::{
    Duplicates, Heap, Held, HolderKind, Instances, Line, Numbers, Oversized,
};
use wrasse_tracer::TracebackId;

use super::budget::{self, Kind};
use super::growth::Seen;
use super::held::{self, Owners};
use super::unseen::{After, AtLook, Course, Unseen};
use super::{holders, variables, waste};
use crate::heap_graph::Picture;
use crate::{process, profile};

/// By which part more must be traced than at the last look, at least and at most. In
/// between it is three times the part that the next look takes of what is left for
/// looks: many of them while they are cheap, and something left for a peak far above.
const LEAST_GROWTH: f64 = 1.0 / 16.0;
const MOST_GROWTH: f64 = 1.0 / 2.0;
const SPARED: f64 = 3.0;
/// Smaller programs are only looked at in the end.
const SMALLEST: u64 = 2 << 20;

/// Where nothing grows, a look is taken again when as much has been allocated as is
/// traced, then after twice as much, so many times.
const MOST_AGAIN: u64 = 3;

/// What was allocated since the last look, and how many were taken without growth.
static SINCE: AtomicU64 = AtomicU64::new(0);
static AGAIN: AtomicU64 = AtomicU64::new(0);
/// What was traced at the last look.
static HIGHEST: AtomicU64 = AtomicU64::new(SMALLEST);
/// What the last look has taken.
static LAST: AtomicU64 = AtomicU64::new(0);
static FOUND: Mutex<Option<Found>> = Mutex::new(None);

/// Everything found so far, by what tells it apart; with some the look it is from.
#[derive(Default)]
struct Found {
    looks: Vec<AtLook>,
    held: HashMap<(HolderKind, String, u32, String), Held>,
    instances: HashMap<(String, String), Course<Instances>>,
    duplicates: HashMap<Line, Course<Duplicates>>,
    tuples: HashMap<Line, Course<Duplicates>>,
    oversized: HashMap<(Line, String), Oversized>,
    numbers: HashMap<Line, (Numbers, usize)>,
    variables: HashMap<TracebackId, variables::Held>,
}

/// Looks, if it is time to: `allocated` bytes were since this was asked before.
///
/// # Safety
/// The GIL is held at a safe point, and no exception is set.
pub unsafe fn look_if_due(allocated: u64) {
    let (traced, _) = profile::totals();
    let highest = HIGHEST.load(Ordering::Relaxed);
    let growth = traced as f64 / highest as f64 - 1.0;
    // As much is built as will be, by the look of it: what is still used of it?
    let since = SINCE.fetch_add(allocated, Ordering::Relaxed) + allocated;
    let again = AGAIN.load(Ordering::Relaxed);
    let is_settled = growth >= -LEAST_GROWTH && again < MOST_AGAIN && since >= traced << again;
    if growth < LEAST_GROWTH && !is_settled {
        return;
    }
    // What the next one will take: as the last, by what is traced.
    let last = Duration::from_nanos(LAST.load(Ordering::Relaxed));
    let next = last.mul_f64(traced as f64 / highest as f64);
    let left = budget::left(Kind::Heap);
    let wanted = SPARED * next.as_secs_f64() / left.as_secs_f64();
    let has_grown = growth >= LEAST_GROWTH.max(wanted.min(MOST_GROWTH)) && next <= left;
    if !(has_grown || is_settled && wanted <= 1.0) {
        return;
    }
    HIGHEST.fetch_max(traced, Ordering::Relaxed);
    SINCE.store(0, Ordering::Relaxed);
    AGAIN.store(if has_grown { 0 } else { again + 1 }, Ordering::Relaxed);
    // SAFETY: the caller's contract.
    unsafe { look(traced, libraries(), None) };
}

/// Looks, whatever it takes.
///
/// # Safety
/// As for [`look_if_due`].
pub unsafe fn now() {
    let (traced, _) = profile::totals();
    // SAFETY: the caller's contract.
    unsafe { look(traced, libraries(), None) };
}

/// Where libraries are, as the run was told.
fn libraries() -> Vec<String> {
    super::observations()
        .as_ref()
        .map(|observations| observations.libraries.clone())
        .unwrap_or_default()
}

/// The look at the end, which also says how what grew is held: `seen` has the
/// tracebacks behind each line.
///
/// # Safety
/// As for [`look_if_due`].
pub unsafe fn last(observations: &mut Observations, seen: &Seen) {
    let (traced, _) = profile::totals();
    let libraries = observations.libraries.clone();
    // SAFETY: the caller's contract.
    unsafe { look(traced, libraries, Some((observations, seen))) };
    let found = FOUND.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(mut found) = found {
        variables::add(observations, &std::mem::take(&mut found.variables), seen);
        let unseen = Unseen::new(seen, observations);
        observations.heap = found.into_heap(&unseen);
    }
}

/// What is only asked at the end.
type AtEnd<'a> = Option<(&'a mut Observations, &'a Seen)>;

unsafe fn look(traced: u64, libraries: Vec<String>, end: AtEnd<'_>) {
    let begun = process::thread_time();
    let is_last = end.is_some();
    // SAFETY: the caller's contract; so for what is called here.
    unsafe {
        let owners = Owners::find(libraries);
        let seen = Picture::at_rest(|picture| {
            let held = held::find(picture, &owners, traced)?;
            let waste = waste::find(picture, &owners)?;
            let variables = match is_last {
                true => HashMap::new(),
                false => variables::find(picture, &owners)?,
            };
            if let Some((observations, seen)) = end {
                holders::find(picture, observations, seen)?;
            }
            Ok((held, waste, variables))
        });
        // A heap that cannot be read, or no memory: there is less to say.
        if let Ok((mut held, waste, variables)) = seen {
            if is_last {
                held::ask_caches(&mut held);
            }
            let mut guard = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
            let found = guard.get_or_insert_with(Found::default);
            found.looks.push(AtLook::now());
            found.add_held(held.into_iter().map(|each| each.held));
            found.add_waste(waste, is_last);
            found.variables.extend(variables);
            found.forget_looks();
        }
        PyErr_Clear();
    }
    let spent = process::thread_time().saturating_sub(begun);
    budget::pay(Kind::Heap, spent);
    LAST.store(spent.as_nanos() as u64, Ordering::Relaxed);
}

impl Found {
    fn add_held(&mut self, all: impl Iterator<Item = Held>) {
        for each in all {
            let key = (
                each.kind,
                each.file.clone(),
                each.first_line,
                each.name.clone(),
            );
            let old = self.held.entry(key).or_default();
            let cache = each.cache.clone().or(old.cache.take());
            let most = (each.bytes, each.items).max((old.most_bytes, old.most_items));
            // What was still running says more than what has come to its end.
            let is_after = each.at_line == 0 && old.at_line != 0;
            if each.bytes >= old.bytes && !is_after {
                *old = each;
            } else if each.bytes > old.bytes && (each.items > old.items || each.items == 0) {
                // It went on growing behind the last look. (What a cache has is not counted.)
                (old.bytes, old.items) = (each.bytes, each.items);
            }
            old.cache = cache;
            (old.most_bytes, old.most_items) = most;
        }
    }

    fn add_waste(&mut self, waste: waste::Waste, is_last: bool) {
        let look = self.looks.len() - 1;
        for each in waste.instances {
            let key = (each.file.clone(), each.class.clone());
            keep_course(&mut self.instances, key, (each, look), |a| a.bytes);
        }
        for each in waste.duplicates {
            let key = each.line.clone();
            keep_course(&mut self.duplicates, key, (each, look), |a| a.bytes);
        }
        for each in waste.tuples {
            let key = each.line.clone();
            keep_course(&mut self.tuples, key, (each, look), |a| a.bytes);
        }
        for each in waste.oversized {
            let key = (each.line.clone(), each.type_name.clone());
            let old = self.oversized.entry(key).or_default();
            keep_larger(old, each, |a| a.bytes - a.fitting_bytes);
        }
        for (mut each, identity) in waste.numbers {
            let (old, last) = self.numbers.entry(each.line.clone()).or_default();
            each.stays = old.stays || is_last || *last == identity;
            *last = identity;
            let stays = each.stays;
            keep_larger(old, each, |a| a.bytes);
            old.stays = stays;
        }
    }

    /// Lets go of the totals at looks that nothing is from any more: there may be a hundred
    /// looks, each with all tracebacks of a large program.
    fn forget_looks(&mut self) {
        let copies = self.duplicates.values().chain(self.tuples.values());
        let mut used: HashSet<usize> = copies.flat_map(Course::looks).collect();
        used.extend(self.instances.values().flat_map(Course::looks));
        for (number, look) in self.looks.iter_mut().enumerate() {
            if !used.contains(&number) {
                *look = AtLook::default();
            }
        }
    }

    fn into_heap(self, unseen: &Unseen<'_>) -> Heap {
        let looks = &self.looks;
        let copies = |course: Course<Duplicates>| {
            let each = &course.largest.0;
            // More of what is not worth sharing would not be, either.
            if !each.is_worth_sharing() {
                return course.largest.0;
            }
            let after = unseen.after(&each.line, &course, looks, |each| each.bytes);
            grown(each, after)
        };
        let instances = |course: Course<Instances>| {
            let line = &course.largest.0.line;
            let after = unseen.after(line, &course, looks, |each| each.bytes);
            let factor = after.factor;
            let mut each = course.largest.0;
            each.count = scaled(each.count, factor);
            each.bytes = scaled(each.bytes, factor);
            each.slots_bytes = scaled(each.slots_bytes, factor);
            each
        };
        let mut heap = Heap {
            looks: looks.len() as u64,
            held: self.held.into_values().collect(),
            instances: self.instances.into_values().map(instances).collect(),
            duplicates: self.duplicates.into_values().map(copies).collect(),
            tuples: self.tuples.into_values().map(copies).collect(),
            oversized: self.oversized.into_values().collect(),
            numbers: self.numbers.into_values().map(|(each, _)| each).collect(),
        };
        heap.held
            .sort_by(|a, b| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
        heap.instances
            .sort_by(|a, b| (&a.file, &a.class).cmp(&(&b.file, &b.class)));
        heap.duplicates.sort_by(|a, b| a.line.cmp(&b.line));
        heap.tuples.sort_by(|a, b| a.line.cmp(&b.line));
        heap.oversized.sort_by(|a, b| a.line.cmp(&b.line));
        heap.numbers.sort_by(|a, b| a.line.cmp(&b.line));
        heap
    }
}

/// Copies with those that came after the look: what is made later is more often equal
/// to something than what came first, so they are as those between the last two looks.
fn grown(found: &Duplicates, after: After<'_, Duplicates>) -> Duplicates {
    let mut all = found.clone();
    let Some((before, bytes)) = after.before else {
        all.count = scaled(all.count, after.factor);
        all.bytes = scaled(all.bytes, after.factor);
        return all;
    };
    let more = |now: u64, then: u64| {
        let rate = now.saturating_sub(then) as f64 / bytes;
        now + (rate * after.bytes) as u64
    };
    all.count = more(found.count, before.count);
    all.bytes = more(found.bytes, before.bytes);
    // Of words there come ever fewer new ones, with a power of their number (Heaps' law).
    let growth = |now: u64, then: u64| (now.max(1) as f64 / then.max(1) as f64).ln();
    let power = growth(found.different, before.different) / growth(found.bytes, before.bytes);
    let factor = (all.bytes as f64 / found.bytes as f64).powf(power.clamp(0.0, 1.0));
    all.different = scaled(found.different, factor);
    all
}

fn scaled(amount: u64, scale: f64) -> u64 {
    (amount as f64 * scale) as u64
}

fn keep_larger<T>(old: &mut T, new: T, bytes: impl Fn(&T) -> u64) {
    if bytes(&new) >= bytes(old) {
        *old = new;
    }
}

fn keep_course<K: Eq + Hash, T: Clone>(
    all: &mut HashMap<K, Course<T>>,
    key: K,
    (found, look): (T, usize),
    bytes: impl Fn(&T) -> u64,
) {
    match all.entry(key) {
        Entry::Occupied(mut known) => known.get_mut().add(found, look, bytes),
        Entry::Vacant(place) => {
            place.insert(Course::new(found, look));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What two looks say of one name, the second when the program had come to its end.
    fn two_looks(kind: HolderKind, while_running: (u64, u64), at_end: (u64, u64)) -> Held {
        let look = |(bytes, items), at_line| Held {
            kind,
            name: "NAME".into(),
            at_line,
            bytes,
            items,
            most_bytes: bytes,
            most_items: items,
            ..Held::default()
        };
        let mut found = Found::default();
        found.add_held([look(while_running, 7)].into_iter());
        found.add_held([look(at_end, 0)].into_iter());
        let mut held = found.held.into_values();
        let only = held.next().unwrap_or_default();
        assert_eq!(held.next(), None);
        // Where the program stood when its code ran is not forgotten.
        assert_eq!(only.at_line, 7);
        only
    }

    #[test]
    fn a_cache_that_grew_behind_the_last_look() {
        // What is in a cache is not counted.
        let held = two_looks(HolderKind::Cache, (100_000, 0), (900_000, 0));
        assert_eq!((held.bytes, held.most_bytes), (900_000, 900_000));
    }

    #[test]
    fn a_container_that_grew_behind_the_last_look() {
        let held = two_looks(HolderKind::Global, (100_000, 10), (900_000, 90));
        assert_eq!((held.bytes, held.items), (900_000, 90));
    }

    #[test]
    fn what_other_names_let_go_of_at_the_end_is_no_growth() {
        let held = two_looks(HolderKind::Global, (100_000, 10), (900_000, 10));
        assert_eq!((held.bytes, held.items), (100_000, 10));
        assert_eq!((held.most_bytes, held.most_items), (900_000, 10));
    }

    #[test]
    fn what_became_less_is_remembered_as_it_was() {
        let held = two_looks(HolderKind::Cache, (900_000, 0), (100_000, 0));
        assert_eq!((held.bytes, held.most_bytes), (900_000, 900_000));
    }
}
