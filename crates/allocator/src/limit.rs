//! How much memory may be taken, and how much is.
//!
//! Looked at only when a pool or a large block is taken, so handing out small
//! blocks costs nothing. Setting and lifting it is a store or two.
//!
//! Whoever is refused needs a little memory to deal with that: CPython, for one,
//! unwinds its stack with the help of new integers, and tries for ever where it
//! gets none. So each refusal allows some small requests to pass the limit, by
//! [`NEED`] bytes altogether.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How far requests in need may pass the limit, in bytes.
pub const NEED: usize = 1 << 18;
/// The largest request in need.
const NEED_SIZE: usize = 512;
/// How many requests may be in need after each refusal.
const NEEDS: usize = 256;

/// Bytes taken, at most and now.
pub struct Limit {
    limit: AtomicUsize,
    /// What requests in need may take it to.
    last: AtomicUsize,
    /// How many of them may still come.
    needs: AtomicUsize,
    taken: AtomicUsize,
    peak: AtomicUsize,
    refused: AtomicUsize,
}

impl Default for Limit {
    fn default() -> Self {
        Limit {
            limit: AtomicUsize::new(usize::MAX),
            last: AtomicUsize::new(usize::MAX),
            needs: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        }
    }
}

impl Limit {
    /// Sets the limit in bytes; `None` lifts it. What is taken already stays.
    pub fn set(&self, limit: Option<usize>) {
        let limit = limit.unwrap_or(usize::MAX);
        let last = limit.max(self.taken()).saturating_add(NEED);
        self.last.store(last, Ordering::Relaxed);
        self.limit.store(limit, Ordering::Relaxed);
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

    /// How many requests were refused while there was a limit.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Counts `bytes` as taken, unless that would pass the limit. Once there is
    /// memory behind them, say so with [`Limit::confirm`].
    ///
    /// What is refused is at no moment counted, so a huge request of one thread
    /// cannot fail a small one of another. The counts order no other memory:
    /// `Relaxed` is enough for a sum that only these exchanges change.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        self.take_to(self.limit.load(Ordering::Relaxed), bytes)
    }

    /// As [`Limit::take`] for a small request after a refusal, which may pass the
    /// limit.
    #[must_use]
    pub(crate) fn take_in_need(&self, bytes: usize) -> bool {
        bytes <= NEED_SIZE
            && self
                .needs
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                })
                .is_ok()
            && self.take_to(self.last.load(Ordering::Relaxed), bytes)
    }

    fn take_to(&self, limit: usize, bytes: usize) -> bool {
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                taken.checked_add(bytes).filter(|after| *after <= limit)
            })
            .is_ok()
    }

    /// What was taken has been had: it belongs to the peak.
    pub fn confirm(&self) {
        self.peak.fetch_max(self.taken(), Ordering::Relaxed);
    }

    /// Counts one request as refused, if there is a limit.
    pub fn refuse(&self) {
        if self.get().is_some() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            self.needs.store(NEEDS, Ordering::Relaxed);
        }
    }

    /// Counts `bytes` as given back.
    pub fn give(&self, bytes: usize) {
        let before = self.taken.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "more given back than was taken");
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
        limit.confirm();
        assert!(!limit.take(1));
        limit.give(120);
        assert_eq!((limit.taken(), limit.peak()), (30, 150));
        assert!(!limit.take(usize::MAX));
        limit.set(None);
        assert_eq!(limit.get(), None);
        assert!(limit.take(1 << 40));
        limit.give(1 << 40);
        assert!(!limit.take(usize::MAX), "the sum must not wrap");
        assert_eq!((limit.taken(), limit.peak()), (30, 150));
    }

    #[test]
    fn small_requests_pass_after_a_refusal_but_not_without_end() {
        let limit = Limit::default();
        limit.set(Some(1000));
        assert!(limit.take(1000));
        assert!(!limit.take_in_need(16), "nobody was refused");
        limit.refuse();
        assert!(!limit.take_in_need(NEED_SIZE + 1));
        let mut passed = 0;
        while limit.take_in_need(NEED_SIZE) {
            passed += 1;
        }
        assert_eq!(passed, NEEDS);
        for _ in 0..2 * NEED / NEED_SIZE {
            limit.refuse();
            passed += usize::from(limit.take_in_need(NEED_SIZE));
        }
        assert_eq!(passed, NEED / NEED_SIZE);
        // A limit below what is taken leaves as much.
        limit.set(Some(1));
        limit.refuse();
        assert!(limit.take_in_need(16));
    }

    #[test]
    fn a_huge_request_fails_no_small_one_of_another_thread() {
        let limit = Limit::default();
        limit.set(Some(1 << 20));
        std::thread::scope(|scope| {
            let huge = scope.spawn(|| {
                for _ in 0..200_000 {
                    assert!(!limit.take(1 << 40));
                }
            });
            while !huge.is_finished() {
                assert!(limit.take(100), "there is room for a hundred bytes");
                limit.give(100);
            }
        });
        assert_eq!(limit.taken(), 0);
    }
}
