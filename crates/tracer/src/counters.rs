//! Bytes alive now, and the most there ever were.

/// The two running figures of one view.
///
/// Kept is how far below the peak things are, so that recording a block takes one
/// subtraction, whose borrow says that there is a new peak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    peak: usize,
    below: usize,
}

impl Counters {
    /// Bytes in blocks alive now.
    pub fn current(&self) -> usize {
        self.peak.wrapping_sub(self.below)
    }

    /// The largest value `current` has had since the last reset.
    pub fn peak(&self) -> usize {
        self.peak
    }

    /// A block of `size` bytes came to life. Is that a new peak?
    #[inline(always)]
    pub fn add(&mut self, size: usize) -> bool {
        let is_peak = !self.add_below_peak(size);
        if is_peak {
            self.add_to_peak(size);
        }
        is_peak
    }

    /// As [`Counters::add`], but no, and nothing is done, if this is a new peak.
    #[inline(always)]
    pub fn add_below_peak(&mut self, size: usize) -> bool {
        let below = self.below.checked_sub(size);
        if let Some(below) = below {
            self.below = below;
        }
        below.is_some()
    }

    /// As [`Counters::add`], where it is known that this is a new peak.
    #[inline(always)]
    pub fn add_to_peak(&mut self, size: usize) {
        debug_assert!(size > self.below);
        self.peak = self.current().wrapping_add(size);
        self.below = 0;
    }

    /// A block of `size` bytes is gone.
    #[inline(always)]
    pub fn subtract(&mut self, size: usize) {
        self.below = self.below.wrapping_add(size);
    }

    /// Start the peak anew from what is alive now.
    pub fn reset_peak(&mut self) {
        self.peak = self.current();
        self.below = 0;
    }

    /// The peak was at least this, before the last reset.
    pub fn raise_peak(&mut self, peak: usize) {
        if peak > self.peak {
            self.below = self.below.wrapping_add(peak - self.peak);
            self.peak = peak;
        }
    }

    /// Forget everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_stays_until_it_is_reset() {
        let mut counters = Counters::default();
        assert!(counters.add(10) && counters.add(5));
        counters.subtract(12);
        assert_eq!((counters.current(), counters.peak()), (3, 15));
        counters.reset_peak();
        assert_eq!((counters.current(), counters.peak()), (3, 3));
        assert!(!counters.add(0));
        counters.raise_peak(15);
        counters.raise_peak(7);
        assert_eq!((counters.current(), counters.peak()), (3, 15));
        counters.clear();
        assert_eq!((counters.current(), counters.peak()), (0, 0));
    }
}
