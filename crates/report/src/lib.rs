//! What wrasse tells its users: the summary of a run, as text and as JSON.
//!
//! This crate knows no interpreter. A host gathers the figures into a
//! [`Summary`]; here they become something to read.

mod destination;
mod summary;
mod text;
pub mod units;

pub use destination::{Unwritable, check_destination, write_destination};
pub use summary::{
    Allocator, Collector, CycleType, Frame, Generation, SCHEMA, Summary, Trace, Traceback,
    TracedLine,
};
