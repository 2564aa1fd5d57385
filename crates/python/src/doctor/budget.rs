//! What looking may take of the processor's time, all looks together.
//!
//! Each kind of look has a share of the time that the program has used so far, and a
//! credit besides, so that short programs are seen too. All of them pay into one
//! account with a share and a credit of its own, which is less than the sum: what
//! one kind takes, others do not have. The looks at the end of the program are always
//! taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::process;

/// What looks.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Garbage that a collection has found.
    Cycles,
    /// The whole heap.
    Heap,
    /// The profile's totals.
    Growth,
    /// The running frames' lists.
    Lists,
    /// All objects, for lists that C code is filling.
    Search,
}

const KINDS: usize = 5;
/// The part of the processor's time that each may take, as a divisor, and what it
/// may take besides.
const ALLOWED: [(u32, Duration); KINDS] = [
    (25, Duration::from_millis(40)),
    (12, Duration::from_millis(180)),
    (100, Duration::from_millis(20)),
    (20, Duration::from_millis(150)),
    (40, Duration::from_millis(30)),
];
/// And all together.
const ALL: (u32, Duration) = (12, Duration::from_millis(280));

static SPENT: [AtomicU64; KINDS] = [const { AtomicU64::new(0) }; KINDS];

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A look of this kind has taken so long.
pub fn pay(kind: Kind, took: Duration) {
    SPENT[kind as usize].fetch_add(nanoseconds(took), Ordering::Relaxed);
}

/// What looks of this kind have taken.
pub fn spent(kind: Kind) -> Duration {
    Duration::from_nanos(SPENT[kind as usize].load(Ordering::Relaxed))
}

/// What all looks have taken.
pub fn all_spent() -> Duration {
    let spent = SPENT.iter().map(|each| each.load(Ordering::Relaxed));
    Duration::from_nanos(spent.sum())
}

/// What a look of this kind may take now; nothing if it must wait.
pub fn left(kind: Kind) -> Duration {
    let all = all_spent();
    let program = process::cpu_time().saturating_sub(all);
    let allowed = |(share, credit): (u32, Duration)| program / share + credit;
    let own = allowed(ALLOWED[kind as usize]).saturating_sub(spent(kind));
    own.min(allowed(ALL).saturating_sub(all))
}
