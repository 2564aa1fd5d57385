//! What the tracers watch: a program that does little else than allocate.
//!
//! Prints CPU time for each pair of allocation and release, in nanoseconds.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// One block at a time.
fn at_once(count: usize) {
    for size in 0..count {
        drop(black_box(Box::<[u8]>::new_uninit_slice(16 + size % 64)));
    }
}

/// Many blocks at a time, below some calls.
#[inline(never)]
fn deep(depth: usize, count: usize) {
    if black_box(depth) > 0 {
        deep(depth - 1, count);
        black_box(());
    } else {
        let blocks: Vec<Box<u64>> = (0..count as u64).map(Box::new).collect();
        drop(black_box(blocks));
    }
}

/// What programs do: strings in maps.
fn words(count: usize) -> usize {
    let mut map: HashMap<String, Vec<String>> = HashMap::new();
    for number in 0..count {
        let key = format!("key {}", number % 1000);
        map.entry(key).or_default().push(number.to_string());
    }
    map.len()
}

/// Runs them all; `count` allocations each, about.
pub fn run() {
    let count: usize = std::env::args()
        .nth(1)
        .map_or(1_000_000, |n| n.parse().expect("a number"));
    let time = |name: &str, blocks: usize, work: &dyn Fn()| {
        let begin = cpu_time();
        work();
        let spent = cpu_time() - begin;
        println!("{name} {:.1}", spent.as_nanos() as f64 / blocks as f64);
    };
    time("at_once", count, &|| at_once(count));
    time("deep", count, &|| deep(20, count));
    time("words", count, &|| {
        black_box(words(count / 3));
    });
}
