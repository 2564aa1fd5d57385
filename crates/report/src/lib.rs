//! What wrasse tells its users: the summary of a run, and what a capture file
//! holds, as text, as JSON, and in the formats of other tools.
//!
//! This crate knows no interpreter. A host gathers the figures of a run into a
//! [`Summary`]; a [`Recording`] is a capture file ready to be shown.

mod call_tree;
mod destination;
mod diff;
mod export;
mod html;
mod lines;
mod look;
mod pairs;
mod recording;
mod stacks;
mod stats;
mod summary;
mod table;
mod text;
pub mod units;

pub use call_tree::{CallTree, TreeBy};
pub use destination::{
    Unwritable, check_destination, clear_destination, reason, write_destination,
};
pub use diff::Diff;
pub use export::{Format, export};
pub use html::{HtmlOptions, compared_html, html};
pub use lines::{LineCost, LineTable, lines_to_json};
pub use look::{
    Cycle, CycleEdge, CycleNode, Finding, Looks, RetainedNode, TypeRow, TypedBlocks, to_section,
};
pub use recording::{Measure, Recording};
pub use stats::Stats;
pub use summary::{
    Allocator, Collector, CycleType, Frame, Generation, SCHEMA, Summary, Trace, Traceback,
    TracedLine,
};
pub use table::{By, Table};
pub use text::printable;
