//! A look at a running program's memory: what its capture file says, while it grows.
//!
//! A [`Watch`] reads the file; a [`Look`] is what it says at one moment. [`show`]
//! draws looks on a terminal until its user leaves, [`tell`] writes a line a second
//! where there is none. This crate knows no interpreter and starts no program: whose
//! file it is, and when that has ended, a [`Host`] says.
#![forbid(unsafe_code)]

mod curve;
mod drawing;
mod growing;
mod line;
mod look;
mod process;
mod screen;
mod show;
mod view;
mod watch;

pub use drawing::{Paint, draw};
pub use line::{Form, Told, tell};
pub use look::{Line, Look, Order, Pauses};
pub use screen::Screen;
pub use show::{Host, Shown, show};
pub use view::{Action, View};
pub use watch::Watch;
