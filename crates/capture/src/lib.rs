//! What a program's memory did, summed by traceback: at one moment ([`Sums`]),
//! or over a whole run, in a capture file.
//!
//! A [`Writer`] turns what a tracer knows into frames, which the host appends
//! to a file while the program runs; a [`Capture`] reads them back, also when
//! the program was killed in the middle of the last one; a [`Follower`] reads a file
//! that still grows. The format is specified
//! in `docs/capture.md`. This crate does no input or output of its own.
#![forbid(unsafe_code)]

mod capture;
mod frame;
mod intern;
mod meta;
mod statistics;
mod sums;
mod varint;
mod writer;

pub use capture::{Capture, End, Follower, Sample, Unreadable};
pub use frame::{Ending, MAGIC, end_frame};
pub use meta::Meta;
pub use statistics::{Difference, Frame, Key, Statistic, compare};
pub use sums::{Group, Location, Measure, Sums, SumsBuilder};
pub use wrasse_tracer::{Amount, ThreadTotals, Totals};
pub use writer::{Moment, Pause, Writer};
