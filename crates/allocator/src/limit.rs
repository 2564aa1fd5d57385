//! How much memory may be taken, and how much is.
//!
//! Looked at only when a pool or a large block is taken, so handing out small
//! blocks costs nothing. Setting and lifting it is one store.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes taken, at most and now.
pub struct Limit {
    limit: AtomicUsize,
    taken: AtomicUsize,
    peak: AtomicUsize,
    refused: AtomicUsize,
}

impl Default for Limit {
    fn default() -> Self {
        Limit {
            limit: AtomicUsize::new(usize::MAX),
            taken: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        }
    }
}

impl Limit {
    /// Sets the limit in bytes; `None` lifts it. What is taken already stays.
    pub fn set(&self, limit: Option<usize>) {
        self.limit
            .store(limit.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// The limit in bytes, if there is one.
    pub fn get(&self) -> Option<usize> {
        let limit = self.limit.load(Ordering::Relaxed);
        (limit != usize::MAX).then_some(limit)
    }

    /// Bytes taken now.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// The most bytes that were taken at any time.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// How often taking was refused.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Counts `bytes` as taken, unless that would pass the limit.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        let before = self.taken.fetch_add(bytes, Ordering::Relaxed);
        let after = before.saturating_add(bytes);
        if after > self.limit.load(Ordering::Relaxed) {
            self.taken.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.peak.fetch_max(after, Ordering::Relaxed);
        true
    }

    /// Counts one allocation as refused.
    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts `bytes` as given back.
    pub fn give(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_would_pass_it_and_forgets_what_it_refused() {
        let limit = Limit::default();
        assert!(limit.take(100));
        limit.set(Some(150));
        assert!(!limit.take(51));
        assert_eq!(limit.taken(), 100);
        assert!(limit.take(50));
        assert!(!limit.take(1));
        limit.give(120);
        assert_eq!((limit.taken(), limit.peak()), (30, 150));
        assert!(!limit.take(usize::MAX));
        limit.set(None);
        assert_eq!(limit.get(), None);
        assert!(limit.take(1 << 40));
    }
}
