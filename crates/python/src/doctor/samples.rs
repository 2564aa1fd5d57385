//! What a list's items are like, by some of them.

use pyo3_ffi::*;

use crate::heap_graph::Exclusive;

/// One place in each of `count` parts of equal length, now here, now there in it: what
/// comes again after a fixed number of items must not be met each time or never.
fn part(number: usize, length: usize, count: usize) -> usize {
    let (first, next) = (number * length / count, (number + 1) * length / count);
    let mixed = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    first + mixed as usize % (next - first)
}

/// Averages over some items.
#[derive(Clone, Copy)]
pub struct Sample {
    /// The bytes that go with one.
    pub bytes: f64,
    /// The part of them that nobody else holds.
    pub alone: f64,
    /// The bytes of texts and numbers in those, and of what nothing else holds of that.
    contents: (f64, f64),
}

impl Sample {
    /// Which part of the bytes of items like these is held elsewhere once they are like
    /// `later`, though they are not.
    pub fn left_of(&self, later: &Sample) -> f64 {
        let part = |sample: &Sample| sample.contents.1 / sample.contents.0.max(1.0);
        if part(self) == 0.0 || self.bytes == 0.0 || later.alone == 0.0 {
            return 0.0;
        }
        let lost = (1.0 - part(later) / part(self)).max(0.0);
        lost * self.contents.1 / self.bytes
    }
}

/// What the items from `start` to `end` are like, by `most` of them.
///
/// # Safety
/// There are so many items, each null or alive, and the GIL is held.
pub unsafe fn sample(
    items: *const *mut PyObject,
    start: usize,
    end: usize,
    most: usize,
    exclusive: &mut Exclusive,
) -> Option<Sample> {
    let length = end.checked_sub(start).filter(|length| *length > 0)?;
    let count = length.min(most);
    let (mut bytes, mut alone) = (0, 0);
    let mut contents = (0, 0);
    for number in 0..count {
        // SAFETY: within the items, which are null or live.
        unsafe {
            let item = *items.add(start + part(number, length, count));
            if !item.is_null() {
                let held = exclusive.held(item);
                bytes += held;
                if held > 0 {
                    alone += 1;
                    let (all, own) = exclusive.contents(item);
                    contents = (contents.0 + all, contents.1 + own);
                }
            }
        }
    }
    Some(Sample {
        bytes: bytes as f64 / count as f64,
        alone: f64::from(alone) / count as f64,
        contents: (
            contents.0 as f64 / count as f64,
            contents.1 as f64 / count as f64,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn samples_meet_what_alternates() {
        for (length, count) in [(200, 200), (201, 200), (48_400, 200), (7, 3)] {
            let places: Vec<_> = (0..count).map(|at| part(at, length, count)).collect();
            assert!(places.is_sorted_by(|a, b| a < b) && places[count - 1] < length);
        }
        let odd = (0..200).filter(|at| part(*at, 48_400, 200) % 2 == 1);
        assert!((70..130).contains(&odd.count()));
    }
}
