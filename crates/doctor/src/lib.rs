//! What is wrong with a program's memory, where, and what the fix saves.
//!
//! A run (or a capture, or a test) is boiled down to [`Observations`]: plain
//! data that say what was measured. A [`Rule`] is a function from these to
//! [`Finding`]s. [`examine`] asks all rules, drops what the [`Settings`] or a
//! comment in the source ask to drop, and puts what saves most first.
//!
//! This crate knows no interpreter, and nothing here measures anything.
#![forbid(unsafe_code)]

mod cells;
mod examine;
mod finding;
mod modules;
pub mod observations;
mod output;
mod pragma;
mod quantity;
mod rule;
mod rules;
mod settings;
mod text_file;

pub use cells::{CELL, NOTEBOOK};
pub use examine::examine;
pub use finding::Finding;
pub use observations::Observations;
pub use output::{to_json, to_text};
pub use quantity::Quantity;
pub use rule::{Rule, rule, rules};
pub use rules::weakest;
pub use settings::Settings;
