//! The allocation tracer of wrasse, without a host: which blocks are live, how
//! big each one is, and which chain of source lines asked for it.
//!
//! A host feeds it events ([`Tracer::record`], [`Tracer::release`]) and turns
//! its own stack into a [`TracebackBuilder`]; what the tracer knows is read
//! back as a [`Snapshot`]. Two independent [`View`]s share the one set of
//! tables: each has its own frame limit, its own counters, and is started,
//! cleared and stopped without the other noticing.
//!
//! Nothing here panics or aborts when memory runs out: whatever has to grow
//! answers [`Exhausted`], and the host decides what an untraced block means.
#![forbid(unsafe_code)]

mod callers;
mod counters;
mod domain;
mod exhausted;
mod location;
mod owner;
mod recent;
mod side_table;
mod snapshot;
mod table;
mod thread;
mod traceback;
mod tracer;
mod view;

pub use counters::Counters;
pub use exhausted::Exhausted;
pub use location::{FileId, LocationId, Locations};
pub use owner::{Amount, OwnerId};
pub use side_table::{FINE, NoSideTable, Nowhere, SideTable};
pub use snapshot::{LineTotal, Snapshot, SnapshotBlock, TracebackTotal};
pub use table::MAX_ADDRESS;
pub use thread::{Thread, ThreadId};
pub use traceback::{MAX_FRAMES, TracebackBuilder, TracebackId, Tracebacks};
pub use tracer::{Released, ThreadTotals, Totals, Tracer};
pub use view::{View, ViewSet};
