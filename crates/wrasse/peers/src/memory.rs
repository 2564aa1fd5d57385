//! How much memory the process has, as Linux tells it.

use std::fs;

/// Bytes in memory now.
pub fn resident() -> Option<f64> {
    field("VmRSS:")
}

/// Begins to look for a peak, and returns the bytes in memory now.
pub fn begin_peak() -> Option<f64> {
    fs::write("/proc/self/clear_refs", "5").ok()?;
    resident()
}

/// The most bytes that were in memory since [`begin_peak`].
pub fn peak() -> Option<f64> {
    field("VmHWM:")
}

fn field(name: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024.0)
}
