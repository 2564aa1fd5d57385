//! The system's allocator.

mod workload;

fn main() {
    workload::run();
}
