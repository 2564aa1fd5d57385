//! wrasse's tracer: the second argument is the number of frames, 0 is off.

mod workload;

use wrasse::tracemalloc;

#[global_allocator]
static ALLOCATOR: tracemalloc::Allocator = tracemalloc::Allocator::new();

fn main() {
    let frames = std::env::args()
        .nth(2)
        .map_or(1, |n| n.parse().expect("a number"));
    if frames > 0 {
        tracemalloc::start(frames);
    }
    workload::run();
}
