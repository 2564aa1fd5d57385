//! Where blocks live: wrasse's allocator for small objects, without a host.
//!
//! * A [`Region`] is one reserved range of addresses. Whether a block is ours
//!   is one comparison, and what is known about a block is found by shifting its
//!   address, never by looking in front of it.
//! * The region is cut into *pools* of 64 KiB, each for blocks of one
//!   [`size_class`]. A pool's record is kept apart from its memory.
//! * A [`Heap`] is what one thread at a time allocates from; an interpreter, say,
//!   under its lock. Any heap of the region may be handed any block back: one
//!   that belongs to another heap is queued for that heap without a lock.
//! * Blocks above [`size_class::LARGEST`] are [`large`]: the system's, with their
//!   sizes kept in a table.
//! * A [`limit`] on all of it costs nothing where blocks are handed out, because it
//!   is looked at only when a pool or a large block is taken.
//! * What a host knows about blocks it keeps in [`words`] beside the region, found as
//!   quickly as the block's record.
//!
//! Handing out and taking back blocks uses neither Rust's own allocator nor code that
//! unwinds; only making a region uses that allocator.
#![deny(clippy::undocumented_unsafe_blocks)]

pub mod heap;
pub mod large;
pub mod limit;
mod live;
mod lock;
pub mod pool;
pub mod region;
mod reserve;
pub mod size_class;
pub mod stats;
pub mod words;

pub use heap::Heap;
pub use pool::BlockIndex;
pub use region::{Options, Region, Unavailable};
pub use reserve::{reserve, unreserve};
pub use stats::Stats;
pub use words::Words;
