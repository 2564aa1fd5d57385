//! What is read of a tracer.

use wrasse_tracer::{
    Counters, Exhausted, Locations, SideTable, Totals, TracebackId, Tracebacks, Tracer, View,
};

/// A tracer, as far as sums and captures need one.
pub trait Source {
    /// Are allocations counted that are not alive any more?
    const COUNTS_ALLOCATIONS: bool;

    /// What `view` sees of domain 0, by [`TracebackId`].
    fn totals(&self, view: View, into: &mut Vec<Totals>) -> Result<(), Exhausted>;
    /// The blocks of other domains: domain, traceback, size.
    fn reported(&self, view: View) -> impl Iterator<Item = (u32, TracebackId, usize)>;
    /// The tracebacks met so far.
    fn tracebacks(&self) -> &Tracebacks;
    /// The source lines met so far.
    fn locations(&self) -> &Locations;
    /// The running figures of a view.
    fn counters(&self, view: View) -> Counters;
    /// The frame limit of a view.
    fn limit(&self, view: View) -> u16;
}

impl<S: SideTable> Source for Tracer<S> {
    const COUNTS_ALLOCATIONS: bool = Tracer::<S>::COUNTS_ALLOCATIONS;

    fn totals(&self, view: View, into: &mut Vec<Totals>) -> Result<(), Exhausted> {
        Tracer::totals(self, view, into)
    }
    fn reported(&self, view: View) -> impl Iterator<Item = (u32, TracebackId, usize)> {
        Tracer::reported(self, view)
    }
    fn tracebacks(&self) -> &Tracebacks {
        Tracer::tracebacks(self)
    }
    fn locations(&self) -> &Locations {
        Tracer::locations(self)
    }
    fn counters(&self, view: View) -> Counters {
        Tracer::counters(self, view)
    }
    fn limit(&self, view: View) -> u16 {
        Tracer::limit(self, view)
    }
}
