//! Bytes alive now, and the most there ever were.

/// The two running figures of one view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    current: usize,
    peak: usize,
}

impl Counters {
    /// Bytes in blocks alive now.
    pub fn current(&self) -> usize {
        self.current
    }

    /// The largest value `current` has had since the last reset.
    pub fn peak(&self) -> usize {
        self.peak
    }

    /// A block of `size` bytes came to life. Is that a new peak?
    #[inline(always)]
    pub fn add(&mut self, size: usize) -> bool {
        self.current = self.current.wrapping_add(size);
        // A branch that is nearly always the same, instead of a store.
        let is_peak = self.current > self.peak;
        if is_peak {
            self.peak = self.current;
        }
        is_peak
    }

    /// A block of `size` bytes is gone.
    #[inline(always)]
    pub fn subtract(&mut self, size: usize) {
        self.current = self.current.wrapping_sub(size);
    }

    /// Start the peak anew from what is alive now.
    pub fn reset_peak(&mut self) {
        self.peak = self.current;
    }

    /// The peak was at least this, before the last reset.
    pub fn raise_peak(&mut self, peak: usize) {
        self.peak = self.peak.max(peak);
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
