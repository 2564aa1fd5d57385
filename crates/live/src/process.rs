//! Whether the process of a capture is still there.

use std::fs;
use std::time::{Duration, SystemTime};

/// The unit of a process's start in `/proc`, a second's part: fixed for programs on
/// Linux, whatever the kernel's own clock is.
const TICKS: f64 = 100.0;
/// By how much the clocks that are compared may differ.
const SLACK: Duration = Duration::from_secs(2);

/// Is process `number` one that was running `started` nanoseconds after 1970? A
/// number that has come to another process since is told apart by its start.
pub fn is_running(number: u32, started: u64) -> bool {
    let Ok(line) = fs::read_to_string(format!("/proc/{number}/stat")) else {
        return false;
    };
    // The name may hold blanks and parentheses.
    let Some((_, fields)) = line.rsplit_once(')') else {
        return false;
    };
    let mut fields = fields.split_whitespace();
    if matches!(fields.next(), None | Some("Z" | "X")) {
        return false;
    }
    let began = fields.nth(18).and_then(|field| field.parse::<f64>().ok());
    let (Some(began), Some(uptime)) = (began, uptime()) else {
        return true;
    };
    let since_1970 = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let age = Duration::try_from_secs_f64((uptime - began / TICKS).max(0.0));
    let began = since_1970.saturating_sub(age.unwrap_or_default());
    began <= Duration::from_nanos(started) + SLACK
}

/// Seconds since the system started.
fn uptime() -> Option<f64> {
    let line = fs::read_to_string("/proc/uptime").ok()?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_did_not_long_ago() {
        let own = std::process::id();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        assert!(is_running(own, now.unwrap().as_nanos() as u64));
        assert!(!is_running(own, 1_000_000_000));
        assert!(!is_running(u32::MAX, u64::MAX));
    }
}
