//! `wrasse._core`: wrasse under an unmodified CPython.
//!
//! The room's picture, its invariants and the rules are in `ARCHITECTURE.md`.
#![deny(clippy::undocumented_unsafe_blocks)]

mod adaptation;
mod boot;
mod by_address;
mod capture;
mod census;
mod cli;
mod collection;
mod doctor;
mod finalization;
mod finder;
mod frame;
mod gc_module;
mod heap;
mod heap_graph;
mod hooks;
mod image;
mod interpreter;
mod layout;
mod lines;
mod list;
mod log;
mod metrics;
mod module;
mod options;
mod probe;
mod process;
mod profile;
mod run;
#[cfg(feature = "sanity")]
mod sanity;
mod self_check;
mod session;
mod slices;
mod small_objects;
mod snapshot_signal;
mod statistics;
mod status;
mod sums_type;
mod symbols;
mod thread_names;
mod tracemalloc_module;
mod track;
mod trigger;
mod unraisable;
