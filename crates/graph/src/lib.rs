//! The heap as a graph: who holds whom, what would be freed with what, and by
//! which path something is kept alive.
//!
//! A host walks its objects twice. First it marks their addresses in an
//! [`AddressIndex`], which turns them into consecutive numbers in the order of
//! their addresses; then it gives a [`Builder`] one node after another, each
//! with its references. From then on the objects themselves are not needed.
//!
//! Sizes are in bytes. Nodes and references are counted in 32 bits, which is
//! what keeps ten million objects small; a heap with more is refused. All
//! memory is asked for fallibly, and nothing recurses, however deep the heap.
#![forbid(unsafe_code)]

mod bits;
mod components;
mod contraction;
mod dominators;
mod exhausted;
mod graph;
mod index;
mod paths;
mod references;
mod retained;
mod search;
mod survey;

pub use bits::Bits;
pub use components::components;
pub use contraction::Contraction;
pub use dominators::Dominators;
pub use exhausted::{Exhausted, filled};
pub use graph::{Builder, Graph, NONE, Node};
pub use index::AddressIndex;
pub use paths::{Paths, shortest_cycle};
pub use references::{References, Weighted};
pub use retained::Retained;
pub use survey::Survey;
