//! The one error of this crate: there was no memory to record something.

use std::collections::TryReserveError;
use std::fmt;

/// A table could not grow, or ran out of numbers. What was asked for has not
/// been recorded; everything recorded before is intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no memory left to record an allocation")
    }
}

impl std::error::Error for Exhausted {}

impl From<TryReserveError> for Exhausted {
    fn from(_: TryReserveError) -> Self {
        Exhausted
    }
}
