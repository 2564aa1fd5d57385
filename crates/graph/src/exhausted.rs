//! The one way in which anything here fails, and vectors that fail that way.

use std::collections::TryReserveError;
use std::fmt;

/// There is no memory, or there are more nodes or references than 32 bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is not enough memory for a picture of the heap")
    }
}

impl std::error::Error for Exhausted {}

impl From<TryReserveError> for Exhausted {
    fn from(_: TryReserveError) -> Self {
        Self
    }
}

/// A vector of `length` times `value`.
///
/// # Errors
/// No memory.
pub fn filled<T: Clone>(length: usize, value: T) -> Result<Vec<T>, Exhausted> {
    let mut vector = Vec::new();
    vector.try_reserve_exact(length)?;
    vector.resize(length, value);
    Ok(vector)
}

/// An empty vector with room for `length`.
pub(crate) fn room<T>(length: usize) -> Result<Vec<T>, Exhausted> {
    let mut vector = Vec::new();
    vector.try_reserve_exact(length)?;
    Ok(vector)
}

/// Appends `value`.
#[inline]
pub(crate) fn push<T>(vector: &mut Vec<T>, value: T) -> Result<(), Exhausted> {
    if vector.len() == vector.capacity() {
        vector.try_reserve(1)?;
    }
    vector.push(value);
    Ok(())
}
