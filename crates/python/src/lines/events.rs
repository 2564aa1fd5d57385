//! How CPython tells of lines.

#[cfg(not(Py_3_12))]
mod trace;
#[cfg(not(Py_3_12))]
pub use trace::{forget, trace, watch};

#[cfg(Py_3_12)]
mod monitoring;
#[cfg(Py_3_12)]
pub use monitoring::{forget, trace, watch};
