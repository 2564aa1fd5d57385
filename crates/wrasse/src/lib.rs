#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![warn(missing_debug_implementations)]

mod chunks;
mod collection;
mod finalize;
pub mod gc;
mod handle;
mod header;
mod heap;
mod impls;
mod large;
pub mod leaks;
mod model;
mod pointer;
mod pool;
#[cfg(feature = "serde")]
mod serialize;
mod trace;
#[cfg(feature = "tracemalloc")]
pub mod tracemalloc;
mod weak;
mod weak_map;

pub use finalize::Finalize;
pub use handle::Handle;
pub use leaks::leaks;
pub use pointer::{Gc, GcMut};
pub use trace::{Trace, Tracer};
pub use weak::Weak;
pub use weak_map::{WeakKeyMap, WeakValueMap};
#[cfg(feature = "derive")]
pub use wrasse_derive::Trace;
