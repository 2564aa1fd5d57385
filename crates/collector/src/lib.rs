//! The cycle collector of wrasse, without a host.
//!
//! Reference counting frees an object the moment nobody refers to it; what it
//! cannot free is a group of objects that refer to each other. This crate finds
//! such groups and takes them apart in the order that Python programmers rely
//! on: weak references are cleared first, finalizers run while everything is
//! still whole, what a finalizer brought back to life stays, and only then are
//! the objects cleared.
//!
//! It knows neither Python nor `Gc<T>`. A host implements [`Model`] over its own
//! object headers, wherever they are, and [`collect`] is monomorphised over it.
//!
//! | file | what it is |
//! |---|---|
//! | `model.rs` | what a host must be able to do: the trait [`Model`] |
//! | `detect.rs` | trial deletion: which objects of a set only that set keeps alive |
//! | `collect.rs` | the protocol around it: weak references, finalizers, resurrection, clearing |
//! | `pieces.rs` | candidates in pieces that can be tried one after the other |
//! | `generation.rs` | counts, thresholds, and which generation is due |
//! | `policy.rs` | when to collect while nobody has set thresholds |
//! | `stats.rs` | what has been done so far |

mod collect;
mod detect;
mod generation;
mod model;
mod pieces;
mod policy;
mod stats;

pub use collect::{Outcome, collect, collect_and};
pub use detect::{MarkStack, Verdict, detect};
pub use generation::{GENERATIONS, Generations, OLDEST, Thresholds};
pub use model::{Model, Survey, WeakOutcome};
pub use pieces::Pieces;
pub use policy::{
    LARGEST_NURSERY, LARGEST_SHARE, LEAST_GROWTH, LONGEST_WAIT, Policy, Reading, Step,
    WORKING_NURSERY, WORTH_WHILE,
};
pub use stats::{GenerationStats, Pauses, Reason, Stats};

/// Where this crate's source is, for a host whose tracebacks leave it out.
#[doc(hidden)]
pub const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");
