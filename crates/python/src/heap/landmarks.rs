//! Whether a large part of the old objects has been let go since the last full
//! collection, told from a few of them.
//!
//! While a full collection marks, it notes *landmarks*: containers and instances that
//! roots lead to in few steps ([`Near`]); and *samples*, some hundreds of objects by
//! chance from among all, each with the landmark that marking came from when it met it. For
//! that all landmarks are met before anything else, so that marking from one ends where
//! the next begins. At a look the near objects are gathered anew. A sample whose
//! landmark is not among them any more, but which is still on its list, between the
//! same neighbours, is probably garbage: what held it was replaced, and it was not freed.
//!
//! Where landmarks stay, what small pieces leave them (the entries of a cache, a window)
//! shows in their references: one object of a piece has one fewer than before. Of the
//! samples so many more than [`PIECE`]'s part have lost a reference, less those that have
//! got one, as pieces of that size would have, and if they were garbage.
//!
//! What is found is a guess and decides only *when* a full collection comes. It sees large
//! structures that are dropped, in one or in many pieces, whatever their shape, and many
//! small ones. It does not see larger pieces, of hundreds of objects, that leave a large
//! container one by one. It is wrong where what held objects was replaced by something
//! that now holds the same ones, a list by a filtered list, or was one of two that did;
//! the policy trusts it less for each such time.
//!
//! # Safety
//! Samples and landmarks are addresses of objects that may be gone at a look. Landmarks are
//! compared with those of live objects first. The two words in front of a sample are read
//! by the system on our behalf (`/proc/self/mem`, which needs no system calls that a
//! sandbox would not expect), since there may be nothing to be read any more, and are
//! only compared: no pointer from an earlier collection is followed.

use pyo3_ffi::*;

use super::marker::Marker;
use super::referents::{Linked, Shape};
use super::seen::Sight;
use super::{Heap, roots};
use crate::by_address::Addresses;
use crate::layout::DICT;
use crate::list::{FLAGS, Link, link_of, object_of};
use crate::process::Errno;

/// Old objects below which looks are not worth their while.
pub const LEAST_OBJECTS: usize = 50_000;
/// Samples of a heap, about: one object in so many, but not less nor more than these. A
/// look reads each with a system call.
const SAMPLE_PART: usize = 750;
const LEAST_SAMPLES: usize = 128;
const MOST_SAMPLES: usize = 768;
/// Near objects for each so many of the heap's, and at most; twice that at a look, where
/// there may be new ones before those that are looked for.
const NEAR_PART: usize = 128;
const MOST_NEAR: usize = 8192;
/// Objects that are taken for garbage for each that something does not refer to any more.
const PIECE: usize = 10;
/// One part in so many of the samples that is lost makes a look go on.
const ENOUGH_LOST: usize = 20;
/// A container with more references than this is near, but leads to nothing near.
const MOST_REFERENCES: usize = 4096;
/// References that are followed for each near object, at most: many lead to none, such as
/// those of rows of numbers.
const REFERENCES_EACH: usize = 16;

/// An object and its neighbours on its list, by which it is told from another one that
/// has come to its address.
#[derive(Clone, Copy)]
struct Place {
    link: usize,
    next: usize,
    prev: usize,
}

impl Place {
    fn of(object: *mut PyObject) -> Self {
        Self {
            link: link_of(object) as usize,
            next: 0,
            prev: 0,
        }
    }

    /// Takes down who the neighbours are now.
    ///
    /// # Safety
    /// The object is alive.
    unsafe fn note_neighbours(&mut self) {
        // SAFETY: the link of a live object.
        unsafe {
            let link = self.link as Link;
            (self.next, self.prev) = ((*link).next, (*link).prev & !FLAGS);
        }
    }

    /// Whether one of the neighbours is who it was: the other one may have died.
    ///
    /// # Safety
    /// There is an object with a link at the address.
    unsafe fn is_same(&self) -> bool {
        let mut now = *self;
        // SAFETY: the caller's contract.
        unsafe { now.note_neighbours() };
        now.next == self.next || now.prev == self.prev
    }

    /// How many references the object has, if both neighbours are who they were, so that
    /// it is still there.
    fn references(&self, memory: &OwnMemory) -> Option<u32> {
        let [next, prev, references] = memory.words(self.link)?;
        let is_there = [next, prev & !FLAGS] == [self.next, self.prev];
        // The low half counts, in all versions.
        is_there.then_some(references as u32)
    }
}

/// One of some hundreds of objects.
struct Sample {
    place: Place,
    /// How many references there were to it.
    references: u32,
    /// Index of its landmark.
    landmark: usize,
}

/// What a full collection noted.
pub struct Landmarks {
    /// Roots that may go with a function's return, and might have been seen twice.
    roots: Addresses,
    /// Everything near.
    near: Addresses,
    /// What of that samples were met from.
    landmarks: Vec<Place>,
    samples: Vec<Sample>,
    /// All samples, with those that no landmark led to.
    count: usize,
}

impl Landmarks {
    /// Gathers the landmarks of a heap of about `expected` objects and has `marker`, which
    /// has met nothing yet, meet all that they lead to. `before` is what the last full
    /// collection noted. `None` without memory for it; then `marker` may have marked
    /// nothing.
    ///
    /// # Safety
    /// As for [`Marker::run`].
    pub unsafe fn mark(
        heap: &Heap<'_>,
        marker: &mut Marker,
        expected: usize,
        before: Option<&Self>,
    ) -> Option<Self> {
        let most = (expected / NEAR_PART).min(MOST_NEAR);
        let samples = (expected / SAMPLE_PART).clamp(LEAST_SAMPLES, MOST_SAMPLES);
        let stride = (expected / samples).max(1);
        let mut noted = Self {
            roots: Addresses::default(),
            near: Addresses::default(),
            landmarks: Vec::new(),
            samples: Vec::new(),
            count: 0,
        };
        noted.roots.try_reserve(most).ok()?;
        // SAFETY: the caller's contract; what roots lead to is alive.
        unsafe {
            // Most local variables of most functions are gone soon, and what they lead
            // to is then far from any root, but there.
            let lasting = roots::lasting();
            let is_wanted = |object: *mut PyObject, is_root: bool| {
                if !is_root {
                    return true;
                }
                if noted.roots.len() < most {
                    noted.roots.insert(object as usize);
                }
                lasting.contains(&object)
                    || before.is_some_and(|before| before.roots.contains(&(object as usize)))
            };
            let near = Near::gather(heap, most, is_wanted)?;
            noted.near = near.addresses;
            let mut objects = near.objects;
            objects.retain(|&object| marker.seen.meet(object) == Sight::New);
            marker.sampler.begin(samples, stride, marker.tracked);
            let mut is_whole = true;
            for object in objects {
                marker.run_from(object);
                let found = marker.sampler.samples.len();
                noted.count += found;
                is_whole &= noted.landmarks.try_reserve(1).is_ok()
                    && noted.samples.try_reserve(found).is_ok();
                if found == 0 || !is_whole {
                    marker.sampler.samples.clear();
                    continue;
                }
                let landmark = noted.landmarks.len();
                noted.landmarks.push(Place::of(object));
                for link in marker.sampler.samples.drain(..) {
                    noted.samples.push(Sample {
                        place: Place::of(object_of(link)),
                        references: Py_REFCNT(object_of(link)) as u32,
                        landmark,
                    });
                }
            }
            is_whole.then_some(noted)
        }
    }

    /// Marking is over, and tuples and dicts that need no tracking are off their lists.
    ///
    /// # Safety
    /// Nothing has died since [`mark`](Self::mark).
    pub unsafe fn note_neighbours(&mut self, others: usize) {
        self.count += others;
        let samples = self.samples.iter_mut().map(|sample| &mut sample.place);
        for place in samples.chain(&mut self.landmarks) {
            // SAFETY: the caller's contract.
            unsafe { place.note_neighbours() };
        }
        // Off its list there is nothing to know it by.
        self.samples.retain(|sample| sample.place.next != 0);
    }

    /// The part of the objects there were that have been let go since, as far as can be
    /// seen; `None` if nothing can be.
    ///
    /// # Safety
    /// The GIL is held. Runs no foreign code.
    pub unsafe fn lost(&self, heap: &Heap<'_>) -> Option<f64> {
        // SAFETY: the caller's contract.
        unsafe {
            if !roots::are_sound() {
                return None;
            }
            // First along the known ways: it is cheap, and does not depend on what else
            // has come near. Then wherever else things may have been moved to.
            let known = |object: *mut PyObject, _: bool| self.near.contains(&(object as usize));
            let kept = Near::gather(heap, self.near.len(), known)?;
            let is_far = |near: &Near, sample: &Sample| !self.is_near(near, sample);
            let far = self.samples.iter().filter(|sample| is_far(&kept, sample));
            let all = if far.count() > self.count / ENOUGH_LOST {
                Some(Near::gather(heap, 2 * self.near.len(), |_, _| true)?)
            } else {
                None
            };
            let memory = OwnMemory::open()?;
            let (mut lost, mut fewer, mut more) = (0, 0, 0);
            for sample in &self.samples {
                let Some(now) = sample.place.references(&memory) else {
                    continue;
                };
                let is_lost =
                    is_far(&kept, sample) && all.as_ref().is_none_or(|all| is_far(all, sample));
                lost += usize::from(is_lost);
                fewer += usize::from(now < sample.references);
                more += usize::from(now > sample.references);
            }
            let pieces = fewer.saturating_sub(more) * PIECE;
            Some((lost.max(pieces) as f64 / self.count.max(1) as f64).min(1.0))
        }
    }

    /// Whether the landmark of `sample` is among `near`.
    unsafe fn is_near(&self, near: &Near, sample: &Sample) -> bool {
        let landmark = &self.landmarks[sample.landmark];
        let object = object_of(landmark.link as Link);
        // SAFETY: what is near is an object with a link.
        near.addresses.contains(&(object as usize)) && unsafe { landmark.is_same() }
    }
}

/// This process's memory as the system reads it: what is not there is no fault then.
struct OwnMemory {
    file: i32,
}

impl OwnMemory {
    /// `None` where the system does not offer it.
    fn open() -> Option<Self> {
        let _errno = Errno::keep();
        // SAFETY: opens a file of the system's.
        let file =
            unsafe { libc::open(c"/proc/self/mem".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
        (file >= 0).then_some(Self { file })
    }

    /// The words at `address`, if there are any.
    fn words<const COUNT: usize>(&self, address: usize) -> Option<[usize; COUNT]> {
        let mut words = [0; COUNT];
        let bytes = size_of_val(&words);
        let _errno = Errno::keep();
        // SAFETY: reads as many bytes as there is room for.
        let read = unsafe {
            let into = words.as_mut_ptr().cast();
            libc::pread64(self.file, into, bytes, i64::try_from(address).ok()?)
        };
        (usize::try_from(read) == Ok(bytes)).then_some(words)
    }
}

impl Drop for OwnMemory {
    fn drop(&mut self) {
        let _errno = Errno::keep();
        // SAFETY: closes a file of ours.
        unsafe { libc::close(self.file) };
    }
}

/// Containers and instances that roots lead to in few steps.
struct Near {
    /// Nearest first.
    objects: Vec<*mut PyObject>,
    addresses: Addresses,
    most: usize,
}

impl Near {
    /// The `most` nearest at most, of those that `is_wanted` with nothing but wanted ones
    /// between them and the roots; `None` without memory for them. Roots come with `true`.
    ///
    /// # Safety
    /// The GIL is held. `is_wanted` runs no foreign code, and so does this.
    unsafe fn gather(
        heap: &Heap<'_>,
        most: usize,
        mut is_wanted: impl FnMut(*mut PyObject, bool) -> bool,
    ) -> Option<Self> {
        let mut near = Self {
            objects: Vec::new(),
            addresses: Addresses::default(),
            most,
        };
        near.objects.try_reserve(most).ok()?;
        near.addresses.try_reserve(most).ok()?;
        // SAFETY: what roots lead to is alive, and nothing changes meanwhile.
        unsafe {
            roots::each(|object| {
                if is_wanted(object, true) {
                    near.add(heap, object);
                }
            });
            let mut index = 0;
            let mut left = REFERENCES_EACH * most;
            while index < near.objects.len() && near.objects.len() < most {
                let object = near.objects[index];
                index += 1;
                let count = references(object);
                if count <= MOST_REFERENCES.min(left) {
                    left -= count;
                    heap.referents.each(object, |child| {
                        if is_wanted(child, false) {
                            near.add(heap, child);
                        }
                    });
                }
            }
        }
        Some(near)
    }

    /// Adds `object`, if it is of a kind that programs keep their own data in.
    #[inline]
    unsafe fn add(&mut self, heap: &Heap<'_>, object: *mut PyObject) {
        // SAFETY: `object` is alive, as is its type.
        unsafe {
            if self.objects.len() >= self.most || heap.is_leaf(object) {
                return;
            }
            let known = heap.referents.known(Py_TYPE(object));
            let is_data = match known.shape {
                Shape::List | Shape::Tuple | Shape::Dict | Shape::Values | Shape::Slots(_) => true,
                Shape::Fixed(_) | Shape::Other => PyModule_CheckExact(object) != 0,
            };
            // What is not tracked leads to nothing that is, or may not be complete.
            let is_tracked = is_data && known.linked == Linked::All && (*link_of(object)).next != 0;
            if is_tracked && self.addresses.insert(object as usize) {
                self.objects.push(object);
            }
        }
    }
}

/// How many references a list, tuple or dict has at most; 0 for other objects.
unsafe fn references(object: *mut PyObject) -> usize {
    // SAFETY: the caller passes a live object; sizes are read according to its type.
    unsafe {
        if PyList_CheckExact(object) != 0 {
            PyList_GET_SIZE(object) as usize
        } else if PyTuple_CheckExact(object) != 0 {
            PyTuple_GET_SIZE(object) as usize
        } else if PyDict_CheckExact(object) != 0 {
            DICT.entries(object)
                .map_or(usize::MAX, |(_, count, _)| count)
        } else {
            0
        }
    }
}
