//! Where the memory went: a program that keeps more than it should, and the
//! tracer that tells which line it is.
//!
//! `cargo run --example tracemalloc`

use std::collections::HashMap;

use wrasse::tracemalloc::{self, Allocator, Filter, Key};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::new();

/// Remembers every answer for ever.
#[derive(Default)]
struct Cache {
    answers: HashMap<u32, String>,
}

impl Cache {
    fn answer(&mut self, question: u32) -> &str {
        self.answers
            .entry(question)
            .or_insert_with(|| format!("the answer to {question} is {}", question * 2))
    }
}

fn serve(cache: &mut Cache, requests: std::ops::Range<u32>) -> usize {
    requests.map(|request| cache.answer(request).len()).sum()
}

fn main() {
    let mut cache = Cache::default();
    tracemalloc::start(10);

    serve(&mut cache, 0..1000);
    let before = tracemalloc::take_snapshot().expect("tracing is on");
    serve(&mut cache, 1000..3000);
    let after = tracemalloc::take_snapshot().expect("tracing is on");

    println!("What grew, by line:");
    let grown = after.compare_to(&before, Key::Line);
    for difference in grown.iter().take(3) {
        println!("  {difference}");
    }

    println!("How the program got there:");
    let ours = after.filter_traces(&[Filter::include(&format!("*{}", file!()))]);
    let tracebacks = ours.statistics(Key::Traceback);
    let Some(most) = tracebacks.first() else {
        println!("  not known: build with debug = \"line-tables-only\"");
        return;
    };
    print!("{}", most.traceback.format());

    let (current, peak) = tracemalloc::get_traced_memory();
    let own = tracemalloc::get_tracemalloc_memory();
    println!("{current} bytes in use, {peak} at most; the tracer needs {own} itself");

    let format = grown.iter().find(|d| d.count_diff == 2000);
    let format = format.expect("one string for each new request");
    assert!(format.traceback.most_recent().filename().ends_with(file!()));
    assert!(
        most.traceback.len() >= 4,
        "main, serve, answer and closures"
    );
}
