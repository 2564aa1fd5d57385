//! Tests of `wrasse::tracemalloc`, with its allocator as the global one.
//!
//! Tracing is of the whole process, so the tests run one after the other: each
//! holds what [`alone`] returns.

use std::sync::{Mutex, MutexGuard, PoisonError};

use wrasse::tracemalloc::{self, Allocator, Filter, Key, Snapshot};

mod api;
mod exact;
mod objects;
mod random;
mod sites;
mod threads;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::new();

static LOCK: Mutex<()> = Mutex::new(());

/// While it lives, this thread is the only one that tests anything.
struct Alone(#[expect(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

fn alone() -> Alone {
    let guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    tracemalloc::stop();
    Alone(guard)
}

impl Drop for Alone {
    fn drop(&mut self) {
        tracemalloc::stop();
    }
}

/// Lines of a file, with their blocks and bytes.
type Lines = Vec<(u32, usize, usize)>;

/// What the lines of the calling file have allocated: line, blocks, bytes.
fn lines_of(snapshot: &Snapshot, file: &str) -> Lines {
    let ours = snapshot.filter_traces(&[Filter::include(&format!("*{file}"))]);
    let mut lines: Lines = ours
        .statistics(Key::Line)
        .iter()
        .map(|s| (s.traceback.most_recent().lineno(), s.count, s.size))
        .collect();
    lines.sort_unstable();
    lines
}

/// The line of a source file that ends with the comment `mark`.
fn marked(source: &str, mark: &str) -> u32 {
    let end = format!("// {mark}");
    let found = source.lines().position(|line| line.ends_with(&end));
    found.expect("the mark is there") as u32 + 1
}
