//! Draws some objects by chance from those that marking meets, for `landmarks.rs`.

use pyo3_ffi::*;

use crate::list::{Link, link_of};

/// More are apart by chance only as far as a half of a random word goes.
const MOST_STRIDE: usize = 1 << 30;

/// What to draw, and what was drawn.
pub struct Sampler {
    /// The objects drawn since this was emptied last.
    pub samples: Vec<Link>,
    /// The number of the object to draw next.
    next: usize,
    stride: usize,
    /// How many were drawn, and how many it was to be.
    drawn: usize,
    expected: usize,
    chance: u64,
}

impl Sampler {
    /// One that draws nothing.
    pub fn new() -> Self {
        Self {
            samples: Vec::new(),
            next: usize::MAX,
            stride: 0,
            drawn: 0,
            expected: 0,
            chance: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// From now on, where `met` objects have been met, one in `stride` is drawn, by chance:
    /// what was made in a loop has a rhythm of its own. That should give `expected` of
    /// them; where there are more objects than was known, fewer are drawn of the later ones.
    pub fn begin(&mut self, expected: usize, stride: usize, met: usize) {
        self.expected = expected.max(1);
        self.stride = stride.clamp(1, MOST_STRIDE);
        self.next = met;
        self.skip();
    }

    /// Is the object with this number, counted from 1, to be drawn?
    #[inline(always)]
    pub fn is_next(&self, number: usize) -> bool {
        number == self.next
    }

    /// Draws it; not without memory.
    #[cold]
    pub fn take(&mut self, object: *mut PyObject) {
        if self.samples.try_reserve(1).is_ok() {
            self.samples.push(link_of(object));
        }
        self.drawn += 1;
        if self.drawn.is_multiple_of(2 * self.expected) {
            self.stride = (2 * self.stride).min(MOST_STRIDE);
        }
        self.skip();
    }

    fn skip(&mut self) {
        // Marsaglia's xorshift.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let step = (self.chance >> 32) as usize % (2 * self.stride - 1);
        self.next += 1 + step;
    }
}
