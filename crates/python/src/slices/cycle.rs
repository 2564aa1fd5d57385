//! A full collection as a sequence of steps, any of which may be put off.
//!
//! 1. **Mark** what roots reach, in side tables.
//! 2. **Gather**: walk the oldest generation's list. What was not reached, the
//!    *candidates*, moves to a zone at its end and gets numbers.
//! 3. **Count** references between candidates.
//! 4. **Revive** those with more references than that, with all they reach.
//! 5. **Join** what refers to each other among the rest into pieces.
//! 6. **Divide** the rest into segments of the zone, each of whole pieces.
//! 7. **Try** one segment after the other, as any set is tried: by trial deletion.
//!
//! Few candidates are one segment, and steps 3 to 6 are left out.
//!
//! # Why it is right
//! Steps 1 to 6 only choose what is tried together. The program runs between any
//! two steps and within most, so each of their results may be out of date; what is
//! freed is decided by the exact trial of a segment, during which nothing else
//! runs. A wrong choice can only keep garbage until the next full collection. What
//! was garbage when the cycle began and was not reached is found: the references
//! to it come from garbage only and stay as they are, so it has no more references
//! than are counted and its piece is whole.
//!
//! # Invariants
//! Between two steps all lists are proper and in CPython's format, and no pointer
//! to an object is kept: only places on lists (`place.rs`), and addresses that are
//! never followed. All the objects stay in the oldest generation, where `gc` shows
//! them, but for those of the segment that is being tried.
//!
//! The list from its head is: *begin*, what the cycle is about, *end*, the zone,
//! *zone end*, the segments, each with its place behind it, and what has grown old
//! since.

use std::time::Instant;

use pyo3_ffi::*;
use wrasse_collector::{Outcome, Pieces};
use wrasse_graph::{AddressIndex, Exhausted};

use super::marker::{Marker, Progress};
use super::marks::NoMemory;
use super::place::{Place, insert_before};
use crate::heap::referents::Referents;
use crate::heap::{is_immortal, roots, untrack};
use crate::list::{FLAGS, Link, List, link_of, object_of, unlink};

/// Places for objects that wait when a slice is over. Others wait to be found on
/// the list.
const PLACES: usize = 32;
/// Walks over a list in search of what waits. What waits still is not followed.
const MOST_PASSES: u32 = 6;
/// Candidates that get a number between two looks at the clock, and, about, how many
/// there are for each chunk of the index.
const NUMBERED: usize = 16 * 1024;
const CHUNK: usize = 128;
/// Segments at most; they grow larger instead.
const MOST_SEGMENTS: usize = 1000;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// See the module, as for all.
    Mark,
    /// Step 2.
    Gather,
    /// The end of step 2: numbers.
    Number,
    /// Step 3.
    Count,
    /// Step 4.
    Revive,
    /// Step 5.
    Join,
    /// Step 6.
    Divide,
    /// Step 7.
    Try,
}

impl Phase {
    /// In one word, for the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mark => "mark",
            Self::Gather => "gather",
            Self::Number => "number",
            Self::Count => "count",
            Self::Revive => "revive",
            Self::Join => "join",
            Self::Divide => "divide",
            Self::Try => "try",
        }
    }
}

/// There was no memory to go on with.
#[derive(Debug)]
pub struct Stuck;

impl From<NoMemory> for Stuck {
    fn from(_: NoMemory) -> Self {
        Stuck
    }
}

impl From<Exhausted> for Stuck {
    fn from(_: Exhausted) -> Self {
        Stuck
    }
}

/// One full collection in progress.
pub struct Cycle {
    phase: Phase,
    progress: Progress,
    /// Whether roots have been marked.
    rooted: bool,
    begin: Place,
    end: Place,
    zone_end: Place,
    search: Search,
    waiting: Waiting,
    index: AddressIndex,
    pieces: Pieces,
    /// The place behind each segment, and how many objects were put into it.
    segments: Vec<(Place, usize)>,
    /// The first segment that was not tried.
    next: usize,
    /// What came of it so far.
    pub total: Outcome,
}

impl Cycle {
    /// A cycle over all objects of `oldest`.
    ///
    /// # Safety
    /// The GIL is held and a collection is going on. `oldest` is the list of the
    /// oldest generation.
    pub unsafe fn new(oldest: &List) -> Result<Box<Self>, Stuck> {
        // SAFETY: the caller's contract.
        unsafe {
            let place = || Place::new().ok_or(Stuck);
            let mut idle = Vec::new();
            for _ in 0..PLACES {
                idle.push(place()?);
            }
            let (begin, cursor, end, zone_end) = (place()?, place()?, place()?, place()?);
            let head = oldest.head();
            begin.put_before((*head).next as Link);
            cursor.put_before(begin.next());
            end.put_before(head);
            zone_end.put_before(head);
            Ok(Box::new(Self {
                phase: Phase::Mark,
                progress: Progress::new()?,
                rooted: false,
                begin,
                end,
                zone_end,
                search: Search {
                    cursor,
                    passes: 0,
                    fruitful: false,
                },
                waiting: Waiting {
                    places: Vec::new(),
                    idle,
                },
                index: AddressIndex::default(),
                pieces: Pieces::with_room(0).ok_or(Stuck)?,
                segments: Vec::new(),
                next: 0,
                total: Outcome::default(),
            }))
        }
    }

    /// What comes next.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether `oldest` is as the cycle left it: a function of CPython's that
    /// somebody had kept may have moved all objects elsewhere.
    pub fn fits(&self, oldest: &List) -> bool {
        // SAFETY: a list's head is live.
        unsafe { (*oldest.head()).next == self.begin.link() as usize }
    }

    /// Goes on until segments can be tried, or until about `until`. `most` objects
    /// may be tried together.
    ///
    /// # Safety
    /// The GIL is held, a collection is going on, no exception is set, and the
    /// cycle [`fits`](Self::fits) `oldest`. Runs no foreign code.
    pub unsafe fn advance(
        &mut self,
        oldest: &List,
        until: Instant,
        most: usize,
    ) -> Result<(), Stuck> {
        let referents = Referents::new();
        // SAFETY: the caller's contract.
        unsafe {
            loop {
                let done = match self.phase {
                    Phase::Mark => self.mark(oldest, &referents, until)?,
                    Phase::Gather => self.gather(&referents, until, most)?,
                    Phase::Number => self.number(until),
                    Phase::Count => self.count(&referents, until),
                    Phase::Revive => self.revive(&referents, until)?,
                    Phase::Join => self.join(&referents, until),
                    Phase::Divide => self.divide(&referents, until, most)?,
                    Phase::Try => return Ok(()),
                };
                if !done || Instant::now() >= until {
                    return Ok(());
                }
            }
        }
    }

    /// The next phase, with a walk from behind `from`.
    unsafe fn turn(&mut self, phase: Phase, from: Link) {
        self.phase = phase;
        (self.search.passes, self.search.fruitful) = (0, false);
        let cursor = &self.search.cursor;
        // It may stand right there.
        cursor.leave();
        // SAFETY: `from` is the link of a place of this cycle that stands.
        unsafe { cursor.put_before((*from).next as Link) };
    }

    unsafe fn mark(
        &mut self,
        oldest: &List,
        referents: &Referents,
        until: Instant,
    ) -> Result<bool, Stuck> {
        // SAFETY: `advance`'s contract; nothing changes before the marker leaves.
        unsafe {
            let mut marker = Marker::new(&mut self.progress, referents, until);
            if !std::mem::replace(&mut self.rooted, true) && roots::are_sound() {
                roots::each(|root| marker.edge(root));
            }
            self.waiting.take_up(&mut marker);
            let stop = oldest.head();
            let done = self.search.mark(
                &mut marker,
                &self.begin,
                stop,
                |marker| marker.is_done(),
                |marker, object| {
                    let waits = marker.is_waiting(object);
                    if waits {
                        marker.resume(object);
                    }
                    waits
                },
            );
            self.waiting.put_off(marker)?;
            if done {
                self.waiting.forget();
                self.turn(Phase::Gather, self.begin.link());
            }
            Ok(done)
        }
    }

    unsafe fn gather(
        &mut self,
        referents: &Referents,
        until: Instant,
        most: usize,
    ) -> Result<bool, Stuck> {
        // SAFETY: `advance`'s contract. The walk has read the next link before the
        // visited one is moved or untracked.
        unsafe {
            let mut marker = Marker::new(&mut self.progress, referents, until);
            let (index, total) = (&mut self.index, &mut self.total);
            let zone_end = self.zone_end.link();
            let mut result = Ok(());
            let done = walk(&self.search.cursor, self.end.link(), |link| {
                let object = object_of(link);
                total.candidates += 1;
                if marker.is_reached(object) || is_immortal(object) {
                    let untracked = PyTuple_CheckExact(object) != 0 && untrack::tuple(object)
                        || PyDict_CheckExact(object) != 0 && untrack::dict(object);
                    total.survivors += usize::from(!untracked);
                } else {
                    result = index.mark(object as usize).map(|_| ());
                    unlink(link);
                    insert_before(link, zone_end);
                }
                result.is_ok() && !marker.is_over()
            });
            result?;
            if !done {
                return Ok(false);
            }
            let count = index.len();
            if count <= most {
                self.segments.push((
                    std::mem::replace(&mut self.zone_end, self.waiting.idle.pop().ok_or(Stuck)?),
                    count,
                ));
                self.zone_end.put_before(self.end.next());
                self.turn(Phase::Try, self.begin.link());
            } else {
                self.pieces = Pieces::with_room(count).ok_or(Stuck)?;
                self.phase = Phase::Number;
            }
            Ok(true)
        }
    }

    unsafe fn number(&mut self, until: Instant) -> bool {
        loop {
            let entered = self.pieces.enter(NUMBERED);
            if self.index.number_more(NUMBERED / CHUNK) && entered {
                break;
            }
            if Instant::now() >= until {
                return false;
            }
        }
        // SAFETY: `advance`'s contract.
        unsafe { self.turn(Phase::Count, self.end.link()) };
        true
    }

    unsafe fn count(&mut self, referents: &Referents, until: Instant) -> bool {
        // SAFETY: `advance`'s contract.
        unsafe {
            let mut marker = Marker::new(&mut self.progress, referents, until);
            let (index, pieces) = (&self.index, &mut self.pieces);
            let done = walk(&self.search.cursor, self.zone_end.link(), |link| {
                referents.each(object_of(link), |target| {
                    marker.visited();
                    if let Some(number) = index.number(target as usize) {
                        pieces.refer(number);
                    }
                });
                !marker.is_over()
            });
            if done {
                self.turn(Phase::Revive, self.end.link());
            }
            done
        }
    }

    unsafe fn revive(&mut self, referents: &Referents, until: Instant) -> Result<bool, Stuck> {
        // SAFETY: `advance`'s contract; nothing changes before the marker leaves.
        unsafe {
            let mut marker = Marker::new(&mut self.progress, referents, until);
            self.waiting.take_up(&mut marker);
            let (index, pieces) = (&self.index, &self.pieces);
            let stop = self.zone_end.link();
            let done = self.search.mark(
                &mut marker,
                &self.end,
                stop,
                |_| false,
                |marker, object| {
                    if marker.is_waiting(object) {
                        marker.resume(object);
                        return true;
                    }
                    let is_held = !marker.is_reached(object)
                        && index.number(object as usize).is_none_or(|number| {
                            Py_REFCNT(object) as usize > pieces.references(number) as usize
                        });
                    if is_held {
                        marker.edge(object);
                    }
                    is_held
                },
            );
            self.waiting.put_off(marker)?;
            if done {
                self.waiting.forget();
                self.turn(Phase::Join, self.end.link());
            }
            Ok(done)
        }
    }

    unsafe fn join(&mut self, referents: &Referents, until: Instant) -> bool {
        // SAFETY: `advance`'s contract.
        unsafe {
            let mut marker = Marker::new(&mut self.progress, referents, until);
            let (index, pieces) = (&self.index, &mut self.pieces);
            let done = walk(&self.search.cursor, self.zone_end.link(), |link| {
                let object = object_of(link);
                if !marker.is_reached(object)
                    && let Some(number) = index.number(object as usize)
                {
                    referents.each(object, |target| {
                        if let Some(other) = index.number(target as usize)
                            && !marker.is_reached(target)
                        {
                            pieces.join(number, other);
                        }
                        marker.visited();
                    });
                }
                !marker.is_over()
            });
            if done {
                self.turn(Phase::Divide, self.end.link());
            }
            done
        }
    }

    unsafe fn divide(
        &mut self,
        referents: &Referents,
        until: Instant,
        most: usize,
    ) -> Result<bool, Stuck> {
        // SAFETY: `advance`'s contract. The walk has read the next link before the
        // visited one is moved.
        unsafe {
            let mut marker = Marker::new(&mut self.progress, referents, until);
            let most = most.max(self.index.len() / MOST_SEGMENTS);
            let (index, pieces) = (&self.index, &mut self.pieces);
            let (segments, zone_end) = (&mut self.segments, &self.zone_end);
            let total = &mut self.total;
            let mut result = Ok(());
            let done = walk(&self.search.cursor, self.zone_end.link(), |link| {
                let object = object_of(link);
                let number = index.number(object as usize);
                let Some(number) = number.filter(|_| !marker.is_reached(object)) else {
                    total.survivors += 1;
                    return !marker.is_over();
                };
                let batch = pieces.batch(number, most) as usize;
                while segments.len() <= batch && result.is_ok() {
                    result = match Place::new() {
                        Some(place) => {
                            let last = segments.last().map_or(zone_end, |(place, _)| place);
                            place.put_before(last.next());
                            segments.push((place, 0));
                            Ok(())
                        }
                        None => Err(Stuck),
                    };
                }
                let Some((place, size)) = segments.get_mut(batch) else {
                    return false;
                };
                *size += 1;
                unlink(link);
                insert_before(link, place.link());
                !marker.is_over()
            });
            result?;
            if done {
                self.turn(Phase::Try, self.begin.link());
                // Nothing more is asked of these.
                self.index = AddressIndex::default();
                self.pieces = Pieces::with_room(0).ok_or(Stuck)?;
                self.progress = Progress::new()?;
            }
            Ok(done)
        }
    }

    /// How many objects were put into the segment that comes next, if there is one.
    pub fn next_size(&self) -> Option<usize> {
        self.segments.get(self.next).map(|(_, size)| *size)
    }

    /// Takes what is left of the next segment off the oldest generation, onto
    /// `list`, which is empty.
    ///
    /// # Safety
    /// As for [`advance`](Self::advance), and [`next_size`](Self::next_size) has
    /// said that there is one.
    pub unsafe fn take_segment(&mut self, list: &List) {
        debug_assert!(list.is_empty() && self.phase == Phase::Try);
        let Some((place, _)) = self.segments.get(self.next) else {
            return;
        };
        let before = match self.next.checked_sub(1) {
            Some(last) => self.segments[last].0.link(),
            None => self.zone_end.link(),
        };
        self.next += 1;
        // SAFETY: the two places are on one proper list, in this order.
        unsafe {
            let (head, behind) = (list.head(), place.link());
            let first = (*before).next as Link;
            let last = ((*behind).prev & !FLAGS) as Link;
            if first == behind {
                return;
            }
            (*before).next = behind as usize;
            (*behind).prev = before as usize | ((*behind).prev & FLAGS);
            (*head).next = first as usize;
            (*first).prev = head as usize | ((*first).prev & FLAGS);
            (*last).next = head as usize;
            (*head).prev = last as usize;
        }
    }
}

/// A walk over a part of the list in search of what is to be marked, done again
/// while it finds something.
struct Search {
    /// Where to go on. Steps that walk once use it too.
    cursor: Place,
    passes: u32,
    /// Whether the walk that is going on has found anything.
    fruitful: bool,
}

impl Search {
    /// Has `marker` mark all that it knows of, and then, until that `is_enough`, what
    /// `take_up` gives it from between `begin` and `stop`, which says whether it gave
    /// anything. Says whether that was done before the slice was over.
    ///
    /// # Safety
    /// As for [`walk`] and [`Marker::run`]; `begin` stands on the same list.
    unsafe fn mark(
        &mut self,
        marker: &mut Marker,
        begin: &Place,
        stop: Link,
        is_enough: impl Fn(&Marker) -> bool,
        mut take_up: impl FnMut(&mut Marker, *mut PyObject) -> bool,
    ) -> bool {
        // SAFETY: the caller's contract.
        unsafe {
            if !marker.run() {
                return false;
            }
            while !is_enough(marker) {
                let passed = walk(&self.cursor, stop, |link| {
                    if take_up(marker, object_of(link)) {
                        self.fruitful = true;
                        return marker.run();
                    }
                    !marker.is_over()
                });
                if !passed {
                    return false;
                }
                self.passes += 1;
                self.cursor.put_before(begin.next());
                if !std::mem::take(&mut self.fruitful) || self.passes >= MOST_PASSES {
                    break;
                }
            }
            true
        }
    }
}

/// Objects that wait when a slice is over, as far as there are places for them.
struct Waiting {
    /// Places before objects that wait, with the addresses of these.
    places: Vec<(Place, usize)>,
    idle: Vec<Place>,
}

impl Waiting {
    /// Has `marker` go on with what waits behind places.
    ///
    /// # Safety
    /// As for [`Marker::resume`].
    unsafe fn take_up(&mut self, marker: &mut Marker) {
        for (place, address) in &self.places {
            // SAFETY: a link behind a place is a live object's, or a head's, which no
            // object's is.
            unsafe {
                let object = object_of(place.next());
                if object as usize == *address && marker.is_waiting(object) {
                    marker.resume(object);
                }
            }
        }
        self.forget();
    }

    /// Ends the slice, with places before what waits longest.
    ///
    /// # Safety
    /// All lists are proper ones, and nothing has changed since the slice began.
    unsafe fn put_off(&mut self, marker: Marker) -> Result<(), Stuck> {
        let failed = marker.has_failed();
        marker.leave(|object| {
            // SAFETY: the object was reached in this slice: it is alive, and tracked,
            // so it stands on a list that is a proper one.
            unsafe {
                if let Some(place) = self.idle.pop() {
                    place.put_before(link_of(object));
                    self.places.push((place, object as usize));
                }
            }
        });
        if failed { Err(Stuck) } else { Ok(()) }
    }

    /// All places are idle again.
    fn forget(&mut self) {
        for (place, _) in self.places.drain(..) {
            place.leave();
            self.idle.push(place);
        }
    }
}

/// Walks from behind `cursor` to `stop`, until `visit` says that it is enough. Says
/// whether it came to the end; if not, the cursor stands where to go on.
///
/// # Safety
/// The cursor stands before `stop` on a proper list. `visit` may take the link it
/// is passed off the list, and no other.
unsafe fn walk(cursor: &Place, stop: Link, mut visit: impl FnMut(Link) -> bool) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let mut link = cursor.next();
        cursor.leave();
        while link != stop {
            let next = (*link).next as Link;
            if !visit(link) {
                cursor.put_before(next);
                return false;
            }
            link = next;
        }
        true
    }
}
