//! The functions of the module, and what they print.

use wrasse::Gc;
use wrasse::tracemalloc::{self, Error, Filter, Key, Snapshot, StatisticDiff, take_snapshot};

use crate::{alone, marked};

fn line(mark: &str) -> u32 {
    marked(include_str!("api.rs"), mark)
}

/// What this file has allocated.
fn ours(snapshot: &Snapshot) -> Snapshot {
    snapshot.filter_traces(&[Filter::include(&format!("*{}", file!()))])
}

fn name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

#[test]
fn tracing_begins_and_ends() {
    let _alone = alone();
    assert!(!tracemalloc::is_tracing());
    assert_eq!(tracemalloc::get_traced_memory(), (0, 0));
    assert_eq!(take_snapshot().unwrap_err(), Error::NotTracing);
    assert!(Error::NotTracing.to_string().contains("start"));

    let older = Vec::<u8>::with_capacity(1 << 20);
    tracemalloc::start(7);
    assert!(tracemalloc::is_tracing());
    assert_eq!(tracemalloc::get_traceback_limit(), 7);
    tracemalloc::start(9);
    assert_eq!(tracemalloc::get_traceback_limit(), 7, "it was on already");
    drop(older);

    let block = Vec::<u8>::with_capacity(1 << 20);
    let (current, peak) = tracemalloc::get_traced_memory();
    assert!((1 << 20..1 << 21).contains(&current) && peak >= current);
    assert!(tracemalloc::get_block_traceback(block.as_ptr()).is_some());
    drop(block);
    let (current, peak) = tracemalloc::get_traced_memory();
    assert!(current < 1 << 20 && peak >= 1 << 20);
    tracemalloc::reset_peak();
    assert!(tracemalloc::get_traced_memory().1 < 1 << 20);

    let block = Vec::<u8>::with_capacity(1 << 20);
    tracemalloc::clear_traces();
    assert!(tracemalloc::get_traced_memory().1 < 1 << 20);
    assert!(tracemalloc::get_block_traceback(block.as_ptr()).is_none());
    drop(block);

    tracemalloc::stop();
    assert!(!tracemalloc::is_tracing());
    assert_eq!(tracemalloc::get_traced_memory(), (0, 0));
    for (asked, kept) in [(0, 1), (1_000_000, tracemalloc::MAX_FRAMES)] {
        tracemalloc::start(asked);
        assert_eq!(tracemalloc::get_traceback_limit(), kept);
        tracemalloc::stop();
    }
}

#[test]
fn statistics_by_line_file_and_traceback() {
    fn make(size: usize) -> Vec<u8> {
        Vec::with_capacity(size) // make
    }
    let inside = line("make");
    let _alone = alone();
    tracemalloc::start(2);
    let first = make(30_000);
    let second = make(10_240);
    let here = line!() - 2;
    let third = Vec::<u8>::with_capacity(5); // third
    let snapshot = ours(&take_snapshot().unwrap());
    assert_eq!((snapshot.len(), snapshot.traceback_limit()), (3, 2));

    let shown = |key| -> Vec<String> {
        let statistics = snapshot.statistics(key);
        statistics.iter().map(|s| name(&s.to_string())).collect()
    };
    assert_eq!(
        shown(Key::Line),
        [
            format!("api.rs:{inside}: size=39.3 KiB, count=2, average=19.6 KiB"),
            format!("api.rs:{}: size=5 B, count=1, average=5 B", line("third")),
        ]
    );
    assert_eq!(
        shown(Key::File),
        ["api.rs:0: size=39.3 KiB, count=3, average=13.1 KiB"]
    );
    // As in Python, a traceback is shown by its oldest frame.
    let tracebacks = shown(Key::Traceback);
    assert_eq!(
        tracebacks[..2],
        [
            format!("api.rs:{here}: size=29.3 KiB, count=1, average=29.3 KiB"),
            format!(
                "api.rs:{}: size=10.0 KiB, count=1, average=10.0 KiB",
                here + 1
            ),
        ]
    );
    let cumulative = snapshot.statistics(Key::CumulativeLine);
    let of = |line| {
        let mut found = cumulative
            .iter()
            .filter(|s| s.traceback[0].lineno() == line);
        found.next().map(|s| (s.size, s.count))
    };
    assert_eq!(of(inside), Some((40_240, 2)));
    assert_eq!(of(here), Some((30_000, 1)));
    assert_eq!(of(here + 1), Some((10_240, 1)));
    let files = snapshot.statistics(Key::CumulativeFile);
    assert!(files[0].count >= 5, "each frame counts: {files:?}");
    drop((first, second, third));
}

#[test]
fn differences_between_snapshots() {
    let _alone = alone();
    tracemalloc::start(1);
    let mut blocks = Vec::with_capacity(10);
    let mut make = |count: usize| {
        for _ in 0..count {
            blocks.push(vec![0u8; 1000]); // push
        }
        blocks.truncate(count);
    };
    make(4);
    let before = ours(&take_snapshot().unwrap());
    let gone = std::hint::black_box(Box::new([0u8; 100])); // gone
    let middle = ours(&take_snapshot().unwrap());
    drop(gone);
    make(1);
    let after = ours(&take_snapshot().unwrap());

    let shown = |differences: &[StatisticDiff]| -> Vec<String> {
        let changed = differences.iter().filter(|d| d.size_diff != 0);
        changed.map(|d| name(&d.to_string())).collect()
    };
    assert_eq!(
        shown(&middle.compare_to(&before, Key::Line)),
        [format!(
            "api.rs:{}: size=100 B (+100 B), count=1 (+1), average=100 B",
            line("gone")
        )]
    );
    assert_eq!(
        shown(&after.compare_to(&middle, Key::Line)),
        [
            format!(
                "api.rs:{}: size=1000 B (-3000 B), count=1 (-3), average=1000 B",
                line("push")
            ),
            format!("api.rs:{}: size=0 B (-100 B), count=0 (-1)", line("gone")),
        ]
    );
    let files = after.compare_to(&before, Key::File);
    assert_eq!((files[0].size_diff, files[0].count_diff), (-3000, -3));
    drop(blocks);
}

#[test]
fn filters_keep_and_leave_out() {
    fn make() -> Vec<u8> {
        Vec::with_capacity(4000)
    }
    let inside = line!() - 2;
    let _alone = alone();
    tracemalloc::start(5);
    let first = make();
    let here = line!() - 1;
    let second = Vec::<u8>::with_capacity(4001);
    let snapshot = take_snapshot().unwrap();
    let sizes = |filters: &[Filter]| {
        let kept = snapshot.filter_traces(filters);
        let mut sizes: Vec<usize> = kept.traces().map(|trace| trace.size).collect();
        sizes.retain(|size| (4000..=4001).contains(size));
        sizes.sort_unstable();
        sizes
    };
    let file = format!("*/{}", name(file!()));
    assert_eq!(sizes(&[]), [4000, 4001]);
    assert_eq!(sizes(&[Filter::include(&file)]), [4000, 4001]);
    assert!(sizes(&[Filter::include("*/other.rs")]).is_empty());
    assert_eq!(sizes(&[Filter::exclude("*/other.rs")]), [4000, 4001]);
    assert!(sizes(&[Filter::exclude(&file)]).is_empty());
    assert_eq!(sizes(&[Filter::include(&file).line(inside)]), [4000]);
    assert_eq!(sizes(&[Filter::exclude(&file).line(inside)]), [4001]);
    assert!(sizes(&[Filter::include(&file).line(here)]).is_empty());
    assert_eq!(
        sizes(&[Filter::include(&file).line(here).all_frames()]),
        [4000]
    );
    assert_eq!(
        sizes(&[Filter::exclude(&file).line(here).all_frames()]),
        [4001]
    );
    let either = [Filter::include("*/other.rs"), Filter::include(&file)];
    assert_eq!(sizes(&either), [4000, 4001]);
    let both = [Filter::include(&file), Filter::exclude("*").line(inside)];
    assert_eq!(sizes(&both), [4001]);
    let domain = |domain| [Filter::include("*").domain(domain)];
    assert_eq!(sizes(&domain(0)), [4000, 4001]);
    assert!(sizes(&domain(tracemalloc::GC_DOMAIN)).is_empty());
    assert!(sizes(&[Filter::exclude("*").domain(0)]).is_empty());
    drop((first, second));
}

#[test]
fn a_traceback_can_be_read() {
    let _alone = alone();
    tracemalloc::start(3);
    let block = Box::new([1u8; 300]);
    let line = line!() - 1;
    let traceback = tracemalloc::get_block_traceback(&raw const *block).unwrap();
    assert_eq!(traceback.most_recent().lineno(), line);
    assert_eq!(
        name(&traceback.most_recent().to_string()),
        format!("api.rs:{line}")
    );
    assert_eq!(traceback.len(), traceback.frames().len());
    let text = traceback.format();
    let last: Vec<&str> = text.lines().rev().take(2).collect();
    assert_eq!(last[0], "    let block = Box::new([1u8; 300]);");
    assert!(last[1].starts_with("  File \"/") && last[1].ends_with(&format!("line {line}")));
    let snapshot = take_snapshot().unwrap();
    // By its traceback: the text above is a block too, as long as this file's path makes it.
    let trace = snapshot
        .traces()
        .find(|trace| trace.traceback == traceback)
        .unwrap();
    assert_eq!(trace.size, 300);
    assert_eq!(trace.to_string(), format!("{}: 300 B", traceback[0]));
    drop(Gc::new(1));
}

#[test]
#[cfg(feature = "serde")]
fn snapshots_are_saved_and_loaded() {
    let _alone = alone();
    tracemalloc::start(2);
    let block = Box::new([1u8; 300]);
    let snapshot = take_snapshot().unwrap();
    let text = serde_json::to_string(&snapshot).unwrap();
    let loaded: Snapshot = serde_json::from_str(&text).unwrap();
    assert_eq!(
        loaded.statistics(Key::Traceback),
        snapshot.statistics(Key::Traceback)
    );
    assert_eq!(
        loaded.traces().collect::<Vec<_>>(),
        snapshot.traces().collect::<Vec<_>>()
    );
    drop(block);
}
