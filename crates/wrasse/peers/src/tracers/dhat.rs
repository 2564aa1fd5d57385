//! dhat: the second argument is the number of frames.

mod workload;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() {
    let frames = std::env::args()
        .nth(2)
        .map_or(1, |n| n.parse().expect("a number"));
    let profiler = dhat::Profiler::builder()
        .trim_backtraces(Some(frames))
        .file_name("/dev/null")
        .build();
    workload::run();
    drop(profiler);
}
